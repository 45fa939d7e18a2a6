"""The QStash stand-in as its own process, used by the unmodified SDK over real sockets: messages."""

from __future__ import annotations

import base64
import json
from time import time

import httpx
import pytest
from qstash import AsyncQStash, QStash
from qstash import Receiver as Verifier
from qstash.errors import QStashError
from qstash.message import BatchResponse, PublishResponse

from holdfast.adapters.signature import verify
from tests.standins.qstash_client import CURRENT, NEXT, TOKEN, eventually, message, published
from tests.standins.receiver import Answer, Receiver


def test_publish_delivers_body_and_headers_with_a_signature_that_both_verifiers_accept(
    qstash: QStash, receiver: Receiver
) -> None:
    """A published message arrives as QStash would send it."""
    url = f"{receiver.url}/api/publish?a=1&b=%2F"
    message_id = published(qstash.message.publish_json(url=url, body={"a": "ü"}, headers={"X-Own": "yes"}))
    request = receiver.take()
    assert (request.method, request.path) == ("POST", "/api/publish?a=1&b=%2F")
    assert json.loads(request.body) == {"a": "ü"}
    headers = request.headers
    assert headers["Content-Type"] == "application/json"
    assert headers["X-Own"] == "yes"
    assert headers["User-Agent"] == "Upstash-QStash"
    assert headers["Upstash-Message-Id"] == message_id
    assert headers["Upstash-Retried"] == "0"
    assert headers["Upstash-Caller-Ip"] == "127.0.0.1"
    assert "Authorization" not in headers
    signature = headers["Upstash-Signature"]
    Verifier(CURRENT, NEXT).verify(signature=signature, body=request.body.decode(), url=url)
    claims = verify(signature, request.body, url, keys=[CURRENT, NEXT], now=time())
    assert claims.subject == url
    assert claims.not_before == 0
    assert claims.issued is not None
    assert claims.expires - claims.issued == 300


def test_a_failing_destination_is_called_again_with_the_same_message_id(
    qstash: QStash, receiver: Receiver, control: httpx.Client
) -> None:
    """500, 500, 200: three tries of one message, counted, each with a signature of its own."""
    receiver.answers(Answer(500), Answer(500))
    message_id = published(qstash.message.publish(url=receiver.url, body=b"\xff\x00", retries=3, retry_delay="5"))
    requests = [receiver.take() for _ in range(3)]
    assert [request.headers["Upstash-Retried"] for request in requests] == ["0", "1", "2"]
    assert {request.headers["Upstash-Message-Id"] for request in requests} == {message_id}
    assert {request.body for request in requests} == {b"\xff\x00"}
    assert len({request.headers["Upstash-Signature"] for request in requests}) == 3
    eventually(lambda: message(control, message_id)["state"] == "DELIVERED")
    assert [(each["retried"], each["status"]) for each in message(control, message_id)["tries"]] == [
        (0, 500),
        (1, 500),
        (2, 200),
    ]
    stats = control.get("stats").json()
    assert {name: stats[name] for name in ("published", "deliveries", "succeeded", "failed", "dead")} == {
        "published": 1,
        "deliveries": 3,
        "succeeded": 1,
        "failed": 2,
        "dead": 0,
    }


def test_a_duplicate_is_answered_202_with_the_first_messages_id(
    qstash: QStash, receiver: Receiver, control: httpx.Client, qstash_url: str
) -> None:
    """The same deduplication id is one message."""
    first = published(qstash.message.publish(url=receiver.url, body="1", deduplication_id="once"))
    answer = httpx.post(
        f"{qstash_url}/v2/publish/{receiver.url}",
        headers={"Authorization": f"Bearer {TOKEN}", "Upstash-Deduplication-Id": "once"},
        trust_env=False,
    )
    assert (answer.status_code, answer.json()) == (202, {"messageId": first, "deduplicated": True})
    second = qstash.message.publish(url=receiver.url, body="1", deduplication_id="once")
    assert isinstance(second, PublishResponse)
    assert second.deduplicated
    other = qstash.message.publish(url=receiver.url, body="2", deduplication_id="twice")
    assert isinstance(other, PublishResponse)
    assert not other.deduplicated
    assert sorted(receiver.take().body for _ in range(2)) == [b"1", b"2"]
    stats = control.get("stats").json()
    assert (stats["published"], stats["deduplicated"], stats["deliveries"]) == (2, 2, 2)


def test_the_same_content_is_one_message_when_asked(qstash: QStash, receiver: Receiver) -> None:
    """Content-based deduplication looks at destination, body and forwarded headers."""

    def publish(path: str, body: str, headers: dict[str, str] | None = None) -> bool:
        answer = qstash.message.publish(
            url=receiver.url + path, body=body, headers=headers, content_based_deduplication=True
        )
        assert isinstance(answer, PublishResponse)
        return answer.deduplicated

    assert [publish("/a", "x"), publish("/a", "x"), publish("/b", "x"), publish("/a", "y")] == [
        False,
        True,
        False,
        False,
    ]
    assert not publish("/a", "x", {"X": "1"})


