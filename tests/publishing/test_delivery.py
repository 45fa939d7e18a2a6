"""One delivery: publish, be turned away, take over, or find that there is nothing to do (chapters K, L, E)."""

from __future__ import annotations

import asyncio

from holdfast import history
from holdfast.identity import new_stream_id
from holdfast.operations import Append, Put
from holdfast.publish import Verdict
from holdfast.records import Finish, Parts, Stop
from tests.clocks import virtual
from tests.faults import LOST_REPLY, Outcome, slow
from tests.publishing.stage import LEASE_MS, Script, Stage

LEASE = LEASE_MS / 1000


async def stop(stage: Stage) -> bool:
    """Somebody presses the button."""
    return await history.end(stage.calm, stage.stream, Stop(at=stage.clock.now_ms(), by="request"))


@virtual
async def test_the_first_delivery_publishes_and_ends() -> None:
    """Rules K1, E2: the first delivery begins attempt 1, writes every part and ends the answer itself."""
    stage, generate = Stage(), Script(["Because ", 0.5, "it holds."])
    await stage.open()
    assert await stage.publish(generate) is Verdict.DONE
    kinds = [type(record).__name__ for record in await stage.records()]
    assert kinds == ["Queued", "Begin", "Parts", "Parts", "Finish"]
    assert [str(entry.id) for entry in await stage.entries()] == ["0-1", "1-0", "1-1", "1-2", "1-3"]
    assert await stage.text() == "Because it holds."
    assert len(generate.requests) == 1


@virtual
async def test_the_finish_record_tells_what_was_written() -> None:
    """Rules T3, R: usage, parts, characters, time to the first token, duration, attempts and exactness."""
    stage = Stage()
    usage = {"inputTokens": 7, "outputTokens": 3, "totalTokens": 10}
    finish = {"type": "finish", "finishReason": "length", "messageMetadata": {"usage": usage}}
    await stage.open()
    await asyncio.sleep(1)
    await stage.publish(Script([2, "four", 3, " more", finish]))
    end = (await stage.records())[-1]
    assert isinstance(end, Finish)
    written = [chunk for record in await stage.records() if isinstance(record, Parts) for chunk in record.parts]
    assert end.parts == len(written) == 5  # start, text-start, two deltas, text-end
    assert (end.characters, end.reason, end.usage) == (9, "length", usage)
    assert (end.ttft_ms, end.attempts, end.exact) == (3000, 1, True)
    assert 6000 <= end.duration_ms <= 6500


@virtual
async def test_a_stop_before_the_beginning_calls_no_model() -> None:
    """Rules K3, E4: a delivery that finds a stop is done, and nothing was generated."""
    stage, generate = Stage(), Script(["never"])
    await stage.open()
    assert await stop(stage)
    assert await stage.publish(generate) is Verdict.DONE
    assert generate.requests == []


@virtual
async def test_a_stop_between_look_and_claim_calls_no_model() -> None:
    """Rule K3: a seal that lands just before the claim wins."""
    stage, generate = Stage(), Script(["never"])
    await stage.open()
    stage.port.rescript([Outcome(), Outcome(before=lambda: stop(stage))])
    assert await stage.publish(generate) is Verdict.AWAY
    assert await stage.publish(generate, retried=1) is Verdict.DONE
    assert generate.requests == []


@virtual
async def test_a_stop_in_mid_answer_cancels_the_model_and_keeps_the_partial() -> None:
    """Rule E4: the next append is refused, the generator is cancelled, what was written stays."""
    stage, generate = Stage(), Script(["kept"] + [0.1, "."] * 500)
    await stage.open()
    publishing = asyncio.create_task(stage.publish(generate))
    await asyncio.sleep(1)
    assert await stop(stage)
    text = await stage.text()
    began = stage.clock.monotonic()
    assert await publishing is Verdict.DONE
    assert stage.clock.monotonic() - began < 1
    assert (generate.cancelled, await stage.text()) == (1, text)
    assert text.startswith("kept.")
    assert isinstance((await stage.records())[-1], Stop)


