"""What is done for an answer that nobody writes any more (docs/protocol.md, chapter Q)."""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass
from enum import Enum

from holdfast import history
from holdfast.errors import BadRecord, Rejected, Unavailable, Vanished
from holdfast.log import GRACE_MS, Log
from holdfast.operations import Drop, Get, Last, Put
from holdfast.queue import Queue
from holdfast.records import FIRST, EntryId, Error

_logger = logging.getLogger("holdfast")


@dataclass(frozen=True, slots=True)
class Rescuer:
    """Sees to stalled streams on behalf of readers and cleanup.

    Attributes:
        log: the verbs.
        queue: asks for rescue deliveries.
        stall: seconds of silence after which the lease is looked at, and looked at again.
        give_up: seconds without lease and without news after which the log is sealed.
    """

    log: Log
    queue: Queue
    stall: float = 4.0
    give_up: float = 120.0

    def watch(self, stream: str) -> Watch:
        """Begin to watch one stream."""
        return Watch(self, stream)

    async def tend(self, stream: str, seen: EntryId, by: str) -> Outcome:
        """See to a silent stream: leave it to its publisher, ask for a rescue, or end it (rules Q1, Q2).

        Args:
            stream: the stream's id.
            seen: the newest entry that the caller knows.
            by: who looks, for the record of a seal: ``reader`` or ``cleanup``.

        Returns:
            What was found or done.

        Raises:
            Vanished: the log does not exist any more.
            Unavailable, Rejected: the store did not answer.
        """
        keys, log = self.log.keys, self.log
        now, half_minute = log.clock.now_ms(), log.clock.now_ms() // 30_000
        lost, asked = keys.lost(stream, seen), keys.asked(stream, seen.attempt, half_minute)
        last, lease, marked = await log.run(Last(keys.stream(stream)), Get(keys.lease(stream, seen.attempt)), Get(lost))
        if last is None:
            raise Vanished(stream)
        if last[0] != seen:
            return Outcome.ALIVE
        if lease is not None:
            if marked is not None:  # readers of a silent model are many, and write nothing
                await log.run(Drop((lost,)))  # two minutes without a lease are two minutes in a row
            return Outcome.ALIVE
        # Who finds it first says when: however short each look is, all of them together see two minutes pass.
        lives_ms = round(self.give_up * 1000) + GRACE_MS
        # A mark of our own: where the reply is lost and the request repeated, it is known again.
        mark = secrets.token_hex(8)
        _, since, _, first = await log.run(
            Put(lost, str(now), lives_ms, "absent"), Get(lost), Put(asked, mark, 60_000, "absent"), Get(asked)
        )
        if not str(since).isdecimal() or len(since) > 16:
            raise BadRecord("The store holds a mark of a lost answer that is no time.")
        if now - int(since) >= self.give_up * 1000:
            if await log.held(stream, seen.attempt) is not None:  # asked of the primary
                return Outcome.ALIVE
            return Outcome.SEALED if await self._seal(stream, by, seen) else Outcome.ALIVE
        if first != mark or (by == "cleanup" and seen == FIRST):
            # What nobody has begun and nobody reads may be left of a start that was answered with an error:
            # only a reader, who has its id from a start that succeeded, may have it written.
            return Outcome.WAITING
        return await self._ask(stream, seen, asked, f"{stream}.r{seen.attempt}.{half_minute}")

    async def _ask(self, stream: str, seen: EntryId, asked: str, dedup: str) -> Outcome:
        """Have a delivery made, on the strength of a mark that keeps all others from asking as well."""
        try:
            await self.queue.enqueue(stream, seen.attempt + 1, dedup=dedup)
        except BaseException as error:
            await self.log.run(Drop((asked,)))  # so that the next look asks
            if not isinstance(error, Unavailable | Rejected):
                raise
            _logger.warning("rescue_not_enqueued", extra={"stream": stream})
            return Outcome.UNASKED
        return Outcome.RESCUED

    async def _seal(self, stream: str, by: str, seen: EntryId) -> bool:
        """The last resort: end an answer that cannot be rescued → whether this call ended it."""
        message = "The answer was interrupted and could not be taken up again. What was written is kept; ask again."
        error = Error(at=self.log.clock.now_ms(), code="abandoned", message=message, by=by)
        return await history.end(self.log, stream, error, seen)


class Outcome(Enum):
    """What came of a look at a silent stream."""

    ALIVE = "alive"  #: somebody writes it, or something new came
    WAITING = "waiting"  #: a rescue was asked for already
    UNASKED = "unasked"  #: the queue did not take the request for a rescue
    RESCUED = "rescued"  #: a rescue was asked for now
    SEALED = "sealed"  #: it was ended


class Watch:
    """One reader's eye on one stream, for as long as the reader is there."""

    def __init__(self, rescuer: Rescuer, stream: str) -> None:
        self._rescuer = rescuer
        self._stream = stream
        self._looked = rescuer.log.clock.monotonic()
        #: Whether the last look found nobody writing.
        self.stalled = False

    async def look(self, seen: EntryId, *, silent: float) -> None:
        """See to the stream if it has been silent for too long.

        Args:
            seen: the newest entry that the reader knows.
            silent: seconds since something new came.

        Raises:
            Vanished: the log does not exist any more.
            Unavailable, Rejected: the store did not answer.
        """
        now = self._rescuer.log.clock.monotonic()
        if silent < self._rescuer.stall:
            self.stalled = False
        elif now - self._looked >= self._rescuer.stall:
            self._looked = now
            try:
                self.stalled = await self._rescuer.tend(self._stream, seen, "reader") is not Outcome.ALIVE
            except (Unavailable, Rejected):
                # The next look asks again; what must not happen is that asking costs the reader its connection.
                _logger.warning("stream_not_looked_at", extra={"stream": self._stream})
