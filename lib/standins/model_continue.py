"""Tells a request that carries on an interrupted answer from an ordinary turn of a conversation."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from standins.model_calls import Call

# An instruction to carry on names three things: carrying on, the place, and the answer as the model's own.
# "How can a download resume where it left off?" names two: it is a question about something else.
_CARRY_ON = re.compile(
    r"\b(continu\w*|resum\w+|carry(ing)? on|go(ing)? on|pick(ing)? up|keep going|finish|complete)\b", re.IGNORECASE
)
_PLACE = re.compile(
    r"\bleft off\b|\bbroke off\b|\binterrupted\b|\bcut (off|short)\b|\b(was|were|got|been) (cut|broken)\b"
    r"|\bwhere (it|you|(your|the|that|this) (\w+ )?(answer|response|reply|message|text|output)) (stop|end)(ped|ed|s)\b"
    r"|\blast character\b",
    re.IGNORECASE,
)
_OWN = re.compile(
    r"\byour (\w+ ){0,3}(answer|response|reply|message|text|output)\b|\byou (stopped|left off|were|got|broke off)\b"
    r"|\b(partial|unfinished|interrupted|incomplete|previous|above) (answer|response|reply|message|text|output)\b"
    r"|\bassistant('s|\u2019s)? (\w+ ){0,2}(answer|response|reply|message)\b",
    re.IGNORECASE,
)
_INSTRUCTING = frozenset({"user", "system", "developer"})
_SHORTEST_EMBEDDED = 8


@dataclass(frozen=True, slots=True)
class Message:
    """A message of either API, reduced to its role and its text."""

    role: str
    text: str


@dataclass(frozen=True, slots=True)
class Found:
    """An earlier answer that a request carries on.

    Attributes:
        giver: the call that sent the last character of the partial; its ``text`` is the whole answer.
        length: characters of the text that the partial covers.
        conversation: the messages without the partial and without the instruction.
    """

    giver: Call
    length: int
    conversation: list[Message]


def asks_to_continue(text: str) -> bool:
    """Whether a message asks to carry on an interrupted answer, as opposed to asking something new."""
    return all(pattern.search(text) for pattern in (_CARRY_ON, _PLACE, _OWN))


def find_partial(messages: Sequence[Message], calls: Sequence[Call]) -> Found | None:
    """Find the answer that a request carries on.

    Three forms are understood: the partial as the last message, by the assistant (prefill); the partial
    as the assistant's last message, followed by one instruction to carry on; the partial inside such an
    instruction. An ordinary question after a complete or a stopped answer is none of them.

    Args:
        messages: the request's conversation.
        calls: earlier calls, oldest first.

    Returns:
        What was found, or None if the request asks for a new answer.
    """
    if not messages:
        return None
    last = messages[-1]
    if last.role == "assistant":
        return _prefix(last.text, messages[:-1], calls)
    if last.role not in _INSTRUCTING or not asks_to_continue(last.text):
        return None
    before = messages[:-1]
    if before and before[-1].role == "assistant" and (found := _prefix(before[-1].text, before[:-1], calls)):
        return found
    return _embedded(last.text, before or messages, calls)


def _prefix(partial: str, conversation: Sequence[Message], calls: Sequence[Call]) -> Found | None:
    """The answer that begins with a partial: exactly, or but for white space at its end."""
    for wanted in dict.fromkeys((partial, partial.rstrip())):
        fitting = [call for call in calls if wanted and call.text.startswith(wanted) and len(wanted) <= _reached(call)]
        if fitting:
            return _found(fitting, len(wanted), conversation)
    return None


def _embedded(text: str, conversation: Sequence[Message], calls: Sequence[Call]) -> Found | None:
    """The answer whose beginning stands inside a message; of several the one with the longest piece."""
    longest = 0
    fitting: list[Call] = []
    for call in calls:
        length = _embedded_length(text, call)
        if length > longest:
            longest, fitting = length, []
        if length and length == longest:
            fitting.append(call)
    return _found(fitting, longest, conversation) if fitting else None


def _embedded_length(text: str, call: Call) -> int:
    """How much of what a call sent stands inside a text."""
    sent = call.text[: _reached(call)]
    needle = sent[:_SHORTEST_EMBEDDED]
    best, at = 0, text.find(needle) if needle else -1
    while at >= 0:
        length = next((n for n, (a, b) in enumerate(zip(sent, text[at:], strict=False)) if a != b), -1)
        if length < 0:
            length = min(len(sent), len(text) - at)
        # Line ends that set the partial off from the words around it are not part of it. Where the
        # answer goes on with the same line ends, the piece found has swallowed them.
        lead = text[len(text[:at].rstrip("\n")) : at]
        end = at + length
        if lead and end < len(text) and not text.startswith(lead, end) and text[at:end].endswith(lead):
            length -= len(lead)
        best = max(best, length)
        at = text.find(needle, at + 1)
    return best


def _reached(call: Call) -> int:
    """Characters of the answer's text that this call and those it carries on have sent."""
    return call.offset + call.chars_sent


def _found(fitting: list[Call], length: int, conversation: Sequence[Message]) -> Found:
    asked = [message.text for message in conversation if message.role == "user"]

    def rank(call: Call) -> tuple[bool, bool]:
        return bool(asked) and asked[-1] == call.prompt, call.offset < length

    giver = max(reversed(fitting), key=rank)  # of equals the newest
    return Found(giver, length, list(conversation))
