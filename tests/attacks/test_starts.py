"""Attacks on starts: bodies that drip, requests that are too large, hosts that lie, methods in disguise."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from holdfast.adapters.memory import MemoryLog
from holdfast.handlers import BODY_SECONDS
from holdfast.queue import Queue
from holdfast.services import Services
from holdfast.web import application
from tests.clocks import VirtualClock, run, virtual
from tests.fuzz.app import ORIGIN, SETTINGS, App, changed
from tests.publishing.stage import RememberingQueue, Script

BODY = b'{"prompt": "Why?"}'

# -- a body that drips in --------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/api/streams", "/api/chat", "/api/publish", "/api/publish/failed", "/api/cleanup"])
@pytest.mark.parametrize("pause", [1.0, 1_000.0], ids=["drips", "stands still"])
def test_a_body_that_does_not_come(path: str, pause: float) -> None:
    """408 when its time is up, however it is spun out: nobody holds a function until the platform ends it."""

    @virtual
    async def check() -> None:
        app = App()
        reply = await app.ask("POST", path, headers=[(b"content-type", b"application/json")], pieces=_dripping(pause))
        assert (reply.status, reply.code) == (408, "body_too_slow")
        assert reply.headers["connection"] == "close"
        assert BODY_SECONDS <= app.clock.monotonic() < BODY_SECONDS + 1.5
        assert (app.memory.keys(), app.queue.messages) == ([], [])

    check()


async def _dripping(pause: float) -> Any:
    while True:
        yield b" "
        await asyncio.sleep(pause)


@virtual
async def test_a_body_that_comes_slowly_but_comes() -> None:
    """A slow line is no attack: what is whole within the time is taken."""

    async def slowly() -> Any:
        for byte in BODY:
            await asyncio.sleep(1)
            yield bytes([byte])

    app = App()
    reply = await app.ask("POST", "/api/streams", headers=[(b"content-type", b"application/json")], pieces=slowly())
    assert reply.status == 202


# -- oversized everything --------------------------------------------------------------------------------

BIG = "x" * 15_000


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        ({"prompt": BIG * 2}, {}, 413, "body_too_large"),
        ({"prompt": "a", "chat_id": BIG}, {}, 422, "field_invalid"),
        ({"messages": [{"id": BIG, "role": "user", "content": "a"}]}, {}, 422, "field_invalid"),
        ({"prompt": "a"}, {"idempotency-key": BIG}, 400, "idempotency_key_invalid"),
        ({"prompt": "a", BIG: [[[[BIG]]]] * 2}, {}, 413, "body_too_large"),
    ],
    ids=["body", "chat id", "message id", "idempotency key", "unknown field"],
)
def test_what_is_too_large(body: Any, headers: Mapping[str, str], status: int, code: str) -> None:
    """Refused by name; nothing is written and what was sent is not sent back."""

    async def check() -> None:
        app = App()
        given = [(name.encode(), value.encode()) for name, value in headers.items()]
        reply = await app.ask("POST", "/api/streams", headers=given, body=json.dumps(body).encode())
        assert (reply.status, reply.code) == (status, code)
        assert len(reply.body) < 500
        assert (app.memory.keys(), app.queue.messages) == ([], [])

    run(check())


def test_many_messages() -> None:
    """Thousands of tiny messages are one body: within its limit they are one start."""

    async def check() -> None:
        app = App(max_body_bytes=4_000_000)
        body = {"messages": [{"role": "user", "content": "a"}] * 20_000}
        assert (await app.ask("POST", "/api/streams", body=json.dumps(body).encode())).status == 202
        assert len(app.queue.messages) == 1

    run(check())


@pytest.mark.parametrize(
    "name", [b"authorization", b"cookie", b"last-event-id", b"origin", b"sec-fetch-site", b"accept"]
)
def test_headers_that_are_too_large(name: bytes) -> None:
    """Whatever a server lets through is refused or ignored: never a 500, and never sent back."""

    async def check() -> None:
        app = App(max_seconds=1.0)
        for method, path in (("GET", f"/api/streams/{app.stream_id()}"), ("POST", "/api/streams")):
            body = BODY if method == "POST" else b""
            reply = await app.ask(method, path, headers=[(name, b"y" * 500_000)], body=body)
            assert reply.status in {202, 400, 403, 404}
            assert b"yyyy" not in reply.body + str(reply.headers).encode()

    run(check())


@pytest.mark.parametrize(
    "nested",
    [
        b"[" * 10_000 + b"]" * 9_000,
        b'{"a":' * 3_000 + b"1" + b"}" * 3_000,
        b'{"prompt":"a","d":' + b"[" * 65 + b"]" * 65 + b"}",
    ],
    ids=["lists", "objects", "field"],
)
def test_json_that_is_too_deep(nested: bytes) -> None:
    """400: no recursion is left to chance."""

    async def check() -> None:
        app = App()
        reply = await app.ask("POST", "/api/streams", body=nested)
        assert reply.status == 400
        assert reply.code in {"body_not_json", "body_too_deep"}

    run(check())


@pytest.mark.parametrize(
    "body",
    [
        b'{"prompt":"a","prompt":"b"}',
        b'{"prompt":"a","x":{"y":1,"\\u0079":2}}',
        b'{"prompt":"a","messages":[],"messages":[]}',
    ],
)
def test_json_that_names_a_field_twice(body: bytes) -> None:
    """400: a filter in front that reads the other value has not judged what would be asked."""

    async def check() -> None:
        app = App()
        reply = await app.ask("POST", "/api/streams", body=body)
        assert (reply.status, reply.code, app.queue.messages) == (400, "body_repeats_name", [])

    run(check())


# -- a host that lies ------------------------------------------------------------------------------------

LIES = [
    (b"x-forwarded-host", b"evil.example"),
    (b"x-forwarded-proto", b"gopher"),
    (b"x-forwarded-for", b"169.254.169.254"),
    (b"x-forwarded-server", b"evil.example"),
    (b"forwarded", b"for=1.2.3.4;host=evil.example"),
    (b"x-original-url", b"/api/cleanup"),
    (b"x-rewrite-url", b"/api/cleanup"),
    (b"x-vercel-deployment-url", b"evil.example"),
    (b"x-amzn-request-context", b'{"domainName":"evil.example"}'),
]


class Origins:
    """Remembers to which addresses the queue is told to deliver."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __call__(self, origin: str) -> Queue:
        """A queue to an address."""
        self.seen.append(origin)
        return RememberingQueue()


