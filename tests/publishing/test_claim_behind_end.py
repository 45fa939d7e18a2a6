"""A claim that lands behind the end, because its delivery had looked just before (rule K3)."""

from __future__ import annotations

import asyncio

from holdfast.publish import Verdict
from holdfast.records import EntryId, Finish, is_terminal
from tests.clocks import virtual
from tests.faults import Outcome
from tests.publishing.stage import Script, Stage


@virtual
async def test_the_tail_of_an_ended_log_tells_its_end_though_a_claim_landed_behind_it() -> None:
    """Rules K3, E1, H3: the holder finishes between a second delivery's look and its claim; no model is called, the
    first end counts, and whoever looks at the tail alone (start, cleanup, rescue) finds an end there.
    """
    stage, generate = Stage(), Script(["never"])
    await stage.open()
    await stage.claim("m1")
    await asyncio.sleep(11)  # the holder's lease has ended, and it lives

    async def finish() -> None:
        end = Finish(
            at=stage.clock.now_ms(),
            reason="stop",
            parts=0,
            characters=0,
            ttft_ms=None,
            duration_ms=1,
            attempts=1,
            exact=True,
        )
        await stage.calm.append(stage.stream, EntryId(1, 1), end)

    stage.port.rescript([Outcome(), Outcome(), Outcome(before=finish)])
    assert await stage.publish(generate, retried=1) is Verdict.DONE
    assert generate.requests == []
    answer = await stage.answer()
    assert answer.end is not None
    assert (answer.end[0], answer.attempts) == (EntryId(1, 1), 1)
    assert [str(entry.id) for entry in await stage.entries()][:4] == ["0-1", "1-0", "1-1", "2-0"]
    last = await stage.calm.last(stage.stream)
    assert last is not None
    assert is_terminal(last.record)
