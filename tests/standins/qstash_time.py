"""The delivery engine on a clock of its own, calling a destination that is a function."""

from __future__ import annotations

import asyncio
import heapq
import random
from collections.abc import Callable

from standins.qstash_engine import Engine
from standins.qstash_options import Limits, Options, read
from standins.qstash_signing import SigningKeys
from standins.qstash_transport import Call, Reply

#: 2027-01-15 08:00:00 UTC, a Friday.
START = 1_800_000_000.0
URL = "http://127.0.0.1:9/api/publish"
DAY = 86_400.0


class FakeClock:
    """Time that passes only when told, waking whoever waits for it in order."""

    def __init__(self) -> None:
        self._now = START
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0

    def now(self) -> float:
        return self._now

    async def sleep_until(self, when: float) -> None:
        if when > self._now:
            self._count += 1
            future = asyncio.get_running_loop().create_future()
            heapq.heappush(self._sleepers, (when, self._count, future))
            await future

    async def pass_until(self, when: float) -> None:
        """Let time pass, and everything happen that is due in it."""
        await settle()
        while self._sleepers and self._sleepers[0][0] <= when:
            at, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                self._now = at
                future.set_result(None)
                await settle()
        self._now = when


async def settle() -> None:
    """Give every task its turns: no chain of them in the engine is longer than this."""
    for _ in range(30):
        await asyncio.sleep(0)


class Destination:
    """A sender that notes when it was called and answers by a function of the call."""

    def __init__(self, clock: FakeClock, answer: Callable[[Call], Reply]) -> None:
        self._clock = clock
        self._answer = answer
        self.calls: list[tuple[float, Call]] = []

    async def send(self, call: Call, timeout: float) -> Reply:
        assert timeout > 0
        self.calls.append((self._clock.now() - START, call))
        return self._answer(call)

    @property
    def times(self) -> list[float]:
        """Seconds after the start of each call."""
        return [at for at, _ in self.calls]


def engine_for(answer: Callable[[Call], Reply]) -> tuple[Engine, FakeClock, Destination]:
    clock = FakeClock()
    destination = Destination(clock, answer)
    keys = SigningKeys("current_0123456789abcdefghijklmnopqrst", "next_0123456789abcdefghijklmnopqrstuvw")
    rng = random.Random(1)  # noqa: S311 - it makes ids
    return Engine(clock, destination, keys, rng), clock, destination


def options(**headers: str) -> Options:
    """Options from headers, with underscores for hyphens and without their first word."""
    return read([(f"upstash-{name.replace('_', '-')}", value) for name, value in headers.items()], Limits())
