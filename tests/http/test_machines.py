"""Routes for machines alone: the queue's signature and the schedule's secret, checked over HTTP."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import jwt
import pytest

from holdfast.identity import new_stream_id
from standins.plan import SIGNING_KEYS
from tests.e2e.system import CRON_SECRET, System
from tests.http.refusals import refused, without_a_trace

ROUTES = ("/api/publish", "/api/publish/failed", "/api/cleanup")
#: A minute and more old, so that nobody waits for it to appear.
BODY = json.dumps({"stream": new_stream_id(time.time_ns() // 1_000_000 - 120_000), "attempt": 1}).encode()


def signed(url: str, content: bytes, *, key: str = SIGNING_KEYS[0], **claims: Any) -> str:
    """A signature as QStash makes it, with some claims changed; None takes one out."""
    now = int(time.time())
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode()
    whole = {"iss": "Upstash", "sub": url, "exp": now + 300, "nbf": 0, "iat": now, "jti": "jwt_1", "body": digest}
    kept = {name: value for name, value in {**whole, **claims}.items() if value is not None}
    return jwt.encode(kept, key, algorithm="HS256")


def post(system: System, path: str, signature: str | None, body: bytes = BODY) -> httpx.Response:
    """Call a route as QStash does."""
    headers = {"upstash-message-id": "msg_test", "upstash-retried": "0"}
    if signature is not None:
        headers["upstash-signature"] = signature
    return system.http.post(path, content=body, headers=headers)


def unsigned(url: str) -> str:
    """A token whose header says that it needs no signature."""
    _, payload, _ = signed(url, BODY).split(".")
    header = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
    return f"{header}.{payload}."


FORGED: dict[str, Callable[[str], str | None]] = {
    "none": lambda _: None,
    "empty": lambda _: "",
    "garbage": lambda _: "a.b.c",
    "unsigned": unsigned,
    "wrong key": lambda url: signed(url, BODY, key="sig_somebody_elses_0123456789abcdefghij"),
    "expired": lambda url: signed(url, BODY, exp=int(time.time()) - 60),
    "not yet valid": lambda url: signed(url, BODY, nbf=int(time.time()) + 600),
    "endless": lambda url: signed(url, BODY, exp=None),
    "another path": lambda url: signed(f"{url}/other", BODY),
    "another host": lambda url: signed(url.replace("127.0.0.1", "example.com"), BODY),
    "another issuer": lambda url: signed(url, BODY, iss="Somebody"),
    "another body": lambda url: signed(url, BODY + b" "),
    "no body": lambda url: signed(url, BODY, body=None),
}


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED.keys())
def test_a_request_that_is_not_the_queues(calm: System, path: str, forge: Callable[[str], str | None]) -> None:
    """Rule W3: 401 on every route of the queue, before anything is read or written."""
    with without_a_trace(calm):
        refused(post(calm, path, forge(f"{calm.door.url}{path}")), 401, "signature_invalid")


def test_a_signature_replayed_to_another_route(calm: System) -> None:
    """Rule W3: what was signed for one route opens no other one."""
    with without_a_trace(calm):
        for path in ROUTES:
            signature = signed(f"{calm.door.url}{path}", BODY)
            for other in {*ROUTES} - {path}:
                refused(post(calm, other, signature), 401, "signature_invalid")


@pytest.mark.parametrize("key", SIGNING_KEYS, ids=["current", "next"])
def test_either_key_is_good(calm: System, key: str) -> None:
    """Rules W3 and L6: with a right signature of either key the delivery is handled: 489 for a stream that never was,
    and nothing to seal for the failure callback.
    """
    failed = json.dumps({"sourceMessageId": "msg_test", "sourceBody": base64.b64encode(BODY).decode()}).encode()
    with without_a_trace(calm):
        reply = post(calm, "/api/publish", signed(f"{calm.door.url}/api/publish", BODY, key=key))
        assert (reply.status_code, reply.headers["upstash-nonretryable-error"]) == (489, "true")
        url = f"{calm.door.url}/api/publish/failed"
        reply = post(calm, "/api/publish/failed", signed(url, failed, key=key), failed)
        assert (reply.status_code, reply.json()) == (200, {"sealed": False})


@pytest.mark.parametrize(
    "body",
    [b"", b"no json", b"[]", b"{}", b'{"stream": 7, "attempt": 1}', b'{"stream": "x", "attempt": "1"}'],
    ids=["empty", "text", "list", "nothing", "stream", "attempt"],
)
@pytest.mark.parametrize("path", ROUTES[:2])
def test_a_message_that_nobody_enqueued(calm: System, path: str, body: bytes) -> None:
    """A signed body that is no message of ours is refused for good: 489, so that the queue does not try again."""
    with without_a_trace(calm):
        refused(post(calm, path, signed(f"{calm.door.url}{path}", body), body), 489, "message_malformed")


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer wrong", CRON_SECRET[:-1], f"Bearer {CRON_SECRET}x", "Basic x"]
)
def test_cleanup_without_its_secret(calm: System, method: str, authorization: str | None) -> None:
    """401 for a missing or a wrong secret."""
    headers = {} if authorization is None else {"authorization": authorization}
    with without_a_trace(calm):
        refused(calm.http.request(method, "/api/cleanup", headers=headers), 401, "signature_invalid")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_cleanup_with_its_secret(calm: System, method: str) -> None:
    """200 with counts, by GET as Vercel's cron calls it and by POST as QStash does."""
    reply = calm.http.request(method, "/api/cleanup", headers={"authorization": f"Bearer {CRON_SECRET}"})
    assert reply.status_code == 200
    counts = reply.json()
    assert counts["complete"] is True
    assert counts["streams_deleted"] == counts["chats_deleted"] == counts["streams_failed"] == 0
