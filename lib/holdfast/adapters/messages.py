"""UI messages as the messages of OpenAI's two APIs: text, images and files, tool calls with their results."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_to_bytes

from holdfast.errors import GenerationError
from holdfast.generation import UIMessage, text_of

#: What the model is told about a tool call whose result never came; the APIs refuse a call without one.
NO_RESULT = "The tool call was interrupted; there is no result."

_AUDIO = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3"}


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands of an interrupted answer, as the call that goes on with it needs it.

    Attributes:
        before: an assistant's message with the tools that have run and the text up to them, or none.
        tail: the visible text after them: what is to be gone on from.
        characters: how long all visible text is.
        waits: whether the answer ends with tool calls that are whole and have no result yet. The model has said all
            that it had to: whoever runs the tools is next.
        thought: whether some of the model's reasoning, or its text, is visible, so that more reasoning would not fit.
        thoughts: how long all visible reasoning is.
        reasons: whether it ends with reasoning that is still open.
        tools: the ids of all tool calls.
        whole: the ids of those whose input is whole.
    """

    before: list[UIMessage]
    tail: str
    characters: int
    waits: bool
    thought: bool
    thoughts: int
    reasons: bool
    tools: frozenset[str]
    whole: frozenset[str]


@dataclass(slots=True)
class _Step:
    """One step of an assistant's message: text, then the tools that it called."""

    text: str = ""
    calls: list[_ToolCall] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _ToolCall:
    id: str
    name: str
    arguments: str
    result: str


def chat_messages(messages: Sequence[UIMessage], system: str = "") -> list[dict[str, Any]]:
    """The conversation for ``chat.completions``.

    Args:
        messages: UI messages, oldest first. Reasoning, sources and data parts are left out.
        system: put in front as a system message, unless empty.

    Raises:
        GenerationError: a file cannot be given to this API (code ``model_refused_request``).
    """
    out: list[dict[str, Any]] = [{"role": "system", "content": system}] if system else []
    for message in messages:
        if message["role"] == "assistant":
            for step in _steps(message):
                out += _chat_step(step)
            continue
        content = [_chat_file(part) for part in message.get("parts", ()) if part.get("type") == "file"]
        if text := text_of(message):
            out.append(
                {"role": message["role"], "content": [{"type": "text", "text": text}, *content] if content else text}
            )
        elif content:
            out.append({"role": message["role"], "content": content})
    return out


def response_input(messages: Sequence[UIMessage]) -> list[dict[str, Any]]:
    """The conversation as ``input`` of the Responses API; see ``chat_messages``."""
    out: list[dict[str, Any]] = []
    for message in messages:
        if message["role"] == "assistant":
            for step in _steps(message):
                out += _response_step(step)
            continue
        content = [_response_file(part) for part in message.get("parts", ()) if part.get("type") == "file"]
        if text := text_of(message):
            whole: Any = [{"type": "input_text", "text": text}, *content] if content else text
            out.append({"role": message["role"], "content": whole})
        elif content:
            out.append({"role": message["role"], "content": content})
    return out


def standing(parts: Sequence[dict[str, Any]], partial: str) -> Standing:
    """What an interrupted answer comes to.

    Args:
        parts: the answer so far as parts of a UI message.
        partial: its visible text. It counts where the parts hold no tool that ran.
    """
    ran = max((index for index, part in enumerate(parts) if _has_run(part)), default=-1)
    before = [part for part in parts[: ran + 1] if part.get("type") in {"text", "step-start"} or _has_run(part)]
    tail = text_of({"parts": parts[ran + 1 :]}) if before else partial
    waits = False
    for part in parts:
        if part.get("type") == "text" and part.get("text"):
            waits = False
        elif part.get("state") == "input-available" and not part.get("providerExecuted"):
            waits = True
    thoughts = sum(len(part.get("text", "")) for part in parts if part.get("type") == "reasoning")
    tools = {str(part["toolCallId"]): part for part in parts if "toolCallId" in part}
    return Standing(
        before=[{"role": "assistant", "parts": before}] if before else [],
        tail=tail,
        characters=len(partial),
        waits=waits,
        thought=bool(partial) or thoughts > 0,
        thoughts=thoughts,
        reasons=bool(parts) and parts[-1].get("type") == "reasoning" and parts[-1].get("state") == "streaming",
        tools=frozenset(tools),
        whole=frozenset(
            id for id, part in tools.items() if part.get("state") != "input-streaming" and not _is_cut(part)
        ),
    )


