"""A reader that does not read holds one page of the store's, and not the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from holdfast.records import Begin, EntryId, Parts, Queued, Stop
from holdfast.services import Services
from holdfast.web import application
from tests.bounds.metering import Metered
from tests.clocks import virtual
from tests.fuzz.app import App
from tests.owner import AUTH, OWNER

#: Entries of the log, and characters of each: eight pages of 2.5 MB.
ENTRIES, SIZE = 2_048, 10_000
PAGE_BYTES = 256 * (SIZE + 200)


_HEADERS = [(b"host", b"x"), (b"authorization", AUTH["authorization"].encode())]


async def _filled(app: App) -> str:
    stream, now, log = app.stream_id(), app.clock.now_ms(), app.services.log
    message: Any = {"role": "user", "parts": [{"type": "text", "text": "Why?"}]}
    await log.open(stream, Queued(at=now, owner=OWNER, message_id="m", messages=[message]), now)
    await log.claim(stream, 1, Begin(at=now, owner="n", message="m1", retried=0), 10**8)
    for number in range(ENTRIES):
        delta = {"type": "text-delta", "id": "a", "delta": f"{number:05}" + "x" * (SIZE - 5)}
        await log.append(stream, EntryId(1, number + 1), Parts(at=now, pos=number, parts=[delta]))
    await log.seal(stream, Stop(at=now, by="request"))
    return stream


class _Client:
    """One connection whose reader takes so many pieces of the body and then reads no further until it is let.

    Args:
        app: the application.
        stream: what is read.
        takes: pieces of the body.
    """

    def __init__(self, app: Any, stream: str, takes: int) -> None:
        self._app = app
        self._takes = takes
        self._path = f"/api/streams/{stream}"
        self.go_on = asyncio.Event()
        self.gone = asyncio.Event()
        self.body = bytearray()

    async def run(self) -> None:
        """Ask, and read as told."""
        scope = {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": "GET",
            "scheme": "https", "path": self._path, "raw_path": self._path.encode(), "root_path": "",
            "query_string": b"", "headers": _HEADERS, "client": ("127.0.0.1", 1), "server": ("x", 443),
        }  # fmt: skip
        await self._app(scope, self._receive, self._send)

    async def _receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.body":
            self._takes -= 1
            if self._takes < 0:
                await self.go_on.wait()  # as a server waits for its socket to take more
            self.body += message["body"]


@pytest.mark.parametrize("takes", [0, 1, 100, 600])
@virtual
async def test_a_reader_that_does_not_read_stops_the_reading_of_the_log(takes: int) -> None:
    """While the socket takes nothing, nothing is read from the store: at most a page ahead of what was sent, however
    long it lasts; then the rest follows, whole.
    """
    app = App(max_seconds=3_600.0)
    stream = await _filled(app)
    meter = Metered(app.memory, app.clock)
    of = app.services
    client = _Client(
        application(Services(of.settings, meter, of.queue_to, of.load_generator, app.clock), frozenset({"subscribe"})),
        stream,
        takes,
    )
    serving = asyncio.create_task(client.run())
    await asyncio.sleep(60)
    ahead = meter.given - takes * (SIZE + 100)
    assert ahead <= 2 * PAGE_BYTES, "more was read than could be sent"
    before = meter.ranges
    await asyncio.sleep(600)
    assert meter.ranges == before
    client.go_on.set()
    await serving
    assert meter.given > ENTRIES * SIZE
    assert all(b'"%05dxx' % number in client.body for number in range(0, ENTRIES, 97))
    assert client.body.endswith(b"data: [DONE]\n\n")


@virtual
async def test_a_reader_that_hangs_up_while_it_does_not_read_ends_the_reading() -> None:
    """A connection that is gone costs nothing any more: its reading of the log is closed."""
    app = App(max_seconds=3_600.0)
    stream = await _filled(app)
    meter = Metered(app.memory, app.clock)
    of = app.services
    client = _Client(
        application(Services(of.settings, meter, of.queue_to, of.load_generator, app.clock), frozenset({"subscribe"})),
        stream,
        5,
    )
    serving = asyncio.create_task(client.run())
    await asyncio.sleep(60)
    client.gone.set()
    async with asyncio.timeout(5):
        await serving
    assert meter.given <= 2 * PAGE_BYTES
