"""Texts that do not go on where they were interrupted are found: each by the check that is for it, and by no other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from holdfast.generation import GenerationRequest
from tests.testing.words import WORDS, babble, check, found, pieces, rest


def saying(say: Callable[[GenerationRequest], str]) -> Callable[[GenerationRequest], AsyncIterator[str]]:
    """A generator that says what a function makes of the request."""

    async def generate(request: GenerationRequest) -> AsyncIterator[str]:
        for piece in pieces(say(request)):
            await asyncio.sleep(0)
            yield piece

    return generate


def test_a_text_that_starts_over_is_found() -> None:
    """The same text from its beginning, behind the partial."""
    assert found(saying(lambda _: WORDS)) == {"starts_over"}


def test_a_new_text_that_begins_as_the_partial_does_is_found() -> None:
    """A model that is asked anew says the same courtesies, and then something else."""
    assert found(saying(lambda request: "Sure, I explain it: " * bool(request.messages) + babble())) >= {"starts_over"}


def test_a_new_text_from_a_generator_that_looks_at_nothing_is_found() -> None:
    """Where no two answers are alike the text cannot tell; that the partial was never looked at does."""
    assert found(saying(lambda _: babble())) == {"ignores_partial"}


def test_a_repeated_sentence_is_found() -> None:
    """The partial's last sentence, said again in front of the rest."""

    def say(request: GenerationRequest) -> str:
        sentences = request.partial.split(". ")
        return sentences[-1] * (len(sentences) > 1) + rest(request)

    assert found(saying(say)) == {"repeats"}


def test_a_repeated_end_is_found_where_no_two_answers_are_alike() -> None:
    """The seam itself tells: the continuation begins with what the partial ends with."""
    assert found(saying(lambda request: request.partial[-24:] + babble())) == {"repeats"}


def test_a_repeated_passage_is_found_where_no_two_answers_are_alike() -> None:
    """A continuation that goes back to somewhere in the middle of the partial."""

    def say(request: GenerationRequest) -> str:
        return request.partial[20:56] * (len(request.partial) > 70) + babble()

    assert found(saying(say)) == {"repeats"}


def test_a_skipped_word_is_found() -> None:
    """Behind the seam a word is missing."""

    def say(request: GenerationRequest) -> str:
        return rest(request).partition(" ")[2] if request.partial else WORDS

    assert found(saying(say)) <= {"skips", "ends_early"}
    assert "skips" in found(saying(say))


def test_a_place_that_the_generator_keeps_by_itself_is_found() -> None:
    """What it yielded last was not written when the attempt died: its own memory is ahead of the log."""
    said = 0

    async def generate(request: GenerationRequest) -> AsyncIterator[str]:
        nonlocal said
        if not request.visible:
            said = 0
        standing = len(list(pieces(request.partial)))
        for number, piece in enumerate(pieces(WORDS), 1):
            if number > max(said, standing):
                yield piece
                said = number

    report = check(generate)
    assert {problem.code for problem in report.problems} <= {"skips", "ends_early"}
    assert all("unwritten" in problem.where for problem in report.problems)
    assert not report.ok


def test_a_checkpoint_that_runs_ahead_of_its_text_is_found() -> None:
    """Saved before the piece that it counts: handed off in between, the piece is lost."""

    async def generate(request: GenerationRequest) -> AsyncIterator[str]:
        for number, piece in list(enumerate(pieces(WORDS), 1))[request.checkpoint or 0 :]:
            request.save(number)
            yield piece

    report = check(generate)
    assert "skips" in {problem.code for problem in report.problems}
    assert any("at work" in problem.where and ", then " not in problem.where for problem in report.problems)


def test_another_text_is_found() -> None:
    """A continuation that neither repeats nor skips, and is not the rest."""
    assert found(saying(lambda request: "zzzz" * 9 if request.partial else WORDS)) == {"differs"}


def test_a_text_that_should_be_the_same_and_is_not_is_found() -> None:
    """Told to expect the same, a check fails a generator that says something else uninterrupted."""
    report = check(saying(lambda request: babble(30 - len(request.partial.split()))), expect="same")
    assert {(problem.code, problem.where) for problem in report.problems} == {("differs", "uninterrupted")}


@pytest.mark.parametrize("text", [WORDS, ""], ids=["same", "sound"])
def test_an_answer_that_ends_at_the_interruption_is_found(text: str) -> None:
    """A call that says nothing more ends the answer as if it were complete."""
    assert found(saying(lambda request: "" if request.partial else text or babble())) == {"ends_early"}


def test_a_second_attempt_without_a_partial_must_start_over() -> None:
    """An interruption before the first item is tried: not every second attempt has something to go on from."""
    report = check(saying(lambda request: rest(request) if request.partial or request.attempt == 1 else ""))
    assert {problem.code for problem in report.problems} == {"ends_early"}
    assert all("before the first item" in problem.where for problem in report.problems)


def test_the_third_attempt_is_tried_too() -> None:
    """Some answers are interrupted twice: going on once proves nothing for the next time."""
    report = check(saying(lambda request: rest(request) if request.attempt < 3 else WORDS))
    assert {problem.code for problem in report.problems} == {"starts_over"}
    assert all(", then " in problem.where for problem in report.problems)


def test_a_crash_and_a_hand_off_are_both_tried() -> None:
    """A generator that minds the hand-off alone, of which it is told, does not pass; nor the other way round."""
    reasons: list[str] = []
    wrong = ""

    async def generate(request: GenerationRequest) -> AsyncIterator[str]:
        text = WORDS if reasons and reasons[-1] == wrong and request.visible else rest(request)
        try:
            for piece in pieces(text):
                yield piece
        finally:
            reasons.append(request.reason)

    for reason, kind in (("handoff", "hand-off"), ("lost", "crash")):
        wrong = reason
        report = check(generate)
        assert {problem.code for problem in report.problems} == {"starts_over"}
        assert all(kind in problem.where for problem in report.problems)
