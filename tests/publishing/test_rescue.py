"""What readers and the failure callback do for an answer that nobody writes (chapter Q)."""

from __future__ import annotations

import asyncio

import pytest

from holdfast.access import Access
from holdfast.errors import ApiError, Unavailable
from holdfast.operations import Put
from holdfast.publish import Verdict
from holdfast.records import Error, Stop
from holdfast.subscribe import Frame, Patience, Reading, Subscriber
from tests.clocks import virtual
from tests.faults import LOST_REPLY
from tests.publishing.stage import LEASE_MS, RETENTION, Script, Stage

LEASE = LEASE_MS / 1000


async def reading(stage: Stage) -> Reading:
    """A reader at the beginning of the stage's stream."""
    return await Subscriber(stage.log, stage.rescuer(), Patience(), RETENTION * 1000).open(stage.stream, Access("me"))


async def read(stage: Stage, seconds: float) -> list[Frame]:
    """What a reader gets within so many seconds."""
    return [frame async for frame in (await reading(stage)).frames(seconds) if isinstance(frame, Frame)]


@virtual
async def test_a_reader_asks_for_a_rescue_once_in_half_a_minute() -> None:
    """Rules Q1, Q4: many readers that look every few seconds are one message."""
    stage = Stage()
    await stage.open()
    await asyncio.gather(*(read(stage, 28) for _ in range(5)))
    half_minute = stage.clock.origin_ms // 30_000
    (message, *later) = stage.queue.messages
    assert message == (stage.stream, 1, f"{stage.stream}.r0.{half_minute}")
    assert len(later) <= 1


@virtual
async def test_a_reader_of_a_living_answer_asks_for_nothing() -> None:
    """Rule Q1: a lease that is alive means that somebody is at it, however silent the model is."""
    stage = Stage()
    await stage.open()
    publishing = asyncio.create_task(stage.publish(Script(["thinking", 300, "."])))
    frames = await read(stage, 400)
    assert await publishing is Verdict.DONE
    assert stage.queue.messages == []
    assert frames[-1].chunk is None


@virtual
async def test_a_rescue_takes_over_after_the_lease() -> None:
    """Rules Q1, L3: its publisher died and no retry came; a reader alone gets the answer finished."""
    stage, generate = Stage(), Script(["half ", 500], ["whole"])
    await stage.open()
    publishing = asyncio.create_task(stage.publish(generate))
    await asyncio.sleep(1)
    publishing.cancel()
    await asyncio.wait({publishing})
    watching = asyncio.create_task(read(stage, 60))
    await asyncio.sleep(9)  # the lease may just be alive
    assert stage.queue.messages == []
    await asyncio.sleep(10)
    assert stage.queue.messages[0][1] == 2
    assert await stage.publish(generate, "rescue") is Verdict.DONE
    frames = await watching
    assert "".join(frame.chunk.get("delta", "") for frame in frames if frame.chunk) == "half whole"


@virtual
async def test_a_queue_that_is_down_costs_a_reader_nothing() -> None:
    """Rule Q1: asking fails, the connection stays, and the next look asks again."""
    stage = Stage()
    await stage.open()
    stage.queue.fault = Unavailable("down")
    watching = asyncio.create_task(read(stage, 20))
    await asyncio.sleep(10)
    assert not watching.done()
    stage.queue.fault = None
    await watching
    assert len(stage.queue.messages) == 1


@virtual
async def test_a_reader_ends_what_cannot_be_rescued() -> None:
    """Rule Q2: after two minutes without lease and news it seals; not much earlier, and nobody waits for ever."""
    stage = Stage()
    await stage.open()
    frames = await read(stage, 1000)
    assert 120 <= stage.clock.monotonic() < 130
    end = (await stage.records())[-1]
    assert isinstance(end, Error)
    assert (end.by, end.code) == ("reader", "abandoned")
    assert [frame.chunk["type"] for frame in frames if frame.chunk] == ["error"]
    assert await stage.publish(Script(["never"])) is Verdict.DONE


