"""One call of ``chat.completions`` as strings and UI chunks."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from typing import TYPE_CHECKING, Any

from holdfast.adapters.openai_errors import failed_midway, from_sdk, interrupted
from holdfast.adapters.openai_parts import Parts
from holdfast.generation import Part

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_FINISH = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool-calls",
    "function_call": "tool-calls",
    "content_filter": "content-filter",
}


async def speak_chat(client: AsyncOpenAI, body: dict[str, Any], parts: Parts) -> AsyncGenerator[str | Part]:
    """Yield the answer as it comes, ``finish`` last.

    Args:
        client: where to ask.
        body: the request's JSON, without ``stream``.
        parts: keeps what is open.

    Raises:
        GenerationError: the provider refused, failed, or broke off.
    """
    from openai import OpenAIError

    streaming = False
    try:
        stream = await client.chat.completions.create(**body, stream=True)
        streaming = True
        # Only leaving this block closes the connection: without it a provider writes and bills on.
        async with stream:
            async for chunk in stream:
                for item in _chunk(parts, chunk):
                    yield item
    except (OpenAIError, ValueError) as error:
        # After the finish reason only the usage can be missing; the answer is whole.
        if not parts.reason:
            raise from_sdk(error, model=parts.model, streaming=streaming) from None
    if not parts.reason:
        raise interrupted()
    if parts.reason == "error":
        raise failed_midway()
    for part in parts.finish(_FINISH.get(parts.reason, "other")):
        yield part


def _chunk(parts: Parts, chunk: Any) -> Iterator[str | Part]:
    parts.model = chunk.model or parts.model
    if chunk.usage is not None:
        parts.usage = _usage(chunk.usage)
    for choice in (chunk.choices or ())[:1]:
        if choice.delta is not None:
            yield from _said(parts, choice.delta)
        parts.reason = choice.finish_reason or parts.reason


def _said(parts: Parts, delta: Any) -> Iterator[str | Part]:
    # Not in OpenAI's own schema: DeepSeek, vLLM and others say reasoning_content, OpenRouter reasoning.
    thought = getattr(delta, "reasoning_content", None) or getattr(delta, "reasoning", None)
    if isinstance(thought, str):
        yield from parts.reasoning(thought)
    yield from parts.text(_text(delta.content))
    yield from parts.text(delta.refusal or "")
    for position, call in enumerate(delta.tool_calls or ()):
        function = call.function
        yield from parts.tool(
            position if call.index is None else call.index,
            call_id=call.id or "",
            name=(function.name if function else "") or "",
            arguments=(function.arguments if function else "") or "",
        )


def _text(content: Any) -> str:
    """The content as text: Mistral's reasoning models send lists of parts."""
    if isinstance(content, list):
        return "".join(
            part.get("text", "") for part in content if isinstance(part, dict) and part.get("type") == "text"
        )
    return content or ""


def _usage(usage: Any) -> dict[str, int]:
    out = {
        "inputTokens": usage.prompt_tokens or 0,
        "outputTokens": usage.completion_tokens or 0,
        "totalTokens": usage.total_tokens or 0,
    }
    details = usage.completion_tokens_details
    if details is not None and details.reasoning_tokens:
        out["reasoningTokens"] = details.reasoning_tokens
    return out
