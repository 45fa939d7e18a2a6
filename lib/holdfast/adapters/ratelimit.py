"""Allowances over the upstash-ratelimit package: token buckets in Redis, one command each."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from holdfast.adapters.upstash import UpstashLog

if TYPE_CHECKING:
    from upstash_ratelimit import Response
    from upstash_redis.asyncio import Redis


class UpstashRates:
    """``Rates`` in Upstash Redis.

    A bucket counts by the wall clock of whoever asks; the package gives its key the lifetime after which it is full.

    Args:
        store: whose connection, patience and errors are used.
    """

    def __init__(self, store: UpstashLog) -> None:
        self._store = store

    async def take(self, key: str, per_minute: int) -> float | None:
        """Take one; see ``Rates.take``."""
        from upstash_ratelimit.asyncio import Ratelimit, TokenBucket

        # Rounded up, so that a minute never gives more than it says.
        bucket = TokenBucket(max_tokens=per_minute, refill_rate=1, interval=-(-60_000 // per_minute), unit="ms")
        prefix, _, name = key.partition(":")

        async def limit(client: Redis) -> Response:
            return await Ratelimit(redis=client, limiter=bucket, prefix=prefix).limit(name)

        response = await self._store.use(limit)
        return None if response.allowed else max(0.0, round(response.reset - time.time(), 3))
