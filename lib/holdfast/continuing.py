"""A message that goes on after the client ran its tools: results taken in, parts told again (rules H10, W6)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from holdfast.claims import is_message
from holdfast.generation import Part, UIMessage
from holdfast.records import Queued

_RESULTS: Final = ("output-available", "output-error")


def brings_results(message: UIMessage) -> bool:
    """Whether a message is the assistant's and holds the result of a tool."""
    return message["role"] == "assistant" and bool(_results(message))


def with_results(stored: UIMessage, sent: UIMessage) -> UIMessage | None:
    """The stored message with the results that a client sent for the calls that wait for one.

    Nothing else of what was sent is taken: the history is the server's.

    Args:
        stored: the message as the history has it.
        sent: the same message as the client has it.

    Returns:
        Another message, or None where nothing waits for what was sent.
    """
    results = _results(sent)
    parts = [
        {**part, **results[part["toolCallId"]]} if _waits(part) and part["toolCallId"] in results else part
        for part in stored["parts"]
    ]
    return None if parts == stored["parts"] else {**stored, "parts": parts}


def continued(queued: Queued) -> UIMessage | None:
    """The message that an answer goes on with, as it stood before; None for an answer of its own."""
    newest = queued.messages[-1] if queued.messages else None
    return newest if is_message(newest) and newest["role"] == "assistant" else None


def joined(before: UIMessage, more: UIMessage) -> UIMessage:
    """A message and what an answer added to it, as one."""
    whole: UIMessage = {**before, **more, "parts": [*before["parts"], *more["parts"]]}
    if metadata := before.get("metadata", {}) | more.get("metadata", {}):
        whole["metadata"] = metadata
    return whole


def retold(parts: Sequence[dict[str, Any]]) -> Iterator[Part]:
    """Chunks that build the parts of a message anew, for a reader that begins with nothing."""
    for index, part in enumerate(parts):
        kind = part["type"]
        if kind == "step-start":
            yield {"type": "start-step"}
        elif kind in {"text", "reasoning"}:
            # No id of an answer begins like this one: the ids of both come after each other in one message.
            id = f"before-{index}"
            yield {"type": f"{kind}-start", "id": id}
            yield {"type": f"{kind}-delta", "id": id, "delta": str(part.get("text", ""))}
            yield {"type": f"{kind}-end", "id": id}
        elif "toolCallId" in part:
            yield from _retold_call(part)
        elif kind.startswith("data-") or kind in {"source-url", "source-document", "file"}:
            yield dict(part)


def _retold_call(part: dict[str, Any]) -> Iterator[Part]:
    call: Part = {"toolCallId": part["toolCallId"], "toolName": part.get("toolName") or part["type"][len("tool-") :]}
    if part["type"] == "dynamic-tool":
        call["dynamic"] = True
    if part.get("state") == "output-error" and part.get("input") is None:
        yield {"type": "tool-input-error", **call, "input": None, "errorText": _error_of(part)}
        return
    yield {"type": "tool-input-available", **call, "input": part.get("input")}
    if part.get("state") == "output-available":
        yield {"type": "tool-output-available", "toolCallId": part["toolCallId"], "output": part.get("output")}
    elif part.get("state") == "output-error":
        yield {"type": "tool-output-error", "toolCallId": part["toolCallId"], "errorText": _error_of(part)}


def _results(message: UIMessage) -> dict[str, dict[str, Any]]:
    """What the tools of a message came to, by call."""
    found: dict[str, dict[str, Any]] = {}
    for part in message["parts"]:
        id, state = part.get("toolCallId"), part.get("state")
        if not isinstance(id, str) or state not in _RESULTS:
            continue
        result = {"output": part.get("output")} if state == "output-available" else {"errorText": _error_of(part)}
        found[id] = {"state": state, **result}
    return found


def _waits(part: dict[str, Any]) -> bool:
    return part.get("state") == "input-available" and "toolCallId" in part


def _error_of(part: dict[str, Any]) -> str:
    text = part.get("errorText")
    return text if isinstance(text, str) and text else "The tool failed."
