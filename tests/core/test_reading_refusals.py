"""What a reader is told of cursors, streams and entries that are not there (docs/protocol.md, rules D2, D4, D5, X1)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from holdfast.adapters.memory import MemoryLog
from holdfast.errors import ApiError, BadRecord, LogGap, Vanished
from holdfast.identity import new_stream_id
from holdfast.keys import Keys
from holdfast.log import Log
from holdfast.operations import Append, Last, Operation, Range, StreamLog
from holdfast.records import FIRST, Cursor, EntryId, Record, encode
from tests.clocks import ORIGIN_MS, VirtualClock, run, virtual
from tests.core.reading import MINE, Plan, frames, read, subscriber, texts, write
from tests.core.samples import STREAM, begin, finish, parts, queued, stop


class _Replica:
    """A store whose reads lag: for so many of them it does not show the entries of some attempts yet.

    A call that writes anything is answered by the primary.
    """

    def __init__(self, port: StreamLog, hidden: Sequence[EntryId], reads: int) -> None:
        self._port = port
        self._hidden = set(hidden)
        self._reads = reads

    async def apply(self, *operations: Operation) -> Sequence[Any]:
        results = await self._port.apply(*operations)
        if self._reads == 0 or not all(isinstance(operation, Range | Last) for operation in operations):
            return results
        self._reads -= 1
        return [
            [e for e in found if e[0] not in self._hidden] if isinstance(found, list) else found for found in results
        ]


async def _raw(log: Log, *entries: tuple[str, Record]) -> None:
    """Write entries as they are, whatever the rules say."""
    key = log.keys.stream(STREAM)
    await log.port.apply(*(Append(key, EntryId.parse(id), encode(record), create=True) for id, record in entries))


@pytest.mark.parametrize(
    "cursor", ["1-3", "2-0", "3-1", "1-1.2", "1-1.9", "1-2.0", "0-1.0", "1-0.0", "0-0", "7-7.7", "1099511627776-0"]
)
def test_a_cursor_of_another_stream_is_refused(cursor: str) -> None:
    """Rule D4: what this log never gave is 400, also a part that its entry does not have."""

    async def scenario() -> None:
        clock = VirtualClock()
        store = MemoryLog(clock)
        await write(Log(store, Keys(), clock), Plan(((3, 1),), (False,), "none"))
        with pytest.raises(ApiError) as caught:
            await subscriber(store, clock).open(STREAM, MINE, Cursor.parse(cursor))
        assert (caught.value.status, caught.value.code) == (400, "cursor_unknown")

    run(scenario())


@virtual
async def test_a_cursor_is_looked_for_on_the_primary() -> None:
    """Rule D4: a replica that does not show the cursor's entry yet refuses nobody."""
    clock = VirtualClock()
    store = MemoryLog(clock)
    await write(Log(store, Keys(), clock), Plan(((1, 1, 1),), (False,), "finish"))
    reader = subscriber(_Replica(store, [EntryId(1, 2), EntryId(1, 3), EntryId(1, 4)], 2), clock)
    assert texts(await read(reader, "1-2")) == ["1-3/0 "]


@pytest.mark.parametrize(
    "stream",
    [
        "",
        "x",
        "a" * 29,
        "a" * 31,
        "../../etc/passwd/aaaaaaaaaaaaaa",
        "ä" * 30,
        pytest.param(f"{STREAM}\n", id="a line"),
    ],
)
def test_what_is_no_stream_id_is_unknown(stream: str) -> None:
    """Rules I5, X1: an id of another form is 404 at once, and the store is not asked."""

    async def scenario() -> None:
        clock = VirtualClock()
        with pytest.raises(ApiError) as caught:
            await subscriber(MemoryLog(clock), clock).open(stream, MINE)
        assert (caught.value.status, clock.monotonic()) == (404, 0.0)

    run(scenario())


@pytest.mark.parametrize(
    ("age_ms", "status", "seconds"),
    [
        (0, 404, 3.0),
        (6_000, 404, 3.0),
        (10_001, 404, 0.0),
        (86_400_000, 404, 0.0),
        (86_400_001, 410, 0.0),
        (-60_000, 404, 0.0),
    ],
)
def test_unknown_and_expired(age_ms: int, status: int, seconds: float) -> None:
    """Rules D2, X1: a young id is looked for again for three seconds; an old one is unknown, an older one expired."""

    async def scenario() -> None:
        clock = VirtualClock()
        with pytest.raises(ApiError) as caught:
            await subscriber(MemoryLog(clock), clock).open(new_stream_id(ORIGIN_MS - age_ms), MINE)
        assert caught.value.status == status
        assert clock.monotonic() == pytest.approx(seconds + 0.25)

    run(scenario())


@virtual
async def test_a_stream_that_appears_in_time_is_found() -> None:
    """Rule D2: a replica that lags two seconds behind the start costs a reader two seconds and nothing else."""
    clock = VirtualClock()
    store = MemoryLog(clock)
    reader = subscriber(store, clock)
    opening = asyncio.create_task(reader.open(STREAM, MINE))
    await clock.sleep(2)
    assert not opening.done()
    await write(Log(store, Keys(), clock), Plan(((1,),), (False,), "finish"))
    assert len(await frames(await opening)) == 3
    assert clock.monotonic() < 2.3  # the looks grow apart: this one is at 2.25


