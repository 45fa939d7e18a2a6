"""Callers that leave in the middle of a call: a reader hangs up, a process hands off, a deadline passes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator

import pytest

from holdfast.adapters.qstash import QStashQueue
from holdfast.adapters.upstash import UpstashLog
from holdfast.operations import Get
from standins.plan import QSTASH_TOKEN, REDIS_TOKEN
from tests.processes import served

#: Callers in all, and at a time. Without care every tenth takes a connection along, of a hundred that a client has.
_CALLERS, _AT_ONCE = 1800, 12


@pytest.fixture(scope="module")
def redis() -> Iterator[str]:
    """A store."""
    with served("standins.redis_rest", "--token", REDIS_TOKEN) as server:
        yield server.url


@pytest.fixture(scope="module")
def qstash() -> Iterator[str]:
    """A queue."""
    with served("standins.qstash") as server:
        yield server.url


async def _leave_early(call: Callable[[], Awaitable[object]]) -> None:
    """Make many calls, several at a time, and leave each one at another point of its way."""
    rng = random.Random(1)  # noqa: S311 - it has to be repeatable

    async def leave() -> None:
        task = asyncio.ensure_future(call())
        await asyncio.wait({task}, timeout=rng.random() * 0.03)
        task.cancel()
        await asyncio.wait({task})

    for _ in range(0, _CALLERS, _AT_ONCE):
        await asyncio.gather(*(leave() for _ in range(_AT_ONCE)))


@pytest.mark.asyncio
async def test_callers_who_leave_the_store_keep_no_connection(redis: str) -> None:
    """However many callers left in mid-call, the next one is served at once."""
    store = UpstashLog(redis, REDIS_TOKEN, timeout=10)
    try:
        await _leave_early(lambda: store.apply(Get("key")))
        async with asyncio.timeout(5):
            assert list(await store.apply(Get("key"))) == [None]
    finally:
        await store.close()


@pytest.mark.asyncio
async def test_callers_who_leave_the_queue_keep_no_connection(qstash: str) -> None:
    """However many callers left in mid-call, the next one is served at once."""
    queue = QStashQueue(
        url=qstash, token=QSTASH_TOKEN, destination="http://127.0.0.1:9/api/publish", timeout_seconds=10
    )
    try:
        await _leave_early(lambda: queue.enqueue("stream", 1, dedup="stream.1"))
        async with asyncio.timeout(5):
            await queue.enqueue("stream", 1, dedup="stream.1")
    finally:
        await queue.close()
