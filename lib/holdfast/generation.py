"""The generator port: what turns messages into an answer, and what it is told."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from holdfast.errors import GenerationError

#: One AI SDK UI message chunk, e.g. ``{"type": "text-delta", "id": "t0", "delta": "Hel"}``.
type Part = dict[str, Any]

#: One AI SDK UI message: ``{"id", "role", "parts"}``.
type UIMessage = dict[str, Any]

#: A user's generator: an async (or sync) generator function of one request.
type Generator = Callable[[GenerationRequest], AsyncIterator[str | Part] | Iterator[str | Part]]


def _ignore(checkpoint: Any) -> None:
    """Outside a publisher a checkpoint has nowhere to go."""


@dataclass(slots=True)
class GenerationRequest:
    """One call of a generator.

    A generator yields strings (text of the answer) or UI chunks. A chunk of type ``finish`` may
    carry ``finishReason`` and ``messageMetadata.usage`` (``inputTokens``, ``outputTokens``,
    ``totalTokens``); it is kept in the end of the log. To fail in a way that the reader should be
    told about, or that is worth another try, raise ``holdfast.errors.GenerationError``.

    Attributes:
        messages: the conversation, oldest first, as UI messages; the newest one is to be answered.
        chat_id: the conversation's id, if it has one.
        owner: whose answer this is.
        extra: unknown fields of the start body (model, temperature, …).
        attempt: number of the attempt that calls, from 1.
        partial: visible text that earlier calls wrote. When it is not empty the generator must go on
            from it, and must not say it again.
        visible: whether a reader may have seen any of the answer, be it text, reasoning or a tool call, so that
            starting over would show.
        parts: the answer so far as parts of a UI message (text, reasoning, tools).
        checkpoint: what an earlier call gave to ``save`` last, or None.
        current: whether the checkpoint covers the whole answer so far, so that resuming from it is exact.
        deadline: epoch milliseconds at which this call is cancelled and handed off, or None.
        save: keeps a JSON value with the parts yielded before it; the next call gets it as ``checkpoint``.
        stopped: set when the answer was stopped, superseded or handed off.
        reason: why ``stopped`` is set, which it is before the call is cancelled: ``stop`` (the answer ends here, so a
            provider that works in the background should be told), ``handoff`` (a later call goes on), ``lost``
            (another attempt has taken over); empty while it is not set.
        exact: set it to True, at the latest before the first yield, in a call that goes on with the very text that an
            earlier call of the model began, as a provider that resumes its own stream does; it is told in the end.
    """

    messages: list[UIMessage]
    chat_id: str | None = None
    owner: str = ""
    extra: dict[str, Any] = field(default_factory=dict)
    attempt: int = 1
    partial: str = ""
    visible: bool = False
    parts: list[dict[str, Any]] = field(default_factory=list)
    checkpoint: Any = None
    current: bool = False
    deadline: int | None = None
    save: Callable[[Any], None] = _ignore
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    reason: str = ""
    exact: bool = False

    def text_messages(self) -> list[dict[str, str]]:
        """The conversation as ``{"role", "content"}`` with the text of each message, for simple models."""
        return [{"role": message["role"], "content": text_of(message)} for message in self.messages]


def cannot_continue(generate: Generator) -> Generator:
    """Declare, as a decorator, that a generator cannot go on from a partial answer.

    It is started over as long as no reader can have seen anything; after that an interruption ends the answer with
    the error ``cannot_continue``, and what was written is kept (docs/protocol.md, rule T5).

    Args:
        generate: an async or sync generator function of one request.
    """

    @functools.wraps(generate)
    def guarded(request: GenerationRequest) -> AsyncIterator[str | Part] | Iterator[str | Part]:
        if request.visible:
            raise GenerationError(
                "cannot_continue",
                "The answer was interrupted, and this generator cannot go on. What was written is kept; ask again.",
            )
        return generate(request)

    return guarded


def text_of(message: UIMessage) -> str:
    """The visible text of a UI message: its text parts, joined."""
    return "".join(part.get("text", "") for part in message.get("parts", ()) if part.get("type") == "text")
