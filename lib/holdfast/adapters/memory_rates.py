"""Allowances in this process alone: for tests, and for who serves everything from one."""

from __future__ import annotations

from typing import Final

from holdfast.clock import Clock, SystemClock

#: After so many ms every bucket is full again, whatever its size: a minute, and what rounding adds to it.
_FULL_MS: Final = 120_000


class MemoryRates:
    """``Rates`` in memory; what is full again is forgotten.

    Args:
        clock: what refilling is measured by.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._buckets: dict[str, tuple[int, int]] = {}  # key → since when it refills (epoch ms), what it held then

    async def take(self, key: str, per_minute: int) -> float | None:
        """Take one; see ``Rates.take``."""
        now, interval = self._clock.now_ms(), -(-60_000 // per_minute)
        since, held = self._buckets.get(key, (now, per_minute))
        refills = max(0, now - since) // interval
        since, held = since + refills * interval, min(per_minute, held + refills)
        if not held:
            return (since + interval - now) / 1000
        self._buckets = {each: bucket for each, bucket in self._buckets.items() if now < bucket[0] + _FULL_MS}
        self._buckets[key] = (since, held - 1)
        return None
