"""What both APIs' streams become: text as strings, reasoning and tool calls as UI chunks, and a finish."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from holdfast.generation import Part


@dataclass(slots=True)
class _ToolCall:
    id: str
    name: str = ""
    arguments: str = ""
    started: bool = False
    whole: bool = False


@dataclass(slots=True)
class Parts:
    """Keeps what is open in one call's stream.

    Args:
        attempt: makes ids that differ from those of earlier attempts.
        model: the model's name, replaced by the name that the provider reports.
        quiet: whether reasoning is kept back, as in a call that goes on from visible text.
        carried: whether a part of reasoning is open that an earlier call began, and that the first piece continues.
        used: ids of tool calls that stand already: a call that comes under one of them gets an id of its own.
        usage: tokens, as the provider reports them.
        reason: why the answer ended, in the provider's word; empty while it has not.
    """

    attempt: int
    model: str
    quiet: bool = False
    carried: bool = False
    used: frozenset[str] = frozenset()
    usage: dict[str, int] = field(default_factory=dict)
    reason: str = ""
    _half: str = ""
    _reasoning: str = ""
    _count: int = 0
    _tools: dict[int, _ToolCall] = field(default_factory=dict)

    def text(self, delta: str) -> Iterator[str | Part]:
        """Text of the answer. Half a character, as servers written in JavaScript send it, waits for its other half."""
        delta = self._half + delta
        self._half = delta[-1:] if "\ud800" <= delta[-1:] <= "\udbff" else ""
        if delta := _joined(delta.removesuffix(self._half)):
            yield from self.end_reasoning()
            yield delta

    def reasoning(self, delta: str) -> Iterator[Part]:
        """A piece of reasoning; the first one opens a part."""
        if not delta or self.quiet:
            return
        yield from self._begin_reasoning()
        yield {"type": "reasoning-delta", "id": self._reasoning, "delta": delta}

    def end_reasoning(self) -> Iterator[Part]:
        """Close the open part of reasoning, if there is one."""
        if self.carried:
            yield from self._begin_reasoning()
        if self._reasoning:
            yield {"type": "reasoning-end", "id": self._reasoning}
            self._reasoning = ""

    def tool(self, index: int, *, call_id: str = "", name: str = "", arguments: str = "") -> Iterator[Part]:
        """A piece of a tool call, known by its index; nothing goes out before its name is known."""
        if index not in self._tools:
            yield from self.end_reasoning()
            self._tools[index] = _ToolCall(self._fresh(call_id, index))
        call = self._tools[index]
        call.name = call.name or name
        call.arguments += arguments
        if not call.name:
            return
        if call.started:
            text = arguments
        else:
            call.started, text = True, call.arguments
            yield {"type": "tool-input-start", "toolCallId": call.id, "toolName": call.name}
        if text:
            yield {"type": "tool-input-delta", "toolCallId": call.id, "inputTextDelta": text}

    def whole_tool(self, index: int, *, call_id: str, name: str, arguments: str) -> Iterator[Part]:
        """A tool call whose input is whole: begun if it was not, and ended."""
        if index not in self._tools:
            yield from self.tool(index, call_id=call_id, name=name, arguments=arguments)
        call = self._tools[index]
        if call.whole:
            return
        if arguments.startswith(call.arguments):
            yield from self.tool(index, arguments=arguments[len(call.arguments) :])
        yield self._ended(call)

    def knows_tool(self, index: int) -> bool:
        """Whether a tool call with this index has begun."""
        return index in self._tools

    def finish(self, reason: str) -> Iterator[Part]:
        """Close what is open and finish.

        Args:
            reason: stop, length, tool-calls, content-filter or other, which AI SDK 5, 6 and 7 know.
        """
        yield from self.end_reasoning()
        for call in self._tools.values():
            if call.started and not call.whole:
                yield self._ended(call)
        metadata: dict[str, Any] = {"model": self.model}
        if self.usage:
            metadata["usage"] = self.usage
        yield {"type": "finish", "finishReason": reason, "messageMetadata": metadata}

    @property
    def is_split(self) -> bool:
        """Whether text ended within a character."""
        return bool(self._half)

    @property
    def has_tools(self) -> bool:
        """Whether the model called a tool."""
        return bool(self._tools)

    def _begin_reasoning(self) -> Iterator[Part]:
        self.carried = False
        if not self._reasoning:
            self._count += 1
            self._reasoning = f"r{self.attempt}-{self._count}"
            yield {"type": "reasoning-start", "id": self._reasoning}

    def _ended(self, call: _ToolCall) -> Part:
        call.whole = True
        value = parsed(call.arguments)
        return {"type": "tool-input-available", "toolCallId": call.id, "toolName": call.name, "input": value}

    def _fresh(self, call_id: str, index: int) -> str:
        """An id that no other call of this answer has: some providers give none, or count anew in every round."""
        taken = {call.id for call in self._tools.values()} | self.used
        if call_id and call_id not in taken:
            return call_id
        return f"{call_id or f'call-{self.attempt}-{index}'}-{secrets.token_hex(3)}"


def _joined(text: str) -> str:
    """Text with the two halves of each character made one, so that lengths are those of the whole text."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def parsed(arguments: str) -> Any:
    """Arguments as JSON; as they are where the model wrote none."""
    try:
        return json.loads(arguments or "{}")
    except ValueError:
        return arguments
