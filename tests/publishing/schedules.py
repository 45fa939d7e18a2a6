"""Orders in which the store can see the requests of two callers: a store that lets them in one by one."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

from holdfast.operations import Operation, StreamLog

#: Orders picked at random beside the systematic ones.
_PICKED = 120


class Gate:
    """One caller's way to the store: each request waits until the schedule lets it through.

    Args:
        port: the store.
    """

    def __init__(self, port: StreamLog) -> None:
        self._port = port
        self._waiting: asyncio.Future[None] | None = None
        self.knocked = asyncio.Event()
        #: Requests that were let through.
        self.passed = 0

    async def apply(self, *operations: Operation) -> Sequence[Any]:
        """Wait for the schedule, then carry out operations."""
        self._waiting = asyncio.get_running_loop().create_future()
        self.knocked.set()
        await self._waiting
        return await self._port.apply(*operations)

    def open(self) -> None:
        """Let the request through that waits."""
        assert self._waiting is not None
        self.knocked.clear()
        self.passed += 1
        self._waiting.set_result(None)


type Caller = Callable[[Gate], Awaitable[object]]


async def play(port: StreamLog, callers: Sequence[Caller], order: Sequence[int]) -> tuple[list[object], list[int]]:
    """Run callers at once, one request at a time.

    Args:
        port: the store.
        callers: each is given its own gate to the store.
        order: whose request is let through, step by step; another one's where that one has come to its end.

    Returns:
        What each caller returned or raised, and how many requests each made.
    """
    gates = [Gate(port) for _ in callers]
    tasks = [asyncio.ensure_future(caller(gate)) for caller, gate in zip(callers, gates, strict=True)]
    steps = iter(order)
    while not all(task.done() for task in tasks):
        for gate, task in zip(gates, tasks, strict=True):
            knocking = asyncio.ensure_future(gate.knocked.wait())
            await asyncio.wait({knocking, task}, return_when="FIRST_COMPLETED")
            knocking.cancel()
        ready = [number for number, task in enumerate(tasks) if not task.done()]
        if ready:
            wanted = next(steps, ready[0])
            gates[wanted if wanted in ready else ready[0]].open()
    return [task.exception() or task.result() for task in tasks], [gate.passed for gate in gates]


def orders(requests: Sequence[int]) -> Iterator[list[int]]:
    """Orders of two callers' requests: every one in which each is interrupted at most once, and some at random.

    Args:
        requests: how many each of the two makes where nobody interrupts it.
    """
    for first, other in ((0, 1), (1, 0)):
        for before in range(requests[first] + 1):
            for between in range(1, requests[other] + 1):
                yield [first] * before + [other] * between + [first] * 100
    shuffled = [0] * requests[0] + [1] * requests[1]
    dice = random.Random(7)  # noqa: S311 - the same orders in every run
    for _ in range(_PICKED):
        dice.shuffle(shuffled)
        yield list(shuffled)
