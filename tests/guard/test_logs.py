"""The log: what happens is told, with ids, counts and times, and never what people, models or secrets say."""

from __future__ import annotations

import asyncio
import json
import logging
from datetime import datetime
from typing import Any

import pytest

from holdfast.errors import GenerationError, Unavailable
from holdfast.guard import Contained
from holdfast.logs import JsonFormatter, WithoutQuery
from holdfast.records import Begin
from holdfast.web import application
from tests.clocks import run, virtual
from tests.fuzz.app import App, Reply
from tests.guard.conftest import Written
from tests.publishing.stage import Script

ROLES = frozenset({"start", "subscribe", "publish", "cleanup"})


async def start(app: App, **body: Any) -> str:
    """A stream."""
    reply = await app.ask("POST", "/api/streams", body=json.dumps({"prompt": "Why?"} | body).encode())
    assert reply.status == 202, reply.body
    return str(json.loads(reply.body)["id"])


async def deliver(app: App, stream: str) -> Reply:
    """One delivery of it."""
    return await app.deliver(json.dumps({"stream": stream, "attempt": 1}).encode())


def test_a_run_is_told_from_start_to_end(written: Written) -> None:
    """Start, claim, first parts, hand-off, the next claim and the end, each with its stream, attempt and times."""

    async def check() -> None:
        app = App(Script(["Half", 100], [" and half."]), max_seconds=10.0)
        stream = await start(app, chat_id="c")
        await deliver(app, stream)
        await deliver(app, stream)  # the same message: it hands on again, and is done
        body = json.dumps({"stream": stream, "attempt": 2}).encode()
        await app.deliver(body, message=b"m2")
        told = [line for line in written.lines if line.get("stream") == stream]
        assert [line["event"] for line in told] == [
            "start", "claim", "first_parts", "handoff", "delivery", "delivery", "claim", "finish", "delivery",
        ]  # fmt: skip
        assert [line.get("attempt") for line in told] == [None, 1, 1, 1, None, None, 2, 2, None]
        assert told[0] | {"joined": False, "chat": True, "messages": 1} == told[0]
        assert told[4] | {"verdict": "done", "message_id": "m1", "retried": 0} == told[4]
        assert 7_000 < told[4]["took_ms"] < 10_000
        finish = told[7]
        assert finish | {"handoffs": 1, "takeovers": 0, "attempts": 2, "exact": False, "reason": "stop"} == finish
        assert finish["duration_ms"] == finish["since_start_ms"] > finish["first_part_ms"] >= 0
        assert finish["characters"] == len("Half and half.")

    run(check())


def test_every_line_is_json_with_time_level_and_event(written: Written) -> None:
    """One object a line; the time is in UTC and says so."""

    async def check() -> None:
        app = App()
        await deliver(app, await start(app))
        await app.ask("GET", "/api/nothing")

    run(check())
    ours = written.events("start", "claim", "finish", "refused")
    assert len(ours) == 4
    for line in ours:
        moment = datetime.fromisoformat(line["time"])
        assert moment.utcoffset() is not None
        assert abs(datetime.now(moment.tzinfo).timestamp() - moment.timestamp()) < 60
        assert line["level"] in {"info", "warning", "error"}


def test_a_take_over_and_a_stop_are_told(written: Written) -> None:
    """An attempt that begins after one that died is a take-over; a stop says who stopped."""

    async def check() -> None:
        app = App(Script(["a", 100]), max_seconds=60.0)
        stream = await start(app)
        begin = Begin(at=app.clock.now_ms(), owner="dead", message="m0", retried=0)
        await app.services.log.claim(stream, 1, begin, 10**8)
        await app.clock.sleep(20)
        publishing = asyncio.create_task(deliver(app, stream))
        await app.clock.sleep(5)
        assert (await app.ask("POST", f"/api/streams/{stream}/stop")).status == 200
        await publishing

    run(check())
    (taken,) = written.events("takeover")
    assert taken | {"level": "warning", "attempt": 2, "message_id": "m1", "since_start_ms": 20_000} == taken
    (stopped,) = written.events("stop")
    assert stopped | {"by": "request", "sealed": True, "since_start_ms": 25_000} == stopped


