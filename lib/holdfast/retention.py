"""Cleanup: delete what outlived its retention, see to what nobody writes or watches (docs/protocol.md, chapter X)."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import Final

from holdfast import erasure, history
from holdfast.answer import Answer
from holdfast.errors import BadRecord, Rejected, Unavailable, Vanished
from holdfast.log import GRACE_MS, Log, parse
from holdfast.operations import Drop, Get, Last, Range, Rank, Ranked, Score, Unrank
from holdfast.records import FIRST, Begin, Entry, Queued, is_terminal
from holdfast.rescue import Outcome, Rescuer

_logger = logging.getLogger("holdfast")

#: Streams or chats that one request to the index names: bounds the work between two looks at the time.
_BATCH: Final = 25
#: How soon a live stream is looked at again, in ms.
_AGAIN_MS: Final = 30_000
_KEYS_AT_ONCE: Final = 200


@dataclass(slots=True)
class Counts:
    """What one cleanup did.

    Attributes:
        streams_checked: streams that were due for a look.
        streams_deleted: logs past their retention, deleted.
        streams_rescued: stalled streams for which a delivery was asked.
        streams_sealed: hopeless streams that were ended.
        streams_failed: streams that could not be read or written now; the next cleanup looks again.
        chats_deleted: chats past their retention, deleted.
        chats_erased: deletions of chats that were left half done, finished.
        chats_failed: such deletions that could not be finished now; tomorrow's cleanup looks again.
        complete: whether everything due was looked at, or time ran out first.
    """

    streams_checked: int = 0
    streams_deleted: int = 0
    streams_rescued: int = 0
    streams_sealed: int = 0
    streams_failed: int = 0
    chats_deleted: int = 0
    chats_erased: int = 0
    chats_failed: int = 0
    complete: bool = True

    def as_json(self) -> dict[str, int | bool]:
        """The counts, for the answer of the route."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Cleaner:
    """What cleaning needs.

    Attributes:
        log: the verbs.
        rescuer: asks for rescues, and seals.
    """

    log: Log
    rescuer: Rescuer

    async def run(self, seconds: float) -> Counts:
        """Look at everything that is due, in small batches, until it is done or time is up.

        Args:
            seconds: how long to go on.

        Raises:
            Unavailable, Rejected: the store did not answer.
        """
        counts = Counts()
        now = self.log.clock.now_ms()
        until = self.log.clock.monotonic() + seconds
        keys = self.log.keys
        for index, see_to in ((keys.due, self._look), (keys.erasing, self._erase), (keys.chats, self._expire)):
            while found := await self._due(index, now):
                for member in found:
                    if self.log.clock.monotonic() >= until or not await see_to(member, now, counts):
                        counts.complete = False
                        return counts
        return counts

    async def _due(self, index: str, now: int) -> list[str]:
        (ranked,) = await self.log.run(Ranked(index, now, _BATCH))
        return [member for member, _ in ranked]

    async def _look(self, stream: str, _now: int, counts: Counts) -> bool:
        counts.streams_checked += 1
        # Whatever happens below, this stream must not be the next one again: a stream that cannot be
        # handled would keep all others waiting.
        await self._look_again(stream, self.log.clock.now_ms() + _AGAIN_MS)
        try:
            await self._see_to(stream, counts)
        except (Unavailable, Rejected, Vanished):
            counts.streams_failed += 1
            _logger.warning("cleanup_failed", extra={"stream": stream})
        return True

    async def _see_to(self, stream: str, counts: Counts) -> None:
        now, key = self.log.clock.now_ms(), self.log.keys.stream(stream)
        try:
            first, last = await self.log.run(Range(key, FIRST, limit=1), Last(key))
            if last is None:
                await self.log.run(Unrank(self.log.keys.due, (stream,)))
                return
            (queued,), (tail,) = parse(first), parse([last])
            if not isinstance(queued.record, Queued):
                raise BadRecord("The log does not begin with a queued record.")
            if isinstance(tail.record, Begin):
                tail = await self.log.last(stream) or tail  # the end may stand before a claim
            if is_terminal(tail.record):
                await self._ended(stream, queued.record, tail.record.at, now, counts)
            else:
                await self._unfinished(stream, tail, now, counts)
        except (BadRecord, ValueError):
            # Another release may read it; if none ever does, the store deletes it when its lifetime ends (rule X6).
            counts.streams_failed += 1
            await self._look_again(stream, now + GRACE_MS)

    async def _ended(self, stream: str, queued: Queued, ended_at: int, now: int, counts: Counts) -> None:
        due = ended_at + queued.retention_seconds * 1000
        if due > now:
            await self._look_again(stream, due)
            return
        if queued.chat_id is not None:
            await history.repair(self.log, Answer(await self.log.read(stream)))
        await self._delete(stream)
        if queued.idempotency is not None:
            await self.log.run(Drop((self.log.keys.idempotency(queued.idempotency),)))
        counts.streams_deleted += 1

    async def _unfinished(self, stream: str, tail: Entry, now: int, counts: Counts) -> None:
        if now - tail.record.at < self.rescuer.stall * 1000:
            return
        match await self.rescuer.tend(stream, tail.id, "cleanup"):
            case Outcome.UNASKED:
                counts.streams_failed += 1
            case Outcome.RESCUED:
                counts.streams_rescued += 1
            case Outcome.SEALED:
                counts.streams_sealed += 1

    async def _look_again(self, stream: str, at_ms: int) -> None:
        await self.log.run(Rank(self.log.keys.due, stream, at_ms))

    async def _delete(self, stream: str) -> None:
        """Delete a log that has its end, and what stands beside it; leases end by themselves."""
        keys = self.log.keys
        await self.log.run(Drop((keys.stream(stream), keys.away(stream))), Unrank(keys.due, (stream,)))

    async def _erase(self, chat: str, now: int, counts: Counts) -> bool:
        """Finish a deletion that was left half done (rule J6) → True, to go on with the next one."""
        # Whatever happens below, this chat must not be the next one again.
        await self.log.run(Rank(self.log.keys.erasing, chat, now + GRACE_MS))
        try:
            await erasure.finish(self.log, chat)
            counts.chats_erased += 1
        except (Unavailable, Rejected, BadRecord):
            counts.chats_failed += 1
            _logger.warning("chat_not_erased")
        return True

    async def _expire(self, chat: str, now: int, counts: Counts) -> bool:
        """Delete a chat that is past its retention → whether the store carried it out."""
        try:
            counts.chats_deleted += await self._delete_chat(chat, now)
        except (Unavailable, Rejected):
            # The next cleanup looks again; here it would only keep the others waiting.
            _logger.warning("chat_not_deleted")
            return False
        return True

    async def _delete_chat(self, chat: str, now: int) -> bool:
        """Delete a chat and all that belongs to it → whether it was still due."""
        keys = self.log.keys
        due, turns = await self.log.run(Score(keys.chats, chat), Ranked(keys.turns(chat)))
        if due is None or due > now:
            return False  # somebody went on with it after it was listed
        if erasure.is_unfinished(turns):
            # Somebody is deleting it, and counts on its turns until that is done.
            await self.log.run(Rank(keys.chats, chat, now + GRACE_MS, greater=True))
            return False
        newest = max((turn for _, turn in turns), default=0)
        (claim,) = await self.log.run(Get(keys.turn(chat, newest)))
        if claim is not None and (place := history.parse_place(claim)) is not None:
            await self.log.run(Unrank(keys.owned(place[0]), (place[1],)))
        names = [
            name
            for turn in range(1, newest + 1)
            for name in (keys.turn(chat, turn), *(keys.message(chat, f"{turn}.{part}") for part in "01t"))
        ]
        for first in range(0, len(names), _KEYS_AT_ONCE):
            await self.log.run(Drop(tuple(names[first : first + _KEYS_AT_ONCE])))
        await self.log.run(Drop((keys.history(chat), keys.turns(chat))), Unrank(keys.chats, (chat,)))
        return True
