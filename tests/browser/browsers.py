"""Chromium as a person has it: a process with a profile, that can be ended and opened again."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

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
def browser_process(profile: Path) -> Iterator[str]:
    """Run Chromium on a profile until the block ends, then end it as a desktop does at its shutdown.

    Args:
        profile: the profile's folder, which outlives the process.

    Yields:
        The endpoint for ``connect_over_cdp``.
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
        yield f"http://127.0.0.1:{lines[0]}"
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
