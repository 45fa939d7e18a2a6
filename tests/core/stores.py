"""The stores that must obey the log rules alike: memory, and Redis over REST on a fake and on a real engine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

from holdfast.adapters.memory import MemoryLog
from holdfast.adapters.upstash import UpstashLog
from holdfast.keys import Keys
from holdfast.log import Log
from holdfast.operations import Get, Operation, StreamLog
from tests.clocks import VirtualClock
from tests.standins.redis_client import TOKEN, Rest, rest_server

#: Memory, fakeredis and a real engine; the last two through REST and the unmodified SDK.
KINDS = ("memory", "fakeredis", "valkey")


@dataclass(frozen=True, slots=True)
class Store:
    """An empty store, and what a test may know of it beside the port."""

    port: StreamLog
    clock: VirtualClock
    rest: Rest | None

    @property
    def log(self) -> Log:
        """The verbs on this store."""
        return Log(self.port, Keys("t"), self.clock)

    async def one(self, operation: Operation) -> Any:
        """Carry out one operation alone."""
        (result,) = await self.port.apply(operation)
        return result

    async def keys(self) -> list[str]:
        """Every key there is, sorted."""
        if self.rest is not None:
            return sorted(self.rest.do("KEYS", "*"))
        assert isinstance(self.port, MemoryLog)
        return self.port.keys()

    async def expires_in(self, key: str, ttl_ms: int) -> bool:
        """Whether a key has this lifetime left: to the ms in memory, to ten seconds elsewhere. Memory's time passes."""
        if self.rest is not None:
            return bool(ttl_ms - 10_000 < self.rest.do("PTTL", key) <= ttl_ms)
        # The wall clock stands on the loop's; leave what real time the test itself takes.
        self.clock.origin_ms += ttl_ms - 2_000
        before = key in await self.keys()
        self.clock.origin_ms += 2_000
        return before and key not in await self.keys()

    async def expired(self, key: str) -> None:
        """Let a key's lifetime end."""
        if self.rest is None:
            self.clock.origin_ms += 10**12
        else:
            self.rest.do("PEXPIRE", key, 0)
        assert await self.one(Get(key)) is None


@contextmanager
def server(kind: str) -> Iterator[Rest | None]:
    """Run what a kind of store needs until the block ends."""
    if kind == "memory":
        yield None
    else:
        with rest_server(kind) as rest:
            yield rest


@asynccontextmanager
async def store(rest: Rest | None) -> AsyncIterator[Store]:
    """An empty store on a running server, or in memory."""
    clock = VirtualClock()
    if rest is None:
        yield Store(MemoryLog(clock), clock, None)
        return
    rest.control("POST", "reset?data=1")
    port = UpstashLog(rest.url, TOKEN)
    try:
        yield Store(port, clock, rest)
    finally:
        await port.close()
