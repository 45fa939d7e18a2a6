"""A start: one request, one answer; what fails leaves nothing behind (chapter S)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from holdfast.errors import ApiError, Rejected, Unavailable
from holdfast.identity import created_ms
from holdfast.operations import Append, Drop, Operation
from holdfast.publish import Verdict
from holdfast.queue import Delivery
from holdfast.records import Error, Queued
from holdfast.requests import StartRequest
from tests.clocks import virtual
from tests.faults import LOST_REPLY, LOST_REQUEST, slow
from tests.publishing.stage import CHAT_RETENTION, RETENTION, Script, Stage, said


def ask(text: str = "Why?", key: str | None = None, chat: str | None = None, id: str | None = None) -> StartRequest:
    """A request with one message."""
    return StartRequest("me", [said(text, id)], chat_id=chat, key=key)


async def refused(stage: Stage, request: StartRequest) -> ApiError:
    """The error with which a start is refused."""
    with pytest.raises(ApiError) as caught:
        await stage.starter().start(request)
    return caught.value


def is_open(operations: Sequence[Operation]) -> bool:
    """Whether a call of the store opens a log."""
    return isinstance(operations[0], Append) and operations[0].create


@virtual
async def test_a_start_opens_and_enqueues_and_calls_nobody() -> None:
    """Rules S1, A1: the log with its first record, its place in the index, one message."""
    stage = Stage()
    started = await stage.starter().start(replace(ask(), extra={"temperature": 0}))
    assert started.created
    (record,) = [entry.record for entry in await stage.entries(started.stream)]
    assert isinstance(record, Queued)
    assert (record.owner, record.messages, record.extra) == ("me", [said("Why?")], {"temperature": 0})
    assert (record.retention_seconds, record.chat_retention_seconds) == (RETENTION, CHAT_RETENTION)
    assert created_ms(started.stream) == stage.clock.origin_ms
    assert stage.queue.messages == [(started.stream, 1, f"{started.stream}.1")]
    assert set(stage.memory.keys()) == {stage.keys.stream(started.stream), stage.keys.due}


@pytest.mark.parametrize("fault", [Unavailable("down"), Rejected("over quota")])
@pytest.mark.parametrize("chat", [None, "c"])
@virtual
async def test_a_queue_that_is_down_leaves_nothing_behind(chat: str | None, fault: Exception) -> None:
    """Rules S4, W5: 503, and the keys are those of before; the same request works once the queue is back."""
    stage = Stage()
    before = stage.memory.keys()
    stage.queue.fault = fault
    error = await refused(stage, ask(key="k", chat=chat, id="q1"))
    assert (error.status, error.retry_after is not None) == (503, True)
    assert stage.memory.keys() == before
    stage.queue.fault = None
    assert (await stage.starter().start(ask(key="k", chat=chat, id="q1"))).created


@virtual
async def test_a_store_that_is_down_is_told() -> None:
    """Rule S4: 503, nothing enqueued, nothing written."""
    stage = Stage()
    stage.port.rescript([], then=LOST_REQUEST)
    error = await refused(stage, ask(key="k", chat="c"))
    assert error.status == 503
    assert (stage.memory.keys(), stage.queue.messages) == ([], [])


@virtual
async def test_a_delivery_of_a_start_that_was_rolled_back_calls_no_model() -> None:
    """Rule S4: the queue took the message though it seemed to fail."""
    stage, generate = Stage(), Script(["never"])
    stage.queue.fault = Unavailable("its reply was lost")
    await refused(stage, ask())
    stage.stream = stage.port.calls[0][0].key.split(":")[-1]  # type: ignore[union-attr]
    assert await stage.publish(generate) is Verdict.RETRY
    await asyncio.sleep(61)
    assert await stage.publish(generate, retried=1) is Verdict.REFUSE
    assert generate.requests == []


@virtual
async def test_an_answer_that_was_delivered_although_enqueuing_seemed_to_fail_goes_on() -> None:
    """The queue took the message and its reply was lost: the answer is being written, so it was started."""
    stage = Stage()

    class Forgetful:
        async def enqueue(self, stream: str, attempt: int, *, dedup: str) -> None:
            stage.stream = stream
            if not (await stage.answer(stream)).begins:
                await stage.claim("m1")
            raise Unavailable(f"no reply for {attempt} {dedup}")

    started = await replace(stage.starter(), queue=Forgetful()).start(ask())
    assert started.created
    assert (await stage.answer(started.stream)).end is None


@virtual
async def test_lost_replies_do_not_open_two_logs() -> None:
    """Rules A1, A3: opening again changes nothing."""
    stage = Stage()
    stage.port._when = is_open
    stage.port.rescript([LOST_REPLY, LOST_REQUEST, LOST_REPLY])
    started = await stage.starter().start(ask())
    assert len(await stage.entries(started.stream)) == 1


@pytest.mark.parametrize("chat", [None, "c"])
@virtual
async def test_the_same_key_is_the_same_answer(chat: str | None) -> None:
    """Rule S2: also after the answer has ended, and for another owner's key it is another one."""
    stage = Stage()
    first = await stage.starter().start(ask(key="k", chat=chat))
    again = await stage.starter().start(ask(key="k", chat=chat))
    assert (again.stream, again.created) == (first.stream, False)
    stage.stream = first.stream
    await stage.publish(Script(["done"]))
    assert (await stage.starter().start(ask(key="k", chat=chat))).stream == first.stream
    assert (await stage.starter().start(replace(ask(key="k", chat=chat), owner="you"))).stream != first.stream
    assert (await stage.starter().start(ask(key="other"))).stream != first.stream