def test_a_message_that_is_given_up_lies_in_the_dlq_and_its_failure_callback_says_so(
    qstash: QStash, receiver: Receiver, control: httpx.Client
) -> None:
    """The failure callback has the documented fields, forwarded headers, a signature, and retries."""
    receiver.answers(Answer(500, {"X-Why": "no"}, b"down"), Answer(503, {}, b"still down"), Answer(500), Answer(200))
    failed = f"{receiver.url}/failed"
    message_id = published(
        qstash.message.publish(
            url=receiver.url,
            body="work",
            retries=1,
            retry_delay="1",
            failure_callback=failed,
            headers={"X-Own": "1"},
            failure_callback_headers={"Forward-X-Bypass": "secret", "Retry-Delay": "1"},
        )
    )
    first, second, callback, again = (receiver.take() for _ in range(4))
    assert (first.path, second.path, callback.path, again.path) == ("/", "/", "/failed", "/failed")
    assert callback.headers["Upstash-Message-Id"] == again.headers["Upstash-Message-Id"] != message_id
    assert (callback.headers["Upstash-Retried"], again.headers["Upstash-Retried"]) == ("0", "1")
    assert callback.headers["X-Bypass"] == "secret"
    assert callback.headers["Content-Type"] == "application/json"
    verify(callback.headers["Upstash-Signature"], callback.body, failed, keys=[CURRENT], now=time())
    body = json.loads(callback.body)
    dlq_id = body["dlqId"]
    assert body["status"] == 503
    assert base64.b64decode(body["body"]) == b"still down"
    assert base64.b64decode(body["sourceBody"]) == b"work"
    assert body["sourceHeader"]["X-Own"] == ["1"]
    assert (body["retried"], body["maxRetries"], body["sourceMessageId"]) == (1, 1, message_id)
    assert (body["url"], body["method"], body["callerIP"]) == (receiver.url, "POST", "127.0.0.1")
    assert body["header"]["Content-Length"] == ["10"]
    assert int(body["createdAt"]) <= int(body["notBefore"])
    dead = qstash.dlq.get(dlq_id)
    assert (dead.message_id, dead.response_status, dead.response_body) == (message_id, 503, "still down")
    assert [each.dlq_id for each in qstash.dlq.list().messages] == [dlq_id]
    assert qstash.dlq.list(filter={"message_id": "msg_other"}).messages == []
    qstash.dlq.delete(dlq_id)
    assert qstash.dlq.list().messages == []
    with pytest.raises(QStashError, match="404"):
        qstash.dlq.get(dlq_id)
    assert control.get("stats").json()["callbacks"] == {"callback": 0, "failure_callback": 1}


def test_489_with_its_header_ends_the_tries_at_once(qstash: QStash, receiver: Receiver) -> None:
    """A non-retryable error goes straight to the DLQ; 489 alone is an error like any other."""
    receiver.answers(Answer(489), Answer(489, {"Upstash-NonRetryable-Error": "true"}))
    qstash.message.publish(url=receiver.url, body="x", retries=5, retry_delay="1", failure_callback=receiver.url)
    requests = [receiver.take() for _ in range(3)]
    assert json.loads(requests[2].body)["status"] == 489
    assert json.loads(requests[2].body)["retried"] == 1
    assert len(qstash.dlq.list().messages) == 1


def test_retry_after_wins_over_the_expression(qstash: QStash, receiver: Receiver) -> None:
    """``Retry-After: 0`` is tried at once though the message asked for an hour."""
    receiver.answers(Answer(503, {"Retry-After": "0"}))
    qstash.message.publish(url=receiver.url, body="x", retry_delay="3600000")
    assert [receiver.take().headers["Upstash-Retried"] for _ in range(2)] == ["0", "1"]


@pytest.mark.asyncio
async def test_the_async_sdk_publishes_batches_and_reads_the_log(
    async_qstash: AsyncQStash, receiver: Receiver, control: httpx.Client
) -> None:
    """In a batch, one bad message does not keep the other from being sent; the log tells both lives."""
    answer = await async_qstash.message.publish_json(url=receiver.url, body={"n": 1}, deduplication_id="n1")
    message_id = published(answer)
    first, second = await async_qstash.message.batch_json(
        [{"url": receiver.url, "body": {"n": 2}}, {"url": receiver.url, "body": {"n": 1}, "deduplication_id": "n1"}]
    )
    assert isinstance(first, BatchResponse)
    assert isinstance(second, BatchResponse)
    assert (second.message_id, second.deduplicated) == (message_id, True)
    bodies = [json.loads(receiver.take().body)["n"] for _ in range(2)]
    assert sorted(bodies) == [1, 2]
    eventually(lambda: message(control, message_id)["state"] == "DELIVERED")
    logs = (await async_qstash.log.list(filter={"message_id": message_id})).logs
    assert [log.state.value for log in reversed(logs)] == ["CREATED", "ACTIVE", "DELIVERED"]
