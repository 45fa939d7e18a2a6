"""The commands that Holdfast leans on behave alike over fakeredis and over a real engine."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import httpx
import pytest

from standins.redis_backend import Backend
from tests.standins.redis_client import ENGINES, OK, SMALLER, Err, Rest, rest_server

SEAL = "1099511627776-0"


@pytest.fixture(scope="module", params=ENGINES)
def server(request: pytest.FixtureRequest) -> Iterator[Rest]:
    with rest_server(request.param) as rest:
        yield rest


@pytest.fixture
def rest(server: Rest) -> Rest:
    server.control("POST", "reset?data=1")
    return server


def test_an_id_must_be_greater_than_the_last_one(rest: Rest) -> None:
    """An XADD whose ID is equal or smaller is refused, also across attempts and numerically, not as text."""
    rest.transcript(
        ("XADD s 1-9 a b", "1-9"),
        ("XADD s 1-10 a b", "1-10"),
        ("XADD s 1-10 a c", Err(SMALLER)),
        ("XADD s 1-9 a b", Err(SMALLER)),
        ("XADD s 2-0 a b", "2-0"),
        ("XADD s 1-11 a b", Err(SMALLER)),
        (f"XADD s {SEAL} end yes", SEAL),
        ("XADD s 3-0 a b", Err(SMALLER)),
        (f"XADD s NOMKSTREAM {SEAL} end no", Err(SMALLER)),
        ("XADD s 0-0 a b", Err("ERR The ID specified in XADD must be greater than 0-0")),
        ("XADD s x a b", Err("ERR Invalid stream ID specified as stream command argument")),
        ("XADD s 9-0 a", Err("ERR wrong number of arguments for 'xadd' command")),
        ("XLEN s", 4),
    )


def test_nomkstream_makes_no_stream(rest: Rest) -> None:
    """XADD NOMKSTREAM on a missing key is nil and leaves no key; on a stream it appends."""
    rest.transcript(
        ("XADD s NOMKSTREAM 1-1 a b", None),
        ("EXISTS s", 0),
        ("XADD s 1-1 a b", "1-1"),
        ("XADD s nomkstream 1-2 a b", "1-2"),
        ("XADD s NOMKSTREAM MINID 1-2 1-3 a b", "1-3"),
        ("XRANGE s - +", [["1-2", ["a", "b"]], ["1-3", ["a", "b"]]]),
        ("XADD s NOMKSTREAM MAXLEN = 1 1-4 a b", "1-4"),
        ("XLEN s", 1),
    )


def test_the_last_id_outlives_its_entry(rest: Rest) -> None:
    """A stream keeps its last ID when the top entry, or every entry, is deleted or trimmed."""
    rest.transcript(
        ("XADD s 1-1 a b", "1-1"),
        ("XADD s 1-2 a b", "1-2"),
        ("XDEL s 1-2", 1),
        ("XADD s 1-2 a b", Err(SMALLER)),
        ("XDEL s 1-1", 1),
        ("EXISTS s", 1),
        ("TYPE s", "stream"),
        ("XADD s NOMKSTREAM 1-1 a b", Err(SMALLER)),
        ("XADD s NOMKSTREAM 1-3 a b", "1-3"),
        ("XTRIM s MAXLEN 0", 1),
        ("XADD s 1-3 a b", Err(SMALLER)),
        ("DEL s", 1),
        ("XADD s 1-1 a b", "1-1"),
    )


def test_ranges(rest: Rest) -> None:
    """XRANGE and XREVRANGE take exclusive bounds and COUNT, and order numerically."""
    for entry in ("1-1", "1-2", "1-10", "2-0", SEAL):
        rest.do("XADD", "s", entry, "n", entry)

    def entries(*ids: str) -> list[list[object]]:
        return [[entry, ["n", entry]] for entry in ids]

    rest.transcript(
        ("XRANGE s - +", entries("1-1", "1-2", "1-10", "2-0", SEAL)),
        ("XRANGE s (1-2 +", entries("1-10", "2-0", SEAL)),
        ("XRANGE s (1-2 + COUNT 2", entries("1-10", "2-0")),
        ("XRANGE s 1 1", entries("1-1", "1-2", "1-10")),
        (f"XRANGE s ({SEAL} +", []),
        ("XRANGE s 2-0 1-1", []),
        ("XRANGE none - +", []),
        ("XRANGE s - + COUNT 0", None),
        ("XRANGE s (18446744073709551615-18446744073709551615 +", Err("ERR invalid start ID for the interval")),
        ("XRANGE s - (0-0", Err("ERR invalid end ID for the interval")),
        ("XREVRANGE s + - COUNT 1", entries(SEAL)),
        ("XREVRANGE s (2-0 - COUNT 1", entries("1-10")),
        ("XREVRANGE none + - COUNT 1", []),
        ("XREVRANGE s (0-0 -", Err("ERR invalid end ID for the interval")),
        ("XREAD COUNT 1 STREAMS s none 1-10 0", [["s", entries("2-0")]]),
        (f"XREAD STREAMS s {SEAL}", None),
    )


def test_a_stream_command_on_another_type_is_refused(rest: Rest) -> None:
    """A key that holds something else answers WRONGTYPE, with its code."""
    wrong = Err("WRONGTYPE Operation against a key holding the wrong kind of value")
    rest.transcript(("SET s v", OK), ("XADD s 1-1 a b", wrong), ("XRANGE s - +", wrong), ("XLEN s", wrong))


def test_set_options(rest: Rest) -> None:
    """SET takes NX, XX, PX and GET together as Redis does, and refuses what makes no sense."""
    rest.transcript(
        ("SET k a NX PX 60000", OK),
        ("SET k b NX PX 60000", None),
        ("SET k b NX GET", "a"),
        ("SET k c XX GET", "a"),
        ("PTTL k", -1),
        ("SET none x XX", None),
        ("SET none x XX GET", None),
        ("EXISTS none", 0),
        ("SET new x NX GET", None),
        ("GET new", "x"),
        ("SET k v NX XX", Err("ERR syntax error")),
        ("SET k v PX 0", Err("ERR invalid expire time in 'set' command")),
        ("SET k v PX x", Err("ERR value is not an integer or out of range")),
        ("SETEX k 0 v", Err("ERR invalid expire time in 'setex' command")),
        ("SET k d KEEPTTL", OK),
        ("MGET k none new", ["d", None, "x"]),
        ("MSET a 1 b", Err("ERR wrong number of arguments for 'mset' command")),
    )


def test_expiry(rest: Rest) -> None:
    """PEXPIRE renews, obeys GT and NX, and a time in the past deletes; a plain SET takes the TTL away."""
    rest.transcript(
        ("XADD s 1-1 a b", "1-1"),
        ("PEXPIRE s 60000", 1),
        ("PEXPIRE s 50000 GT", 0),
        ("PEXPIRE s 50000 NX", 0),
        ("PEXPIRE s 900000 GT", 1),
        ("PEXPIRE none 1000", 0),
    )
    assert 800_000 < rest.do("PTTL", "s") <= 900_000
    rest.transcript(
        ("PEXPIRE s -1", 1),
        ("XADD s NOMKSTREAM 1-2 a b", None),
        ("SET k v PX 60000", OK),
        ("SET k w", OK),
        ("PTTL k", -1),
        ("PEXPIREAT k 1", 1),
        ("GET k", None),
    )


def test_sorted_sets(rest: Rest) -> None:
    """ZADD GT and NX, scores as Redis prints them, and ranges by score with LIMIT."""
    rest.transcript(
        ("ZADD z 1 a 2 b", 2),
        ("ZADD z GT CH 0 a", 0),
        ("ZADD z GT CH 5 a", 1),
        ("ZADD z NX 9 a 3 c", 1),
        ("ZSCORE z a", "5"),
        ("ZADD z XX 1 none", 0),
        ("ZADD z NX GT 1 a", Err("ERR GT, LT, and/or NX options at the same time are not compatible")),
        ("ZADD z 1795247522917 due", 1),
        ("ZSCORE z due", "1795247522917"),
        ("ZADD z 0.1 f", 1),
        ("ZSCORE z f", "0.1"),
        ("ZMSCORE z f none", ["0.1", None]),
        ("ZSCORE none a", None),
        ("ZRANGEBYSCORE z -inf 5 LIMIT 0 2", ["f", "b"]),
        ("ZRANGEBYSCORE z (2 +inf WITHSCORES LIMIT 1 2", ["a", "5", "due", "1795247522917"]),
        ("ZRANGE z 0 0 WITHSCORES", ["f", "0.1"]),
        ("ZPOPMIN z", ["f", "0.1"]),
        ("ZRANGEBYSCORE z -inf +inf LIMIT 9 2", []),
        ("ZREM z due none", 1),
        ("ZCARD z", 3),
        ("ZRANGE none 0 -1", []),
    )


def test_consumer_groups(rest: Rest) -> None:
    """Groups work without BLOCK, and their errors carry Redis's codes."""
    rest.transcript(
        ("XADD s 1-1 a b", "1-1"),
        ("XGROUP CREATE s g 0", OK),
        ("XGROUP CREATE s g 0", Err("BUSYGROUP Consumer Group name already exists")),
        ("XREADGROUP GROUP g BLOCK STREAMS s >", [["s", [["1-1", ["a", "b"]]]]]),
        ("XREADGROUP GROUP g BLOCK STREAMS s >", None),
        ("XPENDING s g", [1, "1-1", "1-1", [["BLOCK", "1"]]]),
        ("XACK s g 1-1", 1),
    )