def _has_run(part: dict[str, Any]) -> bool:
    """Whether a part is a tool call with its result, which must not be made again."""
    ended = part.get("state") in {"output-available", "output-error"}
    return ended and "toolCallId" in part and not part.get("providerExecuted") and not _is_cut(part)


def _is_cut(part: dict[str, Any]) -> bool:
    """Whether a part is a tool call whose input never became whole."""
    return part.get("state") == "output-error" and part.get("input") is None


def _steps(message: UIMessage) -> Iterator[_Step]:
    """Cut an assistant's message where the model was called again: at a step's start, and at text after tools."""
    step = _Step()
    for part in message.get("parts", ()):
        kind = part.get("type", "")
        if kind == "step-start" or (kind == "text" and step.calls):
            if step.text or step.calls:
                yield step
            step = _Step()
        if kind == "text":
            step.text += part.get("text", "")
        elif (kind == "dynamic-tool" or kind.startswith("tool-")) and (call := _tool_call(part)):
            step.calls.append(call)
    if step.text or step.calls:
        yield step


def _tool_call(part: dict[str, Any]) -> _ToolCall | None:
    """A tool part as a call with a result; None where the call never became whole or was the provider's own."""
    name = part.get("toolName") or str(part.get("type", "")).removeprefix("tool-")
    state = part.get("state", "")
    cut = state == "input-streaming" or _is_cut(part)
    if part.get("providerExecuted") or cut or not part.get("toolCallId"):
        return None
    if state == "output-available":
        output = part.get("output")
        result = output if isinstance(output, str) else _json(output)
    elif state == "output-error":
        result = f"Error: {part.get('errorText') or 'the tool failed.'}"
    else:
        result = NO_RESULT
    return _ToolCall(part["toolCallId"], name, _json(part.get("input", {})), result)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _chat_step(step: _Step) -> Iterator[dict[str, Any]]:
    if not step.calls:
        yield {"role": "assistant", "content": step.text}
        return
    calls = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in step.calls
    ]
    yield {"role": "assistant", "content": step.text or None, "tool_calls": calls}
    for call in step.calls:
        yield {"role": "tool", "tool_call_id": call.id, "content": call.result}


def _response_step(step: _Step) -> Iterator[dict[str, Any]]:
    if step.text:
        yield {"role": "assistant", "content": step.text}
    for call in step.calls:
        yield {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": call.arguments}
    for call in step.calls:
        yield {"type": "function_call_output", "call_id": call.id, "output": call.result}


def _chat_file(part: dict[str, Any]) -> dict[str, Any]:
    url, media, name = _file(part)
    if media.startswith("image/"):
        return {"type": "image_url", "image_url": {"url": url}}
    if not url.startswith("data:"):
        raise _unusable(name, "this API takes files other than images only inline, as a data: URL")
    if media.startswith("text/"):
        return {"type": "text", "text": _inline_text(url, name)}
    if media in _AUDIO:
        return {"type": "input_audio", "input_audio": {"data": _base64_of(url, name), "format": _AUDIO[media]}}
    return {"type": "file", "file": {"filename": name, "file_data": url}}


def _response_file(part: dict[str, Any]) -> dict[str, Any]:
    url, media, name = _file(part)
    if media.startswith("image/"):
        return {"type": "input_image", "image_url": url, "detail": "auto"}
    if not url.startswith("data:"):
        return {"type": "input_file", "file_url": url}
    if media.startswith("text/"):
        return {"type": "input_text", "text": _inline_text(url, name)}
    return {"type": "input_file", "filename": name, "file_data": url}


def _file(part: dict[str, Any]) -> tuple[str, str, str]:
    url, media = part.get("url"), part.get("mediaType")
    name = part.get("filename") or "attachment"
    if not isinstance(url, str) or not url.startswith(("data:", "https://", "http://")):
        raise _unusable(name, "its url must be an http(s) or data: URL")
    if not isinstance(media, str) or "/" not in media:
        raise _unusable(name, "its mediaType is missing")
    return url, media.lower(), name


def _inline_text(url: str, name: str) -> str:
    head, _, data = url.partition(",")
    try:
        raw = base64.b64decode(data, validate=True) if head.endswith(";base64") else unquote_to_bytes(data)
        return raw.decode()
    except (binascii.Error, UnicodeDecodeError):
        raise _unusable(name, "it is not UTF-8 text") from None


def _base64_of(url: str, name: str) -> str:
    head, _, data = url.partition(",")
    if not head.endswith(";base64"):
        raise _unusable(name, "audio must be given in base64")
    return data


def _unusable(name: str, why: str) -> GenerationError:
    return GenerationError("model_refused_request", f"The file {name!r} cannot be given to the model: {why}.")
