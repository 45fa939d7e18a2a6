"""Whoever resumes gets exactly the rest, and nobody waits in vain (docs/protocol.md, chapters C, D and F)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from hypothesis import example, given, settings

from holdfast.adapters.memory import MemoryLog
from holdfast.keys import Keys
from holdfast.log import Log
from holdfast.operations import Operation, StreamLog
from holdfast.records import Cursor, EntryId
from holdfast.subscribe import Beat, Frame
from tests.clocks import VirtualClock, run, virtual
from tests.core.reading import MINE, Plan, frames, plans, read, subscriber, texts, write
from tests.core.samples import STREAM, parts, stop

_TYPES = {"finish": "finish", "error": "error", "stop": "abort", "sealed error": "error"}
_LONG = Plan(((2,) * 30, (1,) * 50, (3,) * 40), (True, False, True), "finish")


@given(plans())
@example(_LONG)
@example(Plan(((3, 0, 2), ()), (True, False), "finish", ("claim", "seal")))
def test_resuming_from_any_cursor_gives_exactly_the_rest(plan: Plan) -> None:
    """Rules C3, E1, F2, F4: every part once, in order; each cursor given leads to the rest; after the end nothing."""

    async def scenario() -> None:
        clock = VirtualClock()
        store = MemoryLog(clock)
        written = await write(Log(store, Keys(), clock), plan)
        reader = subscriber(store, clock)
        full = await read(reader)
        assert texts(full) == written
        if plan.ending == "none":
            assert len(full) == len(written)
        else:
            *_, ending, end = full
            assert len(full) == len(written) + 2
            assert ending.chunk is not None
            assert ending.chunk["type"] == _TYPES[plan.ending]
            assert (end.chunk, ending.cursor) == (None, Cursor(end.cursor.entry, 0))
        assert all(a.cursor < b.cursor for a, b in pairwise(full))
        for place, frame in enumerate(full):
            reading = await reader.open(STREAM, MINE, Cursor.parse(str(frame.cursor)))
            assert reading.complete == (frame.chunk is None)
            if not reading.complete:
                assert await frames(reading) == full[place + 1 :]

    run(scenario())


@settings(max_examples=30)
@given(plans())
def test_the_cursor_of_any_entry_resumes(plan: Plan) -> None:
    """Rules C1, C3: also the place of an entry without parts, such as a begin, is one to resume from."""

    async def scenario() -> None:
        clock = VirtualClock()
        store = MemoryLog(clock)
        log = Log(store, Keys(), clock)
        await write(log, plan)
        reader = subscriber(store, clock)
        full = await read(reader)
        end = next((frame.cursor for frame in full if frame.chunk is None), None)
        for entry in await log.read(STREAM):
            cursor = Cursor(entry.id)
            if end is not None and end < cursor:
                break
            reading = await reader.open(STREAM, MINE, cursor)
            assert reading.complete == (cursor == end)
            if not reading.complete:
                assert await frames(reading) == [frame for frame in full if cursor < frame.cursor]

    run(scenario())


@settings(max_examples=30)
@given(plans())
def test_a_reader_that_was_there_all_along_gets_the_same(plan: Plan) -> None:
    """Rules D1, D6: a reader cut every half second while the log is written ends with what a late one gets."""

    async def scenario() -> None:
        clock = VirtualClock()
        store = MemoryLog(clock)
        reader = subscriber(_Slow(store, clock), clock)
        writer = asyncio.create_task(write(Log(_Slow(store, clock), Keys(), clock), plan))
        got: list[Frame] = []
        while not (writer.done() and (plan.ending == "none" or (got and got[-1].chunk is None))):
            reading = await reader.open(STREAM, MINE, got[-1].cursor if got else None)
            if reading.complete:
                break  # 204: the client comes no more
            got += await frames(reading, 0.5)
        await writer
        if plan.ending == "none":
            got += await read(reader, got[-1].cursor if got else None)
        assert got == await read(reader)

    run(scenario())


class _Slow:
    """A store where every call takes a while, so that readers and writers take turns."""

    def __init__(self, port: StreamLog, clock: VirtualClock) -> None:
        self._port = port
        self._clock = clock

    async def apply(self, *operations: Operation) -> Sequence[Any]:
        await self._clock.sleep(0.07)
        return await self._port.apply(*operations)


@virtual
async def test_a_reader_leaves_in_time_and_hears_a_heartbeat() -> None:
    """Rules D1, D6, F3: in silence there is a beat each heartbeat, and the reading ends when its time is up."""
    clock = VirtualClock()
    store = MemoryLog(clock)
    await write(Log(store, Keys(), clock), Plan(((1,),), (False,), "none"))
    reader = subscriber(store, clock)
    reading = await reader.open(STREAM, MINE)
    beats = [clock.monotonic() async for thing in reading.frames(50.0) if isinstance(thing, Beat)]
    assert clock.monotonic() == 50.0
    assert len(beats) == 3
    assert all(15.0 <= later - earlier <= 16.0 for earlier, later in pairwise([0.0, *beats]))
    assert reading.cursor == Cursor(EntryId(1, 1))


@virtual
async def test_news_come_quickly() -> None:
    """Rule D1: while the log moves a reader sees an entry within two polls; after long silence within a second."""
    clock = VirtualClock()
    store = MemoryLog(clock)
    log = Log(store, Keys(), clock)
    await write(log, Plan(((1,),), (False,), "none"))
    reader = subscriber(store, clock)
    seen: dict[str, float] = {}

    async def watch() -> None:
        async for thing in (await reader.open(STREAM, MINE)).frames(100):
            if isinstance(thing, Frame):
                seen[str(thing.cursor)] = clock.monotonic()

    watching = asyncio.create_task(watch())
    wrote: dict[str, float] = {}
    for seq, pause in ((2, 0.5), (3, 0.5), (4, 20.0), (5, 0.2)):
        await clock.sleep(pause)
        await log.append(STREAM, EntryId(1, seq), parts(seq - 1, "x"))
        wrote[f"1-{seq}"] = clock.monotonic()
    await log.seal(STREAM, stop())
    await watching
    lags = {cursor: seen[cursor] - at for cursor, at in wrote.items()}
    assert max(lags["1-2"], lags["1-3"], lags["1-5"]) <= 0.3
    assert lags["1-4"] <= 1.0
