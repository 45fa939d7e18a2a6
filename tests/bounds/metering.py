"""A store that takes and gives no more than Upstash does at once, and counts what passes."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from holdfast.access import Access
from holdfast.adapters.memory import MemoryLog
from holdfast.adapters.upstash import _command
from holdfast.errors import Rejected
from holdfast.generation import GenerationRequest, Generator, Part
from holdfast.log import Log
from holdfast.operations import Drop, Get, GetMany, Last, Newest, Operation, Range, Ranked, Score
from holdfast.publish import Verdict
from holdfast.records import Parts
from holdfast.subscribe import Frame, Patience, Subscriber
from tests.clocks import VirtualClock
from tests.publishing.stage import Stage

#: What Upstash takes as one request, and what one command may answer, in bytes.
MOST: Final = 10 * 1024 * 1024
_READS = (Get, GetMany, Last, Newest, Range, Ranked, Score)


class Metered:
    """A ``StreamLog`` with Upstash's limits.

    Attributes:
        ranges: how many pages were asked for.
        given: bytes of the entries that they held.
        refused: requests and replies over the limit.
        writes: operations that change something.
        largest: bytes of the largest request that was taken.
    """

    def __init__(self, port: MemoryLog, clock: VirtualClock) -> None:
        self._port = port
        self._clock = clock
        self.ranges = self.given = self.refused = self.writes = self.largest = 0

    async def apply(self, *operations: Operation) -> Sequence[Any]:
        """Carry out operations; a few milliseconds of time pass, as between machines."""
        size = len(json.dumps([_command(each) for each in operations], ensure_ascii=False).encode())
        await self._clock.sleep(0.002)
        if size > MOST:
            self.refused += 1
            raise Rejected
        self.largest = max(self.largest, size)
        self.writes += sum(not isinstance(each, _READS) and not _deletes_nothing(each) for each in operations)
        results = await self._port.apply(*operations)
        for operation, result in zip(operations, results, strict=True):
            if (size := _size(result)) > MOST:
                self.refused += 1
                raise Rejected
            if isinstance(operation, Range):
                self.ranges += 1
                self.given += size
        return results


def _deletes_nothing(operation: Operation) -> bool:
    """What makes the primary answer a read."""
    return isinstance(operation, Drop) and all(key.endswith(":nothing") for key in operation.keys)


def _size(result: Any) -> int:
    if isinstance(result, str):
        return len(result.encode())
    return sum(map(_size, result)) if isinstance(result, list | tuple) else 0


class Measured(Stage):
    """A stage whose store has Upstash's limits."""

    def __init__(self) -> None:
        super().__init__()
        self.meter = Metered(self.memory, self.clock)
        self.log = Log(self.meter, self.keys, self.clock)

    def subscriber(self, **patience: float) -> Subscriber:
        """For readers of this store."""
        return Subscriber(self.log, self.rescuer(), Patience(**patience), 86_400_000)

    async def answered(self, *items: str | Part) -> list[Part]:
        """Let a generator yield these, and return what a reader then is given, without the end's own frame."""
        await self.open()
        assert await self.publish(yielding(*items)) is Verdict.DONE
        return await self.replayed()

    async def replayed(self) -> list[Part]:
        """The chunks that a reader gets, each once and under growing cursors."""
        reading = await self.subscriber().open(self.stream, Access("me"))
        frames = [frame async for frame in reading.frames(600) if isinstance(frame, Frame)]
        assert frames[-1].chunk is None, "no end"
        assert all(a.cursor < b.cursor for a, b in itertools.pairwise(frames))
        return [frame.chunk for frame in frames if frame.chunk is not None]

    async def stored(self) -> list[Part]:
        """The chunks in the log."""
        return [chunk for record in await self.records() if isinstance(record, Parts) for chunk in record.parts]


def yielding(*items: str | Part) -> Generator:
    """A generator of these, which pauses now and then as a model does."""

    async def generate(_request: GenerationRequest) -> AsyncIterator[str | Part]:
        for number, item in enumerate(items):
            yield item
            if number % 100 == 0:
                await asyncio.sleep(0.001)

    return generate
