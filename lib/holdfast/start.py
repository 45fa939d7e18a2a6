"""A start: one request, one answer, however often it is sent (docs/protocol.md, chapters S and H)."""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from holdfast import history
from holdfast.answer import Answer
from holdfast.errors import ApiError, Rejected, Unavailable, Vanished
from holdfast.generation import UIMessage
from holdfast.history import History, Item, Turn
from holdfast.identity import created_ms, digest, message_id, new_stream_id
from holdfast.log import Log
from holdfast.operations import Drop, Get, Put, Unrank
from holdfast.queue import Queue
from holdfast.records import Entry, Error, Queued, Stop, is_terminal
from holdfast.requests import StartRequest

_logger = logging.getLogger("holdfast")

#: A claimed turn without a log is believed to be still starting for so long, in ms.
_STARTING_MS: Final = 10_000
#: How soon cleanup first looks at a stream, in ms after its start.
_FIRST_LOOK_MS: Final = 30_000
_MOST_RACES: Final = 8


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
class _Plan:
    """What a start is going to write."""

    stream: str
    messages: list[UIMessage]
    turn: int = 0
    drops: tuple[str, ...] = ()
    asks: UIMessage | None = None


@dataclass(frozen=True, slots=True)
class Starter:
    """What starting needs.

    Attributes:
        log: the verbs.
        queue: has the answer published.
        retention_seconds: how long a log stays after its end.
        chat_retention_seconds: how long a chat stays after its newest turn.
    """

    log: Log
    queue: Queue
    retention_seconds: int
    chat_retention_seconds: int

    async def start(self, request: StartRequest) -> Started:
        """Open a log for a request and enqueue it, or join the one that answers it already.

        Raises:
            ApiError: 409 another answer of the chat is live, 422 the key was used for another request,
                503 the store or the queue did not answer; then nothing is left behind.
        """
        try:
            return await self._start(request)
        except (Unavailable, Rejected) as error:
            raise ApiError(
                503, "store_unavailable", "The store did not answer. Nothing was started; try again.", retry_after=2
            ) from error

    async def _start(self, request: StartRequest) -> Started:
        stream = new_stream_id(self.log.clock.now_ms())
        if request.key is not None:
            stream, known = await self._keyed(request, stream)
            if known and await self._repair(stream):
                return Started(stream, created=False)
        if request.newest["role"] != "user":
            raise ApiError(422, "field_invalid", "messages: the newest message must be the user's.")
        if request.chat_id is None:
            plan: _Plan | Started = _Plan(stream, request.messages)
        else:
            chat = history.of_chat(self.log, request.owner, request.chat_id, self.chat_retention_seconds)
            try:
                plan = await self._in_chat(request, chat, stream)
            except ApiError:
                await self._forget_key(request)
                raise
        if isinstance(plan, Started):
            return plan
        return await self._open(request, plan)

    async def _open(self, request: StartRequest, plan: _Plan) -> Started:
        now = self.log.clock.now_ms()
        queued = Queued(
            at=now,
            owner=request.owner,
            message_id=message_id(plan.stream),
            messages=plan.messages,
            extra=request.extra,
            chat_id=request.chat_id,
            turn=plan.turn,
            drops=list(plan.drops),
            asks=plan.asks,
            retention_seconds=self.retention_seconds,
            chat_retention_seconds=self.chat_retention_seconds,
        )
        try:
            await self.log.open(plan.stream, queued, now + _FIRST_LOOK_MS)
            await self.queue.enqueue(plan.stream, 1, dedup=f"{plan.stream}.1")
        except (Unavailable, Rejected) as error:
            await self._roll_back(request, queued, plan)
            raise ApiError(
                503, "not_started", "The answer could not be enqueued. Nothing was started; try again.", retry_after=2
            ) from error
        try:
            await history.enter(self.log, queued)
        except (Unavailable, Rejected):
            # The answer is on its way: whoever ends it brings its question into the history as well.
            _logger.warning("history_not_entered", extra={"stream": plan.stream})
        return Started(plan.stream, created=True)

    async def _roll_back(self, request: StartRequest, queued: Queued, plan: _Plan) -> None:
        """Leave nothing behind; sealed first, so that a delivery under way calls no model (rule S4)."""
        error = Error(at=self.log.clock.now_ms(), code="not_started", message="The start failed.", by="start")
        keys = self.log.keys
        try:
            with suppress(Vanished):
                await self.log.seal(plan.stream, error)
            await self.log.run(
                Drop((keys.stream(plan.stream), keys.away(plan.stream))), Unrank(keys.due, (plan.stream,))
            )
            chat = history.of(self.log, queued)
            if chat is not None:
                await chat.unclaim(Turn(plan.turn, plan.stream, ""))
            await self._forget_key(request)
        except (Unavailable, Rejected):
            _logger.warning("start_not_rolled_back", extra={"stream": plan.stream})

    # -- the same request again ---------------------------------------------------------------------

    async def _keyed(self, request: StartRequest, stream: str) -> tuple[str, bool]:
        """Claim the idempotency key → the stream that has it, and whether an earlier request made it."""
        key = self._key(request)
        value = json.dumps({"stream": stream, "fingerprint": request.fingerprint})
        _, stored = await self.log.run(Put(key, value, self.retention_seconds * 1000, "absent"), Get(key))
        standing = json.loads(stored)
        if standing["fingerprint"] != request.fingerprint:
            raise ApiError(
                422, "idempotency_key_reused", "This Idempotency-Key was used for another request. Use a new one."
            )
        return standing["stream"], standing["stream"] != stream

    def _key(self, request: StartRequest) -> str:
        return self.log.keys.idempotency(digest(request.owner, request.key))

    async def _forget_key(self, request: StartRequest) -> None:
        if request.key is not None:
            await self.log.run(Drop((self._key(request),)))

    async def _repair(self, stream: str) -> bool:
        """Enqueue again what an earlier start opened and nobody began (rule S3) → whether the log exists."""
        last = await self.log.last(stream)
        if last is None:
            return False
        if isinstance(last.record, Queued):
            await self.queue.enqueue(stream, 1, dedup=f"{stream}.1")
        return True

    # -- in a chat ----------------------------------------------------------------------------------

    async def _in_chat(self, request: StartRequest, chat: History, stream: str) -> _Plan | Started:
        """Find the turn of this request: a new one, claimed, or one that is there already."""
        newest = await chat.newest_turn()
        for _ in range(_MOST_RACES):
            number = 1
            if newest is not None:
                joined = await self._beside(request, newest)
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
            plan = _plan(request, items, number, stream)
            claimed = await chat.claim(number, stream, request.turn_identity)
            if claimed.stream == stream:
                return plan
            newest = claimed  # somebody else was faster: look at theirs
        raise ApiError(503, "chat_contended", "Too many starts at once in this chat. Try again.", retry_after=1)

    async def _beside(self, request: StartRequest, newest: Turn) -> Started | None:
        """What the newest turn means for this request: join it, wait for it, or go on after it (rule H3)."""
        last = await self.log.last(newest.stream)
        same = newest.identity == request.turn_identity
        if last is None:
            if not same and self._is_starting(newest):
                raise _busy(newest.stream)
            return None
        if is_terminal(last.record):
            await self._settle(newest)
            # A message with an id is one turn for ever; one without may well be asked again.
            repeats = same and request.trigger == "submit" and "id" in request.newest and request.target is None
            return Started(newest.stream, created=False) if repeats else None
        answer = message_id(newest.stream)
        if same or (request.trigger == "regenerate" and request.target in {None, answer}):
            await self._repair(newest.stream)
            return Started(newest.stream, created=False)
        if any(message.get("id") == answer for message in request.messages):
            # Its reader has the partial answer and moved on: nobody will read the rest.
            await history.end(self.log, newest.stream, Stop(at=self.log.clock.now_ms(), by="next"))
            return None
        raise _busy(newest.stream)

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


