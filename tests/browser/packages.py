"""The page's own packages, from their lock: for the tests that build it, and for axe."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

from tests.processes import ROOT

WEB = ROOT / "web"
LIMIT = 300


def packages() -> Path:
    """The folder of the packages, installed where that has not been done."""
    npm = shutil.which("npm")
    assert npm, "npm is needed on the path, with Node 20.19 or newer"
    lock, folder = WEB / "package-lock.json", WEB / "node_modules"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    stamp = folder / ".made-for"
    if not stamp.exists() or stamp.read_text() != wanted:
        subprocess.run((npm, "ci", "--ignore-scripts"), cwd=WEB, check=True, timeout=LIMIT, capture_output=True)
        stamp.write_text(wanted)
    return folder
