"""One HTTP exchange: its answer, or its violent end, with what the ledger needs to know of it."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

from starlette.types import Receive, Scope, Send


class Exchange:
    """A request whose answer is still owed.

    Attributes:
        scope: the ASGI scope.
        receive: the ASGI receive function.
        status: the HTTP status sent, 0 while or if there is none.
        bytes_out: bytes of body sent.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.receive = receive
        self.status = 0
        self.bytes_out = 0
        self._send = send

    async def answer(self, status: int, body: bytes, content_type: str, headers: dict[str, str] | None = None) -> None:
        """Send a whole answer."""
        await self.start(status, {"content-type": content_type, "content-length": str(len(body)), **(headers or {})})
        await self.write(body, more=False)

    async def answer_json(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        """Send a whole answer as JSON."""
        body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
        await self.answer(status, body, "application/json", headers)

    async def start(self, status: int, headers: dict[str, str]) -> None:
        """Send the status and the headers."""
        self.status = status
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": raw})

    async def write(self, body: bytes, *, more: bool = True) -> None:
        """Send a piece of the body, the last one if not ``more``."""
        self.bytes_out += len(body)
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    async def gone(self) -> None:
        """Wait until the client has gone away."""
        while (await self.receive())["type"] != "http.disconnect":
            pass

    async def drop(self, *, reset: bool = False) -> None:
        """End the connection without an answer, cleanly or with a TCP reset."""
        # ASGI has no way to say this; the transport belongs to uvicorn's object whose method ``send`` is.
        transport = self._send.__self__.transport  # type: ignore[attr-defined]
        if reset:
            linger_zero = struct.pack("ii", 1, 0)
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_zero)
        transport.abort()
        await self.gone()
