"""Server-sent events: SUBSCRIBE and PSUBSCRIBE of the database, and MONITOR of what this API was asked to run."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator

from standins.redis_backend import Backend
from standins.redis_exchange import Exchange
from standins.redis_requests import Request
from standins.redis_rules import Command

# Lines kept for a monitor that reads too slowly; Redis, too, does not let one hold up the database.
_MONITOR_BACKLOG = 10_000


class Monitors:
    """Everyone who watches the commands go by."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[bytes]] = set()

    def tell(self, commands: list[Command]) -> None:
        """Report commands that are about to run."""
        if not self._queues:
            return
        for command in commands:
            line = b"%.6f [0 0.0.0.0:0] %b" % (time.time(), b" ".join(map(_quoted, command)))
            for queue in self._queues:
                with contextlib.suppress(asyncio.QueueFull):
                    queue.put_nowait(line)

    async def watch(self) -> AsyncGenerator[bytes]:
        """Yield ``"OK"``, then one line for each command."""
        queue: asyncio.Queue[bytes] = asyncio.Queue(_MONITOR_BACKLOG)
        self._queues.add(queue)
        try:
            yield b'"OK"'
            while True:
                yield await queue.get()
        finally:
            self._queues.discard(queue)


async def stream(exchange: Exchange, request: Request, backend: Backend, monitors: Monitors) -> None:
    """Send events until the client goes away.

    Raises:
        UnreachableError: the database could not be asked, and nothing was sent yet.
    """
    lines = monitors.watch() if request.kind == "monitor" else _said(backend, request.commands[0])
    pump = asyncio.create_task(_pump(exchange, lines))
    gone = asyncio.create_task(exchange.gone())
    try:
        await asyncio.wait({pump, gone}, return_when=asyncio.FIRST_COMPLETED)
        if pump.done():
            await pump
    finally:
        pump.cancel()
        gone.cancel()
        await asyncio.gather(pump, gone, return_exceptions=True)


async def _pump(exchange: Exchange, lines: AsyncGenerator[bytes]) -> None:
    try:
        async with contextlib.aclosing(lines):
            async for line in lines:
                if not exchange.status:
                    await exchange.start(200, {"content-type": "text/event-stream", "cache-control": "no-cache"})
                await exchange.write(b"data: " + line.replace(b"\n", b"\ndata: ") + b"\n\n")
    except Exception:
        # Once events have flowed no error can be told any more: the body just ends, and the client subscribes again.
        if not exchange.status:
            raise
    if exchange.status:
        await exchange.write(b"", more=False)


async def _said(backend: Backend, command: Command) -> AsyncGenerator[bytes]:
    async with contextlib.aclosing(backend.subscribe(command)) as messages:
        async for message in messages:
            yield b",".join(message)


def _quoted(argument: bytes) -> bytes:
    escapes = {0x22: '\\"', 0x5C: "\\\\", 0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t", 0x07: "\\a", 0x08: "\\b"}
    text = "".join(escapes.get(byte) or (chr(byte) if 0x20 <= byte < 0x7F else f"\\x{byte:02x}") for byte in argument)
    return f'"{text}"'.encode()
