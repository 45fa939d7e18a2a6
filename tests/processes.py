"""Real processes for tests: started on free ports, ended by their own handle."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Served:
    """A server process that listens on loopback."""

    url: str
    process: subprocess.Popen[str]


@contextmanager
def served(module: str, *args: str, env: Mapping[str, str] | None = None) -> Iterator[Served]:
    """Run ``python -m module --port 0 …`` until the block ends; it must print ``listening on URL`` first."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, "--port", "0", *args],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'lib'}:{ROOT}", **(env or {})},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("listening on "), f"{module} did not start: {line!r}"
        yield Served(line.removeprefix("listening on ").strip(), process)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
