"""Reasoning, tools, sources and checkpoints that are not gone on with properly are found."""

from __future__ import annotations

import itertools
import re
from collections.abc import AsyncIterator, Iterator

import pytest

from holdfast.generation import GenerationRequest, Part
from tests.testing.words import WORDS, answers, asks, babble, check, found, has, pieces, reasons, rest, source

_THOUGHT = "First I look at the weather in Oslo, and then at the ropes."


def test_an_ignored_checkpoint_is_found() -> None:
    """Saved and never looked at: the work that it stands for is done again."""

    async def generate(request: GenerationRequest) -> AsyncIterator[str]:
        for piece in pieces(rest(request)):
            yield piece
            request.save({"said": piece})

    report = check(generate)
    assert {problem.code for problem in report.problems} == {"ignores_checkpoint"}
    assert "request.checkpoint" in str(report)


@pytest.mark.parametrize("thought", [_THOUGHT, "Hm."], ids=["long", "short"])
def test_repeated_reasoning_is_found(thought: str) -> None:
    """The text goes on, but what the model thought is shown from its beginning."""

    async def generate(request: GenerationRequest) -> AsyncIterator[str | Part]:
        for part in reasons(thought):
            yield part
        for piece in pieces(rest(request)):
            yield piece

    assert found(generate) == {"repeats_reasoning"}


def test_repeated_reasoning_is_found_where_no_two_answers_are_alike() -> None:
    """A continuation that begins by thinking again what has just been thought."""

    async def generate(request: GenerationRequest) -> AsyncIterator[str | Part]:
        thought = "".join(part["text"] for part in request.parts if part["type"] == "reasoning")
        for part in reasons(thought[-20:] * (len(thought) > 24) + babble(8)):
            yield part
        for piece in pieces(babble(30 - len(request.partial.split()))):
            yield piece

    assert found(generate) == {"repeats_reasoning"}


@pytest.mark.parametrize("expect", ["same", "sound"])
def test_reasoning_in_other_words_is_found(expect: str) -> None:
    """A model that is asked for the rest reasons anew, and no word of it was said before."""

    async def generate(request: GenerationRequest) -> AsyncIterator[str | Part]:
        for part in reasons(babble(8)):
            yield part
        for piece in pieces(rest(request)):
            yield piece

    report = check(generate, expect=expect)
    assert {problem.code for problem in report.problems} == {"repeats_reasoning"}
    places = {int(number) for problem in report.problems for number in re.findall(r"after item (\d+)", problem.where)}
    assert 10 in places, "the reasoning was just complete"
    assert max(places) > 12, "text stood behind it"


def test_reasoning_that_goes_on_with_a_like_word_is_no_repeat() -> None:
    """Behind its first word a thought may go on with that word: a likeness so short is chance."""

    async def generate(request: GenerationRequest) -> AsyncIterator[str | Part]:
        done = [part["state"] == "done" for part in request.parts if part["type"] == "reasoning"]
        if done != [True]:
            for part in reasons("Look, " * (1 if done else 2) + babble(6)):
                yield part
        for piece in pieces(rest(request)):
            yield piece

    report = check(generate, interruptions=60)
    assert report.ok, report


def test_more_reasoning_than_an_answer_has_is_found() -> None:
    """What every answer thinks is the same; one that was cut is thought again in other words, in the same part."""
    thought = babble(8)

    async def generate(request: GenerationRequest) -> AsyncIterator[str | Part]:
        standing = next((part for part in request.parts if part["type"] == "reasoning"), None)
        if standing is None or standing["state"] != "done":
            for part in reasons(babble(8) if standing else thought):
                yield part
        for piece in pieces(rest(request)):
            yield piece

    assert found(generate) == {"repeats_reasoning"}


@pytest.mark.parametrize("anew", [False, True], ids=["under its id", "under another id"])
def test_a_tool_that_runs_twice_is_found(anew: bool) -> None:
    """Its output was written: it must be given to the model, and not be asked for again."""

    async def generate(request: GenerationRequest) -> AsyncIterator[str | Part]:
        id = f"call-{request.attempt}" if anew else "call"
        if not request.partial:
            yield asks(id)
            yield answers(id)
        for piece in pieces(rest(request)):
            yield piece

    assert "repeats_tool" in found(generate, expect="sound")
    assert found(generate, expect="sound") == {"repeats_tool"}


def test_an_output_that_comes_twice_is_found() -> None:
    """The call is not made again, but it is answered again."""

    async def generate(request: GenerationRequest) -> AsyncIterator[str | Part]:
        if not request.visible:
            yield asks("call")
        yield answers("call")
        for piece in pieces(rest(request)):
            yield piece

    assert found(generate) == {"repeats_tool"}


def test_a_call_that_every_answer_makes_twice_is_no_repeat() -> None:
    """Two calls alike, one before and one after an interruption, are two calls."""

    async def generate(request: GenerationRequest) -> AsyncIterator[str | Part]:
        states = {part["toolCallId"]: part["state"] for part in request.parts if part["type"] == "tool-weather"}
        for id in ("first", "second"):
            if id not in states:
                yield asks(id)
            if states.get(id) != "output-available":
                yield answers(id)
        for piece in pieces(rest(request)):
            yield piece

    report = check(generate)
    assert report.ok, report


