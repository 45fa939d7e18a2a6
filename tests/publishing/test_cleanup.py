"""Cleanup: what it deletes, rescues and ends, and what it leaves alone (rules X3 to X6)."""

from __future__ import annotations

import asyncio

import pytest

from holdfast import history
from holdfast.errors import Unavailable
from holdfast.identity import new_stream_id
from holdfast.operations import Append, Put, Rank
from holdfast.publish import Verdict
from holdfast.records import EntryId, Error
from holdfast.requests import StartRequest
from tests.clocks import virtual
from tests.faults import LOST_REQUEST, Outcome
from tests.publishing.stage import CHAT_RETENTION, RETENTION, Script, Stage, said

DAY = 86_400


async def finished(stage: Stage, stream: str | None = None, **fields: object) -> str:
    """A stream with an answer."""
    name = await stage.open(stream or new_stream_id(stage.clock.now_ms()), **fields)
    stage.stream = name
    assert await stage.publish(Script(["answer"])) is Verdict.DONE
    return name


@virtual
async def test_what_outlived_its_retention_is_deleted_whole() -> None:
    """Rule X3: the log, its notes and its place in the index."""
    stage = Stage()
    await finished(stage)
    await stage.calm.turn_away(stage.stream, "m1", 1, DAY * 1000)
    await asyncio.sleep(RETENTION - 60)
    assert (await stage.cleaner().run(60)).streams_deleted == 0
    await asyncio.sleep(61)
    counts = await stage.cleaner().run(60)
    assert (counts.streams_deleted, counts.complete) == (1, True)
    assert stage.memory.keys() == []


@virtual
async def test_live_answers_and_foreign_keys_stay() -> None:
    """Rules X4, X3: a log without an end is not deleted, whatever its age; strangers' keys are not touched."""
    stage = Stage()
    await stage.memory.apply(Put("other:stream:x", "mine", 10**12), Put("t:something", "ours?", 10**12))
    await stage.open()
    publishing = asyncio.create_task(stage.publish(Script(["."] + [60, "."] * 120)))
    for _ in range(100):
        await asyncio.sleep(70)
        counts = await stage.cleaner().run(60)
        assert (counts.streams_deleted, counts.streams_sealed, counts.streams_rescued) == (0, 0, 0)
    assert {"other:stream:x", "t:something", stage.keys.stream(stage.stream)} <= set(stage.memory.keys())
    await publishing
    assert (await stage.text()).startswith("..")


@virtual
async def test_a_stalled_answer_is_rescued() -> None:
    """Rule X3: nobody watches, nobody writes; cleanup asks the queue."""
    stage = Stage()
    await stage.open()
    await stage.claim("m1")
    await asyncio.sleep(31)
    assert (await stage.cleaner().run(60)).streams_rescued == 1
    (message,) = stage.queue.messages
    assert message[:2] == (stage.stream, 2)
    assert message[2].startswith(f"{stage.stream}.r1.")


@virtual
async def test_a_hopeless_answer_is_ended() -> None:
    """Rule Q2: after two minutes without lease and news."""
    stage = Stage()
    await stage.open()
    await stage.claim("m1")
    for _ in range(8):
        await asyncio.sleep(31)
        await stage.cleaner().run(60)
    end = (await stage.records())[-1]
    assert isinstance(end, Error)
    assert (end.by, end.code) == ("cleanup", "abandoned")
    assert stage.queue.messages  # it was tried to rescue first


@virtual
async def test_what_nobody_has_begun_is_ended_and_never_rescued() -> None:
    """Rule X3: it may be left of a start that was answered with an error; nobody must be billed for it."""
    stage = Stage()
    await stage.open()
    for _ in range(8):
        await asyncio.sleep(31)
        assert (await stage.cleaner().run(60)).streams_rescued == 0
    end = (await stage.records())[-1]
    assert isinstance(end, Error)
    assert (end.by, end.code) == ("cleanup", "abandoned")
    assert not stage.queue.messages


@virtual
async def test_a_silent_model_that_died_just_now_is_not_given_up() -> None:
    """Rule Q2: two minutes without a lease, and not two minutes without a word under a living one."""
    stage = Stage()
    await stage.open()
    publishing = asyncio.create_task(stage.publish(Script(["thinking", 1000])))
    await asyncio.sleep(300)
    publishing.cancel()
    await asyncio.wait({publishing})
    await asyncio.sleep(11)  # the lease has just run out
    counts = await stage.cleaner().run(60)
    assert (counts.streams_sealed, counts.streams_rescued) == (0, 1)


@virtual
async def test_batches_are_bounded_by_time() -> None:
    """Rule X3: it stops when its time is up, says so, and the next one goes on where it stopped."""
    stage = Stage()
    for _ in range(60):
        await finished(stage)
    await asyncio.sleep(RETENTION + 1)
    stage.port.rescript([], then=Outcome(delay=0.1))
    began = stage.clock.monotonic()
    counts = await stage.cleaner().run(5)
    assert not counts.complete
    assert 0 < counts.streams_deleted < 60
    assert stage.clock.monotonic() - began < 7
    stage.port.rescript([])
    rest = await stage.cleaner().run(60)
    assert (rest.streams_deleted + counts.streams_deleted, rest.complete) == (60, True)


