"""UI chunks folded into the message that they build, as the AI SDK's reader does (docs/protocol.md, chapter P)."""

from __future__ import annotations

from typing import Any, Final

from holdfast.generation import Part, UIMessage

#: Chunk types that AI SDK 5, 6 and 7 all accept; ``data-*`` beside them (rule P1).
VOCABULARY: Final = frozenset(
    {
        "start", "finish", "abort", "error", "message-metadata", "start-step", "finish-step",
        "text-start", "text-delta", "text-end", "reasoning-start", "reasoning-delta", "reasoning-end",
        "tool-input-start", "tool-input-delta", "tool-input-available", "tool-input-error",
        "tool-output-available", "tool-output-error", "source-url", "source-document", "file",
    }
)  # fmt: skip

#: Text-like kinds: streamed as start, deltas and end under one id.
STREAMED: Final = ("text", "reasoning")

#: What a chunk of these types must carry beside its type, and of which type it is (rule P1).
REQUIRED: Final[dict[str, dict[str, type | tuple[type, ...]]]] = {
    "text-start": {"id": str},
    "text-delta": {"id": str, "delta": str},
    "text-end": {"id": str},
    "reasoning-start": {"id": str},
    "reasoning-delta": {"id": str, "delta": str},
    "reasoning-end": {"id": str},
    "tool-input-start": {"toolCallId": str, "toolName": str},
    "tool-input-delta": {"toolCallId": str, "inputTextDelta": str},
    "tool-input-available": {"toolCallId": str, "toolName": str, "input": object},
    "tool-input-error": {"toolCallId": str, "toolName": str, "errorText": str},
    "tool-output-available": {"toolCallId": str, "output": object},
    "tool-output-error": {"toolCallId": str, "errorText": str},
    "source-url": {"sourceId": str, "url": str},
    "source-document": {"sourceId": str, "mediaType": str, "title": str},
    "file": {"url": str, "mediaType": str},
    "error": {"errorText": str},
    "message-metadata": {"messageMetadata": object},
}


def is_valid(chunk: Part) -> bool:
    """Whether a chunk is of the vocabulary and carries what its type needs (rule P1)."""
    kind = chunk.get("type")
    if not isinstance(kind, str):
        return False
    if kind.startswith("data-"):
        return "data" in chunk and isinstance(chunk.get("id", ""), str)
    wanted = REQUIRED.get(kind, {})
    return kind in VOCABULARY and all(name in chunk and isinstance(chunk[name], of) for name, of in wanted.items())


def is_visible(chunk: Part) -> bool:
    """Whether a reader sees something of this chunk, so that starting over would show (rule T2)."""
    kind = chunk["type"]
    if kind in {"text-delta", "reasoning-delta"}:
        return bool(chunk.get("delta"))
    return isinstance(kind, str) and kind.startswith(("tool-", "source-", "file", "data-"))