def _plan(request: StartRequest, items: list[Item], number: int, stream: str) -> _Plan:
    """The conversation that the model gets, and what the history loses (rule H1)."""
    if request.trigger == "regenerate":
        kept = _before_answer(request, items)
        if not kept:  # the store knows nothing of this chat: what the client sent is all there is
            return _Plan(stream, request.messages, number, asks=request.newest)
        asks = None
    else:
        kept = _before_edited(request, items)
        asks = request.newest
    dropped = {item.turn for item in items[len(kept) :]}
    drops = tuple(
        member
        for turn in range(min(dropped), number)
        for member in (f"{turn}.0", f"{turn}.1")
        if member not in {item.member for item in kept}
    ) if dropped else ()  # fmt: skip
    messages = [item.message for item in kept] + ([asks] if asks is not None else [])
    return _Plan(stream, messages, number, drops, asks)


def _before_edited(request: StartRequest, items: list[Item]) -> list[Item]:
    """What stays when a message is sent: all, or all before the message that it replaces."""
    ids: set[Any] = {request.newest.get("id"), request.target} - {None}
    for index, item in enumerate(items):
        if item.message["role"] == "user" and item.message.get("id") in ids:
            return items[:index]
    return items


def _before_answer(request: StartRequest, items: list[Item]) -> list[Item]:
    """What stays when an answer is made anew: everything up to the question that it answered."""
    wanted: set[Any] = {request.target} if request.target is not None else {request.newest.get("id")}
    end = len(items)
    for index, item in enumerate(items):
        if item.message.get("id") in wanted:
            end = index + 1
            break
    while end and items[end - 1].message["role"] != "user":
        end -= 1
    return items[:end]


def _busy(stream: str) -> ApiError:
    return ApiError(
        409,
        "chat_busy",
        f"Another answer of this chat is being written: stream {stream}. Read it, wait for its end, or stop it.",
        extra={"stream": stream},
    )