@virtual
async def test_a_silent_model_learns_of_a_stop_at_the_next_renewal() -> None:
    """Rule L2: without anything to append, the look at the tail finds the seal."""
    stage, generate = Stage(), Script(["thinking", 500])
    await stage.open()
    publishing = asyncio.create_task(stage.publish(generate))
    await asyncio.sleep(20)
    assert await stop(stage)
    began = stage.clock.monotonic()
    assert await publishing is Verdict.DONE
    assert stage.clock.monotonic() - began <= 3
    assert generate.cancelled == 1


@virtual
async def test_a_silent_model_keeps_its_lease() -> None:
    """Rule L2: the lease is renewed while the model says nothing."""
    stage = Stage()
    await stage.open()
    publishing = asyncio.create_task(stage.publish(Script([60, "late"])))
    for _ in range(5):
        await asyncio.sleep(11)
        assert await stage.calm.held(stage.stream, 1) is not None
    assert await publishing is Verdict.DONE
    assert await stage.text() == "late"


@virtual
async def test_a_delivery_beside_a_living_holder_is_turned_away_with_a_note() -> None:
    """Rules L3, L5: it writes nothing but a note of its message and try."""
    stage, generate = Stage(), Script(["never"])
    await stage.open()
    await stage.claim("m1", retried=2)
    before = await stage.entries()
    assert await stage.publish(generate, "other", 1) is Verdict.AWAY
    assert await stage.publish(generate, "m1", 0) is Verdict.AWAY
    assert await stage.entries() == before
    assert await stage.calm.turned_away(stage.stream, "other") == 1
    assert await stage.calm.turned_away(stage.stream, "m1") == 2  # its begin record was further already
    assert generate.requests == []


@virtual
async def test_a_note_never_shrinks() -> None:
    """Rule L5: an earlier try that arrives late leaves the higher note."""
    stage = Stage()
    await stage.open()
    await stage.claim("m1")
    for retried in (3, 1):
        await stage.publish(Script([]), "other", retried)
    assert await stage.calm.turned_away(stage.stream, "other") == 3


@virtual
async def test_a_failure_that_the_queue_saw_is_taken_over_at_once() -> None:
    """Rule L4: the same message with a higher retry count does not wait for the lease."""
    stage, generate = Stage(), Script(["again"])
    await stage.open()
    await stage.claim("m1", retried=0)
    assert await stage.publish(generate, "m1", 1) is Verdict.DONE
    assert [number for number, _ in (await stage.answer()).begins] == [1, 2]


@virtual
async def test_a_retry_after_a_turned_away_duplicate_proves_nothing() -> None:
    """Rule L4: the queue tries again because a duplicate was turned away; the lease decides."""
    stage, generate = Stage(), Script(["again"])
    await stage.open()
    await stage.claim("m1", retried=0)
    assert await stage.publish(generate, "m1", 0) is Verdict.AWAY
    assert await stage.publish(generate, "m1", 1) is Verdict.AWAY
    await asyncio.sleep(LEASE)
    assert await stage.publish(generate, "m1", 2) is Verdict.DONE
    assert len(generate.requests) == 1


@virtual
async def test_another_message_waits_for_the_lease() -> None:
    """Rule L4: the failure of one message says nothing of another one's holder."""
    stage, generate = Stage(), Script(["mine"])
    await stage.open()
    await stage.claim("m1", retried=0)
    await asyncio.sleep(LEASE - 0.1)
    assert await stage.publish(generate, "m2", 5) is Verdict.AWAY
    await asyncio.sleep(0.2)
    assert await stage.publish(generate, "m2", 6) is Verdict.DONE


@virtual
async def test_of_two_deliveries_at_once_one_calls_the_model() -> None:
    """Rule K2: the store refuses the second claim."""
    stage, generate = Stage(), Script(["once", 1, "."])
    await stage.open()
    stage.port.rescript([], then=slow(0.01))
    verdicts = await asyncio.gather(*(stage.publish(generate, message) for message in ("m1", "m1", "m2", "m3")))
    assert sorted(verdict.value for verdict in verdicts) == ["away", "away", "away", "done"]
    assert len(generate.requests) == 1


