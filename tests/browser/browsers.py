"""Chromium as a person has it: a process with a profile, that can be ended and opened again."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Playwright

from tests.e2e.waiting import until

#: Debian's names for it.
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_OPTIONS = (
    "--headless=new", "--no-sandbox", "--no-first-run", "--no-default-browser-check", "--disable-gpu",
    "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--password-store=basic", "--remote-debugging-port=0",
)  # fmt: skip


def executable() -> str:
    """The path of Chromium. Without one the tests skip, and say so; in CI that is a failure."""
    for name in _NAMES:
        if found := shutil.which(name):
            return found
    if os.environ.get("CI"):
        pytest.fail("Chromium is missing, and CI must not skip: tools/browsers.sh installs it")
    pytest.skip("there is no Chromium on the path: apt-get install chromium, and run this again")


@contextmanager
def browser_process(playwright: Playwright, profile: Path) -> Iterator[BrowserContext]:
    """Run Chromium on a profile until the block ends, then quit it as a person does: it saves what it has to.

    Args:
        playwright: the driver.
        profile: the profile's folder, which outlives the process.

    Yields:
        The profile, opened.
    """
    port = profile / "DevToolsActivePort"
    port.unlink(missing_ok=True)
    process = subprocess.Popen(
        (executable(), *_OPTIONS, f"--user-data-dir={profile}", "about:blank"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        lines = until(lambda: port.read_text().split() if port.exists() else [], "port of the browser")
        browser = playwright.chromium.connect_over_cdp(f"http://127.0.0.1:{lines[0]}")
        yield browser.contexts[0]
        browser.new_browser_cdp_session().send("Browser.close")
        process.wait(10)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
