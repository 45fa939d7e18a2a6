"""The Redis stand-in's control API: counters, calls and reset."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from standins.redis_control import Ledger
from tests.standins.redis_client import Rest, rest_server


@pytest.fixture(scope="module")
def server() -> Iterator[Rest]:
    with rest_server() as rest:
        yield rest


@pytest.fixture
def rest(server: Rest) -> Rest:
    server.control("POST", "reset?data=1")
    return server


def test_stats_count_commands_as_billed(rest: Rest) -> None:
    """Each command of a pipeline or transaction counts by its name, failed ones too; MULTI, EXEC, refusals do not."""
    rest.do("set", "k", "v")
    rest.do("INCR", "k")
    rest.batch("/pipeline", [["GET", "k"], ["GET", "k"], ["SELECT", 1], ["NOSUCH"]])
    rest.batch("/multi-exec", [["XADD", "s", "1-1", "a", "b"], ["XRANGE", "s", "-", "+"], ["INCR", "k"]])
    rest.batch("/multi-exec", [["GET", "k"], ["GET"]])
    rest.http.get("/get/k", headers={"authorization": "Bearer wrong"})
    stats = rest.control("GET", "stats")
    assert stats["commands"] == {"SET": 1, "INCR": 2, "GET": 2, "XADD": 1, "XRANGE": 1}
    assert stats["total"] == 7
    assert stats["requests"] == 6


def test_stats_count_bytes_of_bodies(rest: Rest) -> None:
    """Bytes are those of the bodies of requests and answers."""
    sent = rest.http.post("/", content=b'["SET","k","vvv"]')
    received = rest.http.get("/get/k")
    stats = rest.control("GET", "stats")
    assert stats["bytes_in"] == len(b'["SET","k","vvv"]')
    assert stats["bytes_out"] == len(sent.content) + len(received.content)


def test_calls_list_requests_with_their_outcome(rest: Rest) -> None:
    """Every request is listed with its time, the names of its commands and its status."""
    before = time.time() * 1000 - 1
    rest.batch("/pipeline", [["GET", "k"], ["set", "k", "v"]])
    rest.do("SELECT", 0)
    rest.http.get("/get/k", headers={"authorization": "Bearer wrong"})
    calls = rest.control("GET", "calls")["calls"]
    assert [(call["commands"], call["status"]) for call in calls] == [
        (["GET", "SET"], 200),
        (["SELECT"], 400),
        ([], 401),
    ]
    assert all(before <= call["at"] <= time.time() * 1000 for call in calls)


def test_only_the_latest_calls_are_kept() -> None:
    """The ledger keeps a thousand calls, and counts all."""
    ledger = Ledger()
    for number in range(1001):
        ledger.record([f"C{number}"], 200, 1, 1, None, 1.0)
    assert len(ledger.calls()) == 1000
    assert ledger.calls()[0]["commands"] == ["C1"]
    assert ledger.stats()["requests"] == 1001


def test_reset_zeroes_the_counters_and_keeps_the_data_unless_told(rest: Rest) -> None:
    """A reset forgets counters, calls and faults; the data goes only with ``data=1``."""
    rest.do("SET", "k", "v")
    rest.control("POST", "faults", {"kind": "error"})
    rest.control("POST", "reset")
    empty = {"commands": {}, "total": 0, "requests": 0, "bytes_in": 0, "bytes_out": 0, "fired": {}}
    assert rest.control("GET", "stats") == empty
    assert rest.control("GET", "calls") == {"calls": []}
    assert rest.control("GET", "faults") == {"faults": [], "fired": {}}
    assert rest.do("GET", "k") == "v"
    rest.control("POST", "reset?data=1")
    assert rest.control("GET", "stats") == empty
    assert rest.do("GET", "k") is None
