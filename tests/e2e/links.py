"""A TCP connection's middle, which a test may cut, hold, or lead elsewhere."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Literal, Self
from urllib.parse import urlsplit

#: ``open`` passes everything on; ``cut`` resets every connection; ``held`` takes connections and passes nothing on
#: until it is opened; ``deaf`` passes requests on and resets the connection instead of the answer.
type Mode = Literal["open", "cut", "held", "deaf"]

_BLOCK = 65_536


class Link:
    """A listener on loopback that passes connections on to a server.

    Args:
        target: the server's URL.
    """

    def __init__(self, target: str) -> None:
        self._target = target
        self._mode: Mode = "open"
        self._released = asyncio.Event()
        self._pairs: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self._call(asyncio.start_server(self._accept, "127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def set(self, mode: Mode) -> None:
        """Change what happens to connections: to all of them, those that stand as well."""
        self._call(self._set(mode))

    def lead_to(self, target: str) -> None:
        """Send new connections to another server; those that stand stay where they are."""
        self._target = target

    def close(self) -> None:
        """End every connection and the listener."""
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _call[T](self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _set(self, mode: Mode) -> None:
        self._mode = mode
        if mode == "held":
            self._released.clear()
        else:
            self._released.set()
        if mode == "cut":
            await self._drop_all()

    async def _stop(self) -> None:
        self._server.close()
        await self._drop_all()
        await self._server.wait_closed()

    async def _drop_all(self) -> None:
        pairs = list(self._pairs)
        for pair in pairs:
            pair.cancel()
        await asyncio.gather(*pairs, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._pairs.add(task)
        whole = False
        try:
            if self._mode != "cut":
                whole = await self._pass_on(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            await _end(writer, whole=whole)
            self._pairs.discard(task)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Pass on until the server has ended its side -> whether it ended it in peace."""
        if self._mode == "held":
            await self._released.wait()
        parts = urlsplit(self._target)
        far_reader, far_writer = await asyncio.open_connection(parts.hostname, parts.port)
        asking = asyncio.create_task(self._pump(reader, far_writer, answers=False))
        try:
            await self._pump(far_reader, writer, answers=True)
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            await _end(far_writer, whole=False)
        return True

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, answers: bool) -> None:
        while block := await source.read(_BLOCK):
            if answers and self._mode == "deaf":
                raise ConnectionResetError
            sink.write(block)
            await sink.drain()
        if not answers:
            sink.write_eof()


async def _end(writer: asyncio.StreamWriter, *, whole: bool) -> None:
    """Close a connection in peace, or by a reset, so that the other side sees that something broke."""
    with suppress(OSError):  # the other side may have closed it long ago
        if not whole:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        writer.close()
        await writer.wait_closed()
