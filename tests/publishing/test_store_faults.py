"""A publisher and a store that loses replies, is slow, or loses the log (rules A, L7)."""

from __future__ import annotations

import asyncio

import pytest

from holdfast.operations import Append, Drop
from holdfast.publish import Verdict
from holdfast.records import Begin, Parts, Record
from tests.clocks import virtual
from tests.faults import LOST_REPLY, LOST_REQUEST, Outcome, slow
from tests.publishing.stage import LEASE_MS, Script, Stage

LEASE = LEASE_MS / 1000


def entry_text(record: Record) -> str:
    """The text of one record."""
    return "".join(chunk.get("delta", "") for chunk in record.parts) if isinstance(record, Parts) else ""


@virtual
async def test_a_log_that_vanished_cancels_the_model_and_is_not_recreated() -> None:
    """Rule A5: a nil reply to an append means that the log is gone."""
    stage, generate = Stage(), Script(["text"] + [0.1, "."] * 200)
    await stage.open()
    publishing = asyncio.create_task(stage.publish(generate))
    await asyncio.sleep(1)
    await stage.memory.apply(Drop((stage.keys.stream(stage.stream),)))
    assert await publishing is Verdict.REFUSE
    assert generate.cancelled == 1
    assert not stage.has_log()


@virtual
async def test_a_log_that_vanished_cancels_a_silent_model() -> None:
    """Rules A5, L2: a renewal notices as well."""
    stage, generate = Stage(), Script(["text", 500])
    await stage.open()
    publishing = asyncio.create_task(stage.publish(generate))
    await asyncio.sleep(10)
    await stage.memory.apply(Drop((stage.keys.stream(stage.stream),)))
    assert await publishing is Verdict.REFUSE
    assert generate.cancelled == 1


@virtual
async def test_a_store_that_is_gone_for_a_lease_time_cancels_the_model() -> None:
    """Rule L7: it may not be the publisher any more, and the model bills."""
    stage, generate = Stage(), Script(["text"] + [1, "."] * 200)
    await stage.open()
    publishing = asyncio.create_task(stage.publish(generate))
    await asyncio.sleep(5)
    stage.port.rescript([], then=LOST_REQUEST)
    began = stage.clock.monotonic()
    assert await publishing is Verdict.RETRY
    assert stage.clock.monotonic() - began <= LEASE
    assert generate.cancelled == 1


@pytest.mark.parametrize("timeout", [1.0, 5.0])
@virtual
async def test_a_store_that_never_replies_cancels_the_model_within_a_lease(timeout: float) -> None:
    """Rule L7: each request may take its whole time-out, and still the sum is bounded by the lease."""
    stage, generate = Stage(), Script(["text", 500])
    await stage.open()
    publishing = asyncio.create_task(stage.publish(generate))
    await asyncio.sleep(3.5)  # the lease was renewed half a second ago
    stage.port.rescript([], then=Outcome(applied=False, delay=timeout, raises=LOST_REQUEST.raises))
    began = stage.clock.monotonic()
    assert await publishing is Verdict.RETRY
    assert stage.clock.monotonic() - began <= LEASE
    assert generate.cancelled == 1


@virtual
async def test_a_model_that_outruns_the_store_has_to_wait() -> None:
    """Rule L7: no more than the limit waits in memory for a store that is slow but alive, and nothing is lost."""
    stage, generate = Stage(), Script([chr(97 + n % 26) * 500 for n in range(100)])
    await stage.open()
    stage.port._when = lambda ops: isinstance(ops[0], Append) and '"t":"parts"' in ops[0].record
    stage.port.rescript([], then=slow(2))
    assert await stage.publish(generate, max_unsent=10_000) is Verdict.DONE
    assert await stage.text() == "".join(chr(97 + n % 26) * 500 for n in range(100))
    assert max(len(entry_text(record)) for record in await stage.records()) < 12_000


@virtual
async def test_lost_replies_and_requests_change_nothing() -> None:
    """Rules A3, A4: every third call of the store goes wrong and the answer is written once."""
    stage = Stage()
    await stage.open()
    stage.port.rescript([outcome for _ in range(60) for outcome in (Outcome(), LOST_REPLY, LOST_REQUEST)])
    assert await stage.publish(Script(["a", 0.3, "b", 0.3, "c", 0.3, "d"])) is Verdict.DONE
    assert await stage.text() == "abcd"
    assert [type(r) for r in await stage.records()].count(Begin) == 1
