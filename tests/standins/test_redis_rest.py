"""The REST API's own rules: forms of requests, statuses, formats, refusals and limits."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from upstash_redis.asyncio import Redis
from upstash_redis.errors import UpstashError

from tests.processes import served
from tests.standins.redis_client import OK, TOKEN, Err, Rest, rest_server

MB = 1024 * 1024


@pytest.fixture(scope="module")
def server() -> Iterator[Rest]:
    with rest_server() as rest:
        yield rest


@pytest.fixture
def rest(server: Rest) -> Rest:
    server.control("POST", "reset?data=1")
    return server


@pytest.mark.asyncio
@pytest.mark.parametrize("encoding", ["base64", None])
async def test_the_python_sdk_works_unmodified(rest: Rest, encoding: Any) -> None:
    """upstash-redis appends, reads, pipelines, runs transactions and meets errors, in both encodings."""
    redis: Any  # the SDK's stubs describe a few results otherwise than it gives them
    async with Redis(rest.url, TOKEN, rest_encoding=encoding, rest_retries=0) as redis:
        assert await redis.xadd("s", "1-1", {"v": "1", "text": "zwei ☃ OK"}) == "1-1"
        assert await redis.xrange("s") == [["1-1", ["v", "1", "text", "zwei ☃ OK"]]]
        assert await redis.xread({"s": "1-1"}) in (None, [])
        with pytest.raises(UpstashError, match="equal or smaller"):
            await redis.xadd("s", "1-1", {"v": "1"})
        assert await redis.set("k", "OK", nx=True, px=60_000) is True
        assert await redis.get("k") == "OK"
        assert await redis.set("k", "other", nx=True) is False
        assert await redis.mget("k", "none") == ["OK", None]
        assert await redis.zadd("z", {"a": 1.5}) == 1
        assert await redis.zscore("z", "a") == 1.5
        assert await redis.hset("h", values={"a": "1"}) == 1
        assert await redis.hgetall("h") == {"a": "1"}
        assert await redis.ping() == "PONG"
        transaction = redis.multi()
        transaction.incr("n")
        transaction.xrange("s", "-", "+", count=1)
        assert await transaction.exec() == [1, [["1-1", ["v", "1", "text", "zwei ☃ OK"]]]]
        pipeline = redis.pipeline()
        pipeline.get("k")
        pipeline.exists("none")
        assert await pipeline.exec() == ["OK", 0]


def test_the_path_style(rest: Rest) -> None:
    """Arguments stand in the path, percent-encoded; a body is the value, and query parameters follow it."""
    assert rest.http.get("/set/a%2Fb/line%0Atwo%20%E2%98%83").json() == {"result": OK}
    assert rest.do("GET", "a/b") == "line\ntwo ☃"
    assert rest.http.post("/set/k?EX=100&NX", content=b"\x00\xff body").json() == {"result": OK}
    assert rest.http.put("/get/k", headers={"upstash-encoding": "base64"}).json() == {
        "result": base64.b64encode(b"\x00\xff body").decode()
    }
    assert 0 < rest.do("TTL", "k") <= 100
    assert rest.http.get("/get/k").json() == {"result": "\x00� body"}
    assert rest.http.head("/get/k").content == b""
    assert rest.http.get("/get/none").json() == {"result": None}


def test_authentication(rest: Rest) -> None:
    """A bearer token or ``_token`` is asked for on every path but the control API's; the rest is 401."""
    with httpx.Client(base_url=rest.url) as anonymous:
        assert anonymous.get("/ping", params={"_token": TOKEN}).json() == {"result": "PONG"}
        assert anonymous.get("/ping", headers={"authorization": f"bearer {TOKEN}"}).status_code == 200
        for refused in (
            anonymous.get("/ping"),
            anonymous.get("/ping", params={"_token": "x" + TOKEN}),
            anonymous.post("/", json=["PING"], headers={"authorization": f"Bearer {TOKEN}x"}),
            anonymous.post("/pipeline", json=[["PING"]], headers={"authorization": f"Basic {TOKEN}"}),
            anonymous.post("/subscribe/chat"),
        ):
            assert refused.status_code == 401
            assert refused.json()["error"].startswith("WRONGPASS")
        assert anonymous.get("/__standin/health").json() == {"status": "ok"}


def test_the_token_comes_from_the_environment_or_is_the_default() -> None:
    """Without --token the environment's token counts, and without that a fixed local one."""
    for env, token in (({"UPSTASH_REDIS_REST_TOKEN": "from-env"}, "from-env"), ({}, "local-redis-token")):
        with served("standins.redis_rest", env={"UPSTASH_REDIS_REST_TOKEN": "", **env}) as server:
            assert httpx.get(f"{server.url}/ping?_token={token}").json() == {"result": "PONG"}


@pytest.mark.parametrize("method", ["DELETE", "PATCH", "OPTIONS"])
def test_other_methods_are_405(rest: Rest, method: str) -> None:
    """Only HEAD, GET, POST and PUT are methods of the API."""
    assert rest.http.request(method, "/ping").status_code == 405


