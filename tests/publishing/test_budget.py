"""What one answer may cost: each limit ends it with an error that names it, and no model is called after (rule Q5)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from holdfast.budget import Budget
from holdfast.errors import GenerationError
from holdfast.pace import Pace
from holdfast.publish import Verdict
from holdfast.records import Begin, Error, Handoff, Parts, Record
from tests.clocks import virtual
from tests.publishing.stage import Script, Stage, die, said


async def _to_its_end(stage: Stage, generate: Script, budget: Budget, most: int = 30) -> Error:
    """Deliver, each time with 20 seconds, until the answer has its end."""
    for number in range(most):
        assert await stage.publish(generate, f"m{number}", limit=20, budget=budget) is Verdict.DONE
        if (await stage.answer()).end is not None:
            break
    end = (await stage.records())[-1]
    assert isinstance(end, Error), end
    assert end.by == "publish"
    return end


def _kinds(records: list[Record], kind: type[Record]) -> int:
    return sum(isinstance(record, kind) for record in records)


@virtual
async def test_too_many_attempts() -> None:
    """After so many hand-offs the answer ends, though each attempt wrote something, and nothing of it is lost."""
    stage, generate = Stage(), Script(["word ", 1000])
    await stage.open()
    end = await _to_its_end(stage, generate, Budget(attempts=4))
    assert end.code == "too_many_attempts"
    assert "4" in end.message
    assert len(generate.requests) == 4
    assert await stage.text() == "word " * 4
    assert _kinds(await stage.records(), Handoff) == 3
    assert len(stage.queue.messages) == 3  # nothing is enqueued behind the end
    assert [request.reason for request in generate.requests] == ["handoff", "handoff", "handoff", "stop"]


@virtual
async def test_attempts_that_died_count_as_attempts() -> None:
    """A limit on attempts that the crashes have reached is seen by the claimer, before it calls the model."""
    stage, generate = Stage(), Script(["word ", 1000])
    await stage.open()
    for number in range(3):
        await die(stage, generate, 1, f"m{number}")
        await asyncio.sleep(11)
    end = await _to_its_end(stage, generate, Budget(attempts=3))
    assert (end.code, len(generate.requests)) == ("too_many_attempts", 3)


@virtual
async def test_a_word_starts_the_count_of_idle_attempts_anew() -> None:
    """Attempts without progress count in a row: one that writes something is followed by as many again."""
    stage = Stage()
    generate = Script([1000], [1000], ["word ", 1000], [1000])
    await stage.open()
    end = await _to_its_end(stage, generate, Budget(idle_attempts=3))
    assert end.code == "no_progress"
    # Two without a word, one with it, and three without.
    assert len(generate.requests) == 6
    assert await stage.text() == "word "


@virtual
async def test_deaths_and_hand_offs_without_a_word_count_together() -> None:
    """An answer on which attempts die and hand off by turns is given up like any other."""
    stage, generate = Stage(), Script([1000])
    await stage.open()
    budget = Budget(idle_attempts=4)
    for number in range(2):
        await die(stage, generate, 1, f"dead{number}")
        await asyncio.sleep(11)
    end = await _to_its_end(stage, generate, budget)
    assert (end.code, len(generate.requests)) == ("no_progress", 4)


@virtual
async def test_interruptions_have_their_own_limit() -> None:
    """Attempts that die are counted in all, though every one wrote a word; hand-offs between them are not."""
    stage, generate = Stage(), Script(["word ", 1000])
    await stage.open()
    budget = Budget(interruptions=2)
    for number in range(3):
        await die(stage, generate, 1, f"dead{number}")
        await asyncio.sleep(11)
        if number == 0:
            assert await stage.publish(generate, "handing", limit=20, budget=budget) is Verdict.DONE
    end = await _to_its_end(stage, generate, budget)
    assert (end.code, len(generate.requests)) == ("interrupted_too_often", 4)


@virtual
async def test_time_runs_out_in_mid_call() -> None:
    """The call under way is cut when the answer has had its time, however much the platform would still give it."""
    stage, generate = Stage(), Script([1, "word "] * 1000)
    await stage.open()
    started = stage.clock.now_ms()
    assert await stage.publish(generate, budget=Budget(seconds=60)) is Verdict.DONE
    end = (await stage.records())[-1]
    assert isinstance(end, Error)
    assert (end.code, generate.cancelled) == ("took_too_long", 1)
    assert generate.requests[0].reason == "stop"  # a provider that works on by itself is told
    assert 60_000 <= end.at - started < 61_000
    assert len(await stage.text()) >= 55 * len("word ")


@virtual
async def test_time_runs_out_over_attempts() -> None:
    """Time counts from the start of the answer, not of the attempt; a claimer after it calls no model."""
    stage, generate = Stage(), Script(["word ", 1000])
    await stage.open()
    end = await _to_its_end(stage, generate, Budget(seconds=50))
    assert end.code == "took_too_long"
    assert len(generate.requests) == 4  # 16 s each, before a limit of 20 s
    late = Stage()
    await late.open()
    await asyncio.sleep(51)
    end = await _to_its_end(late, generate, Budget(seconds=50))
    assert (end.code, len(generate.requests)) == ("took_too_long", 4)


@virtual
async def test_tokens_run_out_in_mid_call() -> None:
    """What a call has said is estimated while it speaks, and one that says too much is cut."""
    stage, generate = Stage(), Script(["four" * 25, 1] * 1000)  # 25 tokens at a time
    await stage.open()
    assert await stage.publish(generate, budget=Budget(tokens=200)) is Verdict.DONE
    end = (await stage.records())[-1]
    assert isinstance(end, Error)
    assert end.code == "too_many_tokens"
    assert generate.requests[0].reason == "stop"
    assert 150 <= len(await stage.text()) / 4 <= 200
    assert end.usage["estimatedTokens"] >= 175


@virtual
async def test_tokens_add_up_over_attempts() -> None:
    """Each call costs what it is given as well: a long question that is asked again and again runs out."""
    stage, generate = Stage(), Script(["word ", 1000])
    await stage.open(messages=[said("four" * 100)])
    end = await _to_its_end(stage, generate, Budget(tokens=500))
    assert (end.code, len(generate.requests)) == ("too_many_tokens", 5)


@virtual
async def test_tokens_that_the_provider_counted() -> None:
    """The provider's own count is held against the limit, whatever the text would have made."""
    counted = {"type": "finish", "messageMetadata": {"usage": {"totalTokens": 1000}}}
    failing: list[Any] = ["a", counted, GenerationError("model_interrupted", "Again.", retry=True)]
    stage, generate = Stage(), Script(failing)
    await stage.open()
    end = await _to_its_end(stage, generate, Budget(tokens=2500))
    assert (end.code, len(generate.requests)) == ("too_many_tokens", 3)
    assert end.usage["totalTokens"] == 3000


