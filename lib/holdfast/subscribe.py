"""A reader's side: replay from a cursor, poll, end in time (docs/protocol.md, chapter D)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Final

from holdfast import shares
from holdfast.access import Access, owner_in, owner_of
from holdfast.endings import ending_chunk
from holdfast.errors import ApiError, BadRecord, LogGap
from holdfast.generation import Part
from holdfast.identity import created_ms
from holdfast.log import Log, parse
from holdfast.operations import Drop, Operation, Range
from holdfast.records import FIRST, SEAL_ATTEMPT, Begin, Cursor, Entry, Error, Finish, Handoff, Parts, Queued, Stop
from holdfast.rescue import Rescuer

#: An unknown stream younger than this may be one that a lagging replica does not show yet, in ms (rule D2).
_YOUNG_MS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Frame:
    """One chunk for the reader, and the cursor after it. Without a chunk: the end itself, ``[DONE]``."""

    cursor: Cursor
    chunk: Part | None


@dataclass(frozen=True, slots=True)
class Beat:
    """Nothing new for a while; the connection lives."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What the reader may be told of the answer's state besides its text (rule D7).

    Attributes:
        state: ``queued``, ``live``, ``handoff`` or ``stalled``.
        attempt: the newest attempt that the reader has seen.
    """

    state: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Patience:
    """Intervals and limits of a reader, in seconds.

    Attributes:
        poll: between two looks at a log that moves.
        idle_poll: the longest time between two looks at a log that is silent.
        heartbeat: silence after which the connection gets a sign of life.
        unknown: how long a young, unknown stream is looked for.
        gap: how long a missing entry is looked for.
        refusal: the grain of the time that a refusal takes, so that it does not tell whether something was found.
    """

    poll: float = 0.15
    idle_poll: float = 1.0
    heartbeat: float = 15.0
    unknown: float = 3.0
    gap: float = 3.0
    refusal: float = 0.25


@dataclass(frozen=True, slots=True)
class Subscriber:
    """What reading needs.

    Attributes:
        log: the verbs.
        rescuer: sees to streams that nobody writes.
        patience: intervals and limits.
        retention_ms: how long a log stays after its end, to tell an expired stream from one that never was.
    """

    log: Log
    rescuer: Rescuer
    patience: Patience
    retention_ms: int

    async def open(self, stream: str, access: Access, cursor: Cursor | None = None) -> Reading:
        """Find a stream and what follows a cursor.

        What is not the asker's is not found: nothing tells it from what never was, neither the answer nor its time.

        Args:
            stream: the stream's id.
            access: what the asker has shown.
            cursor: where the reader stands; None for the beginning.

        Raises:
            ApiError: 404 unknown, 410 expired, 400 a cursor that this stream never gave.
            Unavailable, Rejected: the store did not answer.
            BadRecord: the log holds what this version cannot read.
        """
        born = created_ms(stream)
        if born is None or access.is_nobody:
            raise unknown_stream()
        clock = self.log.clock
        age_ms = clock.now_ms() - born
        # A replica may lag behind the start, and a 404 would end an EventSource for good.
        give_up = clock.monotonic() + (self.patience.unknown if 0 <= age_ms <= _YOUNG_MS else 0)
        pause = self.patience.poll
        while not (entries := await self._ends(stream, access, cursor, fresh=False)):
            if clock.monotonic() >= give_up:
                await self._conceal(give_up)
                if age_ms > self.retention_ms:
                    # Told by the id alone, so that it is no sign of there having been a stream.
                    what = "This answer was deleted after its retention. Start a new one."
                    raise ApiError(410, "stream_expired", what)
                raise unknown_stream()
            # Replicas lag for milliseconds, and made-up ids must not cost much: longer each time.
            await clock.sleep(min(pause, give_up - clock.monotonic()))
            pause *= 2
        if cursor is not None and cursor.entry not in {entry.id for entry in entries}:
            # Only a lagging replica may be behind a cursor: the primary decides.
            entries = await self._ends(stream, access, cursor, fresh=True)
            if not entries:
                raise unknown_stream()  # deleted meanwhile, or the share was revoked
        if cursor is not None and not _gave(entries[-1], cursor):
            raise ApiError(400, "cursor_unknown", "This stream never gave this cursor: it belongs to another one.")
        queued = entries[0].record
        if not isinstance(queued, Queued):
            raise unknown_stream()
        return Reading(self, stream, queued, cursor, entries if cursor is None else entries[1:])

    async def _conceal(self, give_up: float) -> None:
        """Wait until the time since ``give_up`` is a multiple of the grain: a found log takes longer to read."""
        clock, grain = self.log.clock, self.patience.refusal
        spent = clock.monotonic() - give_up
        await clock.sleep(grain - spent % grain)

    async def _ends(self, stream: str, access: Access, cursor: Cursor | None, *, fresh: bool) -> list[Entry]:
        """The first entry, and the first one from the cursor's on; nothing where there is no such log for the asker."""
        key = self.log.keys.stream(stream)
        wanted: list[Operation] = [Range(key, FIRST, limit=1)]
        if cursor is not None:
            wanted.append(Range(key, cursor.entry, limit=1))
        pages = len(wanted)
        share = access.share
        if share is not None:
            wanted.append(shares.look(self.log.keys, stream, share))
        if fresh:
            wanted.append(Drop((self.log.keys.nothing,)))  # a write, so that the primary answers
        found = await self.log.run(*wanted)
        raw = [entry for page in found[:pages] for entry in page]
        if not found[0]:
            return []
        revoked = share is not None and shares.is_revoked(share, found[pages])
        try:
            entries = parse(raw)
        except BadRecord:
            if access.opens(owner_in(raw[0][1]), revoked=revoked):
                raise
            return []
        return entries if access.opens(owner_of(entries[0]), revoked=revoked) else []