class MessageBuilder:
    """The UI message that a sequence of chunks builds. Feed it every chunk of a log in order.

    Args:
        message_id: the message's id.
    """

    def __init__(self, message_id: str) -> None:
        self._id = message_id
        self._metadata: dict[str, Any] = {}
        self._parts: list[dict[str, Any]] = []
        self._streamed: dict[tuple[str, str], dict[str, Any]] = {}
        self._deltas: dict[tuple[str, str], list[str]] = {}
        self._tools: dict[str, dict[str, Any]] = {}
        self._data: dict[tuple[str, str], dict[str, Any]] = {}

    @property
    def open(self) -> list[tuple[str, str]]:
        """Text-like parts that were started and not ended, as (kind, id), oldest first."""
        return [key for key, part in self._streamed.items() if part["state"] == "streaming"]

    @property
    def unfinished_tools(self) -> list[tuple[str, str]]:
        """Tool calls whose input was cut, as (id, name), oldest first."""
        return [(id, _tool_name(part)) for id, part in self._tools.items() if part["state"] == "input-streaming"]

    def text(self) -> str:
        """The visible text so far: every text part, joined."""
        return "".join(part["text"] for part in self.message()["parts"] if part["type"] == "text")

    def message(self) -> UIMessage:
        """The message as it stands, complete or not."""
        for key, deltas in self._deltas.items():
            self._streamed[key]["text"] = "".join(deltas)
        message: UIMessage = {"id": self._id, "role": "assistant", "parts": [dict(part) for part in self._parts]}
        if self._metadata:
            message["metadata"] = dict(self._metadata)
        return message

    def settled(self) -> UIMessage:
        """The message as history keeps it: no part of it is streaming any more."""
        message = self.message()
        for part in message["parts"]:
            if part.get("state") == "streaming":
                part["state"] = "done"
        # A call whose input was cut never ran and cannot be answered: a provider would refuse it.
        message["parts"] = [part for part in message["parts"] if part.get("state") != "input-streaming"]
        return message

    def add(self, chunk: Part) -> None:
        """Take one chunk in; unknown or malformed ones are ignored, as every reader must (rule P2)."""
        if not is_valid(chunk):
            return
        kind = chunk["type"]
        stem, _, verb = kind.rpartition("-")
        if stem in STREAMED:
            self._stream(stem, verb, chunk)
        elif kind.startswith("tool-"):
            self._tool(kind, chunk)
        elif kind.startswith("data-"):
            self._datum(kind, chunk)
        elif kind in {"source-url", "source-document", "file"}:
            self._parts.append({name: value for name, value in chunk.items() if name != "id"})
        elif kind == "start-step":
            self._parts.append({"type": "step-start"})
        elif kind in {"start", "message-metadata", "finish"} and isinstance(chunk.get("messageMetadata"), dict):
            self._metadata |= chunk["messageMetadata"]

    def _stream(self, kind: str, verb: str, chunk: Part) -> None:
        key = (kind, chunk["id"])
        if verb == "start":
            # An id may come again after its end: that is a new part.
            if key in self._streamed:
                self._streamed[key]["text"] = "".join(self._deltas[key])
            self._streamed.pop(key, None)
            self._streamed[key] = {"type": kind, "text": "", "state": "streaming"}
            self._deltas[key] = []
            self._parts.append(self._streamed[key])
        elif key in self._streamed and verb == "delta":
            self._deltas[key].append(chunk["delta"])
        elif key in self._streamed:
            self._streamed[key]["state"] = "done"

    def _tool(self, kind: str, chunk: Part) -> None:
        id = chunk["toolCallId"]
        tool = self._tools.get(id)
        if tool is None:
            if "toolName" not in chunk:
                return
            name = chunk["toolName"]
            named = {"type": "dynamic-tool", "toolName": name} if chunk.get("dynamic") else {"type": f"tool-{name}"}
            tool = self._tools[id] = {**named, "toolCallId": id, "state": "input-streaming"}
            self._parts.append(tool)
        match kind:
            case "tool-input-available":
                tool.update(state="input-available", input=chunk["input"])
            case "tool-input-error" | "tool-output-error":
                tool.update(state="output-error", errorText=chunk["errorText"])
                if "input" in chunk:
                    tool["input"] = chunk["input"]
            case "tool-output-available":
                tool.update(state="output-available", output=chunk["output"])

    def _datum(self, kind: str, chunk: Part) -> None:
        if chunk.get("transient"):
            return
        part: dict[str, Any] = {name: value for name, value in chunk.items() if name in {"type", "id", "data"}}
        known = self._data.get((kind, chunk["id"])) if "id" in chunk else None
        if known is not None:
            known.update(part)
            return
        self._parts.append(part)
        if "id" in chunk:
            self._data[kind, chunk["id"]] = part


def _tool_name(part: dict[str, Any]) -> str:
    return str(part["toolName"] if part["type"] == "dynamic-tool" else part["type"].removeprefix("tool-"))