@virtual
async def test_an_ended_stream_expires() -> None:
    """Rules X1, X6: once the store has deleted the log its id is 410, for those with a cursor too."""
    clock = VirtualClock()
    store = MemoryLog(clock)
    await write(Log(store, Keys(), clock), Plan(((1,),), (False,), "finish"))
    clock.origin_ms += 3 * 86_400_000
    for cursor in (None, Cursor(EntryId(1, 1))):
        with pytest.raises(ApiError) as caught:
            await subscriber(store, clock).open(STREAM, MINE, cursor)
        assert caught.value.status == 410


@virtual
async def test_a_gap_that_closes_is_waited_for() -> None:
    """Rule D5: entries that a replica does not show yet are read again, and come once and in order."""
    clock = VirtualClock()
    store = MemoryLog(clock)
    written = await write(Log(store, Keys(), clock), Plan(((2, 1, 1), (1, 2)), (True, False), "finish"))
    for hidden in ([EntryId(1, 2)], [EntryId(1, 1), EntryId(1, 2)], [EntryId(2, 0)], [EntryId(2, 1)]):
        assert texts(await read(subscriber(_Replica(store, hidden, 5), clock))) == written
        assert texts(await read(subscriber(_Replica(store, hidden, 5), clock), "1-1.0")) == written[1:]


_GAPS: dict[str, list[tuple[str, Record]]] = {
    "an entry is missing": [("1-0", begin()), ("1-1", parts(0, "a")), ("1-3", parts(1, "b"))],
    "the first one is missing": [("1-0", begin()), ("1-2", parts(0, "b"))],
    "a begin is missing": [("1-1", parts(0, "a"))],
    "a later begin is missing": [("1-0", begin()), ("2-1", parts(0, "a"))],
    "an attempt begins with something else": [("1-0", parts(0, "a"))],
    "a whole attempt is missing": [("1-0", begin()), ("3-0", begin()), ("3-1", parts(4, "a"))],
    "parts are counted otherwise": [("1-0", begin()), ("1-1", parts(0, "a", "b")), ("1-2", parts(1, "c"))],
    "the end counts more parts": [("1-0", begin()), ("1-1", parts(0, "a")), ("1-2", finish(parts=2))],
}


@pytest.mark.parametrize("name", _GAPS)
def test_a_gap_that_stays_is_an_error(name: str) -> None:
    """Rule D5: what is missing for three seconds ends the reading with an error, and nothing behind it is shown."""

    async def scenario() -> None:
        clock = VirtualClock()
        store = MemoryLog(clock)
        reader = subscriber(store, clock)
        await _raw(reader.log, ("0-1", queued()), *_GAPS[name])
        reading = await reader.open(STREAM, MINE)
        got: list[object] = []

        async def watch() -> None:
            async for frame in reading.frames(60):
                got.append(frame)  # noqa: PERF401 - a comprehension would lose them

        with pytest.raises(LogGap):
            await watch()
        assert got == []
        assert 3.0 <= clock.monotonic() < 3.5

    run(scenario())


@virtual
async def test_a_gap_behind_a_cursor_is_seen() -> None:
    """Rule D5: the entry right behind a resuming reader's cursor must be the next one too."""
    clock = VirtualClock()
    reader = subscriber(MemoryLog(clock), clock)
    await _raw(reader.log, ("0-1", queued()), ("1-0", begin()), ("1-1", parts(0, "a", "b")), ("1-3", parts(3, "d")))
    for cursor in ("1-1", "1-1.0", "1-0"):
        with pytest.raises(LogGap):
            await read(reader, cursor)


@virtual
async def test_an_unreadable_entry_is_an_error() -> None:
    """Rule R3: a record that cannot be read is never skipped."""
    clock = VirtualClock()
    reader = subscriber(MemoryLog(clock), clock)
    await _raw(reader.log, ("0-1", queued()))
    await reader.log.port.apply(Append(reader.log.keys.stream(STREAM), EntryId(1, 0), '{"v":2,"t":"begin"}'))
    with pytest.raises(BadRecord, match="version 2"):
        await read(reader)


@virtual
async def test_a_deleted_log_ends_its_readers() -> None:
    """Rules A5, Q1: a reader of a log that is deleted meanwhile is told so and does not wait on."""
    clock = VirtualClock()
    store = MemoryLog(clock)
    await write(Log(store, Keys(), clock), Plan(((1,),), (False,), "none"))
    reading = await subscriber(store, clock).open(STREAM, MINE)
    clock.origin_ms += 3 * 86_400_000
    with pytest.raises(Vanished):
        await frames(reading, 300)
    assert clock.monotonic() < 30


def test_the_first_page_shows_nothing_of_another_kind() -> None:
    """Rule I3: a log that does not begin with a queued record is no answer."""

    async def scenario() -> None:
        clock = VirtualClock()
        reader = subscriber(MemoryLog(clock), clock)
        await _raw(reader.log, (str(FIRST), stop()))
        with pytest.raises(ApiError) as caught:
            await reader.open(STREAM, MINE)
        assert caught.value.status == 404

    run(scenario())