class Reading:
    """One reader's way through one stream. Made by ``Subscriber.open``."""

    def __init__(
        self, subscriber: Subscriber, stream: str, queued: Queued, cursor: Cursor | None, page: Sequence[Entry]
    ) -> None:
        self.stream = stream
        self.queued = queued
        self._log = subscriber.log
        self._patience = subscriber.patience
        self._rescuer = subscriber.rescuer
        self._cursor = cursor
        self._page = list(page)
        self._more = True
        self._last: Entry | None = None
        self._pos: int | None = None if cursor is not None else 0
        #: Whether the reader already has everything, the end included: nothing is to be sent (rule D3).
        self.complete = bool(
            cursor is not None and cursor.part is None and page and isinstance(page[0].record, Finish | Error | Stop)
        )

    @property
    def cursor(self) -> Cursor:
        """How far this reader has come, or where it began."""
        if self._last is None:
            return self._cursor or Cursor(FIRST)
        here = Cursor(self._last.id)
        return here if self._cursor is None or self._cursor < here else self._cursor

    async def frames(self, seconds: float) -> AsyncGenerator[Frame | Beat | Sight]:
        """What the reader lacks, as it comes, until the end or until time is up.

        Args:
            seconds: how long to go on; then this returns, and the reader comes back with its cursor.

        Raises:
            Unavailable, Rejected: the store did not answer; the reader should come back with its cursor.
            LogGap: an entry is missing and stayed missing.
            Vanished: the log was deleted meanwhile.
        """
        clock = self._log.clock
        until = clock.monotonic() + seconds
        news = beat = clock.monotonic()
        watch = self._rescuer.watch(self.stream)
        told: Sight | None = None
        while True:
            for entry in await self._dense(self._page):
                for frame in self._take(entry):
                    yield frame
                    if frame.chunk is None:
                        return
                news = beat = clock.monotonic()
            now = clock.monotonic()
            if now >= until:
                return
            if not self._more:
                if now - beat >= self._patience.heartbeat:
                    beat = now
                    yield Beat()
                await watch.look(FIRST if self._last is None else self._last.id, silent=now - news)
                if (sight := self._sight(watch.stalled)) != told:
                    told = sight
                    yield sight
                pause = max(self._patience.poll, min((now - news) / 10, self._patience.idle_poll))
                await clock.sleep(min(pause, until - now))
            self._page = await self._next_page()

    async def _next_page(self) -> list[Entry]:
        if self._last is None:
            page, self._more = await self._log.page(self.stream)
        else:
            page, self._more = await self._log.page(self.stream, self._last.id, exclusive=True)
        return page

    async def _dense(self, page: list[Entry]) -> list[Entry]:
        """The page, read again until nothing is missing in it (rule D5)."""
        give_up = self._log.clock.monotonic() + self._patience.gap
        while not self._is_dense(page):
            if self._log.clock.monotonic() >= give_up:
                raise LogGap("A part of the stored answer is missing.")
            await self._log.clock.sleep(self._patience.poll)
            page = await self._next_page()
        self._page = page
        return page

    def _is_dense(self, page: list[Entry]) -> bool:
        before, pos = self._last, self._pos
        for entry in page:
            id = entry.id
            if before is not None and id.attempt == before.id.attempt and id.seq != before.id.seq + 1:
                return False
            if before is not None and id.attempt != before.id.attempt and id.seq != 0:
                return False
            if id.seq == 0 and id.attempt != SEAL_ATTEMPT and not isinstance(entry.record, Begin):
                return False
            if isinstance(entry.record, Parts):
                if pos is not None and entry.record.pos != pos:
                    return False
                pos = entry.record.pos + len(entry.record.parts)
            elif isinstance(entry.record, Finish) and pos is not None and entry.record.parts != pos:
                return False
            before = entry
        return True

    def _sight(self, stalled: bool) -> Sight:
        last = self._last
        attempt = 0 if last is None else last.id.attempt
        if stalled:
            return Sight("stalled", attempt)
        if last is None or isinstance(last.record, Queued):
            return Sight("queued", attempt)
        return Sight("handoff" if isinstance(last.record, Handoff) else "live", attempt)

    def _take(self, entry: Entry) -> list[Frame]:
        """The frames of an entry that lie behind the reader's cursor."""
        self._last = entry
        match entry.record:
            case Parts() as record:
                self._pos = record.pos + len(record.parts)
                last = len(record.parts) - 1
                frames = [
                    Frame(Cursor(entry.id, None if k == last else k), chunk) for k, chunk in enumerate(record.parts)
                ]
            case Finish() | Error() | Stop() as terminal:
                frames = [Frame(Cursor(entry.id, 0), ending_chunk(terminal)), Frame(Cursor(entry.id), None)]
            case _:
                frames = []
        return [frame for frame in frames if self._cursor is None or self._cursor < frame.cursor]


def _gave(entry: Entry, cursor: Cursor) -> bool:
    """Whether a cursor stands for this entry, or for one of its parts but the last (rule F2)."""
    if entry.id != cursor.entry or cursor.part is None:
        return entry.id == cursor.entry
    match entry.record:
        case Parts(parts=parts):
            return cursor.part < len(parts) - 1
        case Finish() | Error() | Stop():
            return cursor.part == 0
    return False


def unknown_stream() -> ApiError:
    """404: no such stream, or not yours, which nobody can tell apart."""
    what = (
        "There is no such stream, or it is not yours. Check the id, and send what it was started with: the session's "
        "cookie or the API key; its read token lets you read it."
    )
    return ApiError(404, "stream_unknown", what)
