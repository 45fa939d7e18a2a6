"""One delivery: may it publish? Then claim an attempt and run it to its end (docs/protocol.md, chapters K, L, O)."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum

from holdfast import history
from holdfast.answer import Answer
from holdfast.attempt import Attempt
from holdfast.drain import Drain
from holdfast.errors import BadRecord, Rejected, Superseded, Unavailable, Vanished
from holdfast.generation import Generator
from holdfast.identity import created_ms
from holdfast.log import Log
from holdfast.pace import Pace
from holdfast.queue import Delivery, Queue
from holdfast.records import Begin, Error, Handoff

#: An unknown stream younger than this may be one that a lagging replica does not show yet, in ms.
_YOUNG_MS = 60_000


class Verdict(Enum):
    """What the queue is told of a delivery (rule L6)."""

    DONE = "done"  #: acknowledge: the answer has its end, or its next attempt is enqueued
    AWAY = "away"  #: turned away: deliver again when the lease that stands may have ended
    RETRY = "retry"  #: deliver again soon
    REFUSE = "refuse"  #: never deliver again: there is nothing to publish


@dataclass(frozen=True, slots=True)
class Publisher:
    """What publishing needs.

    Attributes:
        log: the verbs.
        queue: for hand-offs.
        generate: the generator.
        pace: intervals and limits.
        crashed: told of an exception that a generator raised and that no rule foresees.
        drain: begins when the process is about to end.
    """

    log: Log
    queue: Queue
    generate: Generator
    pace: Pace
    crashed: Callable[[BaseException], None]
    drain: Drain = field(default_factory=Drain)

    async def publish(self, delivery: Delivery, deadline_ms: int | None = None) -> Verdict:
        """Handle one delivery of the queue.

        Args:
            delivery: what was delivered.
            deadline_ms: epoch milliseconds at which the platform ends this call, or None for no limit.

        Returns:
            What to tell the queue.
        """
        try:
            with self.drain.watched() as draining:
                if self.drain.begun:
                    return Verdict.RETRY  # to a process that lives on
                return await self._publish(delivery, deadline_ms, draining)
        except (Unavailable, Rejected):
            return Verdict.RETRY
        except BadRecord:
            # Written by a stranger or a newer version: trying again with this code cannot help.
            return Verdict.REFUSE

    async def failed(self, delivery: Delivery) -> bool:
        """The queue gave up on a message: seal, unless somebody else is at it (rule Q3) → whether it sealed.

        Raises:
            Unavailable, Rejected: the store did not answer; the callback should be delivered again.
        """
        entries = await self.log.read(delivery.stream)
        if not entries:
            return False
        answer = Answer(entries)
        if answer.end is not None:
            await history.settle(self.log, answer)
            return False
        last = answer.last
        if isinstance(last.record, Handoff) and last.record.message == delivery.message_id:
            await self._hand_on(delivery.stream, last.id.attempt)
            return False
        if answer.begin is not None:
            attempt, begin = answer.begin
            if begin.message != delivery.message_id or await self.log.held(delivery.stream, attempt) is not None:
                return False
        error = Error(
            at=self.log.clock.now_ms(),
            code="retries_exhausted",
            message="The answer was interrupted too often and was given up. What was written is kept; ask again.",
            by="callback",
        )
        # An attempt may have begun since the look: then this is no end.
        return await history.end(self.log, delivery.stream, error, answer.last.id)

    async def _publish(self, delivery: Delivery, deadline_ms: int | None, draining: asyncio.Event) -> Verdict:
        stream = delivery.stream
        entries = await self.log.read(stream) or await self.log.read(stream, fresh=True)
        if not entries:
            born = created_ms(stream)
            young = born is not None and self.log.clock.now_ms() - born < _YOUNG_MS
            return Verdict.RETRY if young else Verdict.REFUSE
        answer = Answer(entries)
        if answer.end is not None:
            await history.settle(self.log, answer)
            return Verdict.DONE
        for id, handoff in answer.handoffs:
            if handoff.message == delivery.message_id:
                await self._hand_on(stream, id.attempt)
                return Verdict.DONE
        if not await self._may_claim(delivery, answer):
            return await self._turn_away(delivery, answer)
        attempt = answer.last.id.attempt + 1
        begin = Begin(
            at=self.log.clock.now_ms(),
            owner=secrets.token_hex(8),
            message=delivery.message_id,
            retried=delivery.retried,
        )
        try:
            answer = Answer(await self.log.claim(stream, attempt, begin, self.log.ttl_ms(answer.queued)))
        except Superseded:
            return await self._turn_away(delivery, answer)
        except Vanished:
            return Verdict.REFUSE
        if answer.end is not None:  # sealed between the look and the claim: no model is called
            await history.settle(self.log, answer)
            return Verdict.DONE
        return await self._attempt(delivery, answer, deadline_ms, draining)

    async def _attempt(
        self, delivery: Delivery, answer: Answer, deadline_ms: int | None, draining: asyncio.Event
    ) -> Verdict:
        attempt = Attempt(
            log=self.log,
            generate=self.generate,
            pace=self.pace,
            crashed=self.crashed,
            stream=delivery.stream,
            answer=answer,
            message_id=delivery.message_id,
            deadline_ms=deadline_ms,
            draining=draining,
        )
        try:
            handed_off = await attempt.run()
        except Superseded:
            newest = Answer(await self.log.read(delivery.stream))
            if newest.end is None:
                # Acknowledging would tell the queue that the message is done, on behalf of an attempt
                # that may still die (rule L6).
                return await self._turn_away(delivery, newest)
            await history.settle(self.log, newest)
            return Verdict.DONE
        except Vanished:
            return Verdict.REFUSE
        if handed_off:
            await self._hand_on(delivery.stream, attempt.number)
            # The next attempt is enqueued and this one is done, whether the lease goes now or by itself.
            with suppress(Unavailable, Rejected):
                await self.log.release(delivery.stream, attempt.number)
        else:
            # The lease stays: it keeps a duplicate that read the log just before from claiming behind the end.
            await history.settle(self.log, answer)
        return Verdict.DONE

    async def _hand_on(self, stream: str, attempt: int) -> None:
        """Enqueue the attempt after this one; asked twice it is still one message (rules O1, Q4)."""
        following = attempt + 1
        await self.queue.enqueue(stream, following, dedup=f"{stream}.{following}")

    async def _may_claim(self, delivery: Delivery, answer: Answer) -> bool:
        """Whether the newest attempt is over, or known to have failed (rules L3, L4)."""
        if answer.begin is None or isinstance(answer.last.record, Handoff):
            return True
        attempt, begin = answer.begin
        if await self.log.held(delivery.stream, attempt) != begin.owner:
            return True
        if begin.message != delivery.message_id or delivery.retried <= begin.retried:
            return False
        # The queue tries again either because it saw the holder fail, or because a duplicate of the
        # same try was merely turned away. Only the first proves anything.
        away = await self.log.turned_away(delivery.stream, delivery.message_id)
        return away is None or away < begin.retried

    async def _turn_away(self, delivery: Delivery, answer: Answer) -> Verdict:
        """Leave the note that keeps a later try of this message from passing for a proof (rule L5)."""
        begun = [begin.retried for _, begin in answer.begins if begin.message == delivery.message_id]
        highest = max(delivery.retried, *begun, 0)
        await self.log.turn_away(delivery.stream, delivery.message_id, highest, self.log.ttl_ms(answer.queued))
        return Verdict.AWAY