@virtual
async def test_a_claimer_that_was_overtaken_while_its_reply_was_lost_calls_no_model() -> None:
    """Rules K1, K2: its own begin has landed, but a later attempt began before it knew."""
    stage, generate = Stage(), Script(["never"])
    await stage.open()
    is_claim = lambda ops: isinstance(ops[0], Append)  # noqa: E731
    stage.port._when = is_claim
    stage.port.rescript([Outcome(raises=LOST_REPLY.raises, after=lambda: stage.claim("m1", 1, "overtaker"))])
    assert await stage.publish(generate, "m1", 0) is Verdict.AWAY
    assert generate.requests == []


@virtual
async def test_a_superseded_publisher_stops_and_does_not_acknowledge() -> None:
    """Rules A4, L6: its model is cancelled and the queue is told to try again."""
    stage, generate = Stage(), Script(["mine"] + [0.1, "."] * 200)
    await stage.open()
    publishing = asyncio.create_task(stage.publish(generate))
    await asyncio.sleep(1)
    await stage.claim("m2")
    entries = await stage.entries()
    assert await publishing is Verdict.AWAY
    assert generate.cancelled == 1
    assert await stage.entries() == entries


@virtual
async def test_a_publisher_that_is_superseded_by_an_end_acknowledges() -> None:
    """Rule L6: where the answer has its end nothing is left to try."""
    stage = Stage()
    await stage.open()
    publishing = asyncio.create_task(stage.publish(Script(["mine"] + [0.1, "."] * 200)))
    await asyncio.sleep(1)
    await stop(stage)
    assert await publishing is Verdict.DONE


@virtual
async def test_an_unknown_stream_is_refused_once_it_cannot_be_young() -> None:
    """Rule L6: for a minute a replica may lag; after it the message is refused for good."""
    stage = Stage()
    assert await stage.publish(Script([])) is Verdict.RETRY
    await asyncio.sleep(61)
    assert await stage.publish(Script([])) is Verdict.REFUSE
    stage.stream = "no stream id"
    assert await stage.publish(Script([])) is Verdict.REFUSE


@virtual
async def test_a_log_of_a_newer_version_is_refused() -> None:
    """Rule R3: what this release cannot read it does not touch."""
    stage = Stage()
    await stage.open()
    (first,) = await stage.entries()
    await stage.memory.apply(Append(stage.keys.stream(stage.stream), first.id.__class__(0, 2), '{"v":99,"t":"new"}'))
    assert await stage.publish(Script(["never"])) is Verdict.REFUSE


@virtual
async def test_a_duplicate_that_read_the_log_just_before_its_end_begins_no_attempt() -> None:
    """Rule L3: the lease of a finished attempt still keeps others away."""
    stage = Stage()
    await stage.open()
    await stage.publish(Script(["done"]))
    assert await stage.calm.held(stage.stream, 1) is not None


@virtual
async def test_a_claim_behind_an_end_does_not_hide_it() -> None:
    """Rule E1: stop, cleanup and the next delivery find the end, though a claim landed after it."""
    stage = Stage()
    await stage.open()
    await stage.publish(Script(["done"]))
    await stage.claim("m2")
    assert not await stop(stage)
    assert await stage.publish(Script(["never"]), "m2", 1) is Verdict.DONE
    await asyncio.sleep(200)
    counts = await stage.cleaner().run(60)
    assert (counts.streams_sealed, counts.streams_rescued) == (0, 0)
    await asyncio.sleep(3600)
    assert (await stage.cleaner().run(60)).streams_deleted == 1


@virtual
async def test_a_lease_of_a_stranger_is_not_alive() -> None:
    """Rule L1: only the nonce of the newest begin makes a lease alive."""
    stage, generate = Stage(), Script(["mine"])
    await stage.open()
    await stage.claim("m1")
    await stage.memory.apply(Put(stage.keys.lease(stage.stream, 1), "stranger", LEASE_MS))
    assert await stage.publish(generate, "m2") is Verdict.DONE


@virtual
async def test_a_stream_id_from_the_future_is_young() -> None:
    """Rule L6: clocks differ; a stream that is not born yet is looked for again."""
    stage = Stage()
    stage.stream = new_stream_id(stage.clock.now_ms() + 5_000)
    assert await stage.publish(Script([])) is Verdict.RETRY
