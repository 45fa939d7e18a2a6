"""What an answer cost over all its calls and attempts (rule T6)."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import GenerationError
from holdfast.publish import Verdict
from holdfast.records import Error, Finish, Handoff, Stop
from holdfast.status import report
from holdfast.usage import Usage
from tests.clocks import virtual
from tests.publishing.stage import Script, Stage, die, said, saves

#: 100 tokens by the estimate of four bytes each.
_QUESTION = [said("four" * 100)]
_WORDS = "four" * 10


def _counted(given: int, output: int) -> dict[str, Any]:
    usage = {"inputTokens": given, "outputTokens": output, "totalTokens": given + output}
    return {"type": "finish", "messageMetadata": {"usage": usage}}


def _resumes(request: Any) -> None:
    request.exact = True


async def _finish(stage: Stage) -> Finish:
    end = (await stage.records())[-1]
    assert isinstance(end, Finish)
    return end


@virtual
async def test_calls_that_were_counted_add_up() -> None:
    """Two calls of one attempt, both counted by the provider: the end has their sum, and no estimate."""
    again = GenerationError("model_interrupted", "Again.", retry=True)
    stage, generate = Stage(), Script([_WORDS, _counted(100, 10), again], [_WORDS, _counted(110, 12)])
    await stage.open(messages=_QUESTION)
    assert await stage.publish(generate) is Verdict.DONE
    assert (await _finish(stage)).usage == {"inputTokens": 210, "outputTokens": 22, "totalTokens": 232}


@virtual
async def test_a_call_cut_by_a_hand_off_is_estimated() -> None:
    """The hand-off tells what the cut call may have cost, and the end has it beside what was counted."""
    stage, generate = Stage(), Script([_WORDS, 1000], [_WORDS, _counted(115, 10)])
    await stage.open(messages=_QUESTION)
    await stage.publish(generate, limit=20)
    handoff = (await stage.records())[-1]
    assert isinstance(handoff, Handoff)
    assert (handoff.usage, handoff.cut) == ({"estimatedTokens": 110}, 110)
    await stage.publish(generate, "m2")
    counted = {"inputTokens": 115, "outputTokens": 10, "totalTokens": 125}
    assert (await _finish(stage)).usage == counted | {"estimatedTokens": 110}


@virtual
async def test_a_call_of_an_attempt_that_died_is_estimated_from_the_log() -> None:
    """Nothing was told by an attempt that died: what it wrote, and what it was given, is counted from the log."""
    stage, generate = Stage(), Script([_WORDS, 1000], [_WORDS, _counted(115, 10)])
    await stage.open(messages=_QUESTION)
    await die(stage, generate, 1)
    await asyncio.sleep(11)
    await stage.publish(generate, "m2")
    assert (await _finish(stage)).usage["estimatedTokens"] == 110
    # The second of two is given the answer of the first as well.
    twice, generate = Stage(), Script([_WORDS, 1000], [_WORDS, 1000], ["."])
    await twice.open(messages=_QUESTION)
    for number in range(2):
        await die(twice, generate, 1, f"m{number}")
        await asyncio.sleep(11)
    await twice.publish(generate, "m2")
    # 100 + 10, 100 + 10 + 10, and the last call: 100 + 20 and a token for its point.
    assert (await _finish(twice)).usage == {"estimatedTokens": 110 + 120 + 121}


@virtual
async def test_attempts_that_died_without_a_word_are_estimated_as_well() -> None:
    """They were given the question, each of them, whether they said anything or not."""
    stage, generate = Stage(), Script([1000], [1000], [_WORDS, _counted(100, 10)])
    await stage.open(messages=_QUESTION)
    for number in range(2):
        await die(stage, generate, 1, f"m{number}")
        await asyncio.sleep(11)
    await stage.publish(generate, "m2")
    assert (await _finish(stage)).usage["estimatedTokens"] == 200


@virtual
async def test_what_was_said_is_given_again_in_bytes() -> None:
    """An answer in another script than Latin is no cheaper to go on with than its text is long."""
    stage, generate = Stage(), Script(["水" * 400, 1000], ["。"])
    await stage.open(messages=[said("")])
    await stage.publish(generate, limit=20)
    await stage.publish(generate, "m2")
    assert (await _finish(stage)).usage == {"estimatedTokens": 300 + 301}


@virtual
async def test_a_resumption_that_hears_nothing_is_of_the_same_call() -> None:
    """However often it is cut or dies while the provider thinks, one call is billed, and its count replaces all."""
    saving = ["a", saves("place"), 1000]
    silent: list[Any] = [_resumes, 1000]
    stage, generate = Stage(), Script(saving, silent, silent, [_resumes, ".", _counted(100, 2)])
    await stage.open(messages=_QUESTION)
    await stage.publish(generate, limit=20)
    await stage.publish(generate, "m2", limit=20)
    await die(stage, generate, 1, "m3")
    await asyncio.sleep(11)
    await stage.publish(generate, "m4")
    assert (await _finish(stage)).usage == {"inputTokens": 100, "outputTokens": 2, "totalTokens": 102}


@virtual
async def test_a_new_call_in_place_of_one_that_cannot_be_resumed_is_counted_beside_it() -> None:
    """Its first record may hold a checkpoint alone; the call that was lost stays in the sum all the same."""
    stage = Stage()
    generate = Script([_WORDS, saves("one"), 1000], [saves("two"), 1, _WORDS, 1000], [_resumes, ".", _counted(110, 11)])
    await stage.open(messages=_QUESTION)
    await stage.publish(generate, limit=20)
    await die(stage, generate, 5, "m2")
    await asyncio.sleep(11)
    await stage.publish(generate, "m3")
    assert (await _finish(stage)).usage["estimatedTokens"] == 110


@virtual
async def test_a_resumed_call_is_counted_once() -> None:
    """A provider that resumes its own stream bills one call, and its count replaces all estimates of it."""
    cut: list[Any] = [_WORDS, 1000]
    stage, generate = Stage(), Script(cut, [_resumes, *cut], [_resumes, *cut], [_resumes, ".", _counted(100, 31)])
    await stage.open(messages=_QUESTION)
    await stage.publish(generate, limit=20)
    await die(stage, generate, 1, "m2")
    await asyncio.sleep(11)
    await stage.publish(generate, "m3", limit=20)
    handoff = (await stage.records())[-1]
    assert isinstance(handoff, Handoff)
    assert handoff.usage == {"estimatedTokens": 130}  # the question once, and three times the words
    await stage.publish(generate, "m4")
    end = await _finish(stage)
    assert (end.usage, end.exact) == ({"inputTokens": 100, "outputTokens": 31, "totalTokens": 131}, True)


@virtual
async def test_a_call_begun_anew_keeps_the_estimate_of_the_one_before() -> None:
    """A continuation is another call: the count of the second says nothing of the first."""
    stage, generate = Stage(), Script([_WORDS, 1000], [_WORDS, _counted(110, 10)], ["never"])
    await stage.open(messages=_QUESTION)
    await stage.publish(generate, limit=20)
    await stage.publish(generate, "m2")
    end = await _finish(stage)
    assert (end.exact, end.usage["estimatedTokens"]) == (False, 110)


@virtual
async def test_a_refused_call_costs_nothing() -> None:
    """A call that the provider refused, without a word, is in no estimate."""
    refused = GenerationError("model_rate_limited", "Later.", retry=True)
    stage, generate = Stage(), Script([refused], [_WORDS, _counted(100, 10)])
    await stage.open(messages=_QUESTION)
    await stage.publish(generate)
    assert "estimatedTokens" not in (await _finish(stage)).usage


@virtual
async def test_an_error_tells_what_the_answer_cost() -> None:
    """The end of a failed answer has its usage too, and so has its status."""
    broken = GenerationError("model_error", "The provider reported an error.")
    stage, generate = Stage(), Script([_WORDS, broken])
    await stage.open(messages=_QUESTION)
    await stage.publish(generate)
    end = (await stage.records())[-1]
    assert isinstance(end, Error)
    assert end.usage == {"estimatedTokens": 110}
    assert report(stage.stream, await stage.answer(), leased=False)["usage"] == {"estimatedTokens": 110}


@virtual
async def test_the_status_of_a_stopped_answer_tells_its_cost() -> None:
    """A stop is an outsider's record; what the cut call may have cost is told from the log."""
    stage, generate = Stage(), Script([_WORDS, 1000])
    await stage.open(messages=_QUESTION)
    await die(stage, generate, 1)
    await stage.calm.seal(stage.stream, Stop(at=stage.clock.now_ms(), by="request"))
    assert report(stage.stream, await stage.answer(), leased=False)["usage"] == {"estimatedTokens": 110}


@given(
    st.dictionaries(st.sampled_from(["inputTokens", "outputTokens", "totalTokens"]), st.integers(0, 10**9)),
    st.integers(0, 10**9),
    st.integers(0, 10**9),
)
def test_usage_survives_its_record(counted: dict[str, int], estimated: int, cut: int) -> None:
    """What a hand-off tells, and the next attempt reads, is the same usage."""
    usage = Usage(counted, estimated, cut)
    assert Usage.from_json(usage.as_json(), cut) == usage
