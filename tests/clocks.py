"""Virtual time for tests: the library's own event loop, which jumps to its next timer, and a clock on it."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, Final

from holdfast._testing.clock import TURNS, Deadlock, VirtualLoop

__all__ = ["ORIGIN_MS", "TURNS", "Deadlock", "VirtualClock", "VirtualLoop", "run", "run_virtual", "virtual"]

#: The wall clock of a fresh ``VirtualClock``, in epoch milliseconds.
ORIGIN_MS: Final = 1_700_000_000_000


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