def test_lua(rest: Rest) -> None:
    """EVAL runs scripts with keys and arguments."""
    assert rest.do("EVAL", "return {redis.call('SET', KEYS[1], ARGV[1]), 7}", 1, "k", "v") == [OK, 7]
    assert rest.do("GET", "k") == "v"


def test_a_transaction_answers_each_command(rest: Rest) -> None:
    """A command that fails while a transaction runs has its own error, and the others stand."""
    outcome = rest.batch(
        "/multi-exec",
        [
            ["XADD", "s", "1-0", "a", "b"],
            ["XADD", "s", "1-0", "a", "b"],
            ["SET", "k", "v", "NX", "PX", 5000],
            ["GET", "k"],
        ],
    )
    assert outcome == [{"result": "1-0"}, {"error": SMALLER}, {"result": OK}, {"result": "v"}]


@pytest.mark.parametrize("bad", [["GET"], ["NOSUCH", "x"], ["XREAD", "BLOCK", 0, "STREAMS", "s", "0"], ["SELECT", 0]])
def test_a_discarded_transaction_is_one_error(rest: Rest, bad: list[object]) -> None:
    """A command that cannot be queued discards the whole transaction: one error, 400, nothing written or billed."""
    rest.control("POST", "reset")
    response = rest.post([["SET", "k", "v"], bad], "/multi-exec")
    assert response.status_code == 400
    assert set(response.json()) == {"error"}
    assert rest.control("GET", "stats")["total"] == 0
    assert rest.do("GET", "k") is None


