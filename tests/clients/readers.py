"""The clients of server-sent events: each reads several streams at once and tells what came."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.clients import node
from tests.clients.front import Front
from tests.clients.recipes import httpx_sse
from tests.e2e.waiting import until
from tests.processes import ROOT

HERE = Path(__file__).parent
PAGE = (HERE / "page.html").read_text("utf-8")
NODE = ("eventsource", "eventsource-client", "fetch-event-source", "holdfast-client")
BROWSERS = ("chromium", "firefox")
_NAMES = {"chromium": ("chromium", "chromium-browser", "google-chrome"), "firefox": ("firefox-esr", "firefox")}
_LIMIT = 90


@dataclass(frozen=True, slots=True)
class Came:
    """What a client got of one stream.

    Attributes:
        chunks: every chunk that it gave its user.
        error: how it ended, if not with the answer's end.
    """

    chunks: list[dict[str, Any]]
    error: str | None

    @property
    def text(self) -> str:
        """The text of the answer."""
        return "".join(chunk["delta"] for chunk in self.chunks if chunk["type"] == "text-delta")


def read(client: str, begin: Callable[[], Mapping[str, tuple[Front, str]]]) -> dict[str, Came]:
    """Have a client read streams until it has closed every one for good.

    Args:
        client: its name.
        begin: called when the client is about to read: for each scenario the way to the system and the stream's path.
    """
    if client in BROWSERS:
        return _in_browser(client, begin)
    built = node.client() if node.installed() and client in NODE else None  # before the answers begin
    urls = {name: f"{front.url}{path}" for name, (front, path) in begin().items()}
    if built is not None:
        command = (node.tool("node"), "events.mjs", client, str(built), json.dumps(urls))
        told = json.loads(node.run(*command, cwd=node.HERE))
        return {name: Came(each["chunks"], each["error"]) for name, each in told.items()}
    one = {"httpx-sse": _with_httpx_sse, "curl": _with_curl, "holdfast.follow": _with_follow}[client]
    with ThreadPoolExecutor(len(urls)) as pool:
        return dict(zip(urls, pool.map(one, urls.values()), strict=True))


def _with_httpx_sse(url: str) -> Came:
    chunks: list[dict[str, Any]] = []
    try:
        with httpx.Client(trust_env=False, timeout=30) as http:
            chunks.extend(httpx_sse.follow(http, url))
    except RuntimeError as error:
        return Came(chunks, str(error))
    return Came(chunks, None)


def _with_curl(url: str) -> Came:
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            ["sh", str(HERE / "recipes/curl.sh"), url],
            cwd=folder,
            env={**os.environ, "no_proxy": "*"},
            capture_output=True,
            text=True,
            check=False,
            timeout=_LIMIT,
        )
        answer = (Path(folder) / "answer").read_text("utf-8")
    data = re.findall("^data: (.*)$", answer, re.MULTILINE)
    return Came([json.loads(each) for each in data if each != "[DONE]"], done.stderr.strip() or None)


def _with_follow(url: str) -> Came:
    # A process of its own, as the other clients have, so that no event loop is shared with the tests'.
    done = subprocess.run(
        [sys.executable, "-c", _FOLLOW, url],
        env={**os.environ, "PYTHONPATH": str(ROOT / "lib")},
        capture_output=True,
        text=True,
        check=True,
        timeout=_LIMIT,
    )
    *lines, error = done.stdout.splitlines()
    return Came([json.loads(line) for line in lines], error or None)


_FOLLOW = """
import asyncio, json, sys, holdfast
from holdfast.client import FollowError
async def main():
    try:
        async for event in holdfast.follow(sys.argv[1]):
            print(json.dumps(event.chunk))
    except FollowError as error:
        return print(type(error).__name__)
    print()
asyncio.run(main())
"""


# -- browsers ---------------------------------------------------------------------------------------------


def browser(name: str) -> str:
    """The path of a browser; without one the test is skipped, but never where tests decide over a change."""
    for each in _NAMES[name]:
        if found := shutil.which(each):
            return found
    what = f"{name} is not installed; tools/browsers.sh does it on Debian"
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)


def _in_browser(name: str, begin: Callable[[], Mapping[str, tuple[Front, str]]]) -> dict[str, Came]:
    """One page with a frame for each stream, each of an origin of its own; the frames tell their own front."""
    executable = browser(name)
    fronts: dict[str, tuple[Front, str]] = {}

    def page() -> str:
        if not fronts:
            fronts.update(begin())
        frames = (f'<iframe src="{front.url}/__page?url={quote(path)}"></iframe>' for front, path in fronts.values())
        return "<!doctype html>" + "".join(frames)

    with Front("http://127.0.0.1:9", page=page) as top, tempfile.TemporaryDirectory() as profile:
        process = subprocess.Popen(
            [executable, *options(name, profile), f"{top.url}/__page"],
            # A home of its own: neither reads nor leaves what a person's browser keeps.
            env={**without_proxies(), "HOME": profile, "MOZ_CRASHREPORTER_DISABLE": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            until(lambda: fronts and all(front.reports for front, _ in fronts.values()), f"reports of {name}", _LIMIT)
        finally:
            # The group that it began: its processes too.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return {key: Came(front.reports[0]["chunks"], front.reports[0]["error"]) for key, (front, _) in fronts.items()}


def without_proxies() -> dict[str, str]:
    """This process's environment without proxies: a browser sends even what is on this machine through them."""
    return {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}


def options(name: str, profile: str) -> list[str]:
    """How a browser is started without a screen, with a profile of its own."""
    if name == "firefox":
        quiet = {
            "browser.shell.checkDefaultBrowser": "false",
            "datareporting.policy.dataSubmissionEnabled": "false",
            "toolkit.telemetry.reportingpolicy.firstRun": "false",
            "app.update.enabled": "false",
            "browser.startup.page": "0",
            "network.proxy.type": "0",
        }
        lines = "".join(f'user_pref("{key}", {value});\n' for key, value in quiet.items())
        (Path(profile) / "user.js").write_text(lines, "utf-8")
        return ["--headless", "--no-remote", "--profile", profile]
    return [
        "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage",
        "--disable-background-networking", f"--user-data-dir={profile}",
    ]  # fmt: skip
