"""Generators for ``HOLDFAST_GENERATOR``: what the prompt asks for is what they do."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections.abc import AsyncIterator
from typing import Any, Final

from holdfast.errors import GenerationError
from holdfast.generation import GenerationRequest, text_of

#: A red dot, as a model that draws would send it.
DOT = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAUAAAAFCAYAAACNbyblAAAAHElEQVQI12P4"
    "//8/w38GIAXDIBKE0DHxgljNBAAO9TXL0Y4OHwAAAABJRU5ErkJggg=="
)
_ASKED = re.compile(r"(?P<words>\d+) words of (?P<ms>\d+) ms")


def whole(tag: str, words: int) -> str:
    """The text that a call says, by the tag that tells it from every other call's."""
    return "".join(f"{tag}.{number} " for number in range(words))


def is_one_text(text: str, words: int) -> bool:
    """Whether a text is what one call would have said, whole and once."""
    return text == whole(text[:8], words)


async def play(request: GenerationRequest) -> AsyncIterator[str | dict[str, Any]]:
    """Do what the newest question asks for, and go on from a partial."""
    question = next(text_of(each) for each in reversed(request.messages) if each["role"] == "user")
    if asked := _ASKED.search(question):
        words, seconds = int(asked["words"]), int(asked["ms"]) / 1000
        rest = whole(request.partial[:8] or secrets.token_hex(4), words).removeprefix(request.partial)
        assert len(rest) + len(request.partial) == len(whole("a" * 8, words)), "the partial is not what a call said"
        for number, word in enumerate(rest.split()):
            yield f"{word} "
            await asyncio.sleep(seconds)
            if "then fail" in question and number == words // 2:
                raise GenerationError("model_error", "The model has failed.")
    elif "what came along" in question:
        yield json.dumps(request.extra)
    elif "what was said" in question:
        yield json.dumps(request.messages)
    elif "every kind" in question:
        for each in EVERY_KIND:
            yield each
    elif "Where am I" in question:
        async for item in _use_the_clients_tool(request):
            yield item
    else:
        yield "Yes."


async def _use_the_clients_tool(request: GenerationRequest) -> AsyncIterator[str | dict[str, Any]]:
    """Ask the client for its place, and tell it once it is known."""
    newest = request.messages[-1]
    results = [part for part in newest["parts"] if part["type"] == "tool-locate"]
    if newest["role"] == "user":
        yield "Let me see. "
        yield {"type": "tool-input-available", "toolCallId": "call-1", "toolName": "locate", "input": {"exact": True}}
        yield {"type": "finish", "finishReason": "tool-calls"}
        return
    place = results[0].get("output") or results[0].get("errorText")
    for word in f"You are in {place}, and that is {secrets.token_hex(4)}.".removeprefix(request.partial).split(" "):
        yield f"{word} "
        await asyncio.sleep(0.05)


EVERY_KIND: Final[list[dict[str, Any]]] = [
    {"type": "start-step"},
    {"type": "reasoning-start", "id": "r"},
    {"type": "reasoning-delta", "id": "r", "delta": "The sum is asked for. "},
    {"type": "reasoning-delta", "id": "r", "delta": "A tool knows it."},
    {"type": "reasoning-end", "id": "r"},
    {"type": "tool-input-start", "toolCallId": "t1", "toolName": "add"},
    {"type": "tool-input-delta", "toolCallId": "t1", "inputTextDelta": '{"a": 2, '},
    {"type": "tool-input-delta", "toolCallId": "t1", "inputTextDelta": '"b": 3}'},
    {"type": "tool-input-available", "toolCallId": "t1", "toolName": "add", "input": {"a": 2, "b": 3}},
    {"type": "tool-output-available", "toolCallId": "t1", "output": {"sum": 5}},
    {"type": "tool-input-available", "toolCallId": "t2", "toolName": "divide", "input": {"a": 2, "b": 0}},
    {"type": "tool-output-error", "toolCallId": "t2", "errorText": "division by zero"},
    {"type": "finish-step"},
    {"type": "start-step"},
    {"type": "source-url", "sourceId": "s1", "url": "https://example.com/sums", "title": "Sums"},
    {"type": "source-document", "sourceId": "s2", "mediaType": "application/pdf", "title": "Sums, the book"},
    {"type": "file", "url": DOT, "mediaType": "image/png"},
    {"type": "data-progress", "id": "p", "data": {"percent": 50}},
    {"type": "data-progress", "id": "p", "data": {"percent": 100}},
    {"type": "data-note", "data": {"seen": "once"}, "transient": True},
    {"type": "text-start", "id": "x"},
    {"type": "text-delta", "id": "x", "delta": "It is "},
    {"type": "text-delta", "id": "x", "delta": "5, voilà 🎉"},
    {"type": "text-end", "id": "x"},
    {"type": "message-metadata", "messageMetadata": {"mood": "calm"}},
    {"type": "finish-step"},
    {"type": "finish", "finishReason": "stop", "messageMetadata": {"usage": {"totalTokens": 12}}},
]