def test_refusals_are_told_by_code_and_route(written: Written) -> None:
    """Status, code, method and route; what the caller chose in the path stands there as ``*``, its query not at all."""

    async def check() -> None:
        app = App()
        await app.ask("GET", f"/api/streams/{app.stream_id()}/status", query=b"token=canary")
        await app.ask("GET", "/api/chat/canary/of/mine")
        await app.ask("GET", "/canary/" + "canary/" * 50)
        await app.ask("POST", "/api/streams", headers=[(b"origin", b"https://canary.example")], body=b"{}")
        await app.ask("POST", "/api/publish", body=b"{}")
        await app.ask("CANARY", "/api/streams")
        app.memory.fault = Unavailable("canary")
        await app.ask("GET", "/api/chat/canary")

    run(check())
    told = ("level", "status", "code", "method", "route")
    assert [tuple(line[name] for name in told) for line in written.events("refused")] == [
        ("info", 404, "stream_unknown", "GET", "/api/streams/*/status"),
        ("info", 404, "chat_unknown", "GET", "/api/chat/*/*/*"),
        ("info", 404, "route_unknown", "GET", "/*/*/*/*/*/*/*/*"),
        ("info", 403, "origin_refused", "POST", "/api/streams"),
        ("info", 401, "signature_invalid", "POST", "/api/publish"),
        ("info", 405, "method_not_allowed", "CANARY", "/api/streams"),
        ("warning", 503, "store_unavailable", "GET", "/api/chat/*"),
    ]
    assert "canary" not in written.text


@pytest.mark.parametrize("logged", [False, True])
def test_prompts_stand_there_when_they_are_asked_for(written: Written, *, logged: bool) -> None:
    """HOLDFAST_LOG_PROMPTS=1 has the start tell what was asked, cut short, on its one line; without it nobody does."""

    async def check() -> None:
        app = App(log_prompts=logged)
        await deliver(app, await start(app, prompt="What is\na \u2028 canary? " + "x" * 5_000))

    run(check())
    (told,) = written.events("start")
    assert ("canary" in written.text) is logged
    assert written.text.count("canary") == logged
    if logged:
        assert told["prompt"].startswith("What is\na \u2028 canary? xxx")
        assert len(told["prompt"]) == 1_000


CRASHES: dict[str, Any] = {
    "exception": RuntimeError("canary-exception"),
    "error of its own": GenerationError("canary-code", "canary-message"),
    "error with a plain code": GenerationError("canary", "canary-message"),
    "error chunk": {"type": "error", "errorText": "canary-error"},
    "no chunk": {"type": "canary-type"},
    "no JSON": {"type": "data-canary", "data": object()},
    "usage": {"type": "finish", "finishReason": "stop", "messageMetadata": {"usage": {"canary": 1, "totalTokens": 3}}},
    "silence": "",
}


