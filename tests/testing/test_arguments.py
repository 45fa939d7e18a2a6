"""What a check is asked for, and what it tells of itself."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from holdfast.generation import GenerationRequest
from holdfast.testing import check_generator, check_generator_sync
from tests.testing.words import WORDS, check, pieces, rest


async def continues(request: GenerationRequest) -> AsyncIterator[str]:
    """Says the rest."""
    for piece in pieces(rest(request)):
        yield piece


async def starts_over(_: GenerationRequest) -> AsyncIterator[str]:
    """Says everything."""
    for piece in pieces(WORDS * 2, 4):
        yield piece


def test_the_generator_is_asked_what_the_check_was_given() -> None:
    """Messages, unknown fields and owner are those of a real request, and so is the time limit."""
    requests: list[GenerationRequest] = []

    async def generate(request: GenerationRequest) -> AsyncIterator[str]:
        requests.append(request)
        async for piece in continues(request):
            yield piece

    messages = [{"role": "user", "parts": [{"type": "text", "text": "Who?"}]}]
    before = time.time() * 1000
    report = check_generator_sync(generate, messages=messages, extra={"model": "m"}, owner="me", interruptions=1)
    assert report.ok, report
    for request in requests:
        assert request.text_messages() == [{"role": "user", "content": "Who?"}]
        assert (request.extra, request.owner) == ({"model": "m"}, "me")
        assert request.deadline is not None
        assert request.deadline > before


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({}, "either prompt= or messages="),
        ({"prompt": "Why?", "messages": []}, "either prompt= or messages="),
        ({"messages": []}, "must be UI messages"),
        ({"messages": [{"role": "user", "content": "Why?"}]}, "must be UI messages"),
        ({"prompt": "Why?", "interruptions": 0}, "at least 1"),
        ({"prompt": "Why?", "expect": "exact"}, "'auto', 'same' or 'sound'"),
    ],
)
def test_arguments_that_do_not_go_together_are_refused(arguments: dict[str, Any], what: str) -> None:
    """The error says what to give instead."""
    with pytest.raises(ValueError, match=what):
        check_generator_sync(continues, **arguments)


def test_a_long_answer_is_interrupted_at_a_choice_of_places() -> None:
    """The number of runs is bounded; the same seed chooses the same places, and another one others."""
    reports = [check(starts_over, interruptions=6, seed=seed) for seed in (1, 1, 2)]
    assert [report.runs for report in reports] == [8, 8, 8]
    places = [[problem.where for problem in report.problems] for report in reports]
    assert places[0] == places[1] != places[2]


def test_a_short_answer_is_interrupted_everywhere() -> None:
    """By a crash and by a hand-off, before the first item and after each."""
    partials: list[str] = []

    async def generate(request: GenerationRequest) -> AsyncIterator[str]:
        partials.append(request.partial)
        for piece in pieces(rest(request, "abcdef"), 1):
            yield piece

    report = check(generate, interruptions=20)
    assert report.ok, report
    assert {"abcdef"[:size] for size in range(7)} <= set(partials)


def test_a_bad_report_can_be_raised_and_shown() -> None:
    """pytest shows the ``repr`` of what an assertion says; a plain script raises."""
    report = check(starts_over, interruptions=4)
    assert repr(report) == str(report)
    with pytest.raises(AssertionError, match="starts_over: It began the answer again"):
        report.raise_if_bad()
    first = report.problems[0]
    for told in (first.what, first.where, first.seam, first.advice):
        assert told in str(report)
    assert f"(and {len([p for p in report.problems if p.code == 'starts_over']) - 1} more)" in str(report)


def test_time_can_be_real_there_too() -> None:
    """Waiting then takes as long as it says."""
    slept = 0.0

    async def generate(request: GenerationRequest) -> AsyncIterator[str]:
        nonlocal slept
        began = time.monotonic()
        await asyncio.sleep(0.02)
        slept = time.monotonic() - began
        for piece in pieces(rest(request)):
            yield piece

    report = check_generator_sync(generate, prompt="Why?", interruptions=1, virtual_time=False)
    assert report.ok, report
    assert slept > 0.015


def test_a_thread_that_never_comes_back_is_told() -> None:
    """Virtual time cannot pass while a thread is at work: the check gives up after its limit of real time."""
    gate = threading.Event()

    def generate(_: GenerationRequest) -> Iterator[str]:
        gate.wait(20)
        yield "late"

    try:
        with pytest.raises(TimeoutError, match="A thread gave no sign"):
            check_generator_sync(generate, prompt="Why?", limit=0.2)
    finally:
        gate.set()


@pytest.mark.asyncio
async def test_nothing_is_left_behind() -> None:
    """After a check no task of it runs on, whatever it found."""
    for generate in (continues, starts_over):
        await check_generator(generate, prompt="Why?", interruptions=4)
        assert asyncio.all_tasks() == {asyncio.current_task()}
