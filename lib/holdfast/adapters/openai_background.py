"""A background response of the Responses API: it goes on without a reader, and any later call can resume it exactly.

The checkpoint names the response and the last event that the answer holds, and is saved right behind what that event
said. A call that finds one

    streams the events after it ── refused, or silent too long ──▶ looks at the response until it is over
            └──────────── gone, failed, or not what stands ──────────────┘──▶ a new response, by instruction
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any

from holdfast.adapters.messages import Standing
from holdfast.adapters.openai_errors import failed_midway, from_sdk, interrupted
from holdfast.adapters.openai_parts import Parts
from holdfast.adapters.openai_place import Diverged, Place
from holdfast.adapters.openai_resume import REFUSALS, Gone, Reader
from holdfast.generation import GenerationRequest, Part

if TYPE_CHECKING:
    from openai import AsyncOpenAI

#: How long a cancelled call may wait for the provider, twice at most; a publisher waits 5 s for its generator.
_LAST_WORD = 2.0


class Background:
    """One call of the generator over background responses.

    Args:
        client: where to ask.
        request: the call.
        parts: makes the keeper of what is open; told whether reasoning is kept back, and whether the first piece of it
            continues a part that stands open.
        standing: what stands of the answer.
        body: makes the request of a new response, or None if the answer needs none: its tools are to be run.
        pause: seconds between the first two looks at a response that is not streamed.
    """

    def __init__(
        self,
        client: AsyncOpenAI,
        request: GenerationRequest,
        *,
        parts: Callable[[bool, bool], Parts],
        standing: Standing,
        body: Callable[[], dict[str, Any] | None],
        pause: float,
    ) -> None:
        self._client = client
        self._request = request
        self._make_parts = parts
        self._standing = standing
        self._body = body
        self._pause = pause
        self._reader: Reader | None = None
        self._said = False

    async def speak(self) -> AsyncGenerator[str | Part]:
        """Yield the answer as it comes, ``finish`` last.

        Raises:
            GenerationError: the provider refused, failed, or broke off.
        """
        try:
            if (place := Place.read(self._request.checkpoint, self._request.partial)) is not None:
                # From the start: a resumption that is cut before it hears anything is of the same call as well.
                self._request.exact = True
                try:
                    async with aclosing(self._resume(place)) as items:
                        async for item in items:
                            self._said = True
                            yield item
                    return
                except (Gone, Diverged) as error:
                    await self._give_up(error)
                    self._request.exact = False
            async with aclosing(self._create()) as items:
                async for item in items:
                    yield item
        except (asyncio.CancelledError, GeneratorExit):
            if self._request.reason == "stop" and self._reader is not None and not self._reader.over:
                await self._cancel(self._reader.response)
            raise

    async def _give_up(self, error: Gone | Diverged) -> None:
        """Leave a response that cannot be resumed for a new one.

        Raises:
            GenerationError: something of it was said already: going on otherwise is for another call.
        """
        reader, self._reader = self._reader, None
        if isinstance(error, Diverged) and reader is not None and not reader.over:
            await self._cancel(reader.response)
        if self._said:
            self._request.save({})  # or the next call would try it again
            raise (error.error if isinstance(error, Gone) else interrupted()) from None

    # -- a new response -----------------------------------------------------------------------------

    async def _create(self) -> AsyncGenerator[str | Part]:
        parts, body = self._make_parts(self._standing.thought, False), self._body()
        if body is None:
            for part in parts.finish("tool-calls"):
                yield part
            return
        stream, first = await self._opened(body, parts.model)
        async with stream:
            place = self._begin(first)
            reader = self._reader = self._read(place, parts, None)
            # Before anything is said, so that what stands behind a checkpoint is always of the response that it names.
            reader.save()
            try:
                async with aclosing(reader.follow(stream)) as items:
                    async for item in items:
                        yield item
            except Gone as gone:
                self._request.save({})
                raise gone.error from None

    async def _opened(self, body: dict[str, Any], model: str) -> tuple[Any, Any]:
        """A new response's stream and first event, which names it."""
        from openai import OpenAIError

        opening = asyncio.ensure_future(self._open(body))
        try:
            return await asyncio.shield(opening)
        except (OpenAIError, ValueError) as error:
            raise from_sdk(error, model=model, streaming=False) from None
        except asyncio.CancelledError:
            await self._adopt(opening)
            raise

    async def _open(self, body: dict[str, Any]) -> tuple[Any, Any]:
        stream = await self._client.responses.create(**body, background=True, store=True, stream=True)
        try:
            while getattr(event := await anext(stream), "response", None) is None:
                if event.type == "error":
                    raise failed_midway(event.code)
            return stream, event
        except StopAsyncIteration:
            await stream.close()
            raise interrupted() from None
        except BaseException:
            await stream.close()
            raise

    async def _adopt(self, opening: asyncio.Future[tuple[Any, Any]]) -> None:
        """Learn the id of a response that was just asked for, so that it is not written for nobody.

        On a hand-off the next attempt gets it. In every other case no one will ever know it: it is cancelled.
        """
        await asyncio.wait({opening}, timeout=_LAST_WORD)
        if not opening.done():
            opening.cancel()
            await asyncio.wait({opening})
        if opening.cancelled() or opening.exception() is not None:
            return
        stream, first = opening.result()
        await stream.close()
        place = self._begin(first)
        if self._request.reason == "handoff":
            self._request.save(place.saved())
        else:
            await self._cancel(place.response)

    # -- one that exists ----------------------------------------------------------------------------

    async def _resume(self, place: Place) -> AsyncGenerator[str | Part]:
        from openai import APIStatusError, OpenAIError

        parts = self._make_parts(place.thought is None, self._standing.reasons)
        reader = self._reader = self._read(place, parts, self._standing)
        stream: Any = None
        if place.sequence is not None:
            try:
                stream = await self._client.responses.retrieve(
                    place.response, stream=True, starting_after=place.sequence
                )
            except APIStatusError as error:
                if error.status_code not in REFUSALS:
                    raise from_sdk(error, model=parts.model, streaming=False) from None
            except (OpenAIError, ValueError) as error:
                raise from_sdk(error, model=parts.model, streaming=False) from None
        if stream is not None and self._request.current:
            # Whoever counts attempts without progress is told that the provider has it and is at work.
            reader.save()
        items = reader.watch() if stream is None else reader.follow(stream)
        try:
            async with aclosing(items):
                async for item in items:
                    yield item
        finally:
            if stream is not None:
                await stream.close()

    def _begin(self, first: Any) -> Place:
        request, standing = self._request, self._standing
        return Place.begin(first.response.id, first, request.partial, standing.tail, quiet=standing.thought)

    def _read(self, place: Place, parts: Parts, standing: Standing | None) -> Reader:
        return Reader(self._client, place, parts, standing, keep=self._request.save, pause=self._pause)

    async def _cancel(self, response: str) -> None:
        """Have the provider stop; without success it ends by itself, at its own limit."""
        from openai import OpenAIError

        with suppress(OpenAIError, TimeoutError, ValueError):
            async with asyncio.timeout(_LAST_WORD):
                await self._client.responses.cancel(response)
