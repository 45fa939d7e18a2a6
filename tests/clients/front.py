"""The way from a client to the system: one request a connection, counted, and cut where a test wants it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tests.e2e.links import Link

_LONGEST_HEAD = 65_536


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came.

    Attributes:
        path: with its query.
        cursor: the ``Last-Event-ID``, if there was one.
    """

    path: str
    cursor: str | None


class Front(Link):
    """A server in front of the system, which serves a page beside it, of the same origin.

    Args:
        target: the system's URL.
        cuts: how many responses are reset in their middle.
        after: bytes of a response after which it is.
        page: makes the page at ``/__page``.
    """

    def __init__(self, target: str, *, cuts: int = 0, after: int = 900, page: Callable[[], str] = str) -> None:
        super().__init__(target)
        self.asked: list[Asked] = []
        #: What the page told.
        self.reports: list[Any] = []
        self._cuts = cuts
        self._after = after
        self._page = page

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except asyncio.IncompleteReadError:
            return True  # browsers connect ahead of need
        method, path, _ = head.split(" ", 2)
        if path.startswith("/__"):
            await self._own(method, path, head, reader, writer)
            return True
        cursor = re.search(r"^last-event-id: *(.+?)\r$", head, re.IGNORECASE | re.MULTILINE)
        self.asked.append(Asked(path, cursor[1] if cursor else None))
        parts = urlsplit(self._target)
        far_reader, far_writer = await asyncio.open_connection(parts.hostname, parts.port)
        # One request a connection: each is counted, and none goes on where another one was cut.
        kept = re.sub(r"^connection:.*\r\n", "", head, flags=re.IGNORECASE | re.MULTILINE)
        far_writer.write(kept.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n").encode("latin-1"))
        asking = asyncio.create_task(self._pump(reader, far_writer, answers=False))
        try:
            if len(self.asked) <= self._cuts:
                await self._part(far_reader, writer)
                return False
            await self._pump(far_reader, writer, answers=True)
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            far_writer.close()
        return True

    async def _part(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """Pass on the beginning of a response, in whole bytes and anywhere in an event."""
        left = self._after
        while left > 0 and (block := await source.read(left)):
            left -= len(block)
            sink.write(block)
            await sink.drain()
        # A reset throws away what the far side has not read yet: it gets a moment, so that the cut is in the middle.
        await asyncio.sleep(0.1)

    async def _own(
        self, method: str, path: str, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if method == "POST":
            length = re.search(r"^content-length: *(\d+)", head, re.IGNORECASE | re.MULTILINE)
            assert length is not None
            self.reports.append(json.loads(await reader.readexactly(min(int(length[1]), 10**6))))
        body = (await asyncio.to_thread(self._page)).encode() if path.startswith("/__page") else b""
        reply = (
            f"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        writer.write(reply.encode() + body)
        await writer.drain()
