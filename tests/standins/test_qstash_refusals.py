"""What the QStash stand-in refuses, as the service does: with a status that says who must act."""

from __future__ import annotations

import httpx
import pytest
from qstash import QStash
from qstash.errors import QStashError

from tests.standins.qstash_client import TOKEN
from tests.standins.receiver import Receiver


@pytest.mark.parametrize(
    "cron", ["* * * *", "61 * * * *", "* * * * * *", "CRON_TZ=Nowhere/City * * * * *", "0 0 31 2 *"]
)
def test_a_cron_expression_that_cannot_be_is_refused(qstash: QStash, receiver: Receiver, cron: str) -> None:
    """Malformed, with seconds, in no known zone, or of a day that never comes."""
    with pytest.raises(QStashError, match=r"status: 400.*invalid cron"):
        qstash.schedule.create(destination=receiver.url, cron=cron)


@pytest.mark.parametrize(
    ("headers", "status", "error"),
    [
        ({"Upstash-Deduplication-Id": "a:b"}, 400, "DeduplicationId cannot contain ':'"),
        ({"Upstash-Retries": "6"}, 412, "quota maxRetries exceeded"),
        ({"Upstash-Retries": "many"}, 400, "invalid upstash-retries"),
        ({"Upstash-Retry-Delay": "system(1)"}, 400, "invalid retry delay expression"),
        ({"Upstash-Delay": "soon"}, 400, "invalid upstash-delay"),
        ({"Upstash-Delay": "8d"}, 412, "quota maxDelay exceeded"),
        ({"Upstash-Method": "BREW"}, 400, "invalid method"),
        ({"Upstash-Failure-Callback": "http://192.0.2.1/"}, 400, "invalid destination url"),
        ({"Upstash-Flow-Control-Key": "k"}, 501, "not part of this stand-in"),
    ],
)
def test_bad_options_are_refused(
    qstash_url: str, control: httpx.Client, receiver: Receiver, headers: dict[str, str], status: int, error: str
) -> None:
    """Nothing is accepted that would then not be done."""
    answer = httpx.post(
        f"{qstash_url}/v2/publish/{receiver.url}",
        headers={"Authorization": f"Bearer {TOKEN}"} | headers,
        trust_env=False,
    )
    assert answer.status_code == status
    assert error in answer.json()["error"]
    assert control.get("stats").json()["published"] == 0


@pytest.mark.parametrize(
    "url", ["http://192.0.2.1/", "https://example.com/", "ftp://127.0.0.1/", "127.0.0.1", "http%3A%2F%2F127.0.0.1%2F"]
)
def test_only_http_on_loopback_is_called(qstash: QStash, url: str) -> None:
    """Another machine, another protocol and an encoded URL are refused, as QStash words it."""
    with pytest.raises(QStashError, match=r"status: 400.*invalid destination url"):
        qstash.message.publish(url=url, body="x")


def test_a_message_of_one_megabyte_passes_and_one_byte_more_is_refused(qstash: QStash, receiver: Receiver) -> None:
    """The free plan's limit, as a quota error."""
    qstash.message.publish(url=receiver.url, body=b"x" * 1024 * 1024)
    assert len(receiver.take().body) == 1024 * 1024
    with pytest.raises(QStashError, match=r"status: 412.*quota maxMessageSize exceeded"):
        qstash.message.publish(url=receiver.url, body=b"x" * (1024 * 1024 + 1))
    assert receiver.received.empty()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v2/publish/http://127.0.0.1:1/"),
        ("POST", "/v2/batch"),
        ("GET", "/v2/messages/msg_1"),
        ("POST", "/v2/schedules/http://127.0.0.1:1/"),
        ("GET", "/v2/dlq"),
        ("GET", "/v2/keys"),
        ("GET", "/v2/anything"),
    ],
)
@pytest.mark.parametrize("token", ["", "Bearer wrong", f"bearer{TOKEN}"])
def test_without_the_token_nothing_is_told(qstash_url: str, method: str, path: str, token: str) -> None:
    """Every route of the API is 401."""
    answer = httpx.request(method, qstash_url + path, headers={"Authorization": token}, trust_env=False)
    assert (answer.status_code, answer.json()) == (401, {"error": "unauthorized"})


def test_a_bad_message_of_a_batch_has_its_error_in_its_place(qstash_url: str, receiver: Receiver) -> None:
    """The others are sent."""
    answer = httpx.post(
        f"{qstash_url}/v2/batch",
        headers={"Authorization": f"Bearer {TOKEN}"},
        json=[{"destination": "http://192.0.2.1/"}, {"destination": receiver.url, "body": "good"}],
        trust_env=False,
    )
    bad, good = answer.json()
    assert "invalid destination url" in bad["error"]
    assert good["messageId"].startswith("msg_")
    assert receiver.take().body == b"good"
