"""One call of the Responses API as strings and UI chunks."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from typing import TYPE_CHECKING, Any

from holdfast.adapters.openai_errors import failed_midway, from_sdk, interrupted
from holdfast.adapters.openai_parts import Parts
from holdfast.generation import Part

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_INCOMPLETE = {"max_output_tokens": "length", "content_filter": "content-filter"}


async def speak_responses(client: AsyncOpenAI, body: dict[str, Any], parts: Parts) -> AsyncGenerator[str | Part]:
    """Yield the answer as it comes, ``finish`` last; as ``speak_chat``. Nobody can resume it: it is not stored."""
    from openai import OpenAIError

    reason, streaming = "", False
    try:
        stream = await client.responses.create(**body, store=False, stream=True)
        streaming = True
        async with stream:
            async for event in stream:
                for item in said(parts, event):
                    yield item
                if reason := ending(parts, event):
                    break
    except (OpenAIError, ValueError) as error:
        if not reason:
            raise from_sdk(error, model=parts.model, streaming=streaming) from None
    if not reason:
        raise interrupted()
    for part in parts.finish(reason):
        yield part


def said(parts: Parts, event: Any) -> Iterator[str | Part]:
    """What an event adds to the answer."""
    match event.type:
        case "response.output_text.delta" | "response.refusal.delta":
            yield from parts.text(event.delta)
        case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
            yield from parts.reasoning(event.delta)
        case "response.reasoning_summary_part.added":
            # Each part of a summary is a paragraph of its own.
            yield from parts.end_reasoning()
        case "response.output_item.added" if event.item.type == "function_call":
            item = event.item
            yield from parts.tool(event.output_index, call_id=item.call_id, name=item.name, arguments=item.arguments)
        case "response.function_call_arguments.delta" if parts.knows_tool(event.output_index):
            yield from parts.tool(event.output_index, arguments=event.delta)


def ending(parts: Parts, event: Any) -> str:
    """The reason to finish that an event gives, or nothing.

    Raises:
        GenerationError: the event reports a failure.
    """
    match event.type:
        case "response.completed" | "response.incomplete":
            return ended(parts, event.response)
        case "response.failed":
            failure = event.response.error
            raise failed_midway(failure.code if failure else None)
        case "error":
            raise failed_midway(event.code)
    return ""


def ended(parts: Parts, response: Any) -> str:
    """The reason to finish of a response that is over; its usage and its model are noted."""
    parts.model = response.model or parts.model
    if response.usage is not None:
        parts.usage = _usage(response.usage)
    if response.status == "incomplete":
        details = response.incomplete_details
        return _INCOMPLETE.get((details.reason if details else None) or "", "other")
    called = parts.has_tools or any(item.type == "function_call" for item in response.output or ())
    return "tool-calls" if called else "stop"


def _usage(usage: Any) -> dict[str, int]:
    out = {
        "inputTokens": usage.input_tokens or 0,
        "outputTokens": usage.output_tokens or 0,
        "totalTokens": usage.total_tokens or 0,
    }
    details = usage.output_tokens_details
    if details is not None and details.reasoning_tokens:
        out["reasoningTokens"] = details.reasoning_tokens
    return out
