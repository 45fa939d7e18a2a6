"""A queue that keeps QStash's promises and no others: at least once, in no order, until 2xx or the last try."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from holdfast.clock import Clock
from holdfast.publish import Verdict
from holdfast.queue import Delivery

#: Seconds for which a deduplication id is known. QStash's window is 10 minutes; a shorter one is the harder case.
WINDOW = 90.0


@dataclass(frozen=True, slots=True)
class Habits:
    """What a queue may do within its promises.

    Attributes:
        tries: the most tries of one message.
        twice: how likely a try is delivered twice at once.
        late: how likely a try is delivered once more, long after.
        gives_up: how likely the queue stops waiting for a delivery that is still at work.
        loses_callback: how likely the failure callback never comes.
        slow: how likely the first try comes late.
    """

    tries: int = 4
    twice: float = 0.15
    late: float = 0.1
    gives_up: float = 0.0
    loses_callback: float = 0.0
    slow: float = 0.1


@dataclass(slots=True)
class ScriptedQueue:
    """The queue.

    Attributes:
        clock: time.
        rng: decides what happens.
        habits: what may happen.
        deliver: has one delivery published, in a process of its own; None if that process died.
        fail: delivers the failure callback; whether it was taken.
        seen: deduplication ids → when they were taken.
        counts: what happened: messages, deliveries, callbacks.
    """

    clock: Clock
    rng: random.Random
    habits: Habits
    deliver: Callable[[Delivery], Awaitable[Verdict | None]]
    fail: Callable[[Delivery], Awaitable[bool]]
    seen: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=lambda: {"messages": 0, "deliveries": 0, "callbacks": 0})
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    _done: set[str] = field(default_factory=set)

    async def enqueue(self, stream: str, attempt: int, *, dedup: str) -> None:
        """Take a message, unless it was taken before."""
        now = self.clock.monotonic()
        if now - self.seen.get(dedup, -WINDOW) < WINDOW:
            return
        self.seen[dedup] = now
        self.counts["messages"] += 1
        self._keep(asyncio.create_task(self._message(stream, attempt, f"m{self.counts['messages']}")))

    async def _message(self, stream: str, attempt: int, message: str) -> None:
        rng, habits = self.rng, self.habits
        await self.clock.sleep(rng.uniform(3, 12) if rng.random() < habits.slow else rng.uniform(0.02, 0.5))
        refused = False
        for retried in range(habits.tries):
            if message in self._done:
                return
            delivery = Delivery(stream, attempt, message, retried)
            verdict = await self._try(delivery)
            if message in self._done:
                return
            if verdict is Verdict.REFUSE:
                refused = True
                break
            if retried + 1 < habits.tries:
                await self.clock.sleep(min(1.0 * 2**retried, 8.0) * rng.uniform(0.8, 1.2))
        if rng.random() < habits.loses_callback:
            return
        last = Delivery(stream, attempt, message, 0 if refused else habits.tries - 1)
        for _ in range(3):
            self.counts["callbacks"] += 1
            if await self.fail(last):
                return
            await self.clock.sleep(2.0)

    async def _try(self, delivery: Delivery) -> Verdict | None:
        """One try: the first answer counts as the try's, any 2xx as the message's."""
        rng = self.rng
        copies = [self._copy(delivery, 0.0)]
        if rng.random() < self.habits.twice:
            copies.append(self._copy(delivery, rng.choice((0.0, 0.0, rng.uniform(0, 1)))))
        if rng.random() < self.habits.late:
            self._copy(delivery, rng.uniform(2, 40))
        patience = rng.uniform(0.5, 10) if rng.random() < self.habits.gives_up else None
        done, _ = await asyncio.wait(copies, timeout=patience, return_when="FIRST_COMPLETED")
        return next(iter(done)).result() if done else None

    def _copy(self, delivery: Delivery, delay: float) -> asyncio.Task[Verdict | None]:
        async def run() -> Verdict | None:
            await self.clock.sleep(delay)
            self.counts["deliveries"] += 1
            verdict = await self.deliver(delivery)
            if verdict is Verdict.DONE:
                self._done.add(delivery.message_id)
            return verdict

        task = asyncio.create_task(run())
        self._keep(task)
        return task

    def _keep(self, task: asyncio.Task[Any]) -> None:
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
