"""The npm package: its own tests, what is in its tarball, and the tarball in a fresh Next.js app."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.clients import node
from tests.clients.agents import is_one_text
from tests.clients.conftest import GENERATOR
from tests.clients.front import Front
from tests.clients.readers import browser, options, without_proxies
from tests.e2e.system import Standins, System, system
from tests.e2e.waiting import until
from tests.local.ports import free_block

APP = Path(__file__).parent / "next"
MODULES = (
    "answer", "chunks", "errors", "fetch", "follower", "index", "memory", "options", "react", "sse", "start", "stream",
    "time",
)  # fmt: skip


def test_the_packages_own_tests_pass() -> None:
    """Every awkward split of bytes, every cut and every refusal, on a scripted server and a time of its own."""
    told = node.run(node.tool("npm"), "test", "--no-workspaces", cwd=node.installed(node.CLIENT))
    assert "# fail 0" in told
    assert int(told.split("# pass ")[1].split()[0]) >= 80


@pytest.fixture(scope="package")
def tarball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as it would be published."""
    folder = tmp_path_factory.mktemp("pack")
    node.installed(node.CLIENT)
    told = node.run(
        node.tool("npm"), "pack", "--no-workspaces", "--silent", "--pack-destination", str(folder), cwd=node.CLIENT
    )
    return folder / told.split()[-1]


def test_the_tarball_holds_the_package_and_nothing_else(tarball: Path, tmp_path: Path) -> None:
    """Modules, types, maps and sources, without tests and tools; no dependency; React is optional."""
    shutil.unpack_archive(tarball, tmp_path, filter="data")
    root = tmp_path / "package"
    found = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    built = {f"dist/{name}{end}" for name in MODULES for end in (".js", ".js.map", ".d.ts", ".d.ts.map")}
    assert found == {"README.md", "package.json"} | built | {f"src/{name}.ts" for name in MODULES}
    manifest = json.loads((root / "package.json").read_text("utf-8"))
    assert "dependencies" not in manifest
    assert manifest["peerDependenciesMeta"] == {"react": {"optional": True}}
    assert {path for each in manifest["exports"].values() if isinstance(each, dict) for path in each.values()} <= {
        f"./{name}" for name in found
    }
    react = {path.stem for path in (root / "dist").glob("*.js") if 'from "react"' in path.read_text("utf-8")}
    assert react == {"react"}


# -- in a fresh Next.js app -------------------------------------------------------------------------------


@pytest.fixture(scope="package")
def front() -> Iterator[Front]:
    """What the browser knows: one origin, in front of the app once that is served."""
    with Front("http://127.0.0.1:1") as found:
        yield found


@pytest.fixture(scope="package")
def behind(at: Standins, front: Front) -> Iterator[System]:
    """The system behind the app, which passes the browser's ``Origin`` on: it is listed, since it is not its own."""
    with system(GENERATOR | {"HOLDFAST_MAX_SECONDS": "3", "HOLDFAST_ALLOWED_ORIGINS": front.url}, at) as found:
        yield found


@pytest.fixture(scope="package")
def built(tarball: Path, behind: System) -> Path:
    """The app, with the package from its tarball, built for production: its types are checked on the way."""
    node.installed(APP)
    options = ("--no-save", "--ignore-scripts", "--no-audit", "--no-fund")
    node.run(node.tool("npm"), "install", *options, str(tarball), cwd=APP)
    shutil.rmtree(APP / ".next", ignore_errors=True)
    # Where /api leads to is fixed by the build.
    node.run(node.tool("npx"), "next", "build", cwd=APP, env={"HOLDFAST_URL": behind.url})
    return APP


@contextmanager
def served(app: Path) -> Iterator[str]:
    """Serve the built app until the block ends -> its address."""
    port = free_block(1)
    process = subprocess.Popen(
        [node.tool("node"), "node_modules/next/dist/bin/next", "start", "-H", "127.0.0.1", "-p", str(port)],
        cwd=app,
        env={**os.environ, "NEXT_TELEMETRY_DISABLED": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            return httpx.get(url, timeout=5, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    try:
        until(answers, "answer of Next.js")
        yield url
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def shown(front: Front, path: str) -> dict[str, Any]:
    """Open a page in Chromium -> what it reports."""
    front.reports.clear()
    with tempfile.TemporaryDirectory() as profile:
        process = subprocess.Popen(
            [browser("chromium"), *options("chromium", profile), f"{front.url}{path}"],
            env={**without_proxies(), "HOME": profile},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            until(lambda: front.reports, "a report of the page", 60)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return dict(front.reports[0])


def test_a_fresh_next_app_streams(built: Path, behind: System, front: Front) -> None:
    """``useChat`` over a time limit of three seconds, and ``useHoldfast`` over it and a reload in mid-answer, in
    Chromium: the page shows the whole text, once.
    """
    browser("chromium")
    ask = quote("200 words of 40 ms, please.")
    with served(built) as url:
        front.lead_to(url)
        chat = shown(front, f"/?with=chat&ask={ask}")
        hook = shown(front, f"/?with=hook&ask={ask}")
    assert chat["status"] == "ready", chat
    assert is_one_text(chat["text"], 200)
    assert chat["phases"].count("reconnecting") >= 1
    assert hook["status"] == "finished", hook
    assert is_one_text(hook["text"], 200)
    assert hook["text"].startswith(hook["first"])
    # The answers belong to the browser's own session, whose cookie came with the first question.
    assert behind.http.get(f"/api/streams/{hook['id']}/status").status_code == 404
