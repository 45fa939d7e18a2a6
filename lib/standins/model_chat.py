"""``POST /v1/chat/completions`` of the stand-in model, streamed or whole."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from standins.model_calls import Book, Call
from standins.model_continue import Message
from standins.model_http import (
    GARBAGE,
    GARBAGE_BODY,
    EventStream,
    RefusalError,
    Severed,
    body_of,
    refusal_for,
    sse,
    while_connected,
)
from standins.model_pace import CutError, EndedEarlyError, FailedError, Piece, for_ever, speak
from standins.model_plan import BadRequestError


def text_of(content: Any) -> str:
    """The text of a message's content: a string, or parts of which some have text."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    return "".join(part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str))


def limit_of(body: dict[str, Any], *names: str) -> int | None:
    """The first of these limits that the request sets.

    Raises:
        RefusalError: it is not a positive whole number.
    """
    for name in names:
        if (value := body.get(name)) is not None:
            if type(value) is not int or value < 1:
                raise RefusalError(400, f"Invalid '{name}': a positive integer is expected.")
            return value
    return None


async def complete(request: Request) -> Response:
    """Answer a chat completion."""
    body = await body_of(request)
    book: Book = request.app.state.book
    call = _open(book, body)
    if (refused := await refuse(call, request)) is not None:
        return refused
    if body.get("stream"):
        usage = bool((body.get("stream_options") or {}).get("include_usage"))
        return EventStream(_stream(call, usage), lambda: call.end("disconnected"), lambda: book.settle(call))
    try:
        answer = await while_connected(_whole(call), request.receive, lambda: call.end("disconnected"))
    finally:
        book.settle(call)
    return answer or Severed()


async def refuse(call: Call, request: Request) -> Response | None:
    """None if the call is to be answered; once the client has left, a response to nobody if it is to hang.

    Raises:
        RefusalError: it is to be refused.
    """
    if call.plan.hang:
        await while_connected(for_ever(), request.receive, lambda: call.end("disconnected"))
        return Severed()
    if call.plan.status:
        call.end("refused")
        raise refusal_for(call.plan.status, quota=call.plan.quota, retry_after=call.plan.retry_after)
    return None


def _open(book: Book, body: dict[str, Any]) -> Call:
    model, messages = body.get("model"), body.get("messages")
    if not isinstance(model, str) or not model:
        raise RefusalError(400, "you must provide a model parameter")
    if not isinstance(messages, list) or not messages:
        raise RefusalError(400, "Invalid 'messages': a list with at least one message is expected.")
    if body.get("n") not in (None, 1):
        raise RefusalError(400, "Invalid 'n': this server gives one choice.")
    plain = []
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise RefusalError(400, f"Invalid 'messages[{index}]': an object with a role is expected.")
        plain.append(Message(message["role"], text_of(message.get("content"))))
    tools = tuple(
        tool["function"]["name"]
        for tool in body.get("tools") or ()
        if isinstance(tool, dict) and isinstance(tool.get("function"), dict) and "name" in tool["function"]
    )
    limit = limit_of(body, "max_completion_tokens", "max_tokens")
    try:
        return book.open("chat", model, messages, plain, limit=limit, tools=tools)
    except BadRequestError as error:
        raise RefusalError(400, str(error)) from None


def _usage(call: Call) -> dict[str, Any]:
    return {
        "prompt_tokens": call.prompt_tokens,
        "completion_tokens": call.completion_tokens,
        "total_tokens": call.prompt_tokens + call.completion_tokens,
        "completion_tokens_details": {"reasoning_tokens": call.reasoning_sent},
        "prompt_tokens_details": {"cached_tokens": 0},
    }


async def _stream(call: Call, usage: bool) -> AsyncIterator[bytes]:
    created = int(time.time())

    def chunk(choices: list[dict[str, Any]], **more: Any) -> bytes:
        head = {"id": call.id, "object": "chat.completion.chunk", "created": created, "model": call.model}
        return sse({**head, "choices": choices, **({"usage": None} if usage else {}), **more})

    def delta(content: dict[str, Any], finish: str | None = None) -> bytes:
        return chunk([{"index": 0, "delta": content, "logprobs": None, "finish_reason": finish}])

    started = tool_open = False
    try:
        async for piece in speak(call):
            if piece.kind == "garbage":
                yield GARBAGE
                continue
            out = b"" if started else delta({"role": "assistant", "content": ""})
            started = True
            if piece.kind == "tool" and not tool_open:
                tool_open = True
                out += delta(_tool_head(call))
            # Tokens that are due together travel together, each in its own event as ever.
            yield out + b"".join(delta(_content(piece, token)) for token in piece.tokens)
        finish = "tool_calls" if call.tool else call.finish
        call.end("completed")
        yield (b"" if started else delta({"role": "assistant", "content": ""})) + delta({}, finish)
        if usage:
            yield chunk([], usage=_usage(call))
        yield sse("[DONE]")
    except EndedEarlyError:
        return
    except FailedError:
        message = "The model stopped because of an internal failure."
        yield sse({"error": {"message": message, "type": "server_error", "param": None, "code": "server_error"}})


def _content(piece: Piece, token: str) -> dict[str, Any]:
    if piece.kind == "reasoning":
        return {"reasoning_content": token}
    if piece.kind == "tool":
        return {"tool_calls": [{"index": 0, "function": {"arguments": token}}]}
    return {"content": token}


def _tool_head(call: Call) -> dict[str, Any]:
    if call.tool is None:
        raise ValueError("a call without a tool has no tool pieces")
    function = {"name": call.tool.name, "arguments": ""}
    return {"tool_calls": [{"index": 0, "id": call.tool.id, "type": "function", "function": function}]}


async def _whole(call: Call) -> Response:
    content, reasoning = "", ""
    try:
        async for piece in speak(call):
            if piece.kind == "text":
                content += piece.text
            elif piece.kind == "reasoning":
                reasoning += piece.text
    except (CutError, EndedEarlyError):
        return Severed()
    except FailedError:
        raise refusal_for(500) from None
    message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": None}
    if reasoning:
        message["reasoning_content"] = reasoning
    if call.tool:
        function = {"name": call.tool.name, "arguments": "".join(call.tool.arguments)}
        message["tool_calls"] = [{"id": call.tool.id, "type": "function", "function": function}]
    call.end("completed")
    if call.garbled:
        return Response(GARBAGE_BODY, media_type="application/json")
    finish = "tool_calls" if call.tool else call.finish
    return JSONResponse(
        {
            "id": call.id,
            "object": "chat.completion",
            "created": int(time.time()),
            "model": call.model,
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
            "usage": _usage(call),
        }
    )
