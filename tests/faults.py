"""Scripted faults between the verbs and a store: requests lost, replies lost, refusals, delays, and others' deeds."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from holdfast.clock import Clock
from holdfast.errors import Rejected, Unavailable
from holdfast.operations import Operation, StreamLog


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of one call of the store.

    Attributes:
        applied: whether the store carries the operations out.
        raises: what the caller sees instead of the results, if anything.
        delay: seconds that pass before the store sees the request.
        late: seconds that pass between the store's work and the caller's hearing of it.
        before: what others do just before the store sees the request.
        after: what others do just after it, before the caller hears of it.
    """

    applied: bool = True
    raises: type[Exception] | None = None
    delay: float = 0.0
    late: float = 0.0
    before: Callable[[], Awaitable[object]] | None = None
    after: Callable[[], Awaitable[object]] | None = None


#: As it should be.
FINE: Final = Outcome()
#: The request never arrived.
LOST_REQUEST: Final = Outcome(applied=False, raises=Unavailable)
#: It was carried out, and nobody heard of it.
LOST_REPLY: Final = Outcome(raises=Unavailable)
#: The store refused for a reason of its own (over quota, throttled) and did nothing.
THROTTLED: Final = Outcome(applied=False, raises=Rejected)


def slow(seconds: float) -> Outcome:
    """A request that takes so many seconds to arrive."""
    return Outcome(delay=seconds)


class FaultyLog:
    """A ``StreamLog`` whose calls end as a script says; after the script all is fine, or as ``then`` says.

    Args:
        port: the store itself.
        clock: what delays are measured by.
        script: the outcome of each call that ``when`` picks, in order.
        when: which calls take an outcome from the script, by their operations; by default every one.
        then: the outcome of the calls after the script.
    """

    def __init__(
        self,
        port: StreamLog,
        clock: Clock,
        script: Iterable[Outcome] = (),
        *,
        when: Callable[[Sequence[Operation]], bool] = lambda _: True,
        then: Outcome = FINE,
    ) -> None:
        self._port = port
        self._clock = clock
        self._script = itertools.chain(script, itertools.repeat(then))
        self._when = when
        #: Every call's operations, in order.
        self.calls: list[tuple[Operation, ...]] = []

    def rescript(self, script: Iterable[Outcome], *, then: Outcome = FINE) -> None:
        """Replace what is left of the script."""
        self._script = itertools.chain(script, itertools.repeat(then))

    async def apply(self, *operations: Operation) -> Sequence[Any]:
        """Carry out operations, or not, as the script says."""
        self.calls.append(operations)
        outcome = next(self._script) if self._when(operations) else FINE
        if outcome.delay:
            await self._clock.sleep(outcome.delay)
        if outcome.before is not None:
            await outcome.before()
        results: Sequence[Any] = ()
        refusal: Rejected | None = None
        if outcome.applied:
            try:
                results = await self._port.apply(*operations)
            except Rejected as error:
                refusal = error
        if outcome.after is not None:
            await outcome.after()
        if outcome.late:
            await self._clock.sleep(outcome.late)
        if outcome.raises is not None:
            raise outcome.raises("scripted")
        if refusal is not None:
            raise refusal
        return results
