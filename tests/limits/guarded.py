"""A stage whose starts are limited."""

from __future__ import annotations

from dataclasses import replace

import pytest

from holdfast.adapters.memory_rates import MemoryRates
from holdfast.errors import ApiError
from holdfast.gate import Gate
from holdfast.identity import digest
from holdfast.limits import Limits
from holdfast.operations import Ranked
from holdfast.records import Stop
from holdfast.requests import StartRequest
from holdfast.start import Started, Starter
from tests.publishing.stage import Stage, said

GIVE_UP = 120.0


class Guarded(Stage):
    """A stage whose starts are limited.

    Args:
        limits: fields of ``Limits``.
    """

    def __init__(self, **limits: int) -> None:
        super().__init__()
        self.limits = Limits(**limits)
        self.rates = MemoryRates(self.clock)

    def starter(self) -> Starter:
        """With a gate over the faulty port."""
        gate = Gate(self.log, self.rates, self.limits, GIVE_UP)
        return replace(super().starter(), gate=gate)

    async def start(self, owner: str = "me", address: str = "a", **fields: object) -> Started:
        """Start an answer of its own."""
        request = replace(StartRequest(owner, [said("Why?")]), **fields)  # type: ignore[arg-type]
        return await self.starter().start(request, address)

    async def refused(self, owner: str = "me", address: str = "a", **fields: object) -> ApiError:
        """The error of a start that is refused."""
        with pytest.raises(ApiError) as caught:
            await self.start(owner, address, **fields)
        return caught.value

    async def places(self, owner: str = "me") -> list[str]:
        """The streams that have the owner's places."""
        (ranked,) = await self.memory.apply(Ranked(self.keys.live(digest(owner))))
        return [stream for stream, _ in ranked]

    async def end(self, stream: str) -> None:
        """End an answer from outside, as a stop does."""
        await self.calm.seal(stream, Stop(at=self.clock.now_ms(), by="request"))
