"""Lets starts in, or says why not: allowances per minute, and places for live answers (docs/protocol.md, chapter N)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from holdfast.errors import ApiError, BadRecord, Rejected, Unavailable
from holdfast.identity import digest
from holdfast.limits import Limits, Rates, too_many_live, too_many_starts
from holdfast.log import Log
from holdfast.operations import Drop, Enter, Get, Last, Rank, RawEntry, Unrank
from holdfast.records import Begin, decode, is_terminal

_logger = logging.getLogger("holdfast")

#: A place whose log is not there yet is believed to be of a start under way for so long, in ms.
_STARTING_MS: Final = 10_000
#: Logs that are looked at in one request: bounds what their newest records hold in memory.
_AT_ONCE: Final = 10
#: Seconds before an allowance is asked for once more, where the store did not answer.
_PAUSE: Final = 0.1
#: Seconds for which the store is asked to free a place: the client waits, and a place that stays is found out later.
_BRIEF: Final = 1.0


@dataclass(frozen=True, slots=True)
class Gate:
    """What limiting starts needs.

    Attributes:
        log: the store and its names.
        rates: the allowances.
        limits: how much is let in.
        give_up_seconds: without lease and record for so long, an answer is written by nobody.
        longest_seconds: no answer takes longer.
    """

    log: Log
    rates: Rates
    limits: Limits
    give_up_seconds: float = 120.0
    longest_seconds: float = 86_400.0

    async def enter(self, owner: str, address: str, stream: str) -> ApiError | None:
        """Count a start, and take a place for its answer → why it may not begin, or None.

        Args:
            owner: who asks.
            address: from where, as ``holdfast.adapters.platform`` tells it.
            stream: the id of the answer.

        Raises:
            Unavailable, Rejected: the store did not answer: nobody is let in then.
        """
        limits, keys = self.limits, self.log.keys
        # The owner first: who hammers must not use up what others at the same address have.
        for kind, subject, most in (
            ("owner", owner, limits.owner_starts),
            ("address", address, limits.address_starts),
        ):
            if most and (wait := await self._take(keys.rate(kind, digest(subject)), most)) is not None:
                return too_many_starts(kind, most, wait)
        if limits.live_answers and not await self._place(self._live(owner), stream):
            return too_many_live(limits.live_answers)
        return None

    async def take_over(self, owner: str, stream: str, ended: str) -> bool:
        """Have a start that ended a live answer get that answer's place → whether it has one.

        Args:
            owner: who asks.
            stream: the id of the new answer.
            ended: the stream that was ended.

        Raises:
            Unavailable, Rejected: the store did not answer.
        """
        return await self._place(self._live(owner), stream, (ended,))

    async def leave(self, owner: str, stream: str) -> None:
        """Give back the place of an answer that did not come to be; if that fails, it is found out later."""
        if self.limits.live_answers:
            try:
                await self.log.patient(_BRIEF).run(Unrank(self._live(owner), (stream,)))
            except (Unavailable, Rejected):
                _logger.warning("place_not_left", extra={"stream": stream})

    async def keep(self, owner: str, stream: str, begun: str | None) -> None:
        """Let the answer that was begun have the place.

        Args:
            owner: who asked.
            stream: the id under which the place was taken.
            begun: that id; another one where an earlier start was gone on with; None where an answer was joined.
        """
        if begun is None:
            await self.leave(owner, stream)
        elif begun != stream and self.limits.live_answers:
            live = self._live(owner)
            try:
                await self.log.run(Rank(live, begun, self.log.clock.now_ms()), Unrank(live, (stream,)))
            except (Unavailable, Rejected):
                _logger.warning("place_not_kept", extra={"stream": begun})  # the answer is on its way all the same

    # -- allowances ---------------------------------------------------------------------------------

    async def _take(self, key: str, per_minute: int) -> float | None:
        try:
            async with asyncio.timeout(self.log.patience):
                try:
                    return await self.rates.take(key, per_minute)
                except (Unavailable, Rejected):
                    await self.log.clock.sleep(_PAUSE)
                    # If only the reply was lost, one too many is taken: that errs on the right side.
                    return await self.rates.take(key, per_minute)
        except TimeoutError as error:
            raise Unavailable("The store did not answer.") from error

    # -- places -------------------------------------------------------------------------------------

    def _live(self, owner: str) -> str:
        return self.log.keys.live(digest(owner))

    async def _place(self, live: str, stream: str, gone: tuple[str, ...] = ()) -> bool:
        """Take a place; where all are taken, see which of them are of answers that are not written any more.

        Nobody need take an answer out at its end: whether it is live is what its log says.
        """
        longest_ms = round((self.longest_seconds + self.give_up_seconds) * 1000)
        for _ in range(2):
            now = self.log.clock.now_ms()
            enter = Enter(live, stream, now, self.limits.live_answers, now - longest_ms, gone, longest_ms)
            (standing,) = await self.log.run(enter)
            if standing is None:
                return True
            if not (gone := await self._gone(standing)):
                return False
        return False

    async def _gone(self, standing: Sequence[tuple[str, int]]) -> tuple[str, ...]:
        """Some of these, oldest first, that are not live; none if all are."""
        for first in range(0, len(standing), _AT_ONCE):
            page = standing[first : first + _AT_ONCE]
            # Deleting nothing is a write: with it the primary answers, not a replica that has not seen an end.
            lasts = await self.log.run(
                *(Last(self.log.keys.stream(stream)) for stream, _ in page), Drop((self.log.keys.nothing,))
            )
            live = [
                await self._is_live(stream, entered_ms, last)
                for (stream, entered_ms), last in zip(page, lasts[:-1], strict=True)
            ]
            if not all(live):
                return tuple(stream for (stream, _), lives in zip(page, live, strict=True) if not lives)
        return ()

    async def _is_live(self, stream: str, entered_ms: int, last: RawEntry | None) -> bool:
        now = self.log.clock.now_ms()
        if last is None:
            return now - entered_ms < _STARTING_MS
        id, text = last
        try:
            record = decode(text)
            if isinstance(record, Begin):
                # A claim that was under way while the answer ended stands behind the end.
                entry = await self.log.last(stream)
                if entry is None:
                    return False
                id, record = entry.id, entry.record
        except BadRecord:
            return True  # a newer release may be at it
        if is_terminal(record):
            return False
        if now - record.at < self.give_up_seconds * 1000:
            return True
        (lease,) = await self.log.run(Get(self.log.keys.lease(stream, id.attempt)))
        return lease is not None
