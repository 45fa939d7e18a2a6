"""Virtual time for tests: an event loop that jumps to its next timer instead of waiting, and a clock on it.

``asyncio.sleep``, ``asyncio.timeout`` and ``asyncio.wait(timeout=…)`` never wait for real there. Work in
threads and real sockets is waited for; a loop that can never wake again, and one that never rests, fails.
"""

from __future__ import annotations

import asyncio
import functools
import selectors
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, Final, override

#: Seconds of real time for which work in a thread may leave the loop without anything to do.
_THREAD_PATIENCE: Final = 20.0

#: Turns of a loop after which a test is taken to spin, or to poll for ever.
TURNS: Final = 1_000_000

#: The wall clock of a fresh ``VirtualClock``, in epoch milliseconds.
ORIGIN_MS: Final = 1_700_000_000_000


class Deadlock(BaseException):
    """Nothing is ready and nothing will ever be: every task waits for another one.

    Not an ``Exception``, so that no code under test takes it for a fault of its own.
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
    """

    def __init__(self, turns: int = TURNS) -> None:
        self._now = 0.0
        self._threads = 0
        self._turns = turns
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
            Deadlock: nothing can ever wake this loop; or it took more turns than any test needs.
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
        limit = _THREAD_PATIENCE if timeout is None or not sockets else timeout
        began = time.monotonic()
        events = select(limit)
        if sockets:
            self._now += min(time.monotonic() - began, limit) if events or timeout is None else timeout
        elif not events:
            raise Deadlock(f"A thread gave no sign for {_THREAD_PATIENCE} s of real time.")
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


class VirtualClock:
    """A ``holdfast.clock.Clock`` on the running loop, made for ``VirtualLoop``.

    Args:
        origin_ms: what the wall clock shows, in epoch milliseconds, when the loop's time is 0. May be
            set at any time: the wall clock then jumps, as machines' clocks do, and nothing else.
    """

    def __init__(self, origin_ms: int = ORIGIN_MS) -> None:
        self.origin_ms = origin_ms

    def now_ms(self) -> int:
        """Wall-clock time in epoch milliseconds; outside a loop the origin."""
        try:
            return self.origin_ms + round(self.monotonic() * 1000)
        except RuntimeError:
            return self.origin_ms

    def monotonic(self) -> float:
        """Seconds of the running loop."""
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """Wait for so many virtual seconds."""
        await asyncio.sleep(seconds)


def run[T](coro: Coroutine[Any, Any, T], *, turns: int = TURNS) -> T:
    """Run a coroutine to its end on a fresh virtual loop; tasks that it leaves behind are cancelled.

    Raises:
        Deadlock: it can never end.
    """
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(turns)) as runner:
        return runner.run(coro)


def run_virtual[T](function: Callable[[], Coroutine[Any, Any, T]], *, turns: int = TURNS) -> T:
    """Call an async function and run it to its end on a fresh virtual loop; see ``run``."""
    return run(function(), turns=turns)


def virtual[**P, T](function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Decorate an async test, so that pytest (and Hypothesis) see a plain one that runs in virtual time."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        return run(function(*args, **kwargs))

    return call