@virtual
async def test_bytes_run_out() -> None:
    """An answer that grows beyond its size ends, and what fitted stays."""
    stage, generate = Stage(), Script(["x" * 100, 0.5] * 1000)
    await stage.open()
    assert await stage.publish(generate, budget=Budget(bytes=2000)) is Verdict.DONE
    end = (await stage.records())[-1]
    assert isinstance(end, Error)
    assert (end.code, generate.requests[0].reason) == ("answer_too_long", "stop")
    assert 500 <= len(await stage.text()) <= 2000


@virtual
async def test_a_last_word_on_its_way_is_progress() -> None:
    """An attempt whose first word has not reached the log when it should hand off has not been idle."""
    stage = Stage()
    generate = Script([15.9, "word", 1000])
    await stage.open()
    assert await stage.publish(generate, limit=20, budget=Budget(idle_attempts=1)) is Verdict.DONE
    assert isinstance((await stage.records())[-1], Handoff)


@virtual
async def test_calls_of_one_attempt_are_limited() -> None:
    """A model that says one letter and breaks off is not asked again for ever within one attempt."""
    broken = GenerationError("model_interrupted", "Again.", retry=True)
    stage, generate = Stage(), Script(["a", broken])
    await stage.open()
    assert await stage.publish(generate) is Verdict.DONE
    end = (await stage.records())[-1]
    assert isinstance(end, Error)
    assert (end.code, len(generate.requests)) == ("model_interrupted", Pace().calls)


@pytest.mark.parametrize("spent", ["attempts", "idle_attempts"])
def test_the_least_budget_is_one_call(spent: str) -> None:
    """A limit of one attempt lets the first one work: nothing is given up before it was tried."""

    @virtual
    async def scenario() -> None:
        stage, generate = Stage(), Script(["all"])
        await stage.open()
        assert await stage.publish(generate, budget=Budget(**{spent: 1})) is Verdict.DONE
        assert (await stage.answer()).state(leased=False) == "finished"
        assert _kinds(await stage.records(), Begin) == _kinds(await stage.records(), Parts) == 1

    scenario()