@pytest.mark.parametrize("last", CRASHES.values(), ids=CRASHES.keys())
def test_nothing_that_anybody_says_is_in_the_log(
    written: Written, capfd: pytest.CaptureFixture[str], last: object
) -> None:
    """A canary in every field of every request, in the model's every word and in every secret: none is ever logged."""
    # An error's code is a name for programs, and told.
    expected = ["canary"] if isinstance(last, GenerationError) and last.code == "canary" else []

    async def check() -> None:
        app = App(
            Script(["canary-text", {"type": "data-canary", "id": "canary-id", "data": "canary-data"}, last]),
            secret="canary-secret-of-the-tests",
            redis_token="canary-redis",
            qstash_token="canary-qstash",
            protection_bypass="canary-bypass",
            system="canary-system",
        )
        everywhere = [
            (b"cookie", b"canary=canary"),
            (b"user-agent", b"canary"),
            (b"referer", b"https://canary.example/?token=canary"),
            (b"x-holdfast-canary", b"canary"),
            (b"x-forwarded-for", b"canary"),
        ]
        body = {
            "messages": [
                {"id": "canary-m", "role": "user", "content": "canary-question", "metadata": {"canary": "canary"}}
            ],
            "chat_id": "canary-chat",
            "canary-extra": {"canary": ["canary"]},
        }
        keyed = [*everywhere, (b"idempotency-key", b"canary-key")]
        query = b"token=canary&canary=canary"
        reply = await app.ask("POST", "/api/streams", headers=keyed, query=query, body=json.dumps(body).encode())
        assert reply.status == 202
        started = json.loads(reply.body)
        stream, token = started["id"], started["read_token"]
        again = {**body, "messages": [{"role": "user", "content": "canary-other"}]}
        for wrong in (again, {"prompt": "canary", "messages": []}, {"prompt": 7, "canary": 1}):
            reply = await app.ask("POST", "/api/streams", headers=keyed, body=json.dumps(wrong).encode())
            assert reply.status in {409, 422}
        await app.ask("POST", "/api/streams", headers=keyed, body=b"canary")
        assert (await app.deliver(json.dumps({"stream": stream, "attempt": 1}).encode())).status == 200
        assert (await app.deliver(json.dumps({"stream": "canary", "attempt": 1}).encode())).status == 489
        assert (await app.deliver(b'{"canary": 1}', "/api/publish/failed")).status == 489
        for path in (f"/api/streams/{stream}", f"/api/streams/{stream}/status"):
            assert (await app.ask("GET", path, headers=everywhere, query=f"token={token}".encode())).status == 200
            await app.ask("GET", path, headers=everywhere, query=b"token=canary")
            await app.ask("GET", path, headers=[*everywhere, (b"authorization", b"Bearer canary")])
            await app.ask("GET", path, headers=[*everywhere, (b"last-event-id", b"canary")])
        await app.ask("GET", "/api/chat/canary-chat", headers=everywhere)
        await app.ask("GET", "/api/chat/canary-chat/stream", headers=everywhere)
        await app.ask("POST", f"/api/streams/{stream}/stop", headers=everywhere)
        await app.ask("GET", "/api/cleanup", headers=[(b"authorization", b"Bearer canary")])
        await app.clean()
        assert token not in written.text

    run(check())
    output = capfd.readouterr()
    assert written.events("start")
    assert written.events("refused")
    codes = [line["code"] for line in written.events("error")]
    assert [code for code in codes if "canary" in code] == expected
    rest = "\n".join(line for line in written.text.splitlines() if '"event": "error"' not in line)
    assert "canary" not in rest + output.out + output.err
    assert "answers.example" not in written.text


def test_an_exception_that_nobody_foresaw_is_told_by_its_type(
    written: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    """The server around the app would print its text: it never gets it, and the client gets a plain 500."""

    @virtual
    async def check() -> None:
        inner = App()
        inner.memory.fault = ZeroDivisionError("canary")
        app = App(made=Contained(application(inner.services, ROLES)))
        reply = await app.ask("GET", "/api/chat/c")
        assert (reply.status, reply.code) == (500, "internal_error")

    check()
    (line,) = written.events("unforeseen_error")
    assert line["exception"] == "ZeroDivisionError"
    assert line["where"].rpartition(":")[0].endswith("app.py")
    assert (line["method"], line["route"]) == ("GET", "/api/chat/*")
    output = capfd.readouterr()
    assert "canary" not in written.text + output.out + output.err


def test_a_value_cannot_begin_a_line_of_its_own() -> None:
    """Line ends of every kind stand escaped, and what is no JSON is told by its type."""
    record = logging.makeLogRecord({"msg": "event", "levelname": "INFO", "a": "x\r\ny\u2028z\x85", "b": object()})
    (line,) = JsonFormatter().format(record).splitlines()
    assert json.loads(line) | {"a": "x\r\ny\u2028z\x85", "b": "object"} == json.loads(line)


def test_an_exceptions_text_is_left_out() -> None:
    """A record with an exception tells its type alone."""
    try:
        raise ValueError("canary")
    except ValueError as error:
        record = logging.makeLogRecord({"msg": "event", "exc_info": (ValueError, error, error.__traceback__)})
    line = JsonFormatter().format(record)
    assert "canary" not in line
    assert json.loads(line)["exception"] == "ValueError"


def test_the_access_log_of_the_server_has_no_queries() -> None:
    """The path stays, the token in its query goes; status and method are as they were."""
    record = logging.makeLogRecord(
        {"msg": '%s - "%s %s HTTP/%s" %d', "args": ("127.0.0.1:1", "GET", "/api/streams/x?token=canary", "1.1", 200)}
    )
    assert WithoutQuery().filter(record)
    assert record.getMessage() == '127.0.0.1:1 - "GET /api/streams/x?... HTTP/1.1" 200'
