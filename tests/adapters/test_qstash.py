"""The queue over QStash, against the stand-in and against destinations that misbehave."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from time import time
from typing import Any

import httpx
import pytest
import pytest_asyncio

from holdfast.adapters.qstash import RETRY_DELAY, QStashQueue, check_reachable, safe_id
from holdfast.adapters.signature import verify
from holdfast.errors import HoldfastError, Rejected, SettingsError, Unavailable
from holdfast.queue import Queue
from standins.qstash import LOCAL_CURRENT_KEY, LOCAL_TOKEN
from standins.qstash_expressions import parse
from tests.processes import ROOT, served
from tests.standins.receiver import Answer, Receiver, receiving

LOCAL = {"QSTASH_TOKEN": "", "QSTASH_CURRENT_SIGNING_KEY": "", "QSTASH_NEXT_SIGNING_KEY": ""}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with served("standins.qstash", env=LOCAL) as process:
        yield process.url


@pytest.fixture
def control(server: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{server}/__standin/", trust_env=False) as client:
        client.post("reset").raise_for_status()
        yield client


@pytest_asyncio.fixture
async def async_control(control: httpx.Client) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=control.base_url, trust_env=False) as client:
        yield client


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@asynccontextmanager
async def queue_on(url: str, **changed: Any) -> AsyncIterator[QStashQueue]:
    """A queue, closed at the end."""
    queue = QStashQueue(**({"url": url, "token": LOCAL_TOKEN, "destination": "http://127.0.0.1:9/"} | changed))
    try:
        yield queue
    finally:
        await queue.close()


@pytest.mark.asyncio
async def test_a_message_arrives_signed_with_everything_it_needs(
    server: str, async_control: httpx.AsyncClient, receiver: Receiver
) -> None:
    """Stream and attempt in the body, forwarded headers, the fast retry delay, the failure callback with the same."""
    url = f"{receiver.url}/api/publish"
    async with queue_on(
        server,
        destination=lambda: url,
        failure_url=f"{receiver.url}/api/publish/failed",
        headers={"x-vercel-protection-bypass": "open"},
        retries=2,
        delivery_timeout_seconds=60,
    ) as queue:
        port: Queue = queue
        receiver.answers(Answer(489, {"Upstash-NonRetryable-Error": "true"}))
        await port.enqueue("s1", 3, dedup="s1:3 äöü")
    request, failed = receiver.take(), receiver.take()
    assert (request.method, request.path) == ("POST", "/api/publish")
    assert json.loads(request.body) == {"stream": "s1", "attempt": 3}
    assert request.headers["x-vercel-protection-bypass"] == "open"
    assert verify(request.headers["Upstash-Signature"], request.body, url, keys=[LOCAL_CURRENT_KEY], now=time()).id
    assert failed.path == "/api/publish/failed"
    assert failed.headers["x-vercel-protection-bypass"] == "open"
    assert json.loads(failed.body)["maxRetries"] == 2
    messages = (await async_control.get("messages")).json()["messages"]
    assert [message["max_retries"] for message in messages] == [2, 2]
    assert [message["retry_delay"] for message in messages] == [RETRY_DELAY, RETRY_DELAY]
    assert messages[0]["timeout"] == 60
    assert messages[0]["deduplication_id"] == safe_id("s1:3 äöü")


@pytest.mark.asyncio
async def test_the_same_message_twice_is_one(server: str, async_control: httpx.AsyncClient, receiver: Receiver) -> None:
    """As long as the deduplication value is the same."""
    async with queue_on(server, destination=receiver.url) as queue:
        await queue.enqueue("s", 1, dedup="a")
        await queue.enqueue("s", 1, dedup="a")
        await queue.enqueue("s", 1, dedup="b")
    stats = (await async_control.get("stats")).json()
    assert (stats["published"], stats["deduplicated"]) == (2, 1)


@pytest.mark.asyncio
async def test_a_schedule_made_twice_is_one(server: str, async_control: httpx.AsyncClient, receiver: Receiver) -> None:
    """It calls the cleanup by POST, with the forwarded headers."""
    async with queue_on(server, headers={"X-Bypass": "1"}) as queue:
        for _ in range(2):
            await queue.schedule("* * * * *", f"{receiver.url}/api/cleanup", "holdfast-cleanup")
    assert (await async_control.get("stats")).json()["schedules"] == 1
    (await async_control.post("fire", params={"schedule": "holdfast-cleanup"})).raise_for_status()
    request = receiver.take()
    assert (request.method, request.path, request.body) == ("POST", "/api/cleanup", b"")
    assert request.headers["X-Bypass"] == "1"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (Answer(400, body=b'{"error":"secret detail"}'), Rejected, "status 400"),
        (Answer(401), Rejected, "QSTASH_TOKEN"),
        (Answer(412), Rejected, "HOLDFAST_QSTASH_RETRIES"),
        (Answer(302, {"Location": "/"}), Rejected, "status 302"),
        (Answer(429), Unavailable, "too many requests"),
        (Answer(429, {"RateLimit-Limit": "1000"}), Unavailable, "used up"),
        (Answer(500), Unavailable, "status 500"),
        (Answer(503), Unavailable, "status 503"),
        (Answer(200, body=b"<html>"), Unavailable, "not a result"),
        (Answer(200, body=b'{"id":1}'), Unavailable, "not a result"),
        (Answer(200, body=b"7"), Unavailable, "not a result"),
    ],
)
async def test_what_qstash_answers_becomes_an_error_of_ours(
    receiver: Receiver, answer: Answer, error: type[HoldfastError], words: str
) -> None:
    """Raised from the SDK's, after one request, without QStash's text or the token."""
    async with queue_on(receiver.url, token="top-secret") as queue:
        for call in (queue.enqueue("s", 1, dedup="d"), queue.schedule("* * * * *", "http://127.0.0.1:9/", "id")):
            receiver.answers(answer)
            with pytest.raises(error, match=words) as raised:
                await call
            assert raised.value.__cause__ is not None
            assert "secret" not in str(raised.value)
            receiver.take()
    assert receiver.received.empty()


@pytest.mark.asyncio
async def test_qstash_that_is_not_there_or_does_not_answer_is_unavailable(receiver: Receiver) -> None:
    """Bounded by our own timeout, not by the SDK's ten minutes."""
    async with queue_on("http://127.0.0.1:1") as queue:
        with pytest.raises(Unavailable, match="did not answer"):
            await queue.enqueue("s", 1, dedup="d")
    hold = threading.Event()
    receiver.answers(Answer(hold=hold))
    async with queue_on(receiver.url, timeout_seconds=0.05) as queue:
        with pytest.raises(Unavailable, match="did not answer"):
            await queue.enqueue("s", 1, dedup="d")
    hold.set()