@virtual
async def test_readers_that_never_stay_end_it_all_the_same() -> None:
    """Rule Q2: connections of six seconds each see two minutes pass together."""
    stage = Stage()
    await stage.open()
    for _ in range(25):
        await read(stage, 6)
    assert isinstance((await stage.records())[-1], Error)
    assert 120 <= stage.clock.monotonic() < 140


@virtual
async def test_a_lost_reply_does_not_keep_the_rescue_from_being_asked() -> None:
    """Rule Q1: whoever marked the half minute and did not hear of it asks all the same."""
    stage = Stage()
    await stage.open()
    stage.port._when = lambda ops: any(isinstance(op, Put) for op in ops)
    stage.port.rescript([LOST_REPLY, LOST_REPLY])
    await read(stage, 8)
    assert len(stage.queue.messages) == 1


@virtual
async def test_news_put_off_the_last_resort() -> None:
    """Rule Q2: two minutes count from the last lease or record."""
    stage = Stage()
    await stage.open()
    watching = asyncio.create_task(read(stage, 1000))
    await asyncio.sleep(100)
    await stage.claim("m1")
    await watching
    assert 100 + LEASE + 110 <= stage.clock.monotonic() < 100 + LEASE + 130


@virtual
async def test_the_callback_seals_what_nobody_began() -> None:
    """Rule Q3: the queue gave up before any attempt."""
    stage = Stage()
    await stage.open()
    assert await stage.publisher(Script([])).failed(stage.delivery())
    end = (await stage.records())[-1]
    assert isinstance(end, Error)
    assert (end.by, end.code) == ("callback", "retries_exhausted")


@virtual
async def test_the_callback_leaves_a_living_answer_alone() -> None:
    """Rule Q3: the queue gave up on a message whose holder is still at work."""
    stage = Stage()
    await stage.open()
    await stage.claim("m1")
    assert not await stage.publisher(Script([])).failed(stage.delivery("m1", 3))
    await asyncio.sleep(LEASE)
    assert await stage.publisher(Script([])).failed(stage.delivery("m1", 3))


@virtual
async def test_the_callback_leaves_another_messages_attempt_alone() -> None:
    """Rule Q3: a later message took over; that it stalls is for its own retries to mend."""
    stage = Stage()
    await stage.open()
    await stage.claim("m2")
    await asyncio.sleep(LEASE)
    assert not await stage.publisher(Script([])).failed(stage.delivery("m1", 3))
    assert (await stage.answer()).end is None


@virtual
async def test_the_callback_changes_nothing_after_an_end() -> None:
    """Rule E3: what has its end is not sealed again."""
    stage = Stage()
    await stage.open()
    await stage.publish(Script(["done"]))
    entries = await stage.entries()
    assert not await stage.publisher(Script([])).failed(stage.delivery())
    assert await stage.entries() == entries


@virtual
async def test_the_callback_of_a_deleted_stream_is_taken() -> None:
    """Nothing is left to end, and the queue need not call again."""
    stage = Stage()
    assert not await stage.publisher(Script([])).failed(stage.delivery())


@virtual
async def test_a_stopped_answer_is_not_rescued() -> None:
    """Rule E4: a reader of a stopped answer reads its end."""
    stage = Stage()
    await stage.open()
    await stage.calm.seal(stage.stream, Stop(at=stage.clock.now_ms(), by="request"))
    frames = await read(stage, 60)
    assert [frame.chunk["type"] for frame in frames if frame.chunk] == ["abort"]
    assert stage.queue.messages == []


@virtual
async def test_an_expired_stream_is_told_from_an_unknown_one() -> None:
    """Rule X1: 410 once the retention is over, 404 before."""
    stage = Stage()
    with pytest.raises(ApiError) as unknown:
        await reading(stage)
    assert unknown.value.status == 404
    await asyncio.sleep(RETENTION + 1)
    with pytest.raises(ApiError) as expired:
        await reading(stage)
    assert expired.value.status == 410
