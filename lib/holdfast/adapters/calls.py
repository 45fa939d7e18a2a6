"""Calls to a service that go on to their own end when whoever made them has left."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


class Calls:
    """Keeps the calls of one client from being cancelled on their way.

    httpx's connection pool (httpcore 1.0) loses the connection of a request that asyncio cancels, by
    ``Task.cancel`` as by ``asyncio.timeout``: it stays taken for ever, and after a hundred of them nothing can
    be sent any more. Readers hang up in the middle of a call all the time.
    """

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    async def wait[T](self, call: Coroutine[Any, Any, T], seconds: float) -> T:
        """The result of a call.

        Args:
            call: what the client does; it must end by itself, by time-outs of the client's own.
            seconds: how long the caller waits.

        Raises:
            TimeoutError: it took longer; the call goes on, and its outcome is not known.
        """
        task = asyncio.create_task(call)
        self._running.add(task)
        task.add_done_callback(self._over)
        async with asyncio.timeout(seconds):
            return await asyncio.shield(task)

    async def close(self) -> None:
        """End the calls that nobody waits for, before their client is closed."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _over(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # seen: its caller may have left
