"""The QStash stand-in used by the unmodified SDK: cancelling, schedules and keys."""

from __future__ import annotations

import threading
from time import time

import httpx
import pytest
from qstash import QStash
from qstash.errors import QStashError
from qstash.schedule import ScheduleState

from holdfast.adapters.signature import verify
from tests.standins.qstash_client import CURRENT, NEXT, eventually, message, published
from tests.standins.receiver import Answer, Receiver


def test_a_cancelled_message_is_never_delivered(qstash: QStash, receiver: Receiver, control: httpx.Client) -> None:
    """A waiting message can be read and cancelled; then it is gone."""
    message_id = published(qstash.message.publish(url=receiver.url, body="x", delay="1h", label="late"))
    waiting = qstash.message.get(message_id)
    assert (waiting.body, waiting.url, waiting.max_retries, waiting.label) == ("x", receiver.url, 3, "late")
    assert 3_599_000 < waiting.not_before - waiting.created_at <= 3_600_000
    qstash.message.cancel(message_id)
    with pytest.raises(QStashError, match="404"):
        qstash.message.get(message_id)
    with pytest.raises(QStashError, match="404"):
        qstash.message.cancel(message_id)
    ids = [
        published(qstash.message.publish(url=receiver.url, body="x", not_before=int(time()) + 999)) for _ in range(3)
    ]
    assert qstash.message.cancel_many([ids[0], message_id]) == 1
    assert qstash.message.cancel_all() == 2
    assert control.get("stats").json()["cancelled"] == 4
    assert control.get("stats").json()["waiting"] == 0
    assert receiver.received.empty()


def test_cancelling_a_message_under_way_takes_effect_at_its_next_delivery(
    qstash: QStash, receiver: Receiver, control: httpx.Client
) -> None:
    """The call goes on; it fails, and there is no other."""
    hold = threading.Event()
    receiver.answers(Answer(500, hold=hold))
    message_id = published(qstash.message.publish(url=receiver.url, body="x", retry_delay="1"))
    receiver.take()
    qstash.message.cancel(message_id)
    assert message(control, message_id)["state"] == "ACTIVE"
    hold.set()
    eventually(lambda: message(control, message_id)["state"] == "CANCELED")
    assert len(message(control, message_id)["tries"]) == 1


def test_a_schedule_is_made_read_paused_and_replaced(qstash: QStash, receiver: Receiver, control: httpx.Client) -> None:
    """One id is one schedule, and firing it delivers its message."""
    created = qstash.schedule.create(
        destination=f"{receiver.url}/first", cron="* * * * *", body="one", schedule_id="cleanup"
    )
    assert created == "cleanup"
    qstash.schedule.create(
        destination=f"{receiver.url}/api/cleanup",
        cron="CRON_TZ=America/New_York 0 4 * * *",
        body="two",
        schedule_id="cleanup",
        method="PUT",
        retries=1,
        headers={"X-Own": "1"},
        timeout=60,
    )
    (listed,) = qstash.schedule.list()
    assert (listed.schedule_id, listed.body, listed.method, listed.retries) == ("cleanup", "two", "PUT", 1)
    assert listed.timeout == 60
    assert listed.next_schedule_time is not None
    qstash.schedule.pause("cleanup")
    assert qstash.schedule.get("cleanup").paused
    qstash.schedule.resume("cleanup")
    assert not qstash.schedule.get("cleanup").paused
    fired = control.post("fire", params={"schedule": "cleanup"}).json()["messageId"]
    request = receiver.take()
    assert (request.method, request.path, request.body) == ("PUT", "/api/cleanup", b"two")
    assert request.headers["Upstash-Schedule-Id"] == "cleanup"
    assert request.headers["Upstash-Message-Id"] == fired
    eventually(lambda: qstash.schedule.get("cleanup").last_schedule_states == {fired: ScheduleState.SUCCESS})
    qstash.schedule.delete("cleanup")
    assert qstash.schedule.list() == []
    with pytest.raises(QStashError, match="404"):
        qstash.schedule.get("cleanup")
    assert control.post("fire", params={"schedule": "cleanup"}).status_code == 404


def test_keys_rotate_and_deliveries_are_signed_with_the_new_one(
    qstash: QStash, receiver: Receiver, control: httpx.Client
) -> None:
    """The next key becomes the current one; a reset brings the first two back."""
    before = qstash.signing_key.get()
    assert (before.current, before.next) == (CURRENT, NEXT)
    after = qstash.signing_key.rotate()
    assert after == qstash.signing_key.get()
    assert after.current == before.next
    assert len({before.current, before.next, after.next}) == 3
    qstash.message.publish(url=receiver.url, body="x")
    request = receiver.take()
    verify(request.headers["Upstash-Signature"], b"x", receiver.url, keys=[after.current], now=time())
    control.post("reset").raise_for_status()
    assert qstash.signing_key.get() == before
