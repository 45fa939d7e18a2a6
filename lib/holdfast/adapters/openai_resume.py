"""A background response of the Responses API, read from a place in it to its end: as a stream, or look by look."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from holdfast.adapters.messages import Standing
from holdfast.adapters.openai_errors import failed_midway, from_sdk, interrupted
from holdfast.adapters.openai_parts import Parts
from holdfast.adapters.openai_place import Diverged, Place
from holdfast.adapters.openai_responses import ended, said
from holdfast.errors import GenerationError
from holdfast.generation import Part

if TYPE_CHECKING:
    from openai import AsyncOpenAI

#: Statuses that say no for good. To a stream: look at the response instead; to a look: it is gone.
REFUSALS = frozenset({400, 404, 405, 409, 410, 422})

#: A checkpoint without news tells whoever counts attempts without progress that the provider is at work, in seconds.
_ALIVE = 20.0
_ENDS = frozenset({"response.completed", "response.incomplete"})
_OVER = frozenset({"completed", "incomplete"})
_PAUSE_GROWTH = 1.5
_LONGEST_PAUSE = 5.0


class Gone(Exception):
    """The response cannot be resumed: there is none, or it failed; ``error`` says so to a reader."""

    def __init__(self, error: GenerationError) -> None:
        super().__init__()
        self.error = error


class Reader:
    """Reads one response on behalf of one call.

    Both ways of reading yield the answer as it comes, ``finish`` last, and raise ``GenerationError`` where the
    provider refused or broke off, ``Gone`` where the response failed or is not to be had, ``Diverged`` where it is
    not what stands.

    Args:
        client: where to ask.
        place: where the answer stands; kept up to date.
        parts: keeps what is open.
        standing: what stood of the answer when the call began, if the response said it; None for a new response.
        keep: saves a checkpoint.
        pause: seconds between the first two looks.
    """

    def __init__(
        self,
        client: AsyncOpenAI,
        place: Place,
        parts: Parts,
        standing: Standing | None,
        *,
        keep: Callable[[Any], None],
        pause: float,
    ) -> None:
        self._client = client
        self._place = place
        self._parts = parts
        self._whole = standing.whole if standing else frozenset[str]()
        # Reasoning that stands behind the last checkpoint: it comes again.
        self._rethought = standing.thoughts - (place.thought or 0) if standing else 0
        self._keep = keep
        self._pause = pause
        # A response that is resumed tells of its life with the first look at it.
        self._saved_at = asyncio.get_running_loop().time() - (_ALIVE if standing else 0.0)
        #: Whether the response is known to be over.
        self.over = False

    @property
    def response(self) -> str:
        """The response's id."""
        return self._place.response

    def save(self) -> None:
        """Save where the answer stands."""
        self._keep(self._place.saved())
        self._saved_at = asyncio.get_running_loop().time()

    async def follow(self, stream: Any) -> AsyncGenerator[str | Part]:
        """Yield what a stream of events brings; look at the response itself where the stream leaves it unclear."""
        from openai import APITimeoutError, OpenAIError

        unclear = True  # until something came: a response that is over has no further events
        try:
            async for event in stream:
                if self._place.holds(event):
                    continue
                if unclear := event.type == "error":
                    break  # of this connection, or of the response
                for item in self._taken(event):
                    yield item
                if self.over:
                    return
        except APITimeoutError:
            unclear = True  # it may be thinking
        except (OpenAIError, ValueError) as error:
            raise from_sdk(error, model=self._parts.model, streaming=True) from None
        if not unclear:
            raise interrupted()
        async with aclosing(self.watch()) as items:
            async for item in items:
                yield item

    def _taken(self, event: Any) -> Iterator[str | Part]:
        """What an event brings; then the answer stands behind it."""
        new = False
        for item in self._heard(event):
            new = True
            yield item
        if event.type in _ENDS:
            self.over = True
            yield from self._finished(ended(self._parts, event.response))
        elif event.type == "response.failed":
            raise _failed(event.response)
        else:
            self._place.sequence = getattr(event, "sequence_number", None)
            if (new or self._is_due()) and not self._parts.is_split:
                self.save()

    def _heard(self, event: Any) -> Iterator[str | Part]:
        """What an event adds to what stands."""
        item = getattr(event, "item", None)
        if item is not None and item.type == "function_call":
            if self._stands(item.call_id):
                return
            if event.type == "response.output_item.done":
                # At once, and not with the finish: a later call would not hear of it again.
                yield from self._place.flush()
                yield from self._parts.whole_tool(
                    event.output_index, call_id=item.call_id, name=item.name, arguments=item.arguments
                )
                return
        for piece in said(self._parts, event):
            if isinstance(piece, str):
                yield from self._place.feed(piece)
            elif piece["type"] == "reasoning-delta":
                yield from self._thought(piece)
            else:
                if piece["type"] not in {"reasoning-start", "reasoning-end"}:
                    yield from self._place.flush()
                yield piece

    def _thought(self, piece: Part) -> Iterator[Part]:
        """A piece of reasoning, without what stands of it."""
        known = min(self._rethought, len(piece["delta"]))
        self._rethought -= known
        if self._place.thought is not None:
            self._place.thought += len(piece["delta"])
        if new := piece["delta"][known:]:
            yield piece | {"delta": new}

    async def watch(self) -> AsyncGenerator[str | Part]:
        """Look at the response until it is over, and yield what is new in it each time."""
        from openai import APIStatusError, OpenAIError

        # What is seen has no number: a later call streams from the last event, and passes over what stands by then.
        self._place.freeze()
        pause = self._pause
        while True:
            try:
                response = await self._client.responses.retrieve(self._place.response)
            except APIStatusError as error:
                if error.status_code in REFUSALS:
                    raise Gone(interrupted()) from None
                raise from_sdk(error, model=self._parts.model, streaming=False) from None
            except (OpenAIError, ValueError) as error:
                raise from_sdk(error, model=self._parts.model, streaming=False) from None
            for item in self._seen(response):
                yield item
            if response.status in _OVER:
                self.over = True
                for item in self._finished(ended(self._parts, response)):
                    yield item
                return
            if response.status not in {"queued", "in_progress"}:
                raise _failed(response)
            if self._is_due():
                self.save()
            await asyncio.sleep(pause)
            pause = min(pause * _PAUSE_GROWTH, _LONGEST_PAUSE)

    def _seen(self, response: Any) -> Iterator[str | Part]:
        """What a response holds beyond what stands: text to the character, and calls that are whole."""
        text = ""
        for index, item in enumerate(response.output or ()):
            if item.type == "message":
                for content in item.content:
                    text += content.text if content.type == "output_text" else getattr(content, "refusal", "")
                yield from self._place.catch_up(text)
            elif item.type == "function_call" and item.status == "completed" and not self._stands(item.call_id):
                yield from self._place.flush()
                yield from self._parts.whole_tool(index, call_id=item.call_id, name=item.name, arguments=item.arguments)
        if response.status in _OVER:
            self._place.check_end(text)

    def _finished(self, reason: str) -> Iterator[str | Part]:
        yield from self._place.flush()
        if self._place.is_behind:
            raise Diverged
        yield from self._parts.finish(reason)

    def _stands(self, call_id: str) -> bool:
        """Whether the answer holds a tool call with its whole input, under its own id or one made from it."""
        return any(id == call_id or id.startswith(f"{call_id}-") for id in self._whole)

    def _is_due(self) -> bool:
        return asyncio.get_running_loop().time() - self._saved_at >= _ALIVE


def _failed(response: Any) -> Gone:
    """A response that failed or was cancelled; worth a new one unless its error says otherwise.

    Raises:
        GenerationError: asking again is of no use.
    """
    failure = response.error
    error = failed_midway(failure.code if failure else None)
    if not error.retry:
        raise error
    return Gone(error)