@pytest.mark.parametrize("again", [source(1), {"type": "data-mood", "data": {"fair": True}}], ids=["source", "data"])
def test_a_part_that_comes_twice_is_found(again: Part) -> None:
    """A source that stands already is cited again behind the seam."""

    async def generate(request: GenerationRequest) -> AsyncIterator[str | Part]:
        yield again
        for piece in pieces(rest(request)):
            yield piece

    assert found(generate) == {"repeats_part"}


def test_data_that_is_updated_under_its_id_is_no_repeat() -> None:
    """Data with an id replaces what stood under it."""

    async def generate(request: GenerationRequest) -> AsyncIterator[str | Part]:
        yield {"type": "data-mood", "id": "mood", "data": {"fair": True}}
        for piece in pieces(rest(request)):
            yield piece

    report = check(generate)
    assert report.ok, report


def test_a_part_that_is_lost_is_found() -> None:
    """A source that comes only if nothing was interrupted."""

    async def generate(request: GenerationRequest) -> AsyncIterator[str | Part]:
        for piece in pieces(rest(request)):
            yield piece
        if not request.visible:
            yield source(1)

    assert found(generate) == {"parts_differ"}


def test_a_value_that_an_interruption_changes_is_found() -> None:
    """Beside the time, which varies by itself, there is a count of this call's own pieces, which does not."""
    clock = itertools.count(1000)

    async def generate(request: GenerationRequest) -> AsyncIterator[str | Part]:
        size = 0
        for piece in pieces(rest(request)):
            yield piece
            size += len(piece)
        if not has(request, "data-stamp"):
            yield {"type": "data-stamp", "data": {"at": next(clock), "size": size}}

    assert found(generate) == {"parts_differ"}


@pytest.mark.parametrize("times", [0, 2])
def test_a_varying_part_that_comes_too_seldom_or_too_often_is_found(times: int) -> None:
    """That its value is another one every time does not make it any part."""
    clock = itertools.count(1000)

    async def generate(request: GenerationRequest) -> AsyncIterator[str | Part]:
        for piece in pieces(rest(request)):
            yield piece
        for _ in range(times if request.visible else 1):
            yield {"type": "data-stamp", "data": next(clock)}

    assert found(generate) == {"parts_differ"}


def test_parts_in_another_order_are_found() -> None:
    """All are there, but a reader sees them otherwise than in an uninterrupted answer."""

    async def generate(request: GenerationRequest) -> AsyncIterator[str | Part]:
        for piece in pieces(rest(request)):
            yield piece
        cited = [part["sourceId"] for part in request.parts if part["type"] == "source-url"]
        for number in (2, 1) if request.partial else (1, 2):
            if f"s{number}" not in cited:
                yield source(number)

    assert found(generate) == {"parts_differ"}


def test_a_call_that_is_left_without_its_output_is_found() -> None:
    """Interrupted while the tool ran: making the call anew leaves the first one running for ever."""

    async def generate(request: GenerationRequest) -> AsyncIterator[str | Part]:
        done = any(part.get("state") == "output-available" for part in request.parts)
        if not done:
            id = f"call-{request.attempt}"
            yield asks(id)
            yield answers(id)
        for piece in pieces(rest(request)):
            yield piece

    assert found(generate) == {"parts_differ"}


def garbage(_: GenerationRequest) -> Iterator[str | Part]:
    """Yields what is neither text nor a chunk."""
    yield "text"
    yield 5  # type: ignore[misc] # that is the point


def unasked(_: GenerationRequest) -> Iterator[str | Part]:
    """Yields the output of a call that nobody made."""
    yield answers("nobody's")


def half(_: GenerationRequest) -> Iterator[str | Part]:
    """Begins a call and never says with what."""
    yield {"type": "tool-input-start", "toolCallId": "call", "toolName": "weather"}
    yield "text"


@pytest.mark.parametrize("generate", [garbage, unasked, half])
def test_parts_that_make_no_sense_are_found(generate: object) -> None:
    """They are found before anything is interrupted."""
    report = check(generate)  # type: ignore[arg-type] # each is a generator function
    assert {(problem.code, problem.where) for problem in report.problems} == {("malformed", "uninterrupted")}


def test_an_output_for_a_call_of_nobody_is_found_behind_an_interruption() -> None:
    """Only a continuation makes no sense: it answers a call under an id that was never used."""

    async def generate(request: GenerationRequest) -> AsyncIterator[str | Part]:
        if not has(request, "tool-weather"):
            yield asks("call")
            yield answers("call")
        elif request.parts[-1].get("state") == "input-available":
            yield answers(f"call-{request.attempt}")
        for piece in pieces(rest(request, WORDS)):
            yield piece

    assert "malformed" in found(generate)
    assert found(generate, expect="sound") == {"malformed"}
