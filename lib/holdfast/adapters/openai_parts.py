"""What both APIs' streams become: text as strings, reasoning and tool calls as UI chunks, and a finish."""

from __future__ import annotations

import json
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


@dataclass(slots=True)
class Parts:
    """Keeps what is open in one call's stream.

    Args:
        attempt: makes ids that differ from those of earlier attempts.
        model: the model's name, replaced by the name that the provider reports.
        usage: tokens, as the provider reports them.
        reason: why the answer ended, in the provider's word; empty while it has not.
    """

    attempt: int
    model: str
    usage: dict[str, int] = field(default_factory=dict)
    reason: str = ""
    _reasoning: str = ""
    _count: int = 0
    _tools: dict[int, _ToolCall] = field(default_factory=dict)

    def text(self, delta: str) -> Iterator[str | Part]:
        """Text of the answer."""
        if delta:
            yield from self.end_reasoning()
            yield delta

    def reasoning(self, delta: str) -> Iterator[Part]:
        """A piece of reasoning; the first one opens a part."""
        if not delta:
            return
        if not self._reasoning:
            self._count += 1
            self._reasoning = f"r{self.attempt}-{self._count}"
            yield {"type": "reasoning-start", "id": self._reasoning}
        yield {"type": "reasoning-delta", "id": self._reasoning, "delta": delta}

    def end_reasoning(self) -> Iterator[Part]:
        """Close the open part of reasoning, if there is one."""
        if self._reasoning:
            yield {"type": "reasoning-end", "id": self._reasoning}
            self._reasoning = ""

    def tool(self, index: int, *, call_id: str = "", name: str = "", arguments: str = "") -> Iterator[Part]:
        """A piece of a tool call, known by its index; nothing goes out before its name is known."""
        if index not in self._tools:
            yield from self.end_reasoning()
            self._tools[index] = _ToolCall(call_id or f"call-{self.attempt}-{index}")
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

    def finish(self, reason: str) -> Iterator[Part]:
        """Close what is open and finish.

        Args:
            reason: stop, length, tool-calls, content-filter or other, which AI SDK 5, 6 and 7 know.
        """
        yield from self.end_reasoning()
        for call in self._tools.values():
            if call.started:
                value = _parsed(call.arguments)
                yield {"type": "tool-input-available", "toolCallId": call.id, "toolName": call.name, "input": value}
        metadata: dict[str, Any] = {"model": self.model}
        if self.usage:
            metadata["usage"] = self.usage
        yield {"type": "finish", "finishReason": reason, "messageMetadata": metadata}

    @property
    def has_tools(self) -> bool:
        """Whether the model called a tool."""
        return bool(self._tools)


def _parsed(arguments: str) -> Any:
    """Arguments as JSON; as they are where the model wrote none."""
    try:
        return json.loads(arguments or "{}")
    except ValueError:
        return arguments
