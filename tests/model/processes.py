"""Function calls that die, freeze and go on, and their network to the store and the queue, which loses things."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any

from holdfast.adapters.memory import MemoryLog
from holdfast.clock import Clock
from holdfast.errors import Rejected, Unavailable
from holdfast.operations import Append, Get, Last, Operation, Range
from holdfast.queue import Queue
from holdfast.records import FIRST, EntryId

#: Seconds after which a caller gives up on a request that was lost.
TIMEOUT = 0.3

#: The process in which a task runs, for the model to know who calls it.
CURRENT: ContextVar[Process] = ContextVar("process")


@dataclass(eq=False, slots=True)
class Process:
    """One call of a function.

    Attributes:
        name: for messages.
        dead: killed: nothing that it still does reaches anybody.
        froze: it was stopped for a while at least once, so nothing can be said of its timing.
        begun: attempts that it claimed, as the store saw it, and of which log.
        replied_at: monotonic time of the last reply of the store.
    """

    name: str
    dead: bool = False
    froze: bool = False
    begun: dict[int, str] = field(default_factory=dict)
    replied_at: float = 0.0
    task: asyncio.Task[object] | None = None
    _thaws_at: float = 0.0

    def kill(self) -> None:
        """End it as SIGKILL does: whatever its code would still do is lost."""
        self.dead = True
        if self.task is not None:
            self.task.cancel()

    def freeze(self, now: float, seconds: float) -> None:
        """Stop it for a while, as platforms do; it goes on afterwards and knows nothing of it."""
        self.froze = True
        self._thaws_at = now + seconds

    async def gate(self, clock: Clock) -> None:
        """Wait while it is frozen; for ever once it is dead."""
        while True:
            if self.dead:
                await asyncio.Event().wait()
            wait = self._thaws_at - clock.monotonic()
            if wait <= 0:
                return
            await clock.sleep(wait)


@dataclass(slots=True)
class Weather:
    """What the network does at present.

    Attributes:
        loss: how likely a request, or a reply, is lost.
        crash: how likely a process dies right after the store carried out its request.
        slow: how likely a request or reply takes seconds.
        down_until: monotonic time until which the store answers nobody.
        lag: how likely a request that only reads is answered by a replica, and with what delay in seconds at most.
    lost, crashes: counts of what happened.
    """

    loss: float = 0.0
    crash: float = 0.0
    slow: float = 0.0
    lag: tuple[float, float] = (0.0, 0.0)
    down_until: float = 0.0
    lost: int = 0
    crashes: int = 0


@dataclass(slots=True)
class Store:
    """The store itself, with a look at what lands in it.

    Attributes:
        memory: where everything is.
        clock: time.
        landed: monotonic time at which each entry of each stream landed.
        witnesses: called with the process and its operations after each request that was carried out.
    """

    memory: MemoryLog
    clock: Clock
    landed: dict[tuple[str, EntryId], float] = field(default_factory=dict)
    witnesses: list[Callable[[Process, Append], None]] = field(default_factory=list)

    async def apply(self, process: Process, operations: Sequence[Operation], lag: float) -> Sequence[Any]:
        """Carry out one request of a process; one that only reads may come to a replica that lags so many seconds."""
        if lag and all(isinstance(operation, Range | Last | Get) for operation in operations):
            return [await self._lagging(operation, lag) for operation in operations]
        appends = [operation for operation in operations if isinstance(operation, Append)]
        results = await self.memory.apply(*operations)
        for append in appends:
            if results[operations.index(append)]:
                self.landed[append.key, append.id] = self.clock.monotonic()
                for witness in self.witnesses:
                    witness(process, append)
        return results

    async def _lagging(self, operation: Operation, lag: float) -> Any:
        """What a replica answers that does not know the newest entries yet."""
        if not isinstance(operation, Range | Last):
            return (await self.memory.apply(operation))[0]
        start = operation if isinstance(operation, Range) else Range(operation.key, FIRST)
        (raw,) = await self.memory.apply(replace(start, limit=None))
        limit = self.clock.monotonic() - lag
        known = [(id, text) for id, text in raw if self.landed.get((operation.key, id), 0.0) <= limit]
        if isinstance(operation, Range):
            return known[: operation.limit]
        return known[-1] if known else None


@dataclass(slots=True)
class Line:
    """A process's way to the store: the port that the core is given.

    Attributes:
        process: whose line it is.
        store: where it leads.
        weather: what may happen on the way.
        rng: decides what happens.
    """

    process: Process
    store: Store
    weather: Weather
    rng: random.Random

    async def apply(self, *operations: Operation) -> Sequence[Any]:
        """``StreamLog.apply`` over a bad network."""
        await self._travel()
        if self.rng.random() < self.weather.loss or self._down():
            await self._lose("the request was lost")
        refused: Rejected | None = None
        results: Sequence[Any] = ()
        lag = self.rng.random() * self.weather.lag[1] if self.rng.random() < self.weather.lag[0] else 0.0
        try:
            results = await self.store.apply(self.process, operations, lag)
        except Rejected as error:
            refused = error
        if self.rng.random() < self.weather.crash:
            self.weather.crashes += 1
            self.process.kill()
        await self._travel()
        if self.rng.random() < self.weather.loss or self._down():
            await self._lose("the reply was lost")
        self.process.replied_at = self.store.clock.monotonic()
        if refused is not None:
            raise refused
        return results

    def _down(self) -> bool:
        return self.store.clock.monotonic() < self.weather.down_until

    async def _travel(self) -> None:
        clock = self.store.clock
        await self.process.gate(clock)
        slow = self.weather.slow and self.rng.random() < self.weather.slow
        await clock.sleep(self.rng.uniform(0.5, 2.0) if slow else self.rng.uniform(0.001, 0.02))
        await self.process.gate(clock)

    async def _lose(self, what: str) -> None:
        self.weather.lost += 1
        await self.store.clock.sleep(TIMEOUT)
        await self.process.gate(self.store.clock)
        raise Unavailable(what)


@dataclass(slots=True)
class QueueLine:
    """A process's way to the queue: the port that the core is given.

    Attributes:
        process: whose line it is.
        queue: where it leads.
        weather: what may happen on the way.
        rng: decides what happens.
        clock: time.
    """

    process: Process
    queue: Queue
    weather: Weather
    rng: random.Random
    clock: Clock

    async def enqueue(self, stream: str, attempt: int, *, dedup: str) -> None:
        """``Queue.enqueue`` over a bad network."""
        await self.process.gate(self.clock)
        await self.clock.sleep(self.rng.uniform(0.001, 0.05))
        await self.process.gate(self.clock)
        if self.rng.random() < self.weather.loss:
            self.weather.lost += 1
            raise Unavailable("the request was lost")
        await self.queue.enqueue(stream, attempt, dedup=dedup)
        if self.rng.random() < self.weather.crash:
            self.weather.crashes += 1
            self.process.kill()
        await self.process.gate(self.clock)
        if self.rng.random() < self.weather.loss:
            self.weather.lost += 1
            raise Unavailable("the reply was lost")