@pytest.mark.parametrize("path", ["/", "/pipeline", "/multi-exec"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b"NaN",
        b'"PING"',
        b"{}",
        b"[]",
        b"[[]]",
        b"[[[]]]",
        b'[{"a":1}]',
        b'["GET",null]',
        b"[" * 99_999,
    ],
)
def test_a_body_that_is_no_command_is_400(rest: Rest, path: str, body: bytes) -> None:
    """What is not JSON, or not made of commands, is one error and 400."""
    response = rest.http.post(path, content=body)
    assert response.status_code == 400
    assert response.json()["error"].startswith("ERR ")


def test_json_values_become_text(rest: Rest) -> None:
    """Numbers keep their spelling, booleans their name, and text its characters."""
    body = '["RPUSH","l",1.0,1e3,-7,12345678901234567890123,true,"\\ud83d\\ude00","\\ud800"]'
    assert rest.http.post("/", content=body).json() == {"result": 7}
    expected = ["1.0", "1e3", "-7", "12345678901234567890123", "true", "😀", "�"]
    assert rest.do("LRANGE", "l", 0, -1) == expected


def test_base64_encodes_every_string_but_ok(rest: Rest) -> None:
    """Strings are encoded at any depth, ids and PONG included; numbers, nil, OK and errors are not."""

    def encoded(text: str) -> str:
        return base64.b64encode(text.encode()).decode()

    rest.do("XADD", "s", "1-1", "a", "OK")
    outcome = rest.batch(
        "/pipeline",
        [["SET", "k", "v"], ["PING"], ["XRANGE", "s", "-", "+"], ["MGET", "k", "none"], ["INCR", "k"], ["XLEN", "s"]],
        upstash_encoding="base64",
    )
    assert outcome == [
        {"result": OK},
        {"result": encoded("PONG")},
        {"result": [[encoded("1-1"), [encoded("a"), OK]]]},
        {"result": [encoded("v"), None]},
        {"error": "ERR value is not an integer or out of range"},
        {"result": 1},
    ]


def test_resp2_answers_in_the_redis_protocol(rest: Rest) -> None:
    """The resp2 format gives raw replies; transactions stay JSON, base64 does not go with it, others are 400."""

    def raw(*command: Any) -> httpx.Response:
        return rest.post(list(command), upstash_response_format="resp2")

    assert raw("SET", "k", "OK").content == b"+OK\r\n"
    assert raw("GET", "k").content == b"$2\r\nOK\r\n"
    assert raw("SET", "k", "x", "GET").content == b"$2\r\nOK\r\n"
    assert raw("GET", "none").content == b"$-1\r\n"
    assert raw("PING").content == b"+PONG\r\n"
    assert raw("PING", "hi").content == b"$2\r\nhi\r\n"
    assert raw("XADD", "s", "1-1", "a", "b").content == b"$3\r\n1-1\r\n"
    assert raw("XRANGE", "s", "-", "+").content == b"*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n"
    assert raw("GET", "k").headers["content-type"] == "application/octet-stream"
    failed = raw("INCR", "k")
    assert (failed.status_code, failed.content[:5]) == (400, b"-ERR ")
    pipeline = rest.post([["DEL", "k"], ["GET", "k"]], "/pipeline", upstash_response_format="resp2")
    assert pipeline.content == b":1\r\n$-1\r\n"
    assert rest.batch("/multi-exec", [["PING"]], upstash_response_format="resp2") == [{"result": "PONG"}]
    assert rest.post(["PING"], upstash_response_format="resp3").status_code == 400
    assert rest.post(["PING"], upstash_response_format="resp2", upstash_encoding="base64").status_code == 400


def test_the_sync_token_changes(rest: Rest) -> None:
    """Every answer carries a sync token of its own."""
    tokens = {rest.post(["SET", "k", n]).headers["upstash-sync-token"] for n in range(3)}
    assert len(tokens) == 3


UNAVAILABLE = (
    *("SELECT 0", "AUTH x", "HELLO 3", "CLIENT ID", "QUIT", "RESET", "CLUSTER INFO", "MULTI", "EXEC", "DISCARD"),
    *("WATCH k", "UNWATCH", "BLPOP l 0", "BRPOP l 0", "BLMOVE a b LEFT LEFT 0", "BRPOPLPUSH a b 0", "WAIT 0 0"),
    *("BLMPOP 0 1 l LEFT", "BZPOPMIN z 0", "BZPOPMAX z 0", "BZMPOP 0 1 z MIN", "SUBSCRIBE c", "PSUBSCRIBE c"),
    *("UNSUBSCRIBE", "MONITOR", "SHUTDOWN", "CONFIG GET *", "REPLICAOF a 1", "NOSUCHCOMMAND x"),
)


