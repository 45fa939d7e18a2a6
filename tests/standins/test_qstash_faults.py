"""Faults of the QStash stand-in, over sockets with the unmodified SDK: what the destination sees."""

from __future__ import annotations

import json
import threading
from time import time
from typing import Any

import httpx
import pytest
from qstash import QStash

from holdfast.adapters.signature import BadSignature, verify
from tests.standins.qstash_client import CURRENT, eventually, message, published
from tests.standins.receiver import Answer, Received, Receiver


def add(control: httpx.Client, **fault: Any) -> None:
    control.post("faults", json=fault).raise_for_status()


def fired(control: httpx.Client) -> dict[str, int]:
    counts: dict[str, int] = control.get("stats").json()["fired"]
    return counts


def delivered(control: httpx.Client, message_id: str) -> bool:
    return bool(message(control, message_id)["state"] == "DELIVERED")


def identity(request: Received) -> tuple[str, str]:
    return request.headers["Upstash-Message-Id"], request.headers["Upstash-Retried"]


def test_twice_makes_one_try_as_two_calls_at_once(qstash: QStash, receiver: Receiver, control: httpx.Client) -> None:
    """Both calls are under way together, with one message id and one retry count; the first one's answer counts."""
    add(control, kind="twice")
    hold = threading.Event()
    receiver.answers(Answer(hold=hold), Answer(hold=hold))
    message_id = published(qstash.message.publish(url=receiver.url, body="x"))
    requests = [receiver.take(), receiver.take()]
    hold.set()
    assert [identity(request) for request in requests] == [(message_id, "0")] * 2
    assert len({request.headers["Upstash-Signature"] for request in requests}) == 2
    eventually(lambda: delivered(control, message_id))
    assert [each["duplicate"] for each in message(control, message_id)["tries"]].count(True) == 1
    assert fired(control) == {"twice": 1}


def test_a_refused_duplicate_uses_up_a_try_while_the_first_call_goes_on(
    qstash: QStash, receiver: Receiver, control: httpx.Client
) -> None:
    """The 503 counts as the try's answer: the next try comes with a higher retry count, the first call still open."""
    add(control, kind="refused_duplicate")
    hold = threading.Event()
    receiver.answers(Answer(hold=hold), Answer(503), Answer(503))
    message_id = published(qstash.message.publish(url=receiver.url, body="x", retries=2, retry_delay="1"))
    requests = [receiver.take() for _ in range(4)]
    assert [identity(request) for request in requests] == [(message_id, retried) for retried in ("0", "0", "1", "2")]
    eventually(lambda: delivered(control, message_id))
    assert not hold.is_set()
    assert fired(control) == {"refused_duplicate": 1}
    hold.set()
    eventually(lambda: len(message(control, message_id)["tries"]) == 4)


def test_a_first_call_that_succeeds_after_its_duplicate_was_refused_ends_the_message(
    qstash: QStash, receiver: Receiver, control: httpx.Client
) -> None:
    """No further try is made then, though one was planned."""
    add(control, kind="refused_duplicate")
    hold = threading.Event()
    receiver.answers(Answer(hold=hold), Answer(503))
    message_id = published(qstash.message.publish(url=receiver.url, body="x", retry_delay="3600000"))
    eventually(lambda: message(control, message_id)["state"] == "RETRY")
    hold.set()
    eventually(lambda: delivered(control, message_id))
    assert [each["status"] for each in message(control, message_id)["tries"]] == [503, 200]
    assert control.get("stats").json()["waiting"] == 0


def test_a_duplicate_that_is_not_refused_is_not_counted_as_such(
    qstash: QStash, receiver: Receiver, control: httpx.Client
) -> None:
    """The rule waits for a message whose duplicate is."""
    add(control, kind="refused_duplicate")
    message_id = published(qstash.message.publish(url=receiver.url, body="x"))
    eventually(lambda: delivered(control, message_id))
    assert fired(control) == {}
    assert len(control.get("faults").json()["faults"]) == 1


def test_again_delivers_once_more_after_success(qstash: QStash, receiver: Receiver, control: httpx.Client) -> None:
    """A failed try is not delivered again; a success is, with the same identity, and its answer changes nothing."""
    add(control, kind="again", seconds=0)
    receiver.answers(Answer(500), Answer(200), Answer(500))
    message_id = published(qstash.message.publish(url=receiver.url, body="x", retry_delay="1"))
    requests = [receiver.take() for _ in range(3)]
    assert [identity(request) for request in requests] == [(message_id, "0"), (message_id, "1"), (message_id, "1")]
    eventually(lambda: len(message(control, message_id)["tries"]) == 3)
    told = message(control, message_id)
    assert (told["state"], [each["duplicate"] for each in told["tries"]]) == ("DELIVERED", [False, False, True])
    assert fired(control) == {"again": 1}


def test_late_makes_a_try_later_than_due(qstash: QStash, receiver: Receiver, control: httpx.Client) -> None:
    """By the seconds asked for, and no longer a second time."""
    add(control, kind="late", seconds=0.2)
    message_id = published(qstash.message.publish(url=receiver.url, body="x"))
    receiver.take()
    eventually(lambda: delivered(control, message_id))
    told = message(control, message_id)
    assert told["tries"][0]["at"] - told["due"] >= 0.2
    assert fired(control) == {"late": 1}


