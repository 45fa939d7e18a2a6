"""Test your own generator: it is interrupted in many places, without network or Redis, and must go on properly."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

from holdfast._testing.clock import Deadlock, VirtualLoop
from holdfast._testing.plan import schedules
from holdfast._testing.report import Problem, Report
from holdfast._testing.run import Question, Run, run
from holdfast._testing.verdict import Judge, is_declined
from holdfast.generation import Generator, UIMessage

__all__ = ["Problem", "Report", "check_generator", "check_generator_sync"]

type Expect = Literal["auto", "same", "sound"]


async def check_generator(
    generate: Generator,
    *,
    prompt: str | None = None,
    messages: Sequence[UIMessage] | None = None,
    extra: dict[str, Any] | None = None,
    owner: str = "tester",
    expect: Expect = "auto",
    interruptions: int = 24,
    seed: int = 0,
    limit: float = 60.0,
) -> Report:
    """Find out whether a generator goes on properly when its answer is interrupted.

    The publisher that is deployed runs it over a log in memory: first twice uninterrupted, then with attempts that
    die without a word (what they wrote last may be lost) and attempts that hand off, before the first item, after
    single items, and twice in one answer. The generator runs on the running event loop, in real time.

    Args:
        generate: the generator, async or sync.
        prompt: what it is asked; or
        messages: the conversation as UI messages, the newest one to be answered.
        extra: unknown fields of a start's body, for the generator.
        owner: whose answer it is.
        expect: ``same``: an interrupted answer must be that of an uninterrupted call, to the character;
            ``sound``: it must go on from what stands, whatever it says; ``auto``: ``same`` if the uninterrupted
            runs said the same.
        interruptions: how many answers to interrupt, at least 1: all points of a short answer, a choice of a long one.
        seed: makes another choice.
        limit: seconds that one answer may take.

    Returns:
        What is wrong, if anything: ``assert report.ok, report``.

    Raises:
        ValueError: the arguments do not go together.
    """
    question = _question(prompt, messages, extra, owner)
    if interruptions < 1:
        raise ValueError("interruptions must be at least 1.")
    if expect not in ("auto", "same", "sound"):
        raise ValueError("expect must be 'auto', 'same' or 'sound'.")
    references: list[Run] = []
    problems: list[Problem] = []
    for _ in range(2):
        references.append(await run(generate, question, (), limit))
        problems = Judge(tuple(references), "sound").problems(references[-1])
        if problems:  # a generator that fails by itself tells nothing by failing when it is interrupted
            return Report(problems, len(references), 0, "sound", continues=True, text=references[-1].text)
    alike = references[0].text == references[1].text
    expected: Literal["same", "sound"] = ("same" if alike else "sound") if expect == "auto" else expect
    judge = Judge(tuple(references), expected)
    problems += judge.problems(references[1])
    runs = list(references)
    planned = schedules(len(references[0].calls[0].items), _landmarks(references[0]), interruptions, seed)
    for schedule in planned if not problems else ():
        runs.append(await run(generate, question, schedule, limit, references))
        problems += judge.problems(runs[-1])
        if runs[-1].disobedient is not None:
            break  # what does not end may disturb everything after it
    if any(problem.code == "parts_differ" for problem in problems) and runs[-1].disobedient is None:
        # A value that was the same in the first answers may still vary by itself: the time in whole seconds, say.
        control = await run(generate, question, (), limit)
        judge = Judge((*references, control), expected)
        if not judge.problems(control):
            problems = [problem for each in runs for problem in judge.problems(each)]
        runs.append(control)
    return Report(
        problems,
        runs=len(runs),
        interruptions=sum(len(each.done) for each in runs),
        expected=expected,
        continues=not any(map(is_declined, runs)),
        text=references[0].text,
    )


def check_generator_sync(
    generate: Generator,
    *,
    prompt: str | None = None,
    messages: Sequence[UIMessage] | None = None,
    extra: dict[str, Any] | None = None,
    owner: str = "tester",
    expect: Expect = "auto",
    interruptions: int = 24,
    seed: int = 0,
    limit: float = 60.0,
    virtual_time: bool = True,
) -> Report:
    """Do the same as ``check_generator`` from a plain test, on an event loop of its own.

    Args:
        virtual_time: whether ``asyncio.sleep`` and timeouts pass at once there. Threads and sockets are waited for
            in any case.
        generate, prompt, messages, extra, owner, expect, interruptions, seed, limit: as for ``check_generator``.

    Returns:
        What is wrong, if anything: ``assert report.ok, report``.

    Raises:
        ValueError: the arguments do not go together.
        TimeoutError: in virtual time the generator waits for what can never come.
    """
    checking = check_generator(
        generate,
        prompt=prompt,
        messages=messages,
        extra=extra,
        owner=owner,
        expect=expect,
        interruptions=interruptions,
        seed=seed,
        limit=limit,
    )
    factory = (lambda: VirtualLoop(patience=limit)) if virtual_time else None
    try:
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(checking)
    except Deadlock as error:
        raise TimeoutError(f"The generator waits for what can never come. {error}") from None


def _question(
    prompt: str | None, messages: Sequence[UIMessage] | None, extra: dict[str, Any] | None, owner: str
) -> Question:
    if (prompt is None) == (messages is None):
        raise ValueError("Give either prompt= or messages=.")
    if messages is None:
        messages = [{"role": "user", "parts": [{"type": "text", "text": prompt}]}]
    if not messages or any("role" not in message or "parts" not in message for message in messages):
        raise ValueError('messages must be UI messages: {"role": "user", "parts": [{"type": "text", "text": "…"}]}.')
    return Question(list(messages), extra or {}, owner)


def _landmarks(reference: Run) -> list[int]:
    """Items of an uninterrupted run after which a part of another kind begins, or a tool has its output."""
    marks: list[int] = []
    kinds = [_kind(item) for item in reference.calls[0].items]
    for number, (kind, following) in enumerate(pairwise(kinds), 1):
        if kind != following or kind.startswith("tool-output"):
            marks.append(number)
    return marks


def _kind(item: object) -> str:
    kind = item.get("type", "") if isinstance(item, dict) else "text-delta"
    return str(kind)
