"""The platforms' own builders, on a copy of the project."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from tests.processes import ROOT
from tools.lock import find_uv

NODE = ROOT / "tests/deploy/node"
#: What a clone does not have.
_LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", ".tools", ".holdfast", ".env", ".vercel", ".serverless", "node_modules", "build", "dist", ".next",
    "__pycache__", ".*_cache", ".hypothesis", "uv.lock",
)  # fmt: skip
LIMIT = 300


def node_tool(name: str) -> str:
    """The path of a tool of ``tests/deploy/node``, installed from its lock where that has not been done."""
    lock = NODE / "package-lock.json"
    stamp = NODE / "node_modules/.made-for"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        # Not `npm ci`: it wants an entry for each platform's optional package, which only an index that carries them
        # all can give. What the lock does have is held to all the same, and the lock is not written.
        install = ("npm", "install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund")
        subprocess.run(install, cwd=NODE, check=True, timeout=LIMIT)
        stamp.write_text(wanted)
    return str(NODE / "node_modules/.bin" / name)


def copy_of_project(folder: Path) -> Path:
    """A copy of the project as a fresh clone has it."""
    return Path(shutil.copytree(ROOT, folder / "project", ignore=_LEFT_OUT))


def run(*command: str, cwd: Path, env: dict[str, str] | None = None) -> str:
    """Run a builder without a terminal, an account or a home of its own; returns what it printed."""
    # The set-up's uv first on the path, for the builders that look for one.
    uv = Path(find_uv())
    path = os.pathsep.join([*([str(uv.parent)] if uv.is_absolute() else []), os.environ["PATH"]])
    hidden = ("AWS_", "VERCEL", "UPSTASH_", "KV_", "QSTASH_", "OPENAI_", "OPENROUTER_", "HOLDFAST_", "VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**kept, "PATH": path, "VERCEL_TELEMETRY_DISABLED": "1", "SLS_TELEMETRY_DISABLED": "1", **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=LIMIT,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout
