"""Ends by judgement (rules Q2, Q3) do not hit an attempt that began after the look."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from holdfast.operations import Append, Operation
from tests.clocks import virtual
from tests.faults import Outcome
from tests.publishing.stage import Script, Stage


def _is_append(operations: Sequence[Operation]) -> bool:
    return isinstance(operations[0], Append)


@virtual
async def test_a_callback_that_looked_too_early_does_not_end_the_attempt_that_began_since() -> None:
    """Rule Q3: between the callback's look and its seal a rescue delivery claims; the callback leaves it alone."""
    stage = Stage()
    await stage.open()
    await stage.claim("m1")
    await asyncio.sleep(11)  # the lease of the message that was given up has ended
    stage.port._when = _is_append
    stage.port.rescript([Outcome(before=lambda: stage.claim("m2"))])
    assert not await stage.publisher(Script(["never"])).failed(stage.delivery("m1", retried=3))
    answer = await stage.answer()
    assert (answer.attempts, answer.end) == (2, None)


@virtual
async def test_a_last_resort_that_looked_too_early_does_not_end_the_attempt_that_began_since() -> None:
    """Rule Q2: between a reader's look and its seal a delivery claims; the reader leaves it alone."""
    stage = Stage()
    await stage.open()
    await stage.claim("m1")
    seen = (await stage.answer()).last.id
    await asyncio.sleep(11)
    await stage.rescuer().tend(stage.stream, seen, "reader")
    await asyncio.sleep(121)
    stage.port._when = _is_append
    stage.port.rescript([Outcome(before=lambda: stage.claim("m2"))])
    await stage.rescuer().tend(stage.stream, seen, "reader")
    answer = await stage.answer()
    assert (answer.attempts, answer.end) == (2, None)
