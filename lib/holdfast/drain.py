"""How a process that is about to end tells its attempts to hand off (docs/protocol.md, rule O5)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Drain:
    """Open until it begins; then every attempt under way hands off, and no new one is made.

    Attributes:
        begun: whether the process is about to end.
    """

    def __init__(self) -> None:
        self.begun = False
        self._attempts: set[_Watch] = set()
        self._then: Callable[[], None] | None = None

    @property
    def busy(self) -> bool:
        """Whether attempts are under way."""
        return bool(self._attempts)

    def begin(self, then: Callable[[], None] | None = None) -> None:
        """Tell all attempts; safe in a signal's handler and from any thread.

        Args:
            then: called once no attempt is left, at once if there is none.
        """
        self.begun = True
        self._then = then
        for watch in self._attempts.copy():  # one step of the interpreter, which no other thread can cut in two
            watch.loop.call_soon_threadsafe(watch.event.set)
        self._settle()

    @contextmanager
    def watched(self) -> Iterator[asyncio.Event]:
        """An event for an attempt that is under way: set when it should hand off."""
        watch = _Watch()
        self._attempts.add(watch)
        if self.begun:
            watch.event.set()
        try:
            yield watch.event
        finally:
            self._attempts.discard(watch)
            if self.begun:
                self._settle()

    def _settle(self) -> None:
        if not self._attempts and self._then is not None:
            then, self._then = self._then, None
            then()


class _Watch:
    """One attempt's event, and the loop that it belongs to."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.event = asyncio.Event()