@pytest.mark.parametrize("line", UNAVAILABLE)
def test_what_rest_does_not_offer_is_refused(rest: Rest, line: str) -> None:
    """Commands that need a connection, block, or administer the server are refused in Upstash's words, in any case."""
    command = line.split()
    assert rest.do(*command) == Err(f"ERR Command is not available: '{command[0]}'")
    assert rest.do(command[0].lower(), *command[1:]) == Err(f"ERR Command is not available: '{command[0]}'")
    assert rest.control("GET", "stats")["total"] == 0


def test_blocking_reads_are_refused(rest: Rest) -> None:
    """XREAD and XREADGROUP are refused with BLOCK, but may name a stream or a group BLOCK."""
    assert isinstance(rest.do("XREAD", "COUNT", 1, "block", 0, "STREAMS", "s", "0"), Err)
    assert isinstance(rest.do("XREADGROUP", "GROUP", "g", "c", "BLOCK", 1, "STREAMS", "s", ">"), Err)
    rest.do("XADD", "BLOCK", "1-1", "a", "b")
    assert rest.do("XREAD", "STREAMS", "BLOCK", "0") == [["BLOCK", [["1-1", ["a", "b"]]]]]


BIG = "x" * (32 * 1024)


@pytest.mark.parametrize(
    "command",
    [
        ("ZADD", "z", "NX", "CH", 1, "small", 2, BIG + "x"),
        ("ZINCRBY", "z", 1, BIG + "x"),
        ("SADD", "s", "small", BIG + "x"),
        ("SMOVE", "s", "t", BIG + "x"),
        ("GEOADD", "g", "NX", 1, 1, BIG + "x"),
        ("SET", BIG + "x", "v"),
        ("XADD", BIG + "x", "1-1", "a", "b"),
        ("MGET", "k", BIG + "x"),
        ("MSET", "k", "v", BIG + "x", "v"),
        ("RENAME", "k", BIG + "x"),
        ("XREAD", "STREAMS", "k", BIG + "x", "0", "0"),
        ("EVAL", "return 1", 2, "k", BIG + "x"),
        ("ZUNIONSTORE", "k", 1, BIG + "x"),
        ("BITOP", "NOT", "k", BIG + "x"),
    ],
)
def test_keys_and_members_over_32_kb_are_refused(rest: Rest, command: tuple[Any, ...]) -> None:
    """A key, or a member of a set or sorted set, may have 32 KB and not a byte more."""
    outcome = rest.do(*command)
    assert isinstance(outcome, Err)
    assert "Limit: 32768 bytes, Actual: 32769 bytes" in outcome.message
    allowed = rest.do(*(BIG if argument == BIG + "x" else argument for argument in command))
    assert not (isinstance(allowed, Err) and "Limit" in allowed.message)


def test_values_may_be_larger(rest: Rest) -> None:
    """The 32 KB limit is not one of values: a string and a stream entry of a megabyte are taken."""
    assert rest.do("SET", "k", "x" * MB) == OK
    assert rest.do("XADD", "s", "1-1", "data", "x" * MB) == "1-1"


@pytest.mark.parametrize("path", ["/", "/pipeline", "/multi-exec", "/set/k"])
def test_requests_over_10_mb_are_refused(rest: Rest, path: str) -> None:
    """A request may have 10 MB and not a byte more, and the larger one writes nothing."""
    prefix, suffix = {"/": ('["SET","k","', '"]'), "/set/k": ("", "")}.get(path, ('[["SET","k","', '"]]'))
    fits = prefix + "x" * (10 * MB - len(prefix) - len(suffix)) + suffix
    response = rest.http.post(path, content=" " + fits)
    assert response.status_code == 400
    assert response.json()["error"].startswith("ERR max request size exceeded. Limit: 10485760 bytes")
    assert rest.do("EXISTS", "k") == 0
    assert rest.http.post(path, content=fits).status_code == 200


def test_replies_over_10_mb_are_refused(rest: Rest) -> None:
    """A read whose reply outgrows the request limit fails, alone in its pipeline."""
    for entry in range(1, 4):
        rest.do("XADD", "s", f"1-{entry}", "data", "x" * (4 * MB))
    outcome = rest.batch("/pipeline", [["XRANGE", "s", "-", "+"], ["XRANGE", "s", "-", "+", "COUNT", 2], ["XLEN", "s"]])
    assert outcome[0]["error"].startswith("ERR max request size exceeded")
    assert len(outcome[1]["result"]) == 2
    assert outcome[2] == {"result": 3}


def test_an_unreachable_database_is_503() -> None:
    """When the Redis server behind does not answer, requests get an error as JSON, and health says so."""
    with served("standins.redis_rest", "--token", TOKEN, "--redis", "redis://127.0.0.1:1") as server:
        response = httpx.post(server.url, content=json.dumps(["PING"]), headers={"authorization": f"Bearer {TOKEN}"})
        assert (response.status_code, response.json()) == (503, {"error": "ERR the database is unreachable"})
        assert httpx.get(f"{server.url}/__standin/health").status_code == 503
