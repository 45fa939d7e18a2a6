"""Places of readers in one process, and the response that takes one (rule N4)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from holdfast.readers import Readers, Seat
from holdfast.seats import SeatedResponse
from tests.clocks import virtual


def taken(readers: Readers, *streams: str, insist: bool = False) -> list[Seat]:
    """Take places that there must be."""
    seats = [readers.enter(stream, insist=insist) for stream in streams]
    assert None not in seats
    return [seat for seat in seats if seat is not None]


def test_so_many_read_one_stream() -> None:
    """Two do, the third does not, another stream's does; one who leaves makes room for one."""
    readers = Readers(per_stream=2)
    first, _ = taken(readers, "s", "s")
    assert readers.enter("s") is None
    taken(readers, "t")
    first.leave()
    taken(readers, "s")
    assert readers.enter("s") is None


def test_so_many_read_in_all() -> None:
    """Whatever the stream, a new one as well."""
    readers = Readers(in_all=3)
    *_, last = taken(readers, "s", "s", "t")
    assert readers.is_full
    assert readers.enter("u") is None
    last.leave()
    assert not readers.is_full
    taken(readers, "u")


def test_a_place_is_left_once() -> None:
    """Leaving twice gives nobody else's place away."""
    readers = Readers(per_stream=2)
    first, _ = taken(readers, "s", "s")
    first.leave()
    first.leave()
    taken(readers, "s")
    assert readers.enter("s") is None


def test_who_was_promised_a_place_has_one() -> None:
    """And counts, so that room is made again by one more who leaves."""
    readers = Readers(in_all=1)
    (first,) = taken(readers, "s")
    (promised,) = taken(readers, "t", insist=True)
    first.leave()
    assert readers.is_full
    promised.leave()
    assert not readers.is_full


def test_nothing_limits_where_there_is_no_limit() -> None:
    """0 is no limit."""
    assert len(taken(Readers(), *["s"] * 1000)) == 1000
    assert not Readers().is_full


def test_streams_that_nobody_reads_are_forgotten() -> None:
    """A process that serves for days keeps nothing of them."""
    readers = Readers(per_stream=1)
    for number in range(100):
        (seat,) = taken(readers, f"s{number}")
        seat.leave()
    assert not readers._seats


@pytest.mark.parametrize("when", ["before", "head", "body", "end"])
@virtual
async def test_a_place_is_given_back_however_the_response_ends(when: str) -> None:
    """Its reader leaves before the head, at the head, or in the body, or stays to the end."""
    readers = Readers(per_stream=1)
    (seat,) = taken(readers, "s")
    sent: list[str] = []

    async def body() -> AsyncIterator[bytes]:
        yield b"1"
        await asyncio.sleep(1)
        yield b"2"

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0.5 if when == "body" else 100)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        await asyncio.sleep(0)
        sent.append(message["type"])
        if when == "head":
            raise OSError("the client left")

    response = SeatedResponse(seat, body(), {})
    serving = asyncio.ensure_future(response({"type": "http", "asgi": {"spec_version": "2.3"}}, receive, send))
    if when == "before":
        await asyncio.sleep(0)
        serving.cancel()
    await asyncio.wait({serving})
    assert not serving.cancelled() or when == "before"
    if not serving.cancelled():
        serving.exception()
    assert readers.enter("s") is not None
    assert len(sent) == {"before": 0, "head": 1, "body": 2, "end": 4}[when]
