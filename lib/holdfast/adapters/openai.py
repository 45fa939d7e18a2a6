"""The generator that comes with Holdfast: any OpenAI-compatible model, over either of its APIs."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakKeyDictionary

from holdfast.adapters.messages import standing
from holdfast.adapters.openai_background import Background
from holdfast.adapters.openai_bodies import capped, chat_body, parameters, response_body
from holdfast.adapters.openai_chat import speak_chat
from holdfast.adapters.openai_continue import Strategy, strategy_for
from holdfast.adapters.openai_parts import Parts
from holdfast.adapters.openai_responses import speak_responses
from holdfast.adapters.openai_seam import Seam
from holdfast.errors import GenerationError
from holdfast.generation import GenerationRequest, Generator, Part

if TYPE_CHECKING:
    from openai import AsyncOpenAI

type Api = Literal["chat", "responses", "background"]
type Continuation = Literal["auto", "prefill", "prefix", "continue_final_message", "instruct"]

OPENAI_URL = "https://api.openai.com/v1"
_CONNECT_SECONDS = 10.0


def openai_generator(
    *,
    api: Api = "chat",
    api_key: str,
    base_url: str = "",
    continuation: Continuation = "auto",
    max_output_tokens: int = 0,
    model: str,
    poll: float = 1.0,
    system: str = "",
    timeout: float = 180.0,
) -> Generator:
    """Make a generator over an OpenAI-compatible model.

    It yields the text of the answer as strings, reasoning and tool calls as UI chunks, and ``finish`` last.
    A call that is given a partial answer goes on from it. Nothing is sent twice by the SDK: whoever
    runs the generator decides what is worth another call. It must be closed (``aclose``) when it is not
    read to its end, so that the provider stops writing.

    Args:
        api: ``chat`` for chat.completions, ``responses`` for the Responses API, ``background`` for its background
            mode, in which an interrupted answer is resumed to the character (docs/providers.md). A background response
            that is not read to its end goes on, for a later call to resume, unless the request's reason is ``stop``.
        api_key: sent as a bearer token.
        base_url: where the API is, OpenAI's own by default.
        continuation: how ``chat`` has a partial answer continued; ``auto`` chooses by base URL and model.
        max_output_tokens: tokens that an answer may have, whatever its request asks for; 0 leaves it to the request,
            and without one to the provider.
        model: the model's name; a request may name another one, see ``parameters``.
        poll: seconds between the first two looks at a background response that cannot be streamed any more; the
            pauses grow to five seconds.
        system: system message in front of every conversation, unless empty.
        timeout: seconds that the model may stay silent.

    Returns:
        The generator. It raises ``GenerationError``.
    """
    url = base_url or OPENAI_URL
    # A client's connections belong to the event loop that opened them: one client per loop, so per process.
    clients: WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncOpenAI] = WeakKeyDictionary()

    def client() -> AsyncOpenAI:
        loop = asyncio.get_running_loop()
        if loop not in clients:
            from httpx2 import Limits
            from openai import AsyncOpenAI, DefaultAsyncHttpxClient, Timeout

            waits = Timeout(timeout, connect=min(timeout, _CONNECT_SECONDS))
            # No idle connections: between two answers a function may be frozen for minutes, and a request on
            # a connection that died meanwhile would fail. An answer takes longer than a handshake.
            http = DefaultAsyncHttpxClient(limits=Limits(max_keepalive_connections=0), timeout=waits)
            clients[loop] = AsyncOpenAI(api_key=api_key, base_url=url, max_retries=0, timeout=waits, http_client=http)
        return clients[loop]

    async def generate(request: GenerationRequest) -> AsyncIterator[str | Part]:
        # The SDK takes a second and more to load: in a thread, so that leases and readers of this process go on.
        await asyncio.to_thread(importlib.import_module, "openai")
        chosen = capped(parameters(request.extra), max_output_tokens)
        name = chosen.pop("model", model)
        way = strategy_for(url, name) if continuation == "auto" else Strategy(continuation)
        call = _Call(client, url, name, system, request, chosen)
        match api:
            case "chat":
                said = call.chat(way)
            case "responses":
                said = call.responses()
            case "background":
                said = call.background(poll)
        async with aclosing(said) as items:
            async for item in items:
                yield item

    return generate


class _Call:
    """One call of the generator.

    Args:
        client: the SDK's client for the running event loop.
        url: the provider's base URL.
        model: the model's name.
        system: the system message, or empty.
        request: the call.
        chosen: the parameters that the request sets.
    """

    def __init__(
        self,
        client: Callable[[], AsyncOpenAI],
        url: str,
        model: str,
        system: str,
        request: GenerationRequest,
        chosen: dict[str, Any],
    ) -> None:
        self._client = client
        self._url = url
        self._model = model
        self._system = system
        self._request = request
        self._chosen = chosen
        self._standing = standing(request.parts, request.partial)

    async def chat(self, way: Strategy) -> AsyncGenerator[str | Part]:
        """Ask ``chat.completions``, and go on in this way from what stands."""
        if self._standing.waits:
            for part in self._parts(self._standing.thought).finish("tool-calls"):
                yield part
            return
        ask = _or_instructed(self._ask_chat, way) if self._standing.tail.rstrip() else self._ask_chat(way)
        async with aclosing(ask) as items:
            async for item in items:
                yield item

    async def responses(self) -> AsyncGenerator[str | Part]:
        """Ask the Responses API for an answer that only this call can read."""
        if (body := self._response_body()) is None:
            for part in self._parts(self._standing.thought).finish("tool-calls"):
                yield part
            return
        async with aclosing(
            self._new(speak_responses(self._client(), body, self._parts(self._standing.thought)))
        ) as items:
            async for item in items:
                yield item

    def background(self, poll: float) -> AsyncGenerator[str | Part]:
        """Ask the Responses API for an answer that any call can read, or read one that an earlier call asked for."""
        background = Background(
            self._client(),
            self._request,
            parts=self._parts,
            standing=self._standing,
            body=self._response_body,
            pause=poll,
        )
        return background.speak()

    def _ask_chat(self, way: Strategy) -> AsyncGenerator[str | Part]:
        messages = self._request.messages
        body = chat_body(self._url, self._model, self._system, messages, self._standing, self._chosen, way)
        return self._new(speak_chat(self._client(), body, self._parts(self._standing.thought)))

    def _response_body(self) -> dict[str, Any] | None:
        if self._standing.waits:
            return None
        return response_body(self._model, self._system, self._request.messages, self._standing, self._chosen)

    def _parts(self, quiet: bool, carried: bool = False) -> Parts:
        request, stands = self._request, self._standing
        return Parts(request.attempt, self._model, quiet=quiet, carried=carried, used=stands.tools)

    async def _new(self, said: AsyncGenerator[str | Part]) -> AsyncGenerator[str | Part]:
        """What a model says after what stands, without what it repeats of that."""
        seam = Seam(self._standing.tail)
        async with aclosing(said) as items:
            async for item in items:
                new: str = seam.feed(item) if isinstance(item, str) else seam.flush() if _ends_text(item) else ""
                if new:
                    yield new
                if not isinstance(item, str):
                    yield item


async def _or_instructed(
    ask: Callable[[Strategy], AsyncGenerator[str | Part]], way: Strategy
) -> AsyncGenerator[str | Part]:
    """What a model says in a way of going on, or, if it refuses to complete its own message, when it is asked to."""
    started = False
    try:
        async with aclosing(ask(way)) as items:
            async for item in items:
                started = True
                yield item
        return
    except GenerationError as error:
        if started or error.code != "model_refused_request" or way is Strategy.INSTRUCT:
            raise
    async with aclosing(ask(Strategy.INSTRUCT)) as items:
        async for item in items:
            yield item


def _ends_text(part: Part) -> bool:
    # Reasoning comes before the text goes on: it is no reason to stop looking for a repeat.
    return not str(part["type"]).startswith("reasoning-")
