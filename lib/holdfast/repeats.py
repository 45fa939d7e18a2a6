"""Which answer a request has already, by its Idempotency-Key or in its chat (docs/protocol.md, rules S2 and H3)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from holdfast import history
from holdfast.claims import Turn
from holdfast.errors import ApiError, BadRecord
from holdfast.history import History
from holdfast.identity import created_ms, digest
from holdfast.log import GRACE_MS, Log
from holdfast.operations import Drop, Get, Put
from holdfast.records import Entry, Error, Stop, is_terminal
from holdfast.requests import StartRequest
from holdfast.stored import read_json


@dataclass(frozen=True, slots=True)
class Repeats:
    """The keys of requests that were made before.

    Attributes:
        log: the store and its names.
        retention_seconds: how long a log stays after its end; a key lives as long as the log that it stands for.
    """

    log: Log
    retention_seconds: int

    async def claim(self, request: StartRequest, stream: str) -> str:
        """Claim a request's key for a stream → the stream that has it, this one or an earlier request's.

        Raises:
            ApiError: 422 the key was used for another request.
        """
        claim = Put(self._key(request), self._value(request, stream), self._ttl_ms, "absent")
        _, stored = await self.log.run(claim, Get(claim.key))
        return _stream(request, stored)

    async def find(self, request: StartRequest) -> str | None:
        """The stream that has a request's key, without claiming it; raises as ``claim``."""
        if request.key is None:
            return None
        (stored,) = await self.log.run(Get(self._key(request)))
        return None if stored is None else _stream(request, stored)

    async def keep(self, request: StartRequest, stream: str) -> None:
        """Point the key at the stream that answers its request after all."""
        if request.key is not None:
            await self.log.run(Put(self._key(request), self._value(request, stream), self._ttl_ms))

    async def forget(self, request: StartRequest) -> None:
        """Leave nothing of the key."""
        if request.key is not None:
            await self.log.run(Drop((self._key(request),)))

    def is_expired(self, stream: str) -> bool:
        """Whether a stream has certainly outlived its retention."""
        return self.log.clock.now_ms() - (created_ms(stream) or 0) > self.retention_seconds * 1000

    def _value(self, request: StartRequest, stream: str) -> str:
        return json.dumps({"stream": stream, "fingerprint": request.fingerprint})

    @property
    def _ttl_ms(self) -> int:
        return self.retention_seconds * 1000 + GRACE_MS

    def _key(self, request: StartRequest) -> str:
        return self.log.keys.idempotency(digest(request.owner, request.key))


async def newest_of(chat: History | None) -> tuple[Turn, Entry] | None:
    """The newest turn of a chat and the last entry of its log; None without either."""
    newest = None if chat is None else await chat.newest_turn()
    if chat is None or newest is None:
        return None
    last = await chat.log.last(newest.stream)
    return None if last is None else (newest, last)


async def joins(log: Log, request: StartRequest, newest: Turn, last: Entry) -> bool:
    """Whether the answer of the newest turn is the one that a request asks for (rule H3).

    Args:
        log: the verbs.
        request: the start.
        newest: the newest turn of its chat.
        last: the last entry of that turn's log.

    Raises:
        Vanished: the log is gone.
    """
    same = newest.identity == request.turn_identity
    if is_terminal(last.record):
        return same and request.is_one_turn and not taken_back(last)
    if same or request.trigger != "regenerate":
        return same
    return request.target in {None, await history.answers_as(log, newest.stream)}


async def moves_on(log: Log, request: StartRequest, stream: str) -> bool:
    """End a live answer if its reader has a part of it and moved on: nobody will read the rest (rule H3).

    Returns:
        Whether the reader moved on.

    Raises:
        Vanished: the log is gone.
    """
    answer = await history.answers_as(log, stream)
    moved = any(message.get("id") == answer for message in request.messages[:-1])
    if moved:
        await history.end(log, stream, Stop(at=log.clock.now_ms(), by="next"))
    return moved


async def end_left(request: StartRequest, chat: History | None) -> str | None:
    """End the live answer that a request leaves behind → its stream; None where it leaves none. See ``moves_on``."""
    newest = await newest_of(chat)
    if chat is None or newest is None or is_terminal(newest[1].record):
        return None
    stream = newest[0].stream
    return stream if await moves_on(chat.log, request, stream) else None


def taken_back(last: Entry) -> bool:
    """Whether a log was sealed by its own start, which then died before it deleted it."""
    return isinstance(last.record, Error) and last.record.by == "start"


def _stream(request: StartRequest, stored: Any) -> str:
    match read_json(stored):
        case {"stream": str(standing), "fingerprint": str(fingerprint)}:
            pass
        case _:
            raise BadRecord("The store holds an Idempotency-Key that is malformed.")
    if fingerprint != request.fingerprint:
        raise ApiError(
            422, "idempotency_key_reused", "This Idempotency-Key was used for another request. Use a new one."
        )
    return standing
