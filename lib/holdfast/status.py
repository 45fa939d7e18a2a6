"""What the status route tells of an answer."""

from __future__ import annotations

from typing import Any

from holdfast.answer import Answer
from holdfast.endings import summary
from holdfast.records import Cursor, Error, Finish


def report(stream: str, answer: Answer, *, leased: bool) -> dict[str, Any]:
    """State, counts and timings of an answer as JSON; times in epoch milliseconds.

    Args:
        stream: the stream's id.
        answer: the folded log.
        leased: whether the newest attempt's lease is alive.
    """
    last = answer.end[0] if answer.end else answer.last.id
    told: dict[str, Any] = {
        "id": stream,
        "state": answer.state(leased=leased),
        "attempts": answer.attempts,
        "handoffs": len(answer.handoffs),
        "takeovers": answer.takeovers,
        "rescues": answer.rescues,
        "exact": not answer.continued,
        "cursor": str(Cursor(last)),
        "parts": answer.parts,
        "characters": answer.characters,
        "createdAt": answer.queued.at,
        "firstVisibleAt": answer.visible_at,
        "updatedAt": answer.last.record.at,
        "endedAt": answer.end[1].at if answer.end else None,
        "messageId": answer.queued.message_id,
        "usage": answer.usage.as_json(),
    }
    if answer.queued.chat_id is not None:
        told["chatId"] = answer.queued.chat_id
    match answer.end:
        case (_, Finish() as finish):
            told |= {"finishReason": finish.reason, **summary(finish)}
        case (_, Error() as error):
            told["error"] = {"code": error.code, "message": error.message}
    return told