def test_a_pipeline_answers_each_command(rest: Rest) -> None:
    """In a pipeline every failure, a refusal included, stays in its place."""
    outcome = rest.batch("/pipeline", [["SET", "n", "x"], ["INCR", "n"], ["SELECT", 1], ["NOSUCH"], ["GET", "n"]])
    assert outcome == [
        {"result": OK},
        {"error": "ERR value is not an integer or out of range"},
        {"error": "ERR Command is not available: 'SELECT'"},
        {"error": "ERR Command is not available: 'NOSUCH'"},
        {"result": "x"},
    ]


@pytest.mark.asyncio
async def test_transactions_are_atomic(rest: Rest) -> None:
    """Among concurrent requests nothing comes between the commands of a transaction."""
    increments = [["INCR", "n"]] * 20
    async with httpx.AsyncClient(base_url=rest.url, headers=rest.http.headers) as http:
        replies = await asyncio.gather(*(http.post("/multi-exec", json=increments) for _ in range(20)))
    runs = [[item["result"] for item in reply.json()] for reply in replies]
    assert all(run == list(range(run[0], run[0] + 20)) for run in runs)


@pytest.mark.asyncio
async def test_pipelines_are_not_atomic() -> None:
    """Two pipelines over fakeredis take turns, so that nobody can lean on an order that Upstash does not promise."""
    backend = Backend()
    first, second = await asyncio.gather(*(backend.run([[b"INCR", b"n"]] * 3) for _ in range(2)))
    assert first != [1, 2, 3]
    assert sorted([*first, *second], key=str) == [1, 2, 3, 4, 5, 6]
    await backend.close()
