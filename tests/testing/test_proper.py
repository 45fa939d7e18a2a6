"""Generators that go on properly pass."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from holdfast import cannot_continue
from holdfast.errors import GenerationError
from holdfast.generation import GenerationRequest, Part
from holdfast.testing import check_generator
from tests.testing.words import WORDS, answers, asks, babble, check, has, pieces, reasons, rest, source


async def continues(request: GenerationRequest) -> AsyncIterator[str]:
    """Says the rest of a text that never changes, slowly."""
    for piece in pieces(rest(request)):
        await asyncio.sleep(0.5)
        yield piece


def test_a_generator_that_goes_on_exactly_passes_in_no_time() -> None:
    """Its text is that of an uninterrupted call, and minutes of its waiting take no real time."""
    began = time.monotonic()
    report = check(continues)
    assert report.ok, report
    assert (report.expected, report.continues, report.text) == ("same", True, WORDS)
    assert report.runs == 26
    assert report.interruptions >= 26  # some answers are interrupted twice
    assert time.monotonic() - began < 10
    report.raise_if_bad()


@pytest.mark.asyncio
async def test_it_works_in_real_time_on_the_running_loop() -> None:
    """The generator is called on the loop of the test, which its clients may belong to."""
    loop = asyncio.get_running_loop()

    async def generate(request: GenerationRequest) -> AsyncIterator[str]:
        assert asyncio.get_running_loop() is loop
        for piece in pieces(rest(request)):
            await asyncio.sleep(0.0001)
            yield piece

    report = await check_generator(generate, prompt="Why?", interruptions=4)
    assert report.ok, report


def test_a_sync_generator_passes() -> None:
    """It runs in a thread, and is closed there."""

    def generate(request: GenerationRequest) -> Iterator[str]:
        yield from pieces(rest(request))

    report = check(generate)
    assert report.ok, report


def test_a_generator_may_say_something_else_each_time() -> None:
    """What differs from call to call need not be the same when it is interrupted, as long as it goes on."""

    async def generate(request: GenerationRequest) -> AsyncIterator[str]:
        for piece in pieces(babble(30 - len(request.partial.split()))):
            yield piece

    report = check(generate)
    assert report.ok, report
    assert report.expected == "sound"


def test_a_text_with_a_refrain_passes() -> None:
    """What an uninterrupted answer says twice is no repeat."""
    refrain = "Hold fast, hold fast, until the morning comes. "
    text = "".join(f"{refrain}Verse {number} is another one. " for number in range(4))

    async def generate(request: GenerationRequest) -> AsyncIterator[str]:
        for piece in pieces(rest(request, text)):
            yield piece

    for expect in ("same", "sound"):
        report = check(generate, expect=expect)
        assert report.ok, report


def test_a_refrain_between_verses_that_differ_passes() -> None:
    """Behind a verse the refrain comes again, as it does in an uninterrupted answer."""

    async def generate(request: GenerationRequest) -> AsyncIterator[str]:
        for number in range(request.partial.count("\n"), 12):
            yield babble(4) + "\n" if number % 2 else "Hold fast, hold fast, until the morning comes.\n"

    report = check(generate)
    assert report.ok, report
    assert report.expected == "sound"


def test_a_generator_that_resumes_from_its_checkpoint_passes() -> None:
    """The checkpoint names a job that goes on by itself; the partial says how much of it stands."""
    jobs: dict[str, str] = {}

    async def generate(request: GenerationRequest) -> AsyncIterator[str]:
        job = request.checkpoint
        if job is None:
            job = f"job-{len(jobs)}"
            jobs[job] = babble()
            request.save(job)
        request.exact = request.visible
        for piece in pieces(jobs[job][len(request.partial) :]):
            yield piece

    report = check(generate)
    assert report.ok, report


def test_a_checkpoint_that_a_call_had_no_time_for_is_not_ignored() -> None:
    """A call that is interrupted before it has connected did not come to look at what was saved."""

    async def generate(request: GenerationRequest) -> AsyncIterator[str]:
        await asyncio.sleep(1)
        if request.checkpoint is None:
            request.save("begun")
        for piece in pieces(rest(request, WORDS[:12])):
            yield piece

    report = check(generate, interruptions=50)
    assert report.ok, report


def test_reasoning_tools_and_sources_that_go_on_pass() -> None:
    """What stands is looked up in the parts, and only the rest is made."""

    async def generate(request: GenerationRequest) -> AsyncIterator[str | Part]:
        if not request.visible:
            for part in reasons("First I look at the weather in Oslo, and then at the ropes."):
                yield part
        called = {part["toolCallId"]: part["state"] for part in request.parts if part["type"] == "tool-weather"}
        if not called:
            yield asks("call")
        if called.get("call") != "output-available":
            yield answers("call")
        for piece in pieces(rest(request)):
            yield piece
        if not has(request, "source-url"):
            yield source(1)
        yield {"type": "finish", "finishReason": "stop"}

    report = check(generate, interruptions=60)
    assert report.ok, report


def test_values_that_are_others_in_every_answer_pass() -> None:
    """A fixed text with the time in its data and a tool that measures: what varies by itself need not be the same."""
    clock = itertools.count(1000)

    async def generate(request: GenerationRequest) -> AsyncIterator[str | Part]:
        states = {part["toolCallId"]: part["state"] for part in request.parts if part["type"] == "tool-weather"}
        if not states:
            yield asks("call")
        if states.get("call") != "output-available":
            yield {"type": "tool-output-available", "toolCallId": "call", "output": {"seen": [next(clock), "m"]}}
        for piece in pieces(rest(request)):
            yield piece
        if not has(request, "data-stamp"):
            yield {"type": "data-stamp", "data": {"at": next(clock), "by": "me"}}

    report = check(generate)
    assert report.ok, report
    assert report.expected == "same"


def test_parts_of_which_every_answer_has_another_number_pass() -> None:
    """A generator that cites one source in one answer and two in the next may do either when it is interrupted."""
    answers = itertools.count(1)

    async def generate(request: GenerationRequest) -> AsyncIterator[str | Part]:
        for piece in pieces(rest(request)):
            yield piece
        for number in range(next(answers) % 2 + 1):
            if f"s{number}" not in [part.get("sourceId") for part in request.parts]:
                yield source(number)

    report = check(generate)
    assert report.ok, report


def test_a_value_that_varies_seldom_passes() -> None:
    """The time in whole seconds is the same in the first answers, and another one later."""
    calls = itertools.count()

    async def generate(request: GenerationRequest) -> AsyncIterator[str | Part]:
        second = next(calls) // 10
        for piece in pieces(rest(request)):
            yield piece
        if not has(request, "data-stamp"):
            yield {"type": "data-stamp", "data": {"at": second}}

    report = check(generate)
    assert report.ok, report


def test_reasoning_between_texts_passes() -> None:
    """What every answer does, an interrupted one may do as well: reasoning behind text, and reasoning in two parts."""

    async def generate(request: GenerationRequest) -> AsyncIterator[str | Part]:
        done = [(part["type"], part["state"]) for part in request.parts if part["type"] in {"text", "reasoning"}]
        for number in range(sum(state == "done" for _, state in done), 6):
            if number % 3 == 2:
                standing = [part["text"] for part in request.parts if part["type"] == "text"]
                begun = standing[number // 3] if len(standing) > number // 3 else ""
                yield {"type": "text-start", "id": str(number)}
                yield {"type": "text-delta", "id": str(number), "delta": WORDS[len(begun) : 30] + f" {number}. "}
                yield {"type": "text-end", "id": str(number)}
                continue
            yield {"type": "reasoning-start", "id": str(number)}
            yield {"type": "reasoning-delta", "id": str(number), "delta": babble(4)}
            yield {"type": "reasoning-end", "id": str(number)}

    report = check(generate, expect="sound")
    assert report.ok, report


def test_reasoning_in_some_answers_only_passes() -> None:
    """A model that decides by itself whether to reason did not in the first answers, and does in later ones."""
    calls = itertools.count()

    async def generate(request: GenerationRequest) -> AsyncIterator[str | Part]:
        reasoned = request.parts[0]["state"] if has(request, "reasoning") else ""
        if next(calls) > 1 and not request.partial and reasoned != "done":
            standing = request.parts[0]["text"] if reasoned else ""
            for part in reasons("I had better look at the ropes."[len(standing) :]):
                yield part
        for piece in pieces(rest(request)):
            yield piece

    report = check(generate)
    assert report.ok, report


def test_a_look_at_the_deadline_is_no_fault() -> None:
    """A generator that bounds its model's time by the deadline goes on until it is cancelled, where that is planned."""
    said: set[int] = set()

    async def generate(request: GenerationRequest) -> AsyncIterator[str]:
        assert request.deadline is not None
        left = request.deadline / 1000 - time.time()
        number = 0
        try:
            for number, piece in enumerate(pieces(rest(request))):  # noqa: B007 - told in the end
                await asyncio.sleep(0.5)
                yield piece
        finally:
            if left < 1:
                said.add(number)

    for expect in ("same", "sound"):
        report = check(generate, expect=expect)
        assert report.ok, report
    items = len(list(pieces(WORDS)))
    assert said == {items // 4, items // 3}


def test_a_flaky_model_passes() -> None:
    """Failures that another call may mend are tried again, as they are when it is deployed."""

    async def generate(request: GenerationRequest) -> AsyncIterator[str]:
        for number, piece in enumerate(pieces(rest(request))):
            if number == 9:
                raise GenerationError("model_unavailable", "Again.", retry=True)
            yield piece

    report = check(generate)
    assert report.ok, report


def test_a_generator_that_declares_that_it_cannot_continue_passes() -> None:
    """It is started over while nothing is visible; after that the answer ends with an error, and the report says so."""
    calls: list[bool] = []

    @cannot_continue
    async def generate(request: GenerationRequest) -> AsyncIterator[str]:
        calls.append(request.visible)
        for piece in pieces(babble()):
            yield piece

    report = check(generate)
    assert report.ok, report
    assert not report.continues
    assert "declares that it cannot continue" in str(report)
    assert not any(calls)


def test_a_silent_generator_passes() -> None:
    """An answer without a word has no seam, and is finished all the same."""

    async def generate(_: GenerationRequest) -> AsyncIterator[str]:
        for _ in ():
            yield ""

    report = check(generate)
    assert report.ok, report
    assert report.text == ""