@pytest.mark.parametrize(
    "host", [b"evil.example", b"169.254.169.254", b"localhost:6379", b"answers.example@evil.example"]
)
def test_no_request_says_where_the_queue_delivers(host: bytes) -> None:
    """The destination of deliveries, which carry the project's signature and bypass secret, is a setting alone."""

    async def check() -> None:
        clock, origins = VirtualClock(), Origins()
        services = Services(SETTINGS, MemoryLog(clock), origins, lambda: Script(["a"]), clock)
        app = App(made=application(services, frozenset({"start", "subscribe", "publish", "cleanup"})))
        reply = await app.ask("POST", "/api/streams", host=host, headers=LIES, body=BODY)
        assert reply.status == 202
        assert set(origins.seen) == {ORIGIN}
        assert host not in reply.body + str(reply.headers).encode()

    run(check())


@pytest.mark.parametrize("host", [b"evil.example", b"169.254.169.254"])
def test_without_a_public_url_no_request_names_one(host: bytes) -> None:
    """Where setting and platform say nothing, a start fails: it does not take the request's word."""

    async def check() -> None:
        clock, origins = VirtualClock(), Origins()
        services = Services(changed(public_url=""), MemoryLog(clock), origins, lambda: Script(["a"]), clock)
        app = App(made=application(services, frozenset({"start"})))
        with pytest.raises(Exception, match="HOLDFAST_PUBLIC_URL"):
            await app.ask("POST", "/api/streams", host=host, headers=LIES, body=BODY)
        assert (app.replies[0].status, origins.seen) == (500, [])

    run(check())


@virtual
async def test_the_platforms_own_word_counts_and_the_headers_do_not() -> None:
    """On Lambda the event names the function's address; a Host beside it changes nothing."""
    clock, origins = VirtualClock(), Origins()
    services = Services(changed(public_url=""), MemoryLog(clock), origins, lambda: Script(["a"]), clock)
    app = App(made=application(services, frozenset({"start"})))
    event = {"requestContext": {"domainName": "abc.lambda-url.eu-west-1.on.aws"}}
    reply = await app.ask(
        "POST", "/api/streams", host=b"evil.example", headers=LIES, body=BODY, scope={"aws.event": event}
    )
    assert reply.status == 202
    assert set(origins.seen) == {"https://abc.lambda-url.eu-west-1.on.aws"}


# -- methods ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "OPTIONS", "QUERY", "post"]
)
def test_a_write_by_another_method(method: str) -> None:
    """Only POST starts and stops: no method that browsers take for harmless does."""

    async def check() -> None:
        app = App()
        stream = json.loads((await app.ask("POST", "/api/streams", body=BODY)).body)["id"]
        before = len(app.queue.messages)
        for path in ("/api/streams", "/api/chat", f"/api/streams/{stream}/stop", "/api/publish"):
            reply = await app.ask(method, path, headers=[(b"content-type", b"application/json")], body=BODY)
            assert reply.status in {404, 405}, path
        last = await app.services.log.last(stream)
        assert last is not None
        assert (last.id.attempt, len(app.queue.messages)) == (0, before)

    run(check())


@pytest.mark.parametrize("header", [b"x-http-method-override", b"x-http-method", b"x-method-override"])
def test_a_method_that_is_overridden(header: bytes) -> None:
    """A GET stays a GET, whatever a header or a query says."""

    async def check() -> None:
        app = App(max_seconds=1.0)
        stream = json.loads((await app.ask("POST", "/api/streams", body=BODY)).body)["id"]
        reply = await app.ask("GET", f"/api/streams/{stream}/stop", query=b"_method=POST", headers=[(header, b"POST")])
        assert reply.status == 405

    run(check())


@virtual
async def test_head_reads_nothing_and_changes_nothing() -> None:
    """HEAD of a stream has the headers of its GET and no body; it starts, stops and cleans nothing."""
    app = App()
    stream = json.loads((await app.ask("POST", "/api/streams", body=BODY)).body)["id"]
    reply = await app.ask("HEAD", f"/api/streams/{stream}")
    assert (reply.status, reply.body) == (200, b"")
    assert reply.headers["x-holdfast-stream"] == stream
    assert (await app.ask("HEAD", "/api/cleanup")).status == 401
    assert len(app.queue.messages) == 1
