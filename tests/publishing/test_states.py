"""What a reader is told of the state of an answer, and when one that attempts keep dying on is given up (D7, Q5)."""

from __future__ import annotations

import asyncio

from holdfast.access import Access
from holdfast.errors import Unavailable
from holdfast.publish import Verdict
from holdfast.records import Error
from holdfast.subscribe import Patience, Sight, Subscriber
from tests.clocks import virtual
from tests.publishing.stage import RETENTION, Script, Stage, die


async def _sights(stage: Stage, seconds: float) -> list[tuple[float, str, int]]:
    """What a reader is told of the state, and after how many seconds."""
    began = stage.clock.monotonic()
    reading = await Subscriber(stage.log, stage.rescuer(), Patience(), RETENTION * 1000).open(
        stage.stream, Access("me")
    )
    return [
        (stage.clock.monotonic() - began, frame.state, frame.attempt)
        async for frame in reading.frames(seconds)
        if isinstance(frame, Sight)
    ]


@virtual
async def test_each_change_is_told_once() -> None:
    """Rule D7: queued, live, handed off, live again; and nothing after the end."""
    stage = Stage()
    await stage.open()
    sights = asyncio.create_task(_sights(stage, 60))
    await asyncio.sleep(1)
    assert await stage.publish(Script(["a", 100]), limit=10) is Verdict.DONE
    await asyncio.sleep(2)
    assert await stage.publish(Script(["b", 2]), message="m2") is Verdict.DONE
    assert [(state, attempt) for _, state, attempt in await sights] == [
        ("queued", 0),
        ("live", 1),
        ("handoff", 1),
        ("live", 2),
    ]


@virtual
async def test_a_stall_is_told_although_nobody_can_be_asked() -> None:
    """Rules D7, Q6: within the lease and two looks, also while the queue is down."""
    stage = Stage()
    await stage.open()
    await stage.claim()
    stage.queue.fault = Unavailable("down")
    sights = await _sights(stage, 60)
    assert [state for _, state, _ in sights] == ["live", "stalled"]
    assert sights[1][0] < 10 + 2 * 4 + 1


@virtual
async def test_an_answer_that_kills_every_attempt_is_given_up() -> None:
    """Rule Q5: six attempts in a row that die without a word, and the next one calls no model."""
    stage, generate = Stage(), Script([1000])
    await stage.open()
    for number in range(6):
        await die(stage, generate, 1, f"m{number}")
        await asyncio.sleep(11)
    assert await stage.publish(generate, "m8") is Verdict.DONE
    assert len(generate.requests) == 6
    end = (await stage.records())[-1]
    assert isinstance(end, Error)
    assert end.code == "no_progress"


@virtual
async def test_an_answer_that_dies_again_and_again_is_given_up() -> None:
    """Rule Q5: each attempt writes a word and dies; after fifty it is enough."""
    stage, generate = Stage(), Script(["word ", 1000])
    await stage.open()
    for number in range(51):
        await die(stage, generate, 1, f"m{number}")
        await asyncio.sleep(11)
    assert await stage.publish(generate, "m51") is Verdict.DONE
    assert len(generate.requests) == 51
    end = (await stage.records())[-1]
    assert isinstance(end, Error)
    assert end.code == "interrupted_too_often"
    assert await stage.text() == "word " * 51
