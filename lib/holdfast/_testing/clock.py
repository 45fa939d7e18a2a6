"""Virtual time: an event loop that jumps to its next timer instead of waiting, and the clock of whatever loop runs.

``asyncio.sleep``, ``asyncio.timeout`` and ``asyncio.wait(timeout=…)`` never wait for real there. Work in
threads and real sockets is waited for; a loop that can never wake again, and one that never rests, fails.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Final, override

#: Seconds of real time for which work in a thread may leave the loop without anything to do.
_THREAD_PATIENCE: Final = 20.0

#: Turns of a loop after which it is taken to spin, or to poll for ever.
TURNS: Final = 1_000_000


class Deadlock(BaseException):
    """Nothing is ready and nothing will ever be: every task waits for another one.

    Not an ``Exception``, so that no generator takes it for a fault of its own.
    """


type _Events = list[tuple[selectors.SelectorKey, int]]
type _Select = Callable[[float | None], _Events]


class _Selector(selectors.DefaultSelector):
    """Looks for real events without waiting, where the next thing to happen is a timer."""

    loop: VirtualLoop

    @override
    def select(self, timeout: float | None = None) -> _Events:
        return self.loop.wait_for(super().select, timeout, sockets=len(self.get_map()) > 1)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time stands still while there is something to do, and else jumps to the next timer.

    Args:
        turns: after so many turns the loop is taken to spin or to poll for ever, and fails.
        patience: seconds of real time for which work in a thread may leave the loop without anything to do.
    """

    def __init__(self, turns: int = TURNS, patience: float = _THREAD_PATIENCE) -> None:
        self._now = 0.0
        self._threads = 0
        self._turns = turns
        self._patience = patience
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    @override
    def time(self) -> float:
        return self._now

    def wait_for(self, select: _Select, timeout: float | None, *, sockets: bool) -> _Events:
        """Stand in for the selector's waiting.

        Args:
            select: the real thing.
            timeout: seconds to the next timer, 0 if something is ready, None without any timer.
            sockets: whether a socket is open, beside the one by which threads wake the loop.

        Raises:
            Deadlock: nothing can ever wake this loop; or it took more turns than it may.
        """
        self._turns -= 1
        if self._turns < 0:
            raise Deadlock(
                f"The loop does not come to rest, at {self._now:.3f} s of virtual time: something polls for ever."
            )
        if events := select(0):
            return events
        if timeout == 0:
            return []
        if self._threads or sockets:
            return self._wait_really(select, timeout, sockets=sockets)
        if timeout is None:
            waiting = "\n".join(sorted(repr(task) for task in asyncio.all_tasks(self) if not task.done()))
            raise Deadlock(f"Nothing is ready and no timer is set, at {self._now:.3f} s of virtual time:\n{waiting}")
        self._now += timeout
        return []

    def _wait_really(self, select: _Select, timeout: float | None, *, sockets: bool) -> _Events:
        """A thread is at work, which takes no virtual time; or a socket is open, whose peer lives in real time."""
        limit = self._patience if timeout is None or not sockets else timeout
        began = time.monotonic()
        events = select(limit)
        if sockets:
            self._now += min(time.monotonic() - began, limit) if events or timeout is None else timeout
        elif not events:
            raise Deadlock(f"A thread gave no sign for {self._patience} s of real time.")
        return events

    @override
    def run_in_executor[*Ts, T](
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        future = super().run_in_executor(executor, func, *args)
        self._threads += 1
        future.add_done_callback(self._thread_done)
        return future

    def _thread_done(self, _: object) -> None:
        self._threads -= 1

    @override
    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        self._threads += 1  # a thread of its own joins the others
        try:
            await super().shutdown_default_executor(timeout)
        finally:
            self._threads -= 1


class LoopClock:
    """A ``holdfast.clock.Clock`` on the running loop: real time on an ordinary loop, virtual on a ``VirtualLoop``.

    Args:
        ahead: seconds by which it is to be ahead of the wall clock now; behind it if negative.
    """

    def __init__(self, ahead: float = 0.0) -> None:
        self._origin_ms = time.time_ns() // 1_000_000 + round(ahead * 1000)
        self._origin = asyncio.get_running_loop().time()

    def now_ms(self) -> int:
        """The clock's time when this was made, and what the loop's time has gone on since, in epoch milliseconds."""
        return self._origin_ms + round((self.monotonic() - self._origin) * 1000)

    def monotonic(self) -> float:
        """Seconds of the running loop."""
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """Wait for so many of the loop's seconds."""
        await asyncio.sleep(seconds)
