"""The one public address: connections, each led to one of the processes that are up, some cut on the way."""

from __future__ import annotations

import asyncio
import random
import re
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

_BLOCK = 65_536
_STREAM = re.compile(rb'"stream": ?"([A-Za-z0-9_-]{30})"')
_LONGEST_HEAD = 16_384


@dataclass(slots=True, eq=False)
class Backend:
    """One process of the functions.

    Attributes:
        port: where it listens.
        up: whether new connections are led to it.
        publishing: the streams whose deliveries it has in hand and since when (epoch seconds), by connection.
    """

    port: int
    up: bool = True
    publishing: dict[int, tuple[str, float]] = field(default_factory=dict)

    def streams(self, seconds: float = 0.0) -> tuple[str, ...]:
        """The streams whose deliveries it has had in hand for so many seconds."""
        return tuple(stream for stream, since in self.publishing.values() if time.time() - since >= seconds)


class Switch:
    """Two doors to the same processes: a public one, and one for readers, whose network is bad.

    Args:
        backends: the processes.
        rng: chooses the process, and which connections of readers are cut, and where.
        cut: the chance that a connection of a reader is cut.
    """

    def __init__(self, backends: list[Backend], rng: random.Random, cut: float) -> None:
        self.backends = backends
        self.cuts = 0
        self.url = self.readers_url = ""
        self._rng = rng
        self._cut = cut
        self._servers: list[asyncio.Server] = []
        self._pairs: set[asyncio.Task[None]] = set()
        self._made = 0

    async def open(self) -> None:
        """Listen on free ports of loopback."""
        for cut in (0.0, self._cut):
            sock = socket.create_server(("127.0.0.1", 0), backlog=1024)
            self._servers.append(await asyncio.start_server(self._accepting(cut), sock=sock))
            url = f"http://127.0.0.1:{sock.getsockname()[1]}"
            self.url, self.readers_url = self.url or url, url

    async def close(self) -> None:
        """End every connection and stop listening."""
        for server in self._servers:
            server.close()
        for pair in list(self._pairs):
            pair.cancel()
        await asyncio.gather(*self._pairs, return_exceptions=True)

    def _accepting(self, cut: float) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._pairs.add(task)
            # Small budgets cut inside the first events, large ones late in the answer.
            budget = round(2 ** self._rng.uniform(7, 15)) if self._rng.random() < cut else None
            whole = False
            try:
                whole = await self._lead(reader, writer, budget)
            except (OSError, asyncio.CancelledError):
                pass
            finally:
                _end(writer, whole=whole)
                self._pairs.discard(task)

        return accept

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, budget: int | None) -> bool:
        """Pass everything on, both ways → whether the process ended the connection in peace."""
        backend = await self._choose()
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", backend.port)
        self._made += 1
        number = self._made
        asking = asyncio.create_task(_ask(reader, far_writer, _Watch(backend, number)))
        answering = asyncio.create_task(self._answer(far_reader, writer, budget))
        try:
            await asyncio.wait({asking, answering}, return_when=asyncio.FIRST_COMPLETED)
            if asking.done() and not answering.done():
                return False  # who asked has gone
            return answering.result()
        finally:
            for task in (asking, answering):
                task.cancel()
            await asyncio.gather(asking, answering, return_exceptions=True)
            backend.publishing.pop(number, None)
            _end(far_writer, whole=False)

    async def _choose(self) -> Backend:
        while not (up := [backend for backend in self.backends if backend.up]):  # noqa: ASYNC110 - it is set in many places
            await asyncio.sleep(0.05)
        return self._rng.choice(up)

    async def _answer(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, budget: int | None) -> bool:
        while block := await source.read(_BLOCK):
            if budget is not None and (budget := budget - len(block)) <= 0:
                sink.write(block[: len(block) + budget])
                await sink.drain()
                self.cuts += 1
                return False
            sink.write(block)
            await sink.drain()
        return True


class _Watch:
    """Notes which stream's delivery a connection carries.

    Args:
        backend: where the connection leads.
        number: the connection's.
    """

    def __init__(self, backend: Backend, number: int) -> None:
        self._backend = backend
        self._number = number
        self._head = b""
        self._over = False

    def feed(self, block: bytes) -> None:
        """Take what is asked."""
        if self._over:
            return
        self._head += block
        found = _STREAM.search(self._head)
        if found and self._head.startswith(b"POST /api/publish "):
            self._backend.publishing[self._number] = (found[1].decode(), time.time())
        self._over = bool(found) or len(self._head) > _LONGEST_HEAD


async def _ask(source: asyncio.StreamReader, sink: asyncio.StreamWriter, watch: _Watch) -> None:
    while block := await source.read(_BLOCK):
        watch.feed(block)
        sink.write(block)
        await sink.drain()


def _end(writer: asyncio.StreamWriter, *, whole: bool) -> None:
    """Close a connection in peace, or by a reset, so that the other side sees that something broke."""
    with suppress(OSError):  # the other side may have closed it long ago
        if not whole:
            linger_zero = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_zero)
            writer.transport.abort()
        writer.close()