@virtual
async def test_the_same_key_with_another_body_is_refused() -> None:
    """Rules S2, W5: 422, and nothing is written."""
    stage = Stage()
    await stage.starter().start(ask(key="k"))
    before = stage.memory.keys()
    for other in (ask("How?", key="k"), ask(key="k", chat="c"), replace(ask(key="k"), extra={"model": "m"})):
        error = await refused(stage, other)
        assert (error.status, error.code) == (422, "idempotency_key_reused")
    assert stage.memory.keys() == before


@virtual
async def test_a_request_that_is_refused_writes_nothing() -> None:
    """Rules S1, W5: the newest message must be the user's; not even the key is taken."""
    stage = Stage()
    request = StartRequest("me", [said("Why?"), said("Because.", role="assistant")], key="k", chat_id="c")
    assert (await refused(stage, request)).status == 422
    assert stage.memory.keys() == []


@pytest.mark.parametrize("chat", [None, "c"])
@virtual
async def test_a_repeated_start_enqueues_what_nobody_began(chat: str | None) -> None:
    """Rule S3: the first one died between opening and enqueuing."""
    stage = Stage()

    class Deadly:
        async def enqueue(self, stream: str, attempt: int, *, dedup: str) -> None:
            raise KeyboardInterrupt(stream, attempt, dedup)

    with pytest.raises(KeyboardInterrupt):
        await replace(stage.starter(), queue=Deadly()).start(ask(key="k", chat=chat))
    assert stage.queue.messages == []
    started = await stage.starter().start(ask(key="k", chat=chat))
    assert stage.queue.messages == [(started.stream, 1, f"{started.stream}.1")]
    assert len(await stage.entries(started.stream)) == 1


@virtual
async def test_a_start_that_died_before_opening_is_repeated() -> None:
    """Rule S3: the key stands, the log does not; the same stream is opened."""
    stage = Stage()
    stage.port._when = is_open
    stage.port.rescript([], then=LOST_REQUEST)
    starting = asyncio.create_task(stage.starter().start(ask(key="k")))
    await asyncio.sleep(0.01)
    starting.cancel()
    await asyncio.wait({starting})
    assert len(stage.memory.keys()) == 1
    stage.port.rescript([])
    started = await stage.starter().start(ask(key="k"))
    assert started.stream in (await stage.memory.apply(*stage.port.calls[0]))[1]
    assert stage.queue.messages == [(started.stream, 1, f"{started.stream}.1")]


@virtual
async def test_a_start_that_died_while_taking_itself_back_can_be_repeated() -> None:
    """Rules S2, S4: a log that its own start sealed is no answer to join."""
    stage = Stage()
    stage.queue.fault = Unavailable("down")
    stage.port._when = lambda ops: isinstance(ops[0], Drop)
    stage.port.rescript([], then=slow(100))
    starting = asyncio.create_task(stage.starter().start(ask(key="k", chat="c", id="q1")))
    await asyncio.sleep(1)
    starting.cancel()
    await asyncio.wait({starting})
    assert any(key.startswith("t:stream:") for key in sorted(stage.memory.keys()))  # sealed, and not deleted yet
    stage.port.rescript([])
    stage.queue.fault = None
    started = await stage.starter().start(ask(key="k", chat="c", id="q1"))
    end = (await stage.answer(started.stream)).end
    assert end is None or not isinstance(end[1], Error)
    assert await stage.publisher(Script(["yes"])).publish(Delivery(started.stream, 1, "m1", 0)) is Verdict.DONE
    assert (await stage.answer(started.stream)).builder.text() == "yes"


@virtual
async def test_ten_starts_at_once_with_one_key_are_one_answer() -> None:
    """Rule S2: whoever comes first, all get the same stream and the queue gets one message."""
    stage = Stage()
    stage.port.rescript([], then=slow(0.01))
    started = await asyncio.gather(*(stage.starter().start(ask(key="k")) for _ in range(10)))
    assert len({one.stream for one in started}) == 1
    assert len(stage.queue.messages) == 1


@virtual
async def test_without_chat_and_key_every_start_is_its_own_answer() -> None:
    """Rule H: without a chat, ``messages`` is everything and nothing is joined."""
    stage = Stage()
    started = [await stage.starter().start(ask()) for _ in range(3)]
    assert len({one.stream for one in started}) == 3
