"""An answer that outlives the calls that write it (chapter O)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from holdfast.budget import Budget
from holdfast.errors import Unavailable
from holdfast.generation import GenerationRequest
from holdfast.operations import Append
from holdfast.publish import Verdict
from holdfast.records import Begin, Error, Finish, Handoff, Parts, Stop
from tests.clocks import virtual
from tests.faults import LOST_REPLY, Outcome
from tests.publishing.stage import Script, Stage, saves


def endless(text: str) -> list[object]:
    """A word every tenth of a second, for a minute."""
    return [0.1, text] * 600


@virtual
async def test_an_attempt_hands_off_before_its_deadline() -> None:
    """Rule O1: it cancels the generator, writes what it has, then the hand-off, enqueues the next one and is done."""
    stage, generate = Stage(), Script(endless("."), [" the end"])
    await stage.open()
    assert await stage.publish(generate, limit=30) is Verdict.DONE
    assert stage.clock.monotonic() < 30
    assert generate.cancelled == 1
    assert isinstance((await stage.records())[-1], Handoff)
    assert stage.queue.messages == [(stage.stream, 2, f"{stage.stream}.2")]
    said_so_far = await stage.text()
    assert len(said_so_far) > 150  # everything that the generator said was flushed first
    assert await stage.calm.held(stage.stream, 1) is None  # rule O3
    assert await stage.publish(generate, "m2", limit=30) is Verdict.DONE
    assert generate.requests[1].partial == said_so_far
    end = (await stage.records())[-1]
    assert isinstance(end, Finish)
    assert (await stage.text(), end.attempts, end.exact) == (said_so_far + " the end", 2, False)


@virtual
async def test_the_hand_off_carries_the_newest_checkpoint() -> None:
    """Rule O1: what the generator saved last reaches the next attempt."""
    stage, generate = Stage(), Script(["a", saves("old"), "b", saves("new"), 100], ["."])
    await stage.open()
    await stage.publish(generate, limit=20)
    handoff = (await stage.records())[-1]
    assert isinstance(handoff, Handoff)
    assert handoff.checkpoint == "new"
    await stage.publish(generate, "m2", limit=20)
    assert generate.requests[1].checkpoint == "new"


@virtual
async def test_a_handed_off_log_asks_for_no_lease() -> None:
    """Rule L3: nobody is disturbed, so the next attempt begins though the lease was not given back."""
    stage = Stage()
    await stage.open()
    stage.queue.fault = Unavailable("down")
    assert await stage.publish(Script(endless(".")), limit=20) is Verdict.RETRY
    assert await stage.calm.held(stage.stream, 1) is not None
    assert await stage.publish(Script(["."]), "rescue") is Verdict.DONE


@virtual
async def test_a_redelivery_of_a_handed_off_message_enqueues_again() -> None:
    """Rule O2: the enqueuing failed; the retry does that alone and calls no model."""
    stage, generate = Stage(), Script(endless("."))
    await stage.open()
    stage.queue.fault = Unavailable("down")
    assert await stage.publish(generate, limit=20) is Verdict.RETRY
    stage.queue.fault = None
    entries = await stage.entries()
    assert await stage.publish(generate, retried=1, limit=20) is Verdict.DONE
    assert stage.queue.dedups == [f"{stage.stream}.2"]
    assert await stage.publish(generate, retried=2, limit=20) is Verdict.DONE
    assert stage.queue.dedups == [f"{stage.stream}.2"]  # the same deduplication id: one message
    assert (await stage.entries(), len(generate.requests)) == (entries, 1)


@virtual
async def test_a_hand_off_whose_reply_was_lost_is_one_hand_off() -> None:
    """Rules A3, O1: the record is read back, and the next attempt is enqueued."""
    stage = Stage()
    await stage.open()
    stage.port._when = lambda ops: isinstance(ops[0], Append) and '"t":"handoff"' in ops[0].record
    stage.port.rescript([LOST_REPLY])
    assert await stage.publish(Script(endless(".")), limit=20) is Verdict.DONE
    assert [type(record) for record in await stage.records()].count(Handoff) == 1
    assert stage.queue.dedups == [f"{stage.stream}.2"]


@virtual
async def test_a_stop_while_handing_off_wins() -> None:
    """Rule E3: the hand-off is refused after a seal, nothing is enqueued."""
    stage = Stage()
    await stage.open()
    stage.port._when = lambda ops: isinstance(ops[0], Append) and '"t":"handoff"' in ops[0].record
    stop = Stop(at=0, by="request")
    stage.port.rescript([Outcome(before=lambda: stage.calm.seal(stage.stream, stop))])
    assert await stage.publish(Script(endless(".")), limit=20) is Verdict.DONE
    assert isinstance((await stage.records())[-1], Stop)
    assert stage.queue.messages == []


@virtual
async def test_an_answer_may_take_many_calls() -> None:
    """Rule O1: five calls of twenty seconds write one answer, each going on from the text so far."""
    stage = Stage()
    words = [f"{number} " for number in range(60)]

    async def generate(request: GenerationRequest) -> AsyncIterator[str]:
        for word in words[len(request.partial.split()) :]:
            await asyncio.sleep(1)
            yield word

    await stage.open()
    for number in range(1, 10):
        assert await stage.publish(generate, f"m{number}", limit=20) is Verdict.DONE
        if (await stage.answer()).end is not None:
            break
    assert await stage.text() == "".join(words)
    assert [type(record) for record in await stage.records()].count(Begin) == number == 4


@virtual
async def test_attempts_that_say_nothing_are_not_handed_off_for_ever() -> None:
    """Rules O4, Q5: a model that never says anything within a call's time ends with an error, and stops billing."""
    stage, generate = Stage(), Script([500])
    await stage.open()
    for number in range(1, 10):
        assert await stage.publish(generate, f"m{number}", limit=20) is Verdict.DONE
        if (await stage.answer()).end is not None:
            break
    end = (await stage.records())[-1]
    assert isinstance(end, Error)
    assert end.code == "no_progress"
    assert len(generate.requests) == Budget().idle_attempts
    assert not any(isinstance(record, Parts) for record in await stage.records())
