"""Rules left out one at a time, to show that the model would notice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from _pytest.monkeypatch import MonkeyPatch

from holdfast import attempt, history, log, operations
from holdfast.log import Log
from holdfast.publish import Publisher, Verdict
from holdfast.queue import Delivery
from holdfast.records import FIRST, SEAL, Begin, Cursor, Entry, EntryId, Error, Finish, Record
from holdfast.rescue import Outcome, Rescuer

type Mutation = Callable[[MonkeyPatch], None]


def no_read_back(patch: MonkeyPatch) -> None:
    """A4: a refused append is taken for one that landed."""

    async def landed(*_: object, **__: object) -> bool:
        return True

    patch.setattr(Log, "_landed", landed)


def no_lease_check(patch: MonkeyPatch) -> None:
    """L3: every delivery claims."""

    async def may_claim(*_: object) -> bool:
        return True

    patch.setattr(Publisher, "_may_claim", may_claim)


def no_note(patch: MonkeyPatch) -> None:
    """L5: a try that was merely turned away passes for the proof that the holder failed."""

    async def turn_away(*_: object) -> None:
        return None

    patch.setattr(Log, "turn_away", turn_away)


def blind_callback(patch: MonkeyPatch) -> None:
    """Q3: the failure callback seals without looking."""

    async def failed(self: Publisher, delivery: Delivery) -> bool:
        record = Error(at=self.log.clock.now_ms(), code="retries_exhausted", message="", by="callback")
        return await history.end(self.log, delivery.stream, record)

    patch.setattr(Publisher, "failed", failed)


def acknowledged_when_superseded(patch: MonkeyPatch) -> None:
    """L6: whoever is turned away acknowledges."""
    original = Publisher.publish

    async def published(self: Publisher, delivery: Delivery, deadline_ms: int | None = None) -> Verdict:
        verdict = await original(self, delivery, deadline_ms)
        return Verdict.DONE if verdict is Verdict.AWAY else verdict

    patch.setattr(Publisher, "publish", published)


def read_before_the_claim(patch: MonkeyPatch) -> None:
    """K1: what stands is taken from a read before the claim."""
    original = Log.claim

    async def claim(self: Log, stream: str, number: int, begin: Begin, ttl_ms: int) -> list[Entry]:
        before = await self.read(stream)
        await original(self, stream, number, begin, ttl_ms)
        return [*before, Entry(EntryId(number, 0), begin)]

    patch.setattr(Log, "claim", claim)


def read_from_a_replica(patch: MonkeyPatch) -> None:
    """K1: what stands is read after the claim, but from a replica that may lag."""
    original = Log.page

    async def page(
        self: Log, stream: str, start: EntryId = FIRST, *, exclusive: bool = False, fresh: bool = False
    ) -> Any:
        del fresh
        return await original(self, stream, start, exclusive=exclusive)

    patch.setattr(Log, "page", page)


def no_rescue(patch: MonkeyPatch) -> None:
    """Q1: nobody asks for a rescue."""
    original = Rescuer.tend

    class Deaf:
        async def enqueue(self, stream: str, number: int, *, dedup: str) -> None:
            del stream, number, dedup

    async def tend(self: Rescuer, stream: str, seen: EntryId, by: str) -> Outcome:
        return await original(replace(self, queue=Deaf()), stream, seen, by)

    patch.setattr(Rescuer, "tend", tend)


def no_last_resort(patch: MonkeyPatch) -> None:
    """Q2: nobody ends a hopeless answer."""

    async def tend(*_: object) -> Outcome:
        return Outcome.WAITING

    patch.setattr(Rescuer, "tend", tend)


def headless(patch: MonkeyPatch) -> None:
    """A5: every append creates the log that it does not find."""

    class Creating(operations.Append):
        __slots__ = ()

        def __init__(self, key: str, id: EntryId, record: str, create: bool = False) -> None:
            del create
            super().__init__(key, id, record, create=True)

    patch.setattr(log, "Append", Creating)


def unfenced_end(patch: MonkeyPatch) -> None:
    """E2: a publisher ends its answer as outsiders do, so a superseded one can."""
    original = attempt.Attempt._append

    async def append(self: attempt.Attempt, record: Record) -> EntryId:
        if isinstance(record, Finish | Error):
            await self._log.append(self._stream, SEAL, record)
            return SEAL
        return await original(self, record)

    patch.setattr(attempt.Attempt, "_append", append)


def blind_renewal(patch: MonkeyPatch) -> None:
    """L2: a renewal does not look at the tail."""
    original = Log.renew

    async def renew(self: Log, stream: str, number: int, owner: str, ttl_ms: int) -> EntryId | None:
        tail = await original(self, stream, number, owner, ttl_ms)
        return None if tail is None else replace(tail, attempt=number)

    patch.setattr(Log, "renew", renew)


def no_renewal(patch: MonkeyPatch) -> None:
    """L2: a lease is not renewed."""

    async def renew(self: Log, stream: str, number: int, owner: str, ttl_ms: int) -> EntryId | None:
        del owner, ttl_ms
        tail = await self.last(stream)
        return None if tail is None else replace(tail.id, attempt=number)

    patch.setattr(Log, "renew", renew)


def cursors_as_text(patch: MonkeyPatch) -> None:
    """C2: cursors are compared as text."""
    patch.setattr(Cursor, "__lt__", lambda self, other: str(self) < str(other))


def no_settling(patch: MonkeyPatch) -> None:
    """H5: nobody brings the answer into the history before its log is deleted."""

    async def nothing(*_: object) -> None:
        return None

    patch.setattr(history, "repair", nothing)
    patch.setattr(history, "settle", nothing)


#: Every mutation, with a piece of the violation that it must lead to.
MUTATIONS: dict[Mutation, str] = {
    no_read_back: "K1",
    no_lease_check: "2 calls of the model",
    no_note: "calls of the model",
    blind_callback: "Q",
    acknowledged_when_superseded: "L6",
    read_before_the_claim: "L6",
    read_from_a_replica: "L6",
    no_rescue: "Q1",
    no_last_resort: "Q2",
    headless: "A5",
    unfenced_end: "E2",
    blind_renewal: "L2",
    no_renewal: "2 calls of the model",
    cursors_as_text: "C3",
    no_settling: "H",
}
