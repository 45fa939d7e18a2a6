"""The generator that comes with Holdfast: any OpenAI-compatible model, over either of its APIs."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from holdfast.adapters.messages import chat_messages, response_input
from holdfast.adapters.openai_chat import speak_chat
from holdfast.adapters.openai_continue import SeamTrimmer, Strategy, continuing, strategy_for
from holdfast.adapters.openai_parts import Parts
from holdfast.adapters.openai_responses import speak_responses
from holdfast.errors import GenerationError
from holdfast.generation import GenerationRequest, Generator, Part

if TYPE_CHECKING:
    from openai import AsyncOpenAI

OPENAI_URL = "https://api.openai.com/v1"
_CONNECT_SECONDS = 10.0
_MODEL = re.compile(r"[\w./:@-]{1,200}", re.ASCII)
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


def openai_generator(
    *,
    api: Literal["chat", "responses"] = "chat",
    api_key: str,
    base_url: str = "",
    model: str,
    system: str = "",
    timeout: float = 180.0,
) -> Generator:
    """Make a generator over an OpenAI-compatible model.

    It yields the text of the answer as strings, reasoning and tool calls as UI chunks, and ``finish`` last.
    A call that is given a partial answer goes on from it. Nothing is sent twice by the SDK: whoever
    runs the generator decides what is worth another call. It must be closed (``aclose``) when it is not
    read to its end, so that the provider stops writing.

    Args:
        api: ``chat`` for chat.completions, ``responses`` for the Responses API.
        api_key: sent as a bearer token.
        base_url: where the API is, OpenAI's own by default.
        model: the model's name; a request may name another one, see ``parameters``.
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
        chosen = parameters(request.extra)
        name = chosen.pop("model", model)
        strategy = strategy_for(url, name) if api == "chat" else Strategy.INSTRUCT
        while True:
            parts = Parts(request.attempt, name)
            if api == "chat":
                said = speak_chat(client(), _chat_body(url, name, system, request, chosen, strategy), parts)
            else:
                said = speak_responses(client(), _responses_body(name, system, request, chosen), parts)
            started = False
            try:
                async with aclosing(_without_repeat(said, request.partial)) as items:
                    async for item in items:
                        started = True
                        yield item
            except GenerationError as error:
                # Some models behind a provider refuse to complete their own message: ask them instead.
                refused = request.partial and not started and error.code == "model_refused_request"
                if not refused or strategy is Strategy.INSTRUCT:
                    raise
                strategy = Strategy.INSTRUCT
            else:
                return

    return generate


async def _without_repeat(said: AsyncGenerator[str | Part], partial: str) -> AsyncGenerator[str | Part]:
    seam = SeamTrimmer(partial)
    async with aclosing(said) as items:
        async for item in items:
            new: str = seam.feed(item) if isinstance(item, str) else seam.flush() if _ends_text(item) else ""
            if new:
                yield new
            if not isinstance(item, str):
                yield item


def _ends_text(part: Part) -> bool:
    # Reasoning comes before the text goes on: it is no reason to stop looking for a repeat.
    return not str(part["type"]).startswith("reasoning-")


def _chat_body(
    url: str, model: str, system: str, request: GenerationRequest, chosen: Mapping[str, Any], strategy: Strategy
) -> dict[str, Any]:
    host = urlsplit(url).hostname or ""
    messages = continuing(chat_messages(request.messages, system), request.partial, strategy)
    body: dict[str, Any] = {"model": model, "messages": messages, **chosen}
    if not host.endswith("mistral.ai"):  # which reports usage unasked, and refuses fields that it does not know
        body["stream_options"] = {"include_usage": True}
    if "max_output_tokens" in body:
        # OpenAI's reasoning models refuse the old name, most others know no other.
        current = host.endswith(("openai.com", "openai.azure.com"))
        body["max_completion_tokens" if current else "max_tokens"] = body.pop("max_output_tokens")
    return body


def _responses_body(model: str, system: str, request: GenerationRequest, chosen: Mapping[str, Any]) -> dict[str, Any]:
    messages = continuing(response_input(request.messages), request.partial, Strategy.INSTRUCT)
    body: dict[str, Any] = {"model": model, "input": messages, "store": False, **chosen}
    if system:
        body["instructions"] = system
    if "reasoning_effort" in body:
        body["reasoning"] = {"effort": body.pop("reasoning_effort")}
    return body


def parameters(extra: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that a request may set; every other field is ignored.

    ``model``, ``temperature`` (0 to 2), ``top_p`` (0 to 1), ``max_output_tokens`` or ``max_tokens`` (from 1;
    both come out as ``max_output_tokens``), ``reasoning_effort``. A value of None counts as absent.

    Raises:
        GenerationError: a value is malformed (code ``model_refused_request``); the message names the field.
    """
    out: dict[str, Any] = {}
    for name, (check, wanted) in _CHECKS.items():
        value = extra.get(name)
        if value is None:
            continue
        if not check(value):
            raise GenerationError("model_refused_request", f"{name} must be {wanted}.")
        out["max_output_tokens" if name == "max_tokens" else name] = value
    return out


def _between(low: float, high: float) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 1


_CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "model": (lambda value: isinstance(value, str) and bool(_MODEL.fullmatch(value)), "the name of a model"),
    "temperature": (_between(0, 2), "a number from 0 to 2"),
    "top_p": (_between(0, 1), "a number from 0 to 1"),
    "max_tokens": (_is_count, "a whole number from 1"),
    "max_output_tokens": (_is_count, "a whole number from 1"),
    "reasoning_effort": (lambda value: value in _EFFORTS, f"one of {', '.join(_EFFORTS)}"),
}
