"""How every stand-in is served: one uvicorn process on loopback that says where it listens."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from typing import Any

import uvicorn

HOST = "127.0.0.1"


class _Server(uvicorn.Server):
    """A server that leaves its listening line and its exit code to ``serve``."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started and sockets:
            port = sockets[0].getsockname()[1]
            # The one line that tests and the supervisor wait for; port 0 asks for a free port.
            print(f"listening on http://{HOST}:{port}", flush=True)


def serve(app: Any, port: int) -> None:
    """Serve an ASGI app on loopback until SIGINT or SIGTERM; print ``listening on http://127.0.0.1:PORT`` when ready.

    Args:
        app: the ASGI application.
        port: the port, or 0 for any free one.

    Raises:
        SystemExit: the port is taken.
    """
    # With the protocol named, asyncio sets TCP_NODELAY; without it every answer would wait 40 ms for an ACK.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as error:
        sys.exit(f"Cannot listen on {HOST}:{port}: {error.strerror}. Choose another with --port.")
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=2)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_Server(config).serve(sockets=[listener]))
