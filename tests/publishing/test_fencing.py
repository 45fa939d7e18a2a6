"""What an old attempt may still do, and what it may not, while another one begins or the store is slow (K1, E2, L6)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from holdfast.operations import Append, Operation
from holdfast.publish import Verdict
from holdfast.records import EntryId, Error, Finish, Parts
from tests.clocks import virtual
from tests.faults import LOST_REQUEST, Outcome, slow
from tests.publishing.stage import LEASE_MS, Script, Stage

#: A generator's own text part, said to its end: nothing but the end of the answer is left to write.
WHOLE = [
    {"type": "text-start", "id": "t"},
    {"type": "text-delta", "id": "t", "delta": "said"},
    {"type": "text-end", "id": "t"},
]


def is_end(operations: Sequence[Operation]) -> bool:
    """Whether a call of the store appends a finish record."""
    return isinstance(operations[0], Append) and '"t":"finish"' in operations[0].record


def is_begin(operations: Sequence[Operation]) -> bool:
    """Whether a call of the store is a claim."""
    return isinstance(operations[0], Append) and '"t":"begin"' in operations[0].record


@virtual
async def test_a_superseded_publisher_ends_nothing() -> None:
    """Rule E2: a zombie that has nothing left to write but its end is refused, and its successor goes on."""
    stage = Stage()
    await stage.open()
    publishing = asyncio.create_task(stage.publish(Script([*WHOLE, 2])))
    await asyncio.sleep(1)
    assert await stage.text() == "said"
    await stage.claim("m2")
    entries = await stage.entries()
    assert await publishing is Verdict.AWAY
    assert stage.clock.monotonic() < 3  # before a renewal could have told it
    assert await stage.entries() == entries
    assert (await stage.answer()).end is None


@virtual
async def test_what_was_written_between_look_and_claim_is_gone_on_from() -> None:
    """Rule K1: until the claim the old attempt may append; its words are neither lost nor said again."""
    stage, generate = Stage(), Script(["two."])
    await stage.open()
    await stage.claim("m1")
    await asyncio.sleep(LEASE_MS / 1000 + 1)  # its lease has ended, and it lives

    async def say() -> None:
        chunks = [
            {"type": "start"},
            {"type": "text-start", "id": "t"},
            {"type": "text-delta", "id": "t", "delta": "one "},
        ]
        await stage.calm.append(stage.stream, EntryId(1, 1), Parts(at=stage.clock.now_ms(), pos=0, parts=chunks))

    stage.port._when = is_begin
    stage.port.rescript([Outcome(before=say)])
    assert await stage.publish(generate, retried=1) is Verdict.DONE
    assert [request.partial for request in generate.requests] == ["one "]
    assert await stage.text() == "one two."


@virtual
async def test_a_claim_behind_an_end_calls_no_model() -> None:
    """Rules K3, E1: the old attempt ends between look and claim; its end is the end, and what follows is not read."""
    stage, generate = Stage(), Script(["never"])
    await stage.open()
    await stage.claim("m1")
    await asyncio.sleep(LEASE_MS / 1000 + 1)
    end = Error(at=stage.clock.now_ms(), code="model_error", message="", by="publish")
    stage.port._when = is_begin
    stage.port.rescript([Outcome(before=lambda: stage.calm.append(stage.stream, EntryId(1, 1), end))])
    assert await stage.publish(generate, retried=1) is Verdict.DONE
    assert generate.requests == []
    assert EntryId(2, 0) in [entry.id for entry in await stage.entries()]  # the claim landed indeed
    answer = await stage.answer()
    assert (answer.end, answer.attempts) == ((EntryId(1, 1), end), 1)


@virtual
async def test_nothing_is_acknowledged_before_the_end_is_written() -> None:
    """Rule L6: the queue waits as long as the store takes for the end, and tries again where it is not taken."""
    stage, generate = Stage(), Script(["text"])
    await stage.open()
    stage.port._when = is_end
    stage.port.rescript([slow(2)])
    assert await stage.publish(generate) is Verdict.DONE
    assert isinstance((await stage.records())[-1], Finish)
    stage = Stage()
    await stage.open()
    stage.port._when = is_end
    stage.port.rescript([], then=LOST_REQUEST)
    assert await stage.publish(generate) is Verdict.RETRY
    assert (await stage.answer()).end is None
    stage.port.rescript([])
    assert await stage.publish(generate, retried=1) is Verdict.DONE
    assert (await stage.answer()).end is not None
