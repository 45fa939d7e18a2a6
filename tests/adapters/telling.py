"""A publisher in small: calls a generator, keeps what a log would, and kills it where a test wants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, cast

from holdfast.answer import Answer
from holdfast.compose import Composer
from holdfast.errors import GenerationError
from holdfast.generation import GenerationRequest, Generator, Part
from holdfast.records import Entry, EntryId, Queued


def asked(text: str) -> list[dict[str, Any]]:
    """A conversation of one question."""
    return [{"id": "m1", "role": "user", "parts": [{"type": "text", "text": text}]}]


class Telling:
    """One answer over several calls, each of which may be killed.

    Args:
        generate: the generator.
        prompt: the question.
        extra: unknown fields of the start body.

    Attributes:
        items: what the newest call yielded.
        exact: what each call said of itself.
        saves: how often a checkpoint was saved.
        error: how the newest call failed, if it did.
    """

    def __init__(self, generate: Generator, prompt: str, extra: dict[str, Any] | None = None) -> None:
        queued = Queued(at=0, owner="me", message_id="a1", messages=asked(prompt), retention_seconds=1)
        self.answer = Answer([Entry(EntryId(0, 1), queued)])
        self.checkpoint: Any = None
        self.items: list[object] = []
        self.exact: list[bool] = []
        self.saves = 0
        self.error: GenerationError | None = None
        self._generate = generate
        self._extra = extra or {}
        self._current = False
        self._saved = asyncio.Event()

    @property
    def text(self) -> str:
        """The visible text."""
        return self.answer.builder.text()

    @property
    def parts(self) -> list[dict[str, Any]]:
        """The answer as parts of a UI message."""
        parts: list[dict[str, Any]] = self.answer.builder.message()["parts"]
        return parts

    def request(self) -> GenerationRequest:
        """The next call, as a publisher makes it."""
        return GenerationRequest(
            messages=self.answer.queued.messages,
            extra=self._extra,
            attempt=len(self.exact) + 1,
            partial=self.text,
            parts=self.parts,
            checkpoint=self.checkpoint,
            current=self._current,
            save=self._save,
        )

    async def call(self, cut: int | None = None, *, reason: str = "handoff", saved: bool = True) -> bool:
        """Call once → whether it came to its end.

        Args:
            cut: how many items to take before the call is killed; None for all.
            reason: why it is killed.
            saved: whether the generator gets to save behind the last of them.
        """
        request = self.request()
        composer = Composer(self.answer, f"{request.attempt}-0")
        self.items, self.error, whole = [], None, False
        try:
            async with aclosing(cast("AsyncGenerator[str | Part]", self._generate(request))) as items:
                while cut is None or len(self.items) < cut:
                    item = await anext(items)
                    self.items.append(item)
                    self.note(composer.feed(item))
                if saved:
                    # As far as its next item, which nobody gets.
                    await anext(items)
                request.reason = reason
                request.stopped.set()
        except StopAsyncIteration:
            whole = cut is None or len(self.items) < cut
        except GenerationError as error:
            self.error = error
        self.exact.append(request.exact)
        if whole:
            self.note(composer.close())
        return whole

    async def cancel(self, reason: str, when: asyncio.Event | None = None) -> None:
        """Call once and cancel it as a publisher does: when something has happened, by default a checkpoint."""
        request = self.request()
        composer = Composer(self.answer, f"{request.attempt}-0")
        self._saved.clear()

        async def read() -> None:
            async with aclosing(cast("AsyncGenerator[str | Part]", self._generate(request))) as items:
                async for item in items:
                    self.note(composer.feed(item))

        task = asyncio.create_task(read())
        async with asyncio.timeout(10):
            await (when or self._saved).wait()
        request.reason = reason
        request.stopped.set()
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled(), "the call ended before it was cancelled"
        self.exact.append(request.exact)

    def _save(self, checkpoint: Any) -> None:
        self.checkpoint, self._current = checkpoint, True
        self.saves += 1
        self._saved.set()

    def note(self, chunks: Any) -> None:
        """Keep chunks."""
        for chunk in chunks:
            self.answer.note(chunk, 0)
            self._current = False
