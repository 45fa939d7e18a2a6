"""Texts that generators of the tests say, and what several of them do alike."""

from __future__ import annotations

import random
from collections.abc import Iterator

from holdfast.generation import GenerationRequest, Generator, Part
from holdfast.testing import Report, check_generator_sync

WORDS = (
    "Knots hold because rope presses on rope. Each turn adds friction, and friction grows with the load. "
    "A bowline keeps its loop however hard it is pulled; a reef knot slips when it is used to join two ropes."
)


def pieces(text: str, size: int = 6) -> Iterator[str]:
    """A text as a model streams it."""
    for start in range(0, len(text), size):
        yield text[start : start + size]


def rest(request: GenerationRequest, text: str = WORDS) -> str:
    """What is missing behind the partial."""
    return text[len(request.partial) :]


def babble(words: int = 30) -> str:
    """A text that is another one every time."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    return "".join("".join(random.sample(letters, 5)) + " " for _ in range(words))


def source(number: int) -> Part:
    """A source that a generator cites."""
    return {"type": "source-url", "sourceId": f"s{number}", "url": f"https://example.com/{number}"}


def asks(id: str, name: str = "weather", city: str = "Oslo") -> Part:
    """A tool call, whole."""
    return {"type": "tool-input-available", "toolCallId": id, "toolName": name, "input": {"city": city}}


def answers(id: str) -> Part:
    """Its output."""
    return {"type": "tool-output-available", "toolCallId": id, "output": {"degrees": 7}}


def reasons(text: str, id: str = "r") -> Iterator[Part]:
    """Reasoning, from its start to its end."""
    yield {"type": "reasoning-start", "id": id}
    for piece in pieces(text):
        yield {"type": "reasoning-delta", "id": id, "delta": piece}
    yield {"type": "reasoning-end", "id": id}


def has(request: GenerationRequest, kind: str) -> bool:
    """Whether a part of this type stands in the answer."""
    return any(part["type"] == kind for part in request.parts)


def check(generate: Generator, **options: object) -> Report:
    """In virtual time, as a plain test of a user does it."""
    return check_generator_sync(generate, prompt="Why do knots hold?", **options)  # type: ignore[arg-type] # mixed


def found(generate: Generator, **options: object) -> set[str]:
    """The kinds of problems that a check finds."""
    return {problem.code for problem in check(generate, **options).problems}
