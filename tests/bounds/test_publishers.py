"""What a publisher that is cut off from the store costs, and what readers cost the store."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace

import pytest

from holdfast.access import Access
from holdfast.log import Log
from holdfast.operations import Append
from holdfast.publish import Verdict
from holdfast.subscribe import Frame
from tests.bounds.metering import Measured
from tests.clocks import virtual
from tests.faults import LOST_REPLY, LOST_REQUEST, THROTTLED, FaultyLog, Outcome, slow
from tests.publishing.stage import LEASE_MS, Script, Stage

#: How long a request that is sent now takes effect at the latest: the lease counts from there.
LEASE = LEASE_MS / 1000


@pytest.mark.parametrize(
    "fault", [LOST_REQUEST, LOST_REPLY, THROTTLED, slow(1e6)], ids=["request", "reply", "refused", "hang"]
)
@pytest.mark.parametrize("cut", [0.05, 0.5, 1.9, 2.9, 3.1, 4.4, 5.95, 7.7])
@pytest.mark.parametrize("words", [True, False], ids=["talking", "silent"])
@virtual
async def test_a_publisher_that_is_cut_off_cancels_its_model_within_a_lease(
    fault: Outcome, cut: float, *, words: bool
) -> None:
    """Rule L7: from the last reply of the store to the end of the model's call is at most one lease, whenever the
    cut comes, however the store fails, and whether the model talks or is silent.
    """
    stage = Stage()
    await stage.open()
    steps = [item for number in range(3_000) for item in (f"w{number} ", 0.1)] if words else ["A word.", 300.0]
    model = Script(steps)
    publishing = asyncio.create_task(stage.publish(model))
    await asyncio.sleep(cut)
    assert len(model.requests) == 1
    stage.port.rescript([], then=fault)
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.shield(publishing), LEASE)
    assert model.cancelled == 1, f"the model still runs {LEASE:g} s after the store's last reply"
    assert await publishing is Verdict.RETRY


@virtual
async def test_a_store_that_is_slow_but_alive_keeps_the_model() -> None:
    """Rule L7: only silence of a whole lease ends the call; replies that take seconds do not."""
    stage = Stage()
    await stage.open()
    stage.port.rescript([], then=slow(1.5))
    model = Script([item for number in range(200) for item in (f"w{number} ", 0.1)])
    assert await stage.publish(model) is Verdict.DONE
    assert model.cancelled == 0
    assert await stage.text() == "".join(f"w{number} " for number in range(200))


@virtual
async def test_a_model_that_is_faster_than_the_store_waits() -> None:
    """Rule L7: a publisher holds about a megabyte that is not written yet, and the generator waits for room."""
    stage = Stage()
    await stage.open()
    made: list[int] = []
    step = [lambda _, size=size: made.append(size) for size in [10_000] * 500]
    stage.port = FaultyLog(stage.memory, stage.clock, then=slow(1.0), when=lambda ops: isinstance(ops[0], Append))
    stage.log = replace(stage.log, port=stage.port)
    publishing = asyncio.create_task(stage.publish(Script([item for each in step for item in (each, "x" * 10_000)])))
    await asyncio.sleep(3)
    written = len(await stage.text())
    assert sum(made) - written < 1_500_000
    assert await publishing is Verdict.DONE
    assert len(await stage.text()) == sum(made) == 5_000_000


async def _watched(readers: int) -> tuple[int, int, int]:
    """Let so many readers follow one answer with long silences → writes, messages of the queue, frames read."""
    stage = Measured()
    await stage.open()
    reading = [await stage.subscriber().open(stage.stream, Access("me")) for _ in range(readers)]

    async def read(number: int) -> int:
        return len([frame async for frame in reading[number].frames(120) if isinstance(frame, Frame)])

    tasks = [asyncio.create_task(read(number)) for number in range(readers)]
    await asyncio.sleep(0.1)
    stage.log = Log(stage.meter, stage.keys, stage.clock)
    assert await stage.publish(Script(["One ", 9.0, "two ", 9.0, "three."])) is Verdict.DONE
    frames = await asyncio.gather(*tasks)
    assert len(set(frames)) <= 1
    return stage.meter.writes, len(stage.queue.messages), sum(frames)


@virtual
async def test_readers_of_a_live_answer_write_nothing() -> None:
    """A hundred readers cost the store reads: not one write more than an answer that nobody watches."""
    alone, crowd = await _watched(0), await _watched(100)
    assert crowd[:2] == alone[:2]
    assert crowd[2] >= 100 * 5


@virtual
async def test_readers_of_a_stalled_answer_ask_once() -> None:
    """Rule Q1: fifty readers of an answer that nobody writes ask the queue for one delivery in half a minute."""
    stage = Measured()
    await stage.open()
    await stage.claim()
    await stage.calm.release(stage.stream, 1)
    await asyncio.sleep(30 - stage.clock.now_ms() / 1000 % 30)

    async def read() -> None:
        reading = await stage.subscriber().open(stage.stream, Access("me"))
        async for _ in reading.frames(28):
            pass

    await asyncio.gather(*(read() for _ in range(50)))
    assert len(stage.queue.messages) == 1
