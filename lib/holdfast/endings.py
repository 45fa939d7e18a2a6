"""What a reader is shown of a log's end (docs/protocol.md, rule F4)."""

from __future__ import annotations

from typing import Any

from holdfast.generation import Part
from holdfast.records import Error, Finish, Stop, Terminal


def ending_chunk(terminal: Terminal) -> Part:
    """The chunk that stands for a terminal record; ``[DONE]`` follows it."""
    match terminal:
        case Finish():
            return {"type": "finish", "finishReason": terminal.reason, "messageMetadata": summary(terminal)}
        case Error():
            return {"type": "error", "errorText": terminal.message}
        case Stop():
            return {"type": "abort"}


def summary(finish: Finish) -> dict[str, Any]:
    """What a finish record tells: usage, sizes, timings in milliseconds, attempts, and whether the text is exact."""
    return {
        "usage": finish.usage,
        "parts": finish.parts,
        "characters": finish.characters,
        "timeToFirstTokenMs": finish.ttft_ms,
        "durationMs": finish.duration_ms,
        "attempts": finish.attempts,
        "handoffs": finish.handoffs,
        "takeovers": finish.takeovers,
        "rescues": finish.rescues,
        "exact": finish.exact,
    }
