"""What the following client yields and raises."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.errors import HoldfastError
from holdfast.generation import Part


class FollowError(HoldfastError):
    """An answer could not be followed to its end.

    Args:
        message: what happened and what to do.
        cursor: where to go on from, with ``follow(url, cursor=…)``; None if nothing was read.
        status: the HTTP status that ended it, if one did.
    """

    def __init__(self, message: str, *, cursor: str | None = None, status: int | None = None) -> None:
        super().__init__(message)
        self.cursor = cursor
        self.status = status


class StreamNotFound(FollowError):
    """The server knows no such stream, or it is not this reader's (404)."""


class StreamExpired(FollowError):
    """The stream has outlived its retention (410)."""


class FollowRefused(FollowError):
    """The server refused the request for good: another 4xx, or something that is no event stream."""


class FollowGaveUp(FollowError):
    """The deadline passed, or no connection showed a sign of life for too long. The answer may still go on."""


class AnswerIncomplete(HoldfastError):
    """The answer ended without being finished.

    Args:
        message: why.
        text: what there is of it.
    """

    def __init__(self, message: str, text: str) -> None:
        super().__init__(message)
        self.text = text


class AnswerFailed(AnswerIncomplete):
    """The answer ended with an error part; the message is that part's text."""


class AnswerStopped(AnswerIncomplete):
    """Somebody stopped the answer."""


@dataclass(frozen=True, slots=True)
class Event:
    """One part of an answer.

    Attributes:
        cursor: opaque; ``follow(url, cursor=event.cursor)`` yields exactly what comes after this part.
        chunk: the part, an AI SDK UI message chunk such as ``{"type": "text-delta", "id": "t", "delta": "Hel"}``.
    """

    cursor: str
    chunk: Part

    @property
    def kind(self) -> str:
        """The chunk's ``type``."""
        return str(self.chunk.get("type", ""))

    @property
    def text(self) -> str:
        """The visible text that this part adds; empty for parts that add none."""
        return str(self.chunk.get("delta", "")) if self.kind == "text-delta" else ""


@dataclass(frozen=True, slots=True)
class Reconnect:
    """A connection ended before the answer did, and another one will be made.

    Attributes:
        number: how many there were so far, from 1.
        reason: a few words for people.
        failed: False where the server ended its response as planned.
        delay_seconds: the wait before the next connection.
    """

    number: int
    reason: str
    failed: bool
    delay_seconds: float
