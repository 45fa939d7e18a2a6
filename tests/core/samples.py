"""Records for tests, complete and short to write."""

from __future__ import annotations

from typing import Any

from holdfast.identity import new_stream_id
from holdfast.records import Begin, Error, Finish, Handoff, Parts, Queued, Stop
from tests.clocks import ORIGIN_MS

STREAM = new_stream_id(ORIGIN_MS)


def queued(**changes: Any) -> Queued:
    """A queued record without a chat."""
    messages = [{"role": "user", "parts": [{"type": "text", "text": "Why?"}]}]
    values: dict[str, Any] = {"at": ORIGIN_MS, "owner": "anyone", "message_id": "msg_1", "messages": messages}
    return Queued(**values | changes)


def begin(owner: str = "nonce-1", message: str = "m1", retried: int = 0) -> Begin:
    return Begin(at=ORIGIN_MS, owner=owner, message=message, retried=retried)


def delta(text: str, id: str = "t0") -> dict[str, Any]:
    return {"type": "text-delta", "id": id, "delta": text}


def parts(pos: int, *texts: str, checkpoint: Any = None) -> Parts:
    return Parts(at=ORIGIN_MS, pos=pos, parts=[delta(text) for text in texts], checkpoint=checkpoint)


def handoff(message: str = "m1", checkpoint: Any = None) -> Handoff:
    return Handoff(at=ORIGIN_MS, message=message, checkpoint=checkpoint)


def finish(**changes: Any) -> Finish:
    values: dict[str, Any] = {
        "at": ORIGIN_MS + 9,
        "reason": "stop",
        "parts": 0,
        "characters": 0,
        "ttft_ms": None,
        "duration_ms": 9,
        "attempts": 1,
        "exact": True,
    }
    return Finish(**values | changes)


def error(by: str = "publish") -> Error:
    return Error(at=ORIGIN_MS + 9, code="abandoned", message="Ask again.", by=by)


def stop(by: str = "request") -> Stop:
    return Stop(at=ORIGIN_MS + 9, by=by)
