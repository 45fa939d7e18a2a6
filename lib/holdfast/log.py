"""The protocol's verbs on a store: open, claim, append, seal, lease (docs/protocol.md, chapters A, K, L and E)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from holdfast.clock import Clock
from holdfast.errors import Rejected, Superseded, Unavailable, Vanished
from holdfast.keys import Keys
from holdfast.operations import Append, Drop, Get, Keep, Last, Operation, Put, Range, Rank, RawEntry, Score, StreamLog
from holdfast.records import FIRST, SEAL, Begin, Entry, EntryId, Queued, Record, Terminal, decode, encode, is_terminal

#: How long keys outlive what the protocol needs of them, in ms: the store's own clean-up of last resort (rule X6).
GRACE_MS: Final = 86_400_000

#: Entries asked for at once: bounds what one read holds in memory.
PAGE: Final = 256

_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 1.0
_SHORTEST_TRY: Final = 0.5


@dataclass(frozen=True, slots=True)
class Log:
    """The verbs, bound to a store, its key names and time.

    Attributes:
        port: the store.
        keys: key names.
        clock: time.
        lease_ms: how long a publisher is believed alive after its last sign of life, in ms.
        patience: seconds for which a verb asks again when the store does not answer.
    """

    port: StreamLog
    keys: Keys
    clock: Clock
    lease_ms: int = 10_000
    patience: float = 5.0

    def patient(self, seconds: float) -> Log:
        """The same verbs with another patience, in seconds."""
        return replace(self, patience=seconds)

    async def run(self, *operations: Operation, insist: bool = True) -> Sequence[Any]:
        """Carry out idempotent operations, again and again until there is a reply or patience ends.

        Args:
            operations: as for ``StreamLog.apply``.
            insist: whether a refusal is asked about again as well: most stores also refuse when throttled.

        Raises:
            Unavailable: there was none in time.
            Rejected: an append was refused (at once), or the store refused all along.
        """
        end = self.clock.monotonic() + self.patience
        pause = _FIRST_PAUSE
        insist = insist and not any(isinstance(operation, Append) for operation in operations)
        while True:
            try:
                # Half the patience for one try: a dead connection must leave time for another.
                async with asyncio.timeout(max(self.patience / 2, _SHORTEST_TRY)):
                    return await self.port.apply(*operations)
            except Rejected:
                if not insist or self.clock.monotonic() + pause > end:
                    raise
            except (Unavailable, TimeoutError) as error:
                if self.clock.monotonic() + pause > end:
                    raise Unavailable("The store did not answer.") from error
            await self.clock.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def open(self, stream: str, queued: Queued, due_ms: int, *looks: Operation) -> Sequence[Any]:
        """Write the first entry, the log's lifetime and its place in the index, in one request (rule A1).

        Repeating it, with the same or another record, changes nothing: the first one stands.

        Args:
            stream: the stream's id.
            queued: the first record.
            due_ms: when cleanup should first look at it, in epoch milliseconds.
            looks: reads of what stands once the log is open, in the same request.

        Returns:
            The results of ``looks``.
        """
        key, ttl_ms = self.keys.stream(stream), self.ttl_ms(queued)
        extra = (Keep(key, ttl_ms), Rank(self.keys.due, stream, due_ms), Keep(self.keys.due, ttl_ms))
        try:
            results = await self._append(key, FIRST, encode(queued), (*extra, *looks), create=True)
        except Superseded:
            results = await self.run(*extra, *looks)
        if results is None and looks:  # an earlier try had landed, and what it saw is not known
            results = await self.run(*extra, *looks)
        return [] if results is None else results[len(extra) :]

    async def append(self, stream: str, id: EntryId, record: Record) -> None:
        """Add a record under an id of the caller's own attempt, exactly once (rules A2, A3).

        Raises:
            Superseded: a later attempt has begun or the log was sealed.
            Vanished: the log does not exist any more.
            Unavailable, Rejected: the store did not take it within the patience.
        """
        await self._append(self.keys.stream(stream), id, encode(record), ())

    async def seal(self, stream: str, record: Terminal, after: EntryId | None = None, *, look: bool = True) -> bool:
        """End a log from outside (rule E3) → whether this call ended it.

        A log that has an end already is left as it is.

        Args:
            stream: the stream's id.
            record: the end.
            after: the newest entry that the caller has judged by; where anything came after it, the log is left as
                it is. None ends the log whatever came.
            look: whether to look for an end first; without, the seal itself is the first request.

        Raises:
            Vanished: there is no such log.
        """
        tail = await self.last(stream) if look else None
        if tail is not None and is_terminal(tail.record):
            return False
        # The publisher may end the log between the look and the seal: what came in between says who was first.
        since = Range(self.keys.stream(stream), FIRST if tail is None else tail.id, exclusive=True)
        try:
            # The very next id is free only as long as nothing came: neither an entry nor a claim.
            id = SEAL if after is None else EntryId(after.attempt, after.seq + 1)
            results = await self._append(since.key, id, encode(record), (since,))
        except Superseded:
            return False
        (raw,) = results if results is not None else await self.run(since)
        return next((entry.id for entry in parse(raw) if is_terminal(entry.record)), id) == id

    async def claim(self, stream: str, attempt: int, begin: Begin, ttl_ms: int) -> list[Entry]:
        """Begin an attempt, take its lease and begin to read the log, in one request (rule K1).

        Returns:
            Every entry, this claim's own included.

        Raises:
            Superseded: another claimer has this attempt, or the log was sealed.
            Vanished: the log does not exist any more.
        """
        key = self.keys.stream(stream)
        extra = (
            Put(self.keys.lease(stream, attempt), begin.owner, self.lease_ms, "absent"),
            Keep(key, ttl_ms),
            Range(key, FIRST, limit=1),
        )
        results = await self._append(key, EntryId(attempt, 0), encode(begin), extra)
        entries = parse(results[-1] if results else (await self.run(*extra))[-1])
        # What follows stands already: since the claim no earlier attempt can append. A replica may not have it yet.
        entries += await self.read(stream, FIRST, exclusive=True, fresh=True)
        begun = [entry.id.attempt for entry in entries if isinstance(entry.record, Begin)]
        if attempt not in begun:
            raise Vanished(key)  # the log was deleted between the claim and the reading
        if begun[-1] != attempt:
            raise Superseded(key)  # while the reply to the claim was on its way
        return entries

    async def renew(self, stream: str, attempt: int, owner: str, ttl_ms: int) -> EntryId | None:
        """Prolong a lease → the id of the newest entry, by which a silent publisher learns of its end (rule L2)."""
        lease = Put(self.keys.lease(stream, attempt), owner, self.lease_ms)
        _, _, tail = await self.run(lease, Keep(self.keys.stream(stream), ttl_ms), Last(self.keys.stream(stream)))
        return None if tail is None else tail[0]

    async def release(self, stream: str, attempt: int) -> None:
        """Give a lease up, so that nobody need wait for it (rule O3)."""
        await self.run(Drop((self.keys.lease(stream, attempt),)))

    async def held(self, stream: str, attempt: int) -> str | None:
        """The owner that holds the lease of an attempt, if any does."""
        # On a lagging replica a lease that was just taken would be missing, and its holder taken over.
        owner, _ = await self.run(Get(self.keys.lease(stream, attempt)), Drop((self.keys.nothing,)))
        return owner if isinstance(owner, str) else None

    async def turned_away(self, stream: str, message: str) -> int | None:
        """The highest try of a message that was turned away, if one was (rule L5)."""
        (note,) = await self.run(Score(self.keys.away(stream), message))
        return note if isinstance(note, int) else None

    async def turn_away(self, stream: str, message: str, retried: int, ttl_ms: int) -> None:
        """Note that a try of a message was turned away; a note only ever grows (rule L5)."""
        key = self.keys.away(stream)
        await self.run(Rank(key, message, retried, greater=True), Keep(key, ttl_ms))

    async def read(
        self, stream: str, start: EntryId = FIRST, *, exclusive: bool = False, fresh: bool = False
    ) -> list[Entry]:
        """Every entry in order from ``start``, page by page; empty when there are none, or no such log."""
        entries, more = await self.page(stream, start, exclusive=exclusive, fresh=fresh)
        while more:
            page, more = await self.page(stream, entries[-1].id, exclusive=True, fresh=fresh)
            entries += page
        return entries

    async def page(
        self, stream: str, start: EntryId = FIRST, *, exclusive: bool = False, fresh: bool = False
    ) -> tuple[list[Entry], bool]:
        """Some entries in order from ``start``, and whether there may be more.

        Args:
            stream: the stream's id.
            start: where to begin.
            exclusive: whether to begin after ``start``.
            fresh: whether the primary must answer, where a lagging replica would mislead.
        """
        write = (Drop((self.keys.nothing,)),) if fresh else ()
        limit = PAGE
        while True:
            page = Range(self.keys.stream(stream), start, exclusive, limit)
            try:
                raw, *_ = await self.run(page, *write, insist=limit == 1)
            except Rejected:
                # A reply over 10 MB is refused: ask for fewer entries, and insist only on a single one.
                if limit == 1:
                    raise
                limit = max(1, limit // 4)
                continue
            return parse(raw), len(raw) == limit

    async def last(self, stream: str) -> Entry | None:
        """The newest entry that counts, or None where there is no such log: the end, if there is one (rule E1)."""
        (raw,) = await self.run(Last(self.keys.stream(stream)))
        if raw is None:
            return None
        tail = Entry(raw[0], decode(raw[1]))
        if not isinstance(tail.record, Begin):
            return tail
        # A claim that was under way while the answer ended stands behind the end.
        entries = await self.read(stream)
        return next((entry for entry in entries if is_terminal(entry.record)), entries[-1] if entries else None)

    def ttl_ms(self, queued: Queued) -> int:
        """The lifetime of a log's keys, in ms, renewed while it is live: the store's last resort, after cleanup's."""
        return queued.retention_seconds * 1000 + GRACE_MS

    async def _append(
        self, key: str, id: EntryId, text: str, extra: Sequence[Operation], *, create: bool = False
    ) -> Sequence[Any] | None:
        """Append once → the results of ``extra``, or None where an earlier try had landed and they are not known."""
        end = self.clock.monotonic() + self.patience
        pause = _FIRST_PAUSE
        while True:
            try:
                appended, *rest = await self.run(Append(key, id, text, create), *extra)
            except Rejected:
                if await self._landed(key, id, text, create=create):
                    return None
                # The store refused for a reason of its own (throttled, over quota): the id is still free.
                if self.clock.monotonic() + pause > end:
                    raise
                await self.clock.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
                continue
            if appended is None:
                raise Vanished(key)
            return rest

    async def _landed(self, key: str, id: EntryId, text: str, *, create: bool) -> bool:
        """After a refusal: True if the entry is ours, False if its place is free (rule A4)."""
        # Deleting nothing is a write: with it the read is answered by the primary, not by a lagging replica.
        _, found, last = await self.run(Drop((self.keys.nothing,)), Range(key, id, limit=1), Last(key))
        if last is None:
            if create:
                return False  # not vanished: the log has not begun
            raise Vanished(key)
        if found and found[0] == (id, text):
            return True
        if last[0] >= id:
            raise Superseded(key)
        return False


def parse(raw: Sequence[RawEntry]) -> list[Entry]:
    """Stored entries as records.

    Raises:
        BadRecord: one of them cannot be read.
    """
    return [Entry(id, decode(text)) for id, text in raw]
