"""A claim beside a replica that lags: what stands is what the primary holds (docs/protocol.md, rule K1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from holdfast.adapters.memory import MemoryLog
from holdfast.keys import Keys
from holdfast.log import Log
from holdfast.operations import Get, Last, Operation, Range, StreamLog
from holdfast.records import EntryId
from tests.clocks import VirtualClock, virtual
from tests.core.samples import STREAM, begin, parts, queued


class _Lagging:
    """A store whose calls without any write are answered by a replica that has nothing but the first entry."""

    def __init__(self, port: StreamLog) -> None:
        self._port = port

    async def apply(self, *operations: Operation) -> Sequence[Any]:
        """Carry out operations; see ``StreamLog.apply``."""
        results = await self._port.apply(*operations)
        if any(not isinstance(operation, Range | Last | Get) for operation in operations):
            return results
        return [
            [entry for entry in result if entry[0].attempt == 0] if isinstance(operation, Range) else result
            for operation, result in zip(operations, results, strict=True)
        ]


@virtual
async def test_a_claim_is_not_misled_by_a_lagging_replica() -> None:
    """Rule K1: what an attempt goes on from is read on the primary, where its own claim stands."""
    clock = VirtualClock()
    log = Log(_Lagging(MemoryLog(clock)), Keys("t"), clock)
    await log.open(STREAM, queued(), due_ms=1)
    await log.claim(STREAM, 1, begin("nonce-1"), 7_200_000)
    await log.append(STREAM, EntryId(1, 1), parts(0, "text"))
    assert [str(entry.id) for entry in await log.read(STREAM)] == ["0-1"]  # the replica lags indeed
    entries = await log.claim(STREAM, 2, begin("nonce-2"), 7_200_000)
    assert [str(entry.id) for entry in entries] == ["0-1", "1-0", "1-1", "2-0"]