@pytest.mark.asyncio
async def test_a_url_that_cannot_be_called_is_rejected() -> None:
    """It would not help to ask again."""
    for url in ("ftp://127.0.0.1:9", "nonsense"):
        async with queue_on(url) as queue:
            with pytest.raises(Rejected):
                await queue.enqueue("s", 1, dedup="d")


def test_a_queue_works_on_one_event_loop_after_another(server: str, control: httpx.Client, receiver: Receiver) -> None:
    """As scripts use it that call ``asyncio.run`` again and again."""
    queue = QStashQueue(url=server, token=LOCAL_TOKEN, destination=receiver.url)
    with asyncio.Runner() as first, asyncio.Runner() as second:
        first.run(queue.enqueue("s", 1, dedup="a"))
        left = queue._client
        second.run(queue.enqueue("s", 1, dedup="b"))
        assert left is not None
        first.run(left.http._client.aclose())
        second.run(queue.close())
    assert control.get("stats").json()["published"] == 2


def test_the_retry_delay_grows_from_a_second_to_half_a_minute() -> None:
    """In the documented grammar, which the stand-in's parser holds to."""
    assert [parse(RETRY_DELAY)(retried) for retried in range(7)] == [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]


@pytest.mark.parametrize("text", ["a:b", "", "ä", "x" * 129, "a b", "a\r\nb", "\ud800"])
def test_an_id_that_qstash_would_refuse_is_hashed(text: str) -> None:
    """Always to the same id, and others to others."""
    assert len(safe_id(text)) == 64
    assert safe_id(text) == safe_id(text) != safe_id(text + "x")
    assert safe_id("stream_1-2.x") == "stream_1-2.x"


@pytest.mark.parametrize(
    ("qstash_url", "public_url", "good"),
    [
        ("https://qstash.upstash.io", "https://app.example.com", True),
        ("https://qstash.upstash.io", "http://localhost:8000", False),
        ("https://qstash.upstash.io", "http://app.localhost", False),
        ("https://qstash.upstash.io", "http://127.0.0.1:8000", False),
        ("https://qstash.upstash.io", "http://[::1]:8000", False),
        ("https://qstash.upstash.io", "http://[::ffff:127.0.0.1]", False),
        ("https://qstash.upstash.io", "http://0.0.0.0:8000", False),
        ("https://qstash-us-east-1.upstash.io", "http://192.168.1.2:8000", False),
        ("http://qstash.internal:8080", "http://192.168.1.2:8000", True),
        ("http://qstash.internal:8080", "http://LOCALHOST.:8000", False),
        ("http://qstash.internal:8080", "http://0.0.0.0:8000", False),
        ("http://127.0.0.1:8002", "http://127.0.0.1:8000", True),
        ("http://localhost:8002", "http://127.0.0.1:8000", True),
    ],
)
def test_a_public_url_that_qstash_cannot_reach_is_refused(qstash_url: str, public_url: str, good: bool) -> None:
    """The message names the setting and a tunnel as remedy."""
    check: Callable[[], None] = lambda: check_reachable(qstash_url, public_url)  # noqa: E731
    if good:
        check()
    else:
        with pytest.raises(SettingsError, match=r"HOLDFAST_PUBLIC_URL .* tunnel"):
            check()


def test_importing_the_adapter_imports_no_sdk() -> None:
    """Readers of streams need not pay for what only writers use."""
    code = (
        "import sys, holdfast.adapters.qstash, holdfast.adapters.signature;"
        "print([name for name in ('qstash', 'httpx', 'openai', 'pydantic', 'jwt') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "lib", capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