@pytest.mark.parametrize(
    "text", ["no json", '{"v":99,"t":"new","at":1}', '{"v":1,"t":"parts","at":1,"pos":7,"parts":[]}']
)
@virtual
async def test_a_log_that_cannot_be_read_keeps_nothing_else_waiting(text: str) -> None:
    """Rule X5: it is counted, looked at again later, and the others are cleaned."""
    stage = Stage()
    poison = new_stream_id(0)  # the oldest: the first in line
    await stage.memory.apply(
        Append(stage.keys.stream(poison), EntryId(0, 1), text, create=True), Rank(stage.keys.due, poison, 1)
    )
    poison = new_stream_id(stage.clock.now_ms())
    await stage.memory.apply(
        Append(stage.keys.stream(poison), EntryId(0, 1), text, create=True), Rank(stage.keys.due, poison, 2)
    )
    good = await finished(stage)
    await asyncio.sleep(RETENTION + 1)
    counts = await stage.cleaner().run(60)
    assert counts.streams_failed == 2
    assert counts.complete
    assert not stage.has_log(good)
    assert stage.has_log(poison)


@virtual
async def test_a_queue_that_fails_for_one_stream_does_not_stop_cleanup() -> None:
    """Rule X5: the stalled stream cannot be rescued now; the one past its retention goes all the same."""
    stage = Stage()
    await finished(stage)
    await asyncio.sleep(RETENTION - 20)
    stalled = stage.stream = await stage.open(new_stream_id(stage.clock.now_ms()))
    await stage.claim("m1")
    await asyncio.sleep(31)
    stage.queue.fault = Unavailable("down")
    counts = await stage.cleaner().run(60)
    assert (counts.streams_deleted, counts.streams_failed) == (1, 1)
    assert stage.has_log(stalled)
    stage.queue.fault = None
    await asyncio.sleep(31)
    assert (await stage.cleaner().run(60)).streams_rescued == 1


@virtual
async def test_history_is_repaired_before_the_log_is_deleted() -> None:
    """Rule H5: the publisher died between the end and the history."""
    stage = Stage()
    chat = history.of_chat(stage.calm, "me", "c", CHAT_RETENTION)
    turn = await chat.claim(1, stage.stream, "i")
    fields = {"chat_id": "c", "turn": 1, "asks": True, "chat_retention_seconds": CHAT_RETENTION}
    assert turn is not None
    await stage.open(turn.stream, **fields)
    stage.port._when = lambda ops: any(isinstance(op, Put) and op.key.endswith(":1.1") for op in ops)
    stage.port.rescript([], then=LOST_REQUEST)
    assert await stage.publish(Script(["answer"])) is Verdict.RETRY
    stage.port.rescript([])
    assert await chat.load() == []
    await asyncio.sleep(RETENTION + 1)
    assert (await stage.cleaner().run(60)).streams_deleted == 1
    assert [item.message["role"] for item in await chat.load()] == ["user", "assistant"]
    assert (await chat.load())[1].message["parts"][0]["text"] == "answer"


@virtual
async def test_an_expired_chat_is_deleted_whole() -> None:
    """Rule X3: not one key is left under the prefix."""
    stage = Stage()
    chat = history.of_chat(stage.calm, "me", "c", CHAT_RETENTION)
    for number in range(1, 4):
        stream = new_stream_id(stage.clock.now_ms())
        await chat.claim(number, stream, "i")
        await finished(
            stage, stream, chat_id="c", turn=number, asks=True, chat_retention_seconds=CHAT_RETENTION, drops=["1.1"]
        )
    assert len(await chat.load()) == 5
    await asyncio.sleep(RETENTION + 1)
    assert (await stage.cleaner().run(60)).chats_deleted == 0
    await asyncio.sleep(CHAT_RETENTION)
    assert (await stage.cleaner().run(60)).chats_deleted == 1
    assert stage.memory.keys() == []


@virtual
async def test_a_late_settler_does_not_bring_a_deleted_chat_back() -> None:
    """Rule H5: repairing is for chats that exist."""
    stage = Stage()
    fields = {"chat_id": "c", "turn": 1, "asks": True, "chat_retention_seconds": 60}
    chat = history.of_chat(stage.calm, "me", "c", 60)
    await chat.claim(1, stage.stream, "i")
    await finished(stage, stage.stream, **fields)
    await asyncio.sleep(120)
    assert (await stage.cleaner().run(60)).chats_deleted == 1
    await asyncio.sleep(RETENTION)
    await stage.cleaner().run(60)
    assert stage.memory.keys() == []


@virtual
async def test_every_key_has_a_lifetime() -> None:
    """Rule X6: without any cleanup the store itself deletes everything, a day after its retention."""
    stage = Stage()
    started = await stage.starter().start(StartRequest("me", [said("Why?", "q1")], chat_id="c", key="k"))
    stage.stream = started.stream
    await stage.claim("m0")
    await stage.publish(Script([]), "m1")  # leaves a note
    await stage.publish(Script(["answer"]), "m0", 1)
    assert len(stage.memory.keys()) >= 9
    await asyncio.sleep(2 * CHAT_RETENTION + DAY + 1)
    assert stage.memory.keys() == []
