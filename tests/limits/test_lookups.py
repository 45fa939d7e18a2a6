"""What looking for a stream that never was costs the store (docs/protocol.md, rules D2 and U7)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from holdfast.access import Access
from holdfast.adapters.memory import MemoryLog
from holdfast.errors import ApiError
from holdfast.identity import new_stream_id
from holdfast.operations import Operation
from tests.clocks import VirtualClock, virtual
from tests.core.reading import subscriber
from tests.core.samples import queued


class _Counted:
    """A store that notes when it is asked."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.memory = MemoryLog(clock)
        self.times: list[float] = []

    async def apply(self, *operations: Operation) -> Sequence[Any]:
        self.times += [self.clock.monotonic()] * len(operations)
        return await self.memory.apply(*operations)


@pytest.mark.parametrize("foreign", [False, True])
@virtual
async def test_a_young_unknown_id_costs_few_looks(foreign: bool) -> None:
    """Rules D2 and U7: it is looked for at growing distances up to 3 s, as often for what is another's."""
    clock = VirtualClock()
    store = _Counted(clock)
    stream = new_stream_id(clock.now_ms())
    reader = subscriber(store, clock)
    if foreign:
        await reader.log.open(stream, queued(), 1)
        store.times.clear()
    began = clock.monotonic()
    with pytest.raises(ApiError) as caught:
        await reader.open(stream, Access("stranger"))
    assert caught.value.status == 404
    looks = [round(time - began, 3) for time in store.times]
    assert looks == [0, 0.15, 0.45, 1.05, 2.25, 3]
    assert clock.monotonic() - began == pytest.approx(3.25)


@pytest.mark.parametrize("lag", [0.1, 0.4, 2.9])
@virtual
async def test_a_stream_that_a_replica_shows_late_is_found(lag: float) -> None:
    """Rule D2: until 3 s have passed, whatever comes into view is found by the next look."""
    clock = VirtualClock()
    store = _Counted(clock)
    shown = clock.monotonic() + lag
    stream = new_stream_id(clock.now_ms())
    reader = subscriber(store, clock)
    await reader.log.open(stream, queued(), 1)
    whole = store.apply

    async def late(*operations: Operation) -> Sequence[Any]:
        found = await whole(*operations)
        return found if clock.monotonic() >= shown else [[] for _ in found]

    store.apply = late  # type: ignore[method-assign]
    assert (await reader.open(stream, Access(queued().owner))).stream == stream
