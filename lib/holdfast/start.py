"""A start: one request, one answer, however often it is sent (docs/protocol.md, chapters S and H)."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from holdfast import history
from holdfast.answer import Answer
from holdfast.batching import size_of
from holdfast.claims import Turn
from holdfast.errors import ApiError, Rejected, Unavailable, Vanished
from holdfast.gate import Gate
from holdfast.history import History
from holdfast.identity import created_ms, digest, new_stream_id
from holdfast.log import Log
from holdfast.operations import Drop, Score, Unrank
from holdfast.queue import Queue
from holdfast.records import Entry, Error, Queued, encode, is_terminal
from holdfast.repeats import Repeats, end_left, joins, moves_on, newest_of, taken_back
from holdfast.requests import StartRequest
from holdfast.turns import Plan, busy, certainly_brought, check_newest, deleted, plan_turn

_logger = logging.getLogger("holdfast")

#: A claimed turn without a log is believed to be still starting for so long, in ms.
_STARTING_MS: Final = 10_000
#: How soon cleanup first looks at a stream, in ms after its start.
_FIRST_LOOK_MS: Final = 30_000
_MOST_RACES: Final = 8
#: Bytes of a first record on its way to the store, which takes 10 MB in one request.
_MOST_BYTES: Final = 10_000_000
#: Seconds for which the store is asked to undo a start that failed.
_BRIEF: Final = 1.0


@dataclass(frozen=True, slots=True)
class Started:
    """What a start led to.

    Attributes:
        stream: the stream that answers.
        created: whether this request made it; False where it joined one that was there.
    """

    stream: str
    created: bool


@dataclass(frozen=True, slots=True)
class Starter:
    """What starting needs.

    Attributes:
        log: the verbs.
        queue: has the answer published.
        retention_seconds: how long a log stays after its end.
        chat_retention_seconds: how long a chat stays after its newest turn.
        gate: limits starts; without one there are no limits.
    """

    log: Log
    queue: Queue
    retention_seconds: int
    chat_retention_seconds: int
    gate: Gate | None = None

    async def start(self, request: StartRequest, address: str = "") -> Started:
        """Open a log for a request and enqueue it, or join the one that answers it already.

        Args:
            request: the start.
            address: where it comes from, for the limit per address.

        Raises:
            ApiError: 409 another answer of the chat is live, or it was deleted just now, 422 the key was used for
                another request, 429 there were too many starts, 413 it is too large,
                503 the store or the queue did not answer; then nothing is left behind.
        """
        try:
            return await self._let_in(request, address)
        except Vanished as error:
            raise deleted() from error  # with the answer that was to be stopped before this one
        except (Unavailable, Rejected) as error:
            raise ApiError(
                503, "store_unavailable", "The store did not answer. Nothing was started; try again.", retry_after=2
            ) from error

    async def _let_in(self, request: StartRequest, address: str) -> Started:
        """Start within the limits; what is over them may still join what was let in before (rule N3)."""
        check_newest(request)
        stream = new_stream_id(self.log.clock.now_ms())
        if (gate := self.gate) is None:
            return await self._start(request, stream)
        gate.limits.check_prompt(certainly_brought(request))
        if (refusal := await gate.enter(request.owner, address, stream)) is not None:
            if (standing := await self._standing(request)) is not None:
                return standing
            ended = await end_left(request, self._chat(request)) if refusal.code == "limit_live" else None
            if ended is None or not await gate.take_over(request.owner, stream, ended):
                raise refusal
        try:
            started = await self._start(request, stream)
        except Exception:
            await gate.leave(request.owner, stream)
            raise
        await gate.keep(request.owner, stream, started.stream if started.created else None)
        return started

    async def _start(self, request: StartRequest, stream: str) -> Started:
        if request.key is not None:
            standing = await self._keys.claim(request, stream)
            if standing != stream and await self._repair(standing):
                return Started(standing, created=False)
            if standing != stream and (self._keys.is_expired(standing) or await self.log.last(standing) is not None):
                await self._keys.keep(request, stream)  # its answer is gone, or never began: the key may serve again
            else:
                stream = standing
        if (chat := self._chat(request)) is None:
            plan: Plan | Started = Plan(stream, request.messages)
        else:
            try:
                plan = await self._in_chat(request, chat, stream)
            except (Unavailable, Rejected):
                raise  # the turn may be claimed: under its key the next try goes on with it
            except Exception:
                await self._keys.forget(request)
                raise
        if isinstance(plan, Started):
            await self._keys.keep(request, plan.stream)
            return plan
        return await self._open(request, plan)

    async def _open(self, request: StartRequest, plan: Plan) -> Started:
        now = self.log.clock.now_ms()
        queued = Queued(
            at=now,
            owner=request.owner,
            message_id=plan.answers_as,
            messages=plan.messages,
            extra=request.extra,
            chat_id=request.chat_id,
            turn=plan.turn,
            drops=list(plan.drops),
            asks=plan.asks,
            idempotency=None if request.key is None else digest(request.owner, request.key),
            retention_seconds=self.retention_seconds,
            chat_retention_seconds=self.chat_retention_seconds,
        )
        if size_of(encode(queued)) > _MOST_BYTES:
            await self._roll_back(request, queued, plan)
            what = "The conversation is larger than the store takes at once. Send less, or begin another chat."
            raise ApiError(413, "conversation_too_large", what)
        try:
            # No later than the retention: a short one would otherwise only begin to count with the first look.
            due = now + min(_FIRST_LOOK_MS, self.retention_seconds * 1000)
            erased = await self.log.open(plan.stream, queued, due, *self._looks(queued))
            if max((turn or 0 for turn in erased), default=0) >= max(plan.turn, 1):
                await self._roll_back(request, queued, plan)
                raise deleted()
            await self._enqueue(plan.stream)
        except (Unavailable, Rejected) as error:
            # The store may be what fails: the client has waited long enough for it.
            brief = replace(self, log=self.log.patient(_BRIEF))
            if not await brief._has_begun(plan.stream) and await brief._roll_back(request, queued, plan):
                raise ApiError(
                    503,
                    "not_started",
                    "The answer could not be enqueued. Nothing was started; try again.",
                    retry_after=2,
                ) from error
        try:
            await history.enter(self.log, queued)
        except (Unavailable, Rejected):
            # The answer is on its way: whoever ends it brings its question into the history as well.
            _logger.warning("history_not_entered", extra={"stream": plan.stream})
        return Started(plan.stream, created=True)

    def _looks(self, queued: Queued) -> list[Score]:
        """Whether the chat was deleted, as seen with the log open: later, the deletion sees the log (rule J4)."""
        chat = history.of(self.log, queued)
        return [] if chat is None else [Score(self.log.keys.turns(chat.chat), history.ERASED)]

    async def _has_begun(self, stream: str) -> bool:
        """Whether the queue delivers the message, though its own answer to the start was lost."""
        try:
            last = await self.log.last(stream)
        except (Unavailable, Rejected):
            return False
        return last is not None and not isinstance(last.record, Queued)

    async def _roll_back(self, request: StartRequest, queued: Queued, plan: Plan) -> bool:
        """Leave nothing behind; sealed first, so that a delivery under way calls no model (rule S4).

        Returns:
            False where the answer was delivered and has its end already: it stays.
        """
        error = Error(at=self.log.clock.now_ms(), code="not_started", message="The start failed.", by="start")
        keys = self.log.keys
        try:
            with suppress(Vanished):
                # Without a look first: behind an append that is still on its way, the seal must be too.
                if not await self.log.seal(plan.stream, error, look=False):
                    return False
            await self.log.run(
                Drop((keys.stream(plan.stream), keys.away(plan.stream))), Unrank(keys.due, (plan.stream,))
            )
            chat = history.of(self.log, queued)
            if chat is not None:
                await chat.unclaim(Turn(plan.turn, plan.stream, ""))
            await self._keys.forget(request)
        except (Unavailable, Rejected):
            _logger.warning("start_not_rolled_back", extra={"stream": plan.stream})
        return True

    # -- the same request again ---------------------------------------------------------------------

    @property
    def _keys(self) -> Repeats:
        return Repeats(self.log, self.retention_seconds)

    async def _standing(self, request: StartRequest) -> Started | None:
        """The answer that a request has already, for one that may begin none."""
        stream = await self._keys.find(request)
        newest = None if stream is not None else await newest_of(self._chat(request))
        if newest is not None and await joins(self.log, request, *newest):
            stream = newest[0].stream
        return Started(stream, created=False) if stream is not None and await self._repair(stream) else None

    async def _repair(self, stream: str) -> bool:
        """Enqueue again what was opened and nobody began (rule S3) → whether there is an answer to join."""
        last = await self.log.last(stream)
        if last is None or taken_back(last):
            return False
        if isinstance(last.record, Queued):
            await self._enqueue(stream)
        return True

    async def _enqueue(self, stream: str) -> None:
        """Have the first attempt delivered; asked twice it is still one message."""
        dedup = f"{stream}.1"
        try:
            await self.queue.enqueue(stream, 1, dedup=dedup)
        except Unavailable:
            await self.queue.enqueue(stream, 1, dedup=dedup)

    # -- in a chat ----------------------------------------------------------------------------------

    def _chat(self, request: StartRequest) -> History | None:
        if request.chat_id is None:
            return None
        return history.of_chat(self.log, request.owner, request.chat_id, self.chat_retention_seconds)

    async def _in_chat(self, request: StartRequest, chat: History, stream: str) -> Plan | Started:
        """Find the turn of this request: a new one, claimed, or one that is there already."""
        highest, newest = await chat.newest()
        for _ in range(_MOST_RACES):
            number = highest + 1
            if newest is not None:
                joined = await self._beside(request, chat, newest)
                if joined is not None:
                    return joined
                last = await self.log.last(newest.stream)
                if last is None and newest.identity == request.turn_identity and self._is_starting(newest):
                    number, stream = newest.number, newest.stream  # its start died before it opened the log
                else:
                    number = newest.number + 1
            items = await chat.load()
            if newest is not None and self._period(created_ms(newest.stream)) != self._period(None):
                await chat.renew(items)
            plan = plan_turn(request, items, number, stream)
            if self.gate is not None:
                self.gate.limits.check_prompt(plan.brought)
                plan = replace(plan, messages=self.gate.limits.trimmed(plan.messages))
            claimed = await chat.claim(number, stream, request.turn_identity)
            if claimed.stream == stream:
                return plan
            newest = claimed  # somebody else was faster: look at theirs
        raise ApiError(503, "chat_contended", "Too many starts at once in this chat. Try again.", retry_after=1)

    async def _beside(self, request: StartRequest, chat: History, newest: Turn) -> Started | None:
        """What the newest turn means for this request: join it, wait for it, or go on after it (rule H3)."""
        last = await self.log.last(newest.stream)
        if last is None:
            if newest.identity != request.turn_identity and self._is_starting(newest):
                raise deleted() if await chat.newest_turn() is None else busy(newest.stream)
            return None
        if over := is_terminal(last.record):
            await self._settle(newest)
        if await joins(self.log, request, newest, last):
            await self._repair(newest.stream)
            return Started(newest.stream, created=False)
        if over or await moves_on(self.log, request, newest.stream):
            return None
        raise busy(newest.stream)

    async def _settle(self, turn: Turn) -> None:
        """Bring an ended turn into the history if its writer died before it did."""
        entries: list[Entry] = await self.log.read(turn.stream)
        if entries:
            await history.repair(self.log, Answer(entries))

    def _is_starting(self, turn: Turn) -> bool:
        return self.log.clock.now_ms() - (created_ms(turn.stream) or 0) < _STARTING_MS

    def _period(self, at_ms: int | None) -> int:
        at_ms = self.log.clock.now_ms() if at_ms is None else at_ms
        return at_ms // (self.chat_retention_seconds * 1000)
