"""Generators that fail, give up, hang or do not let go are found."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from holdfast.errors import GenerationError
from holdfast.generation import GenerationRequest
from holdfast.testing import check_generator
from tests.testing.words import check, found, pieces, rest


def test_an_exception_behind_an_interruption_is_found() -> None:
    """The report says what was raised and where."""

    async def generate(request: GenerationRequest) -> AsyncIterator[str]:
        if request.attempt > 1:
            raise KeyError("no such conversation")
        for piece in pieces(rest(request)):
            yield piece

    report = check(generate)
    assert {problem.code for problem in report.problems} == {"fails"}
    assert "KeyError: 'no such conversation' at " in str(report)
    assert "test_endings.py:" in str(report)


def test_a_generator_that_fails_uninterrupted_is_not_interrupted() -> None:
    """Its failure is told once, with the code that a reader would get."""

    async def generate(_: GenerationRequest) -> AsyncIterator[str]:
        yield "So "
        raise GenerationError("model_auth", "The provider refused the key.")

    report = check(generate)
    assert (report.runs, report.interruptions) == (1, 0)
    (problem,) = report.problems
    assert (problem.code, problem.where) == ("fails", "uninterrupted")
    assert "model_auth: The provider refused the key." in problem.what


def test_a_generator_that_is_none_is_found() -> None:
    """A function that returns instead of yielding."""
    assert found(lambda _: None) == {"fails"}  # type: ignore[arg-type, return-value] # that is the point


def test_giving_up_before_anything_is_visible_is_found() -> None:
    """An interruption before the first word costs nothing: the generator must start over."""

    async def generate(request: GenerationRequest) -> AsyncIterator[str]:
        if request.attempt > 1:
            raise GenerationError("cannot_continue", "No.")
        for piece in pieces(rest(request)):
            yield piece

    report = check(generate)
    assert {problem.code for problem in report.problems} == {"gives_up"}
    assert all("before the first item" in problem.where for problem in report.problems)


def test_an_answer_that_never_ends_is_found() -> None:
    """A wait without a limit, seen in virtual time at once."""

    async def generate(_: GenerationRequest) -> AsyncIterator[str]:
        yield "So "
        await asyncio.Event().wait()

    assert found(generate) == {"never_ends"}


def test_a_continuation_that_never_ends_is_found() -> None:
    """Only what follows an interruption hangs."""

    async def generate(request: GenerationRequest) -> AsyncIterator[str]:
        if request.partial:
            await asyncio.sleep(86_400)
        for piece in pieces(rest(request)):
            yield piece

    assert found(generate, interruptions=4) == {"never_ends"}


@pytest.mark.parametrize("pause", [0.0, 0.5], ids=["quick", "slow"])
@pytest.mark.parametrize("expect", ["same", "sound"])
@pytest.mark.parametrize("kind", ["async", "sync"])
def test_an_answer_that_is_cut_short_by_its_deadline_is_found(kind: str, expect: str, pause: float) -> None:
    """A generator that returns when its time is nearly up ends the answer, whichever clock it looks at."""

    def is_near(request: GenerationRequest) -> bool:
        assert request.deadline is not None
        return request.deadline / 1000 - time.time() < 1

    async def generate(request: GenerationRequest) -> AsyncIterator[str]:
        for piece in pieces(rest(request)):
            if is_near(request):
                return
            await asyncio.sleep(pause)
            yield piece

    def twin(request: GenerationRequest) -> Iterator[str]:
        for piece in pieces(rest(request)):
            yield piece
            if is_near(request):
                return

    report = check(generate if kind == "async" else twin, expect=expect)
    assert {problem.code for problem in report.problems} == {"ends_early"}
    assert all("deadline" in problem.where for problem in report.problems)
    assert "request.deadline" in str(report)


@pytest.mark.asyncio
async def test_an_answer_that_is_cut_short_is_found_in_real_time() -> None:
    """The deadline is near there as well, by the clock on the wall."""

    async def generate(request: GenerationRequest) -> AsyncIterator[str]:
        assert request.deadline is not None
        for piece in pieces(rest(request), 20):
            if request.deadline / 1000 - time.time() < 1:
                return
            await asyncio.sleep(0.002)
            yield piece

    report = await check_generator(generate, prompt="Why?", interruptions=3)
    assert {problem.code for problem in report.problems} == {"ends_early"}


def test_a_deadline_that_is_near_is_reached() -> None:
    """A call that does not return is cancelled at its deadline, and not before, by the loop's time."""
    left: list[float] = []

    async def generate(request: GenerationRequest) -> AsyncIterator[str]:
        assert request.deadline is not None
        loop = asyncio.get_running_loop()
        end = loop.time() + request.deadline / 1000 - time.time()
        text = rest(request)
        try:
            for piece in pieces(text):
                yield piece
        finally:
            if request.reason == "handoff":
                left.append(end - loop.time())

    report = check(generate)
    assert report.ok, report
    reached = [seconds for seconds in left if seconds < 1]
    assert len(reached) >= 2
    assert all(abs(seconds) < 0.09 for seconds in reached)


