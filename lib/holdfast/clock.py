"""Time as a port, so that tests own it."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """What the core knows of time."""

    def now_ms(self) -> int:
        """Wall-clock time in epoch milliseconds: for records, never for waiting."""

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back: for waiting and measuring."""

    async def sleep(self, seconds: float) -> None:
        """Wait for so many seconds."""


class SystemClock:
    """The machine's time, and the running event loop's waiting."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
