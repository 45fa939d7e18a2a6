"""Runs a function that ``vercel build`` made, the way the platform does, behind a front door of its own."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path

LIMIT = 60.0


class Door:
    """A listening port whose connections are passed on to a port that becomes known later.

    The function's public address must be known before it starts, and its port is known only after.
    """

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._target = 0
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def open(self, port: int) -> None:
        """Begin to pass connections on."""
        self._target = port
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        # Closing alone does not wake a thread that waits in accept.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                inner, _ = self._listener.accept()
                threading.Thread(target=self._join, args=(inner,), daemon=True).start()

    def _join(self, outside: socket.socket) -> None:
        with closing(outside), suppress(OSError), socket.create_connection(("127.0.0.1", self._target)) as inside:
            while True:
                for end in select.select([outside, inside], [], [])[0]:
                    data = end.recv(65_536)
                    if not data:
                        return
                    (inside if end is outside else outside).sendall(data)


def base_python(project: Path) -> str:
    """The Python that the builder chose, without the packages of any environment: the function brings its own."""
    lines = (project / ".vercel/python/.venv/pyvenv.cfg").read_text().splitlines()
    home = next(line.partition("=")[2].strip() for line in lines if line.startswith("home"))
    return str(Path(home) / "python3")


@contextmanager
def serving(function: Path, python: str, door: Door, env: Mapping[str, str], folder: Path) -> Iterator[None]:
    """Run a built function until the block ends.

    Args:
        function: the ``.func`` folder.
        python: the interpreter.
        door: what is opened once the function listens.
        env: the project's settings.
        folder: where the socket may stand.
    """
    own: dict[str, str] = json.loads((function / ".vc-config.json").read_text())["environment"]
    ipc = str(folder / "ipc")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(ipc)
        listener.listen()
        listener.settimeout(LIMIT)
        # Nothing of this machine's environment: what the function needs it brings or is told.
        process = subprocess.Popen(
            [python, "vc__handler__python.py"],
            cwd=function,
            env={"PATH": os.environ["PATH"], "VERCEL_IPC_PATH": ipc, **own, **env},
        )
        try:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(LIMIT)
                message = b""
                while b"\0" not in message:
                    received = connection.recv(65_536)
                    assert received, "the function ended before it listened"
                    message += received
                started = json.loads(message.partition(b"\0")[0])
                door.open(started["payload"]["httpPort"])
                threading.Thread(target=_drain, args=(connection.dup(),), daemon=True).start()
                yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            door.close()


def _drain(connection: socket.socket) -> None:
    """Read on, so that the function never waits for room to report."""
    with connection, suppress(OSError):
        while connection.recv(65_536):
            pass