def test_a_long_good_bye_is_found() -> None:
    """What runs in ``finally`` holds up the hand-off, which the platform does not wait for."""

    async def generate(request: GenerationRequest) -> AsyncIterator[str]:
        try:
            for piece in pieces(rest(request)):
                yield piece
        except GeneratorExit:
            await asyncio.sleep(30)
            raise

    report = check(generate)
    assert {problem.code for problem in report.problems} == {"disobeys"}
    assert report.runs == 3  # nothing else is tried beside a generator that is still at work


def test_a_swallowed_cancellation_is_found() -> None:
    """A wait that is begun again when it is cancelled."""

    async def generate(request: GenerationRequest) -> AsyncIterator[str]:
        for piece in pieces(rest(request)):
            yield piece
            for _ in range(2):
                try:
                    await asyncio.sleep(10)
                    break
                except asyncio.CancelledError:
                    continue

    assert found(generate, limit=3600) == {"disobeys"}


def test_a_failing_good_bye_is_found() -> None:
    """An exception on closing, which nobody would ever see when it is deployed."""

    def generate(request: GenerationRequest) -> Iterator[str]:
        try:
            yield from pieces(rest(request))
        except GeneratorExit:
            raise OSError("the connection is gone") from None

    async def twin(request: GenerationRequest) -> AsyncIterator[str]:
        try:
            for piece in pieces(rest(request)):
                yield piece
        except GeneratorExit:
            raise OSError("the connection is gone") from None

    for each in (generate, twin):
        report = check(each, interruptions=3)
        assert {problem.code for problem in report.problems} == {"disobeys"}
        assert "OSError: the connection is gone" in str(report)


def test_a_thread_that_does_not_end_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sync generator that blocks cannot be cancelled: it must come to its next yield."""
    monkeypatch.setattr("holdfast._testing.run.OBEDIENCE", 0.2)  # a thread takes real time
    gate = threading.Event()

    def generate(request: GenerationRequest) -> Iterator[str]:
        try:
            yield from pieces(rest(request))
        except GeneratorExit:
            gate.wait(20)
            raise

    try:
        assert found(generate) == {"disobeys"}
    finally:
        gate.set()


@pytest.mark.parametrize("kind", ["async", "sync"])
def test_what_runs_at_the_end_has_run(kind: str) -> None:
    """Every call, interrupted or not, was closed before the next one began."""
    at_work = 0
    most = 0

    def begun() -> None:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)

    def ended() -> None:
        nonlocal at_work
        at_work -= 1

    async def generate(request: GenerationRequest) -> AsyncIterator[str]:
        begun()
        try:
            for piece in pieces(rest(request)):
                yield piece
        finally:
            try:
                await asyncio.sleep(1)
            finally:
                ended()

    def twin(request: GenerationRequest) -> Iterator[str]:
        begun()
        try:
            yield from pieces(rest(request))
        finally:
            ended()

    report = check(generate if kind == "async" else twin)
    assert report.ok, report
    assert (at_work, most) == (0, 1)
