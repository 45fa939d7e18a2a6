"""What happens to answers, told to the log by the verbs that make it happen: claims, take-overs, hand-offs, ends."""

from __future__ import annotations

import logging
import re
from typing import Any, Final, override

from holdfast.identity import created_ms
from holdfast.log import Log
from holdfast.records import (
    Begin,
    Entry,
    EntryId,
    Error,
    Finish,
    Handoff,
    Parts,
    Queued,
    Record,
    Stop,
    Terminal,
    is_terminal,
)

_logger = logging.getLogger("holdfast")

_CODE: Final = re.compile(r"[a-z][a-z_]{0,39}")


class ObservedLog(Log):
    """The verbs, each of which leaves a line once it has happened, without a request of its own.

    Lines hold ids, counts and times, in milliseconds since the stream was made. What records say to people, and what
    people and models say, is never in them.
    """

    @override
    async def append(self, stream: str, id: EntryId, record: Record) -> None:
        """As ``Log.append``."""
        await super().append(stream, id, record)
        if told := _told(record):
            event, fields = told
            _tell(event, stream, record, attempt=id.attempt, **fields)

    @override
    async def seal(self, stream: str, record: Terminal, after: EntryId | None = None, *, look: bool = True) -> bool:
        """As ``Log.seal``."""
        sealed = await super().seal(stream, record, after, look=look)
        if sealed and (told := _told(record)):
            event, fields = told
            _tell(event, stream, record, sealed=True, **fields)
        return sealed

    @override
    async def claim(self, stream: str, attempt: int, begin: Begin, ttl_ms: int) -> list[Entry]:
        """As ``Log.claim``."""
        entries = await super().claim(stream, attempt, begin, ttl_ms)
        before = entries[-2].record if len(entries) > 1 else None
        if not any(is_terminal(entry.record) for entry in entries):
            # After a hand-off or the start, an attempt was due; after anything else, one died.
            event = "claim" if before is None or isinstance(before, Queued | Handoff) else "takeover"
            _tell(event, stream, begin, attempt=attempt, message_id=begin.message, retried=begin.retried)
        return entries


def _tell(event: str, stream: str, record: Record, **fields: Any) -> None:
    made = created_ms(stream)
    since = {} if made is None else {"since_start_ms": record.at - made}
    level = logging.WARNING if event in {"takeover", "error"} else logging.INFO
    _logger.log(level, event, extra={"stream": stream, **since, **fields})


def _told(record: Record) -> tuple[str, dict[str, Any]] | None:
    """The event that a record is, and what of it may be told; None for what happens all the time."""
    match record:
        case Parts(pos=0):
            return "first_parts", {"parts": len(record.parts)}
        case Handoff():
            return "handoff", {}
        case Finish():
            counts = {
                "reason": record.reason,
                "parts": record.parts,
                "characters": record.characters,
                "first_part_ms": record.ttft_ms,
                "duration_ms": record.duration_ms,
                "attempts": record.attempts,
                "handoffs": record.handoffs,
                "takeovers": record.takeovers,
                "rescues": record.rescues,
                "exact": record.exact,
                "usage": {name: count for name, count in record.usage.items() if name.lower().endswith("tokens")},
            }
            return "finish", counts
        case Error():
            # A generator of the user's own may call its errors anything.
            return "error", {"code": record.code if _CODE.fullmatch(record.code) else "other", "by": record.by}
        case Stop():
            return "stop", {"by": record.by}
        case _:
            return None
