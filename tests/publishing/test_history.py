"""What a chat's history holds, whoever died (rules H2, H4, H5)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from holdfast import history
from holdfast.answer import Answer
from holdfast.operations import Operation, Put
from holdfast.publish import Verdict
from holdfast.queue import Delivery
from holdfast.records import Stop
from holdfast.requests import StartRequest
from tests.clocks import virtual
from tests.faults import LOST_REQUEST
from tests.publishing.chat_client import Chat
from tests.publishing.stage import CHAT_RETENTION, Script, said


def settles(operations: Sequence[Operation]) -> bool:
    """Whether a call of the store writes an answer into the history."""
    return any(isinstance(operation, Put) and operation.key.endswith(".1") for operation in operations)


@pytest.mark.parametrize("repair", ["start", "read", "redelivery"])
@virtual
async def test_what_a_dead_writer_left_is_brought_into_the_history(repair: str) -> None:
    """Rule H5: the publisher died between the end of the log and the history."""
    chat = Chat()
    first = await chat.send(said("q1", "id1"))
    chat.stage.port._when = settles
    chat.stage.port.rescript([], then=LOST_REQUEST)
    delivery = Delivery(first.stream, 1, "m1", 0)
    assert await chat.stage.publisher(Script(["a1"])).publish(delivery) is Verdict.RETRY
    assert await chat.items() == ["q1"]
    chat.stage.port.rescript([])
    match repair:
        case "start":
            second = await chat.send(said("q2", "id2"))
            assert await chat.asked(second) == ["q1", "a1", "q2"]
        case "read":
            await history.repair(chat.stage.calm, Answer(await chat.stage.entries(first.stream)))
        case "redelivery":
            assert await chat.stage.publisher(Script(["never"])).publish(delivery) is Verdict.DONE
    assert (await chat.items())[:2] == ["q1", "a1"]


@virtual
async def test_a_question_that_start_could_not_enter_comes_with_its_answer() -> None:
    """Rules H4, H5: whoever ends the answer writes both."""
    chat = Chat()
    chat.stage.port._when = lambda ops: any(isinstance(op, Put) and op.key.endswith(".0") for op in ops)
    chat.stage.port.rescript([], then=LOST_REQUEST)
    started = await chat.send(said("q1", "id1"))
    assert await chat.items() == []
    chat.stage.port.rescript([])
    await chat.publish(started, "a1")
    assert await chat.items() == ["q1", "a1"]


@virtual
async def test_what_an_edit_removed_stays_removed() -> None:
    """Rule H5: an answer that is settled late, after it was dropped, does not come back."""
    chat = Chat()
    first = await chat.turn("q1", "id1", "a1")
    second = await chat.turn("q2", "id2", "a2")
    edited = await chat.send(said("q1, better", "id1"))
    await chat.publish(edited, "b1")
    for late in (first, second):
        await history.settle(chat.stage.calm, await chat.stage.answer(late.stream))
        await history.repair(chat.stage.calm, await chat.stage.answer(late.stream))
    assert await chat.items() == ["q1, better", "b1"]


@virtual
async def test_an_answer_stands_in_the_history_once() -> None:
    """Rule H5: settling is repeatable."""
    chat = Chat()
    started = await chat.turn("q1", "id1", "a1")
    for _ in range(3):
        await history.settle(chat.stage.calm, await chat.stage.answer(started.stream))
    assert await chat.items() == ["q1", "a1"]


@virtual
async def test_a_partial_answer_stays_in_the_history() -> None:
    """Rule H5: whoever stops an answer writes what there is of it."""
    chat = Chat()
    started = await chat.send(said("q1", "id1"))
    publishing = asyncio.create_task(chat.publish(started, "half", 100))
    await asyncio.sleep(1)
    await history.end(chat.stage.calm, started.stream, Stop(at=chat.stage.clock.now_ms(), by="request"))
    assert await chat.items() == ["q1", "half"]
    await publishing
    assert await chat.items() == ["q1", "half"]


@virtual
async def test_a_start_that_died_before_its_log_blocks_the_chat_for_ten_seconds() -> None:
    """Rule H2: a claim without a log is believed to be starting, and then forgotten."""
    chat = Chat()
    dead = history.of_chat(chat.stage.calm, "me", "c", CHAT_RETENTION)
    request = StartRequest("me", [said("q1", "id1")], chat_id="c")
    await dead.claim(1, chat.stage.stream, request.turn_identity)
    assert (await chat.refused(said("q2", "id2"))).status == 409
    await asyncio.sleep(11)
    assert (await chat.send(said("q2", "id2"))).created


@virtual
async def test_the_same_turn_takes_up_a_start_that_died_before_its_log() -> None:
    """Rules H2, S3: it opens the stream that the dead one claimed."""
    chat = Chat()
    dead = history.of_chat(chat.stage.calm, "me", "c", CHAT_RETENTION)
    request = StartRequest("me", [said("q1", "id1")], chat_id="c")
    await dead.claim(1, chat.stage.stream, request.turn_identity)
    assert (await chat.send(said("q1", "id1"))).stream == chat.stage.stream


@virtual
async def test_a_claim_behind_an_end_does_not_keep_the_chat_busy() -> None:
    """Rules E1, H3: a duplicate delivery claimed just after the finish; the next turn starts all the same."""
    chat = Chat()
    first = await chat.turn("q1", "id1", "a1")
    chat.stage.stream = first.stream
    await chat.stage.claim("late")
    second = await chat.send(said("q2", "id2"))
    assert second.created
    assert await chat.asked(second) == ["q1", "a1", "q2"]


@virtual
async def test_a_failed_turn_leaves_its_question() -> None:
    """Rule H5: an answer without a word writes no empty message, and the next turn goes on."""
    chat = Chat()
    first = await chat.send(said("q1", "id1"))
    await chat.publish(first, ZeroDivisionError())
    assert await chat.items() == ["q1"]
    second = await chat.send(said("q2", "id2"))
    assert await chat.asked(second) == ["q1", "q2"]
