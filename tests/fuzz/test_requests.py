"""Whatever clients and queues send is answered or refused: never a 500, never an exception that nobody foresaw."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from holdfast.records import Begin, EntryId, Parts, Queued
from tests.clocks import run, virtual
from tests.fuzz.app import ORIGIN, App, Reply, sign
from tests.fuzz.strategies import dump, messages, nested, objects, raw, values
from tests.owner import OWNER

FUZZ = settings.get_profile("fuzz")
#: What a header may hold: any bytes but those that end it.
header_bytes = st.binary(max_size=60).map(lambda raw: bytes(each for each in raw if each not in b"\r\n\0"))
texts = st.text(max_size=12)


def judged(reply: Reply, *statuses: int) -> Reply:
    """The answer is one of these, and an error is one of ours."""
    assert reply.status in statuses, (reply.status, reply.body)
    if reply.status >= 400:
        error = json.loads(reply.body)["error"]
        assert error["code"]
        assert len(error["message"]) > 10
    return reply


async def told(app: App, **fields: Any) -> str:
    """A stream with an answer of three parts that goes on."""
    stream, now = app.stream_id(), app.clock.now_ms()
    message: Any = {"role": "user", "parts": [{"type": "text", "text": "Why?"}]}
    values: dict[str, Any] = {"at": now, "owner": OWNER, "message_id": "msg_1", "messages": [message], **fields}
    log = app.services.log
    await log.open(stream, Queued(**values), now)
    await log.claim(stream, 1, Begin(at=now, owner="n", message="m1", retried=0), 10**8)
    parts = [{"type": "start"}, {"type": "text-start", "id": "a"}, {"type": "text-delta", "id": "a", "delta": "Yes"}]
    await log.append(stream, EntryId(1, 1), Parts(at=now, pos=0, parts=parts))
    return stream


# -- cursors, queries, names --------------------------------------------------------------------------

cursors = st.one_of(
    st.sampled_from([b"1-1", b"1-1.0", b"1-1.2", b"0-1", b"1-0", b"9999999999999999-0", b"1" * 70_000, b"1-1.0.0"]),
    st.from_regex(rb"\A-?[0-9]{1,17}-[0-9]{1,17}(\.[0-9]{1,17})?\Z"),
    header_bytes,
)


@settings(FUZZ)
@given(cursor=cursors, in_query=st.booleans())
@example(cursor=b"1-1.1", in_query=False)
def test_any_cursor(cursor: bytes, in_query: bool) -> None:
    """Rules C2, D4: a cursor resumes, is at the end, or is refused with 400."""

    async def check() -> None:
        app = App(max_seconds=1.0)
        url = f"/api/streams/{await told(app)}"
        if in_query:
            reply = await app.ask("GET", url, query=b"last_event_id=" + quote(cursor).encode())
        else:
            reply = await app.ask("GET", url, headers=[(b"last-event-id", cursor)])
        judged(reply, 200, 400)

    run(check())


@settings(FUZZ)
@given(
    query=st.one_of(
        st.binary(max_size=40), st.builds(lambda a, b: f"token={quote(a)}&state={quote(b)}".encode(), texts, texts)
    )
)
@example(query=b"token=9" * 5_000)
@example(query=b"&" * 20_000)
@example(query="token=\u0661\u0662.x".encode())
def test_any_query_string(query: bytes) -> None:
    """Rule W7: whatever stands in a query, the stream is read or is unknown."""

    async def check() -> None:
        app = App(max_seconds=1.0)
        stream = await told(app)
        for path in (f"/api/streams/{stream}", f"/api/streams/{stream}/status", "/api/chat/c", "/api/chat/c/stream"):
            judged(await app.ask("GET", path, query=query), 200, 204, 400, 404)

    run(check())


@settings(FUZZ)
@given(name=st.one_of(st.text(max_size=40), st.binary(max_size=20).map(lambda raw: raw.decode("utf-8", "replace"))))
@example(name="x" * 70_000)
@example(name="\0\r\nset-cookie: a=b")
@example(name="../due")
@example(name="A" * 30)
@example(name="\u0661" * 30)
def test_any_name_of_a_stream_or_chat(name: str) -> None:
    """404, or 204 for the resume route of a chat; a stream whose id says that it is young is waited for in vain."""

    async def check() -> None:
        app = App(max_seconds=1.0)
        for path in (f"/api/streams/{name}", f"/api/streams/{name}/status", f"/api/chat/{name}"):
            judged(await app.ask("GET", path), 200, 204, 404, 405, 410)
        judged(await app.ask("GET", f"/api/chat/{name}/stream"), 204, 404)
        judged(await app.ask("POST", f"/api/streams/{name}/stop"), 404, 405, 410)

    run(check())


@settings(FUZZ)
@given(
    name=st.sampled_from(
        [
            b"authorization",
            b"x-amzn-lambda-context",
            b"idempotency-key",
            b"content-type",
            b"content-length",
            b"host",
            b"upstash-signature",
            b"upstash-retried",
            b"accept",
            b"x-forwarded-proto",
        ]
    ),
    value=st.one_of(header_bytes, values.map(dump), values.map(lambda value: dump({"deadline_ms": value}))),
)
@example(name=b"x-amzn-lambda-context", value=dump({"deadline_ms": -(10**400)}))
@example(name=b"x-amzn-lambda-context", value=nested(3_000))
@example(name=b"authorization", value=b"Bearer " + b"x" * 60_000)  # fmt: skip
def test_any_header(name: bytes, value: bytes) -> None:
    """No header of a stranger's is more than a refusal to any route; without a secret nothing of the queue's opens."""

    async def check() -> None:
        app = App(max_seconds=1.0)
        stream = await told(app)
        headers = [(name, value)]
        judged(await app.ask("GET", f"/api/streams/{stream}", headers=headers), 200, 401, 404)
        start = await app.ask("POST", "/api/streams", headers=headers, body=b'{"prompt": "Why?"}')
        judged(start, 202, 400, 401, 415)
        for path in ("/api/publish", "/api/publish/failed", "/api/cleanup"):
            judged(await app.ask("POST", path, headers=headers, body=b"{}"), 401)

    run(check())


# -- starts -------------------------------------------------------------------------------------------

starts = objects(
    prompt=texts,
    messages=st.lists(messages, max_size=3),
    chat_id=st.sampled_from(["c", "d"]),
    id=st.sampled_from(["c", "d"]),
    trigger=st.sampled_from(["submit-message", "regenerate-message"]),
    messageId=texts,
)


@pytest.mark.parametrize("path", ["/api/streams", "/api/chat"])
@settings(FUZZ)
@given(bodies=st.lists(st.one_of(starts.map(dump), raw), min_size=1, max_size=3), key=st.none() | header_bytes)
@example(bodies=[b"[" * 19_999], key=None)
@example(bodies=[b'{"prompt": "x", "id": "c", "messages": ' + nested(900) + b"}"], key=None)
@example(bodies=[b" " * 20_001], key=None)
def test_any_start(path: str, bodies: list[bytes], key: bytes | None) -> None:
    """An answer is started, or the request is refused as the caller's fault; and what was started can be published,
    read and cleaned."""

    async def check() -> None:
        app = App(max_seconds=1.0)
        headers = [] if key is None else [(b"idempotency-key", key)]
        for body in bodies:
            judged(await app.ask("POST", path, headers=headers, body=body), 200, 202, 400, 409, 413, 422)
        for stream, attempt, _ in list(app.queue.messages):
            body = json.dumps({"stream": stream, "attempt": attempt}).encode()
            assert (await app.deliver(body)).status == 200
            judged(await app.ask("GET", f"/api/streams/{stream}/status"), 200)
        judged(await app.ask("GET", "/api/chat/c"), 200, 404)
        judged(await app.clean(), 200)

    run(check())


# -- the queue ------------------------------------------------------------------------------------------

deliveries = objects(stream=st.sampled_from(["A" * 30, "x", ""]), attempt=st.integers(0, 3))


@settings(FUZZ)
@given(
    body=st.one_of(deliveries.map(dump), raw),
    retried=st.one_of(header_bytes, st.sampled_from([b"0", b"-1", b"9" * 400, b"9" * 5_000, b"\xb2"])),
)
@example(body=b"[" * 100_000, retried=b"0")
def test_any_signed_body(body: bytes, retried: bytes) -> None:
    """Rule L6: what the queue never got from here is refused for good, with 489."""

    async def check() -> None:
        app = App()
        reply = await app.deliver(body, retried=retried)
        assert reply.status == 489
        assert reply.headers["upstash-nonretryable-error"] == "true"
        assert app.memory.keys() == []

    run(check())


@settings(FUZZ)
@given(
    retried=st.one_of(header_bytes, st.sampled_from([b"-1", b"9" * 400, b"9" * 5_000, b"\xb2", b"1e9", b"+3", b"1_0"]))
)
def test_any_count_of_tries(retried: bytes) -> None:
    """A delivery of a stream that is there is handled or refused, whatever the queue says of its tries."""

    async def check() -> None:
        app = App()
        stream = await told(app)
        body = json.dumps({"stream": stream, "attempt": 1}).encode()
        assert (await app.deliver(body, retried=retried)).status in {200, 489, 503}

    run(check())


failures = objects(
    sourceBody=st.one_of(st.binary(max_size=20), deliveries.map(dump), raw).map(
        lambda raw: base64.b64encode(raw).decode()
    ),
    sourceMessageId=texts,
    retried=st.integers(0, 5),
)


@settings(FUZZ)
@given(body=st.one_of(failures.map(dump), raw))
@example(body=dump({"sourceBody": base64.b64encode(b"[" * 100_000).decode(), "sourceMessageId": "m"}))
@example(body=b'{"sourceBody": ' * 50_000)
def test_any_failure_callback(body: bytes) -> None:
    """Rule Q3: a callback about nothing seals nothing; a malformed one is refused for good."""

    async def check() -> None:
        app = App()
        judged(await app.deliver(body, "/api/publish/failed"), 200, 489)

    run(check())


@settings(FUZZ)
@given(
    token=st.one_of(
        header_bytes,
        st.builds(
            lambda payload, header: sign(b"{}", f"{ORIGIN}/api/publish", 0, payload, header),
            st.one_of(
                raw,
                objects(
                    iss=st.just("Upstash"),
                    sub=st.just(f"{ORIGIN}/api/publish"),
                    exp=st.integers(),
                    nbf=st.integers(),
                    body=texts,
                ).map(dump),
            ),
            st.none() | raw,
        ),
    )
)
@example(token=b"." * 9_000)
@example(token=b"x" * 100_000)  # fmt: skip
def test_any_signature(token: bytes) -> None:
    """Rule W3: 401, for tokens that anybody can write and for ones that hold what QStash never signs."""

    async def check() -> None:
        app = App()
        reply = await app.ask("POST", "/api/publish", headers=[(b"upstash-signature", token)], body=b"{}")
        assert judged(reply, 401).code == "signature_invalid"

    run(check())


@virtual
async def test_the_signature_of_these_tests_is_a_good_one() -> None:
    """What the tests above sign is taken: a refusal comes from the body, and not from the signature."""
    app = App()
    stream = await told(app)
    await asyncio.sleep(20)
    reply = await app.deliver(json.dumps({"stream": stream, "attempt": 1}).encode())
    assert (reply.status, json.loads(reply.body)) == (200, {"verdict": "done"})