def test_out_of_order_delivers_a_later_message_first(qstash: QStash, receiver: Receiver, control: httpx.Client) -> None:
    """The first waits for the second to be answered, and then comes at once."""
    add(control, kind="out_of_order", seconds=60)
    first = published(qstash.message.publish(url=receiver.url, body="first"))
    published(qstash.message.publish(url=receiver.url, body="second"))
    assert [receiver.take().body for _ in range(2)] == [b"second", b"first"]
    eventually(lambda: delivered(control, first))
    assert fired(control) == {"out_of_order": 1}


@pytest.mark.parametrize(("skew", "says"), [(-1_000, "expired"), (1_000, None)])
def test_skew_signs_with_a_clock_that_is_off(
    qstash: QStash, receiver: Receiver, control: httpx.Client, skew: int, says: str | None
) -> None:
    """Signatures are issued in the skewed past or future; the next one is right again."""
    add(control, kind="skew", seconds=skew)
    qstash.message.publish(url=receiver.url, body="x")
    signature = receiver.take().headers["Upstash-Signature"]
    if says:
        with pytest.raises(BadSignature, match=says):
            verify(signature, b"x", receiver.url, keys=[CURRENT], now=time())
    claims = verify(signature, b"x", receiver.url, keys=[CURRENT], now=time() + skew)
    assert claims.issued is not None
    assert abs(claims.issued - time() - skew) < 60
    qstash.message.publish(url=receiver.url, body="y")
    verify(receiver.take().headers["Upstash-Signature"], b"y", receiver.url, keys=[CURRENT], now=time())
    assert fired(control) == {"skew": 1}


def test_cut_leaves_a_zombie_at_work_while_the_next_try_comes(
    qstash: QStash, receiver: Receiver, control: httpx.Client
) -> None:
    """The first call is given up at its timeout, though the destination works on; an answer in time is not cut."""
    add(control, kind="cut", seconds=0.1)
    zombie = threading.Event()
    receiver.answers(Answer(hold=zombie))
    message_id = published(qstash.message.publish(url=receiver.url, body="x", retry_delay="1"))
    assert [identity(receiver.take()) for _ in range(2)] == [(message_id, "0"), (message_id, "1")]
    assert not zombie.is_set()
    zombie.set()
    eventually(lambda: delivered(control, message_id))
    tries = message(control, message_id)["tries"]
    assert [(each["status"], each["error"]) for each in tries] == [
        (0, "the destination did not answer in time"),
        (200, ""),
    ]
    assert fired(control) == {"cut": 1}


def test_a_call_that_ends_before_its_cut_is_not_counted(
    qstash: QStash, receiver: Receiver, control: httpx.Client
) -> None:
    """The rule waits for a call that it can cut."""
    add(control, kind="cut", seconds=60)
    message_id = published(qstash.message.publish(url=receiver.url, body="x"))
    eventually(lambda: delivered(control, message_id))
    assert fired(control) == {}


@pytest.mark.parametrize("lost", ["/done", "/failed"])
def test_a_lost_callback_never_comes(qstash: QStash, receiver: Receiver, control: httpx.Client, lost: str) -> None:
    """Neither kind is sent, nor counted as sent; the other comes, and the message lies in the DLQ all the same."""
    add(control, kind="callback_lost", url=lost)
    receiver.answers(Answer(500))
    qstash.message.publish(
        url=receiver.url,
        body="x",
        retries=0,
        callback=f"{receiver.url}/done",
        failure_callback=f"{receiver.url}/failed",
    )
    other = {"/done": "/failed", "/failed": "/done"}[lost]
    assert [receiver.take().path for _ in range(2)] == ["/", other]
    assert len(qstash.dlq.list().messages) == 1
    assert fired(control) == {"callback_lost": 1}
    assert sum(control.get("stats").json()["callbacks"].values()) == 1
    assert len(control.get("messages").json()["messages"]) == 2


def test_faults_choose_their_destination(qstash: QStash, receiver: Receiver, control: httpx.Client) -> None:
    """A rule with a piece of a URL passes over the others."""
    add(control, kind="again", url="/publish", seconds=0, count=None)
    other = published(qstash.message.publish(url=f"{receiver.url}/cleanup", body="x"))
    eventually(lambda: delivered(control, other))
    assert receiver.take().path == "/cleanup"
    qstash.message.publish(url=f"{receiver.url}/api/publish", body="x")
    assert [receiver.take().path for _ in range(2)] == ["/api/publish"] * 2
    assert fired(control) == {"again": 1}


def test_a_seed_makes_the_same_messages_go_wrong(qstash: QStash, receiver: Receiver, control: httpx.Client) -> None:
    """Of twenty messages published one after the other the same ones are struck, run after run."""

    def struck() -> list[bool]:
        control.post("reset").raise_for_status()
        add(control, kind="skew", seconds=-3_600, rate=0.4, seed=11, count=None)
        late = []
        for number in range(20):
            qstash.message.publish(url=receiver.url, body=json.dumps(number))
            request = receiver.take()
            claims = verify(
                request.headers["Upstash-Signature"], request.body, receiver.url, keys=[CURRENT], now=time() - 3_600
            )
            assert claims.issued is not None
            late.append(claims.issued < time() - 1_800)
        assert fired(control) == {"skew": sum(late)}
        return late

    first = struck()
    assert 2 < sum(first) < 18
    assert struck() == first
