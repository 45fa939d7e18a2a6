"""Faults of the delivery engine on a clock of its own: exactly when the calls come."""

from __future__ import annotations

import asyncio

import pytest

from standins.qstash_faults import KINDS
from standins.qstash_transport import Call, Reply
from tests.standins.qstash_time import DAY, START, URL, engine_for, options, settle

OTHER = "http://127.0.0.1:9/api/other"


@pytest.mark.asyncio
async def test_a_late_try_comes_so_many_seconds_after_it_was_due() -> None:
    """Each try by itself: the second one is struck, and its delay counts from when it was due."""
    engine, clock, destination = engine_for(lambda _: Reply(500))
    engine.faults.add(KINDS.read({"kind": "late", "seconds": 30, "skip": 1}))
    engine.publish(URL, b"", options(retries="2", retry_delay="10000"))
    await clock.pass_until(START + DAY)
    assert destination.times == [0.0, 40.0, 50.0]


@pytest.mark.asyncio
async def test_again_comes_so_many_seconds_after_success() -> None:
    """Long after the message is over."""
    engine, clock, destination = engine_for(lambda _: Reply(200))
    engine.faults.add(KINDS.read({"kind": "again", "seconds": 40}))
    engine.publish(URL, b"", options())
    await clock.pass_until(START + DAY)
    assert destination.times == [0.0, 40.0]
    assert engine.stats()["fired"] == {"again": 1}


@pytest.mark.asyncio
async def test_a_message_that_nothing_overtakes_is_held_no_longer_than_asked_and_not_counted() -> None:
    """Nor does an older message overtake it: only one that was published later does."""
    engine, clock, destination = engine_for(lambda _: Reply(200))
    engine.publish(OTHER, b"", options(delay="5s"))
    engine.faults.add(KINDS.read({"kind": "out_of_order", "seconds": 20, "url": "/publish"}))
    engine.publish(URL, b"", options())
    await clock.pass_until(START + DAY)
    assert [(at, call.url) for at, call in destination.calls] == [(5.0, OTHER), (20.0, URL)]
    assert engine.stats()["fired"] == {}
    engine.publish(URL, b"", options())
    engine.publish(OTHER, b"", options(delay="7s"))
    await clock.pass_until(START + 2 * DAY)
    assert [(at - DAY, call.url) for at, call in destination.calls[2:]] == [(7.0, OTHER), (7.0, URL)]
    assert engine.stats()["fired"] == {"out_of_order": 1}


@pytest.mark.asyncio
async def test_a_held_message_can_be_cancelled_and_a_reset_leaves_no_task() -> None:
    """Faults hold nothing beyond the life of what they hold."""
    engine, clock, destination = engine_for(lambda _: Reply(200))
    for kind in ("out_of_order", "late"):
        engine.faults.add(KINDS.read({"kind": kind, "seconds": 60}))
    held = engine.publish(URL, b"", options())
    await settle()
    assert engine.cancel(held.message_id)
    await settle()
    assert engine.stats()["fired"] == {}
    engine.publish(OTHER, b"", options())
    engine.publish(URL, b"", options())
    engine.faults.add(KINDS.read({"kind": "again", "seconds": 60}))
    engine.publish(OTHER, b"delivered, and to be delivered again", options())
    await settle()
    assert destination.times == [0.0, 0.0]
    await engine.reset()
    await clock.pass_until(START + DAY)
    assert destination.times == [0.0, 0.0]
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.asyncio
@pytest.mark.parametrize("when", ["waiting", "trying"])
async def test_a_late_success_ends_the_tries(monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    """Of a call whose duplicate was refused: while the next try is awaited, or while it is under way and fails."""
    engine, clock, destination = engine_for(lambda _: Reply(503))
    first, second = asyncio.Event(), asyncio.Event()
    refuse = destination.send

    async def send(call: Call, timeout: float) -> Reply:
        number = len(destination.calls)
        refused = await refuse(call, timeout)
        if number == 0:
            await first.wait()
            return Reply(200)
        if number == 2:
            await second.wait()
        return refused

    monkeypatch.setattr(destination, "send", send)
    engine.faults.add(KINDS.read({"kind": "refused_duplicate"}))
    message_id = engine.publish(URL, b"", options(retries="3", retry_delay="10000")).message_id
    await clock.pass_until(START + (5 if when == "waiting" else 10))
    first.set()
    await settle()
    second.set()
    await clock.pass_until(START + DAY)
    assert destination.times == ([0.0, 0.0] if when == "waiting" else [0.0, 0.0, 10.0])
    assert engine.messages[message_id].state == "DELIVERED"
    assert engine.stats()["fired"] == {"refused_duplicate": 1}
