"""What an Idempotency-Key stands for: the stream that answers its request (docs/protocol.md, rule S2)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from holdfast.errors import ApiError, BadRecord
from holdfast.identity import created_ms, digest
from holdfast.log import GRACE_MS, Log
from holdfast.operations import Drop, Get, Put
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
