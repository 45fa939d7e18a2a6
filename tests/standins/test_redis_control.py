"""The Redis stand-in's control API: counters, calls, reset and faults."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from standins.redis_control import Ledger
from tests.standins.redis_client import OK, Err, Rest, rest_server


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
    empty = {"commands": {}, "total": 0, "requests": 0, "bytes_in": 0, "bytes_out": 0}
    assert rest.control("GET", "stats") == empty
    assert rest.control("GET", "calls") == {"calls": []}
    assert rest.control("GET", "faults") == {"faults": []}
    assert rest.do("GET", "k") == "v"
    rest.control("POST", "reset?data=1")
    assert rest.control("GET", "stats") == empty
    assert rest.do("GET", "k") is None


@pytest.mark.parametrize("kind", ["drop", "reset"])
@pytest.mark.parametrize(("applied", "value"), [(False, None), (True, "v")])
def test_a_lost_request_writes_nothing_and_a_lost_reply_does(rest: Rest, kind: str, applied: bool, value: Any) -> None:
    """A dropped connection leaves the client without an answer; whether the command ran is what ``applied`` says."""
    rest.control("POST", "faults", {"kind": kind, "applied": applied, "commands": ["set"]})
    assert rest.do("GET", "k") is None
    with pytest.raises(httpx.TransportError):
        rest.do("SET", "k", "v")
    assert rest.do("GET", "k") == value
    struck = rest.control("GET", "calls")["calls"][1]
    assert (struck["commands"], struck["status"], struck["fault"]) == (["SET"], 0, kind)
    assert rest.control("GET", "faults") == {"faults": []}


def test_error_answers(rest: Rest) -> None:
    """An error has the status asked for and JSON; a gateway's 502 is a page; both can come after the command ran."""
    rest.control("POST", "faults", {"kind": "error", "status": 429})
    limited = rest.post(["SET", "k", "v"])
    assert (limited.status_code, set(limited.json())) == (429, {"error"})
    assert rest.do("GET", "k") is None
    rest.control("POST", "faults", {"kind": "html", "applied": True})
    page = rest.post(["SET", "k", "v"])
    assert (page.status_code, page.headers["content-type"]) == (502, "text/html")
    assert page.text.startswith("<html>")
    assert rest.do("GET", "k") == "v"


def test_a_hang_ends_with_the_client(rest: Rest) -> None:
    """A request that hangs is answered never; others go on."""
    rest.control("POST", "faults", {"kind": "hang", "applied": True})
    with pytest.raises(httpx.ReadTimeout):
        rest.http.post("/", json=["SET", "k", "v"], timeout=0.2)
    assert rest.do("GET", "k") == "v"


def test_a_slow_answer_comes_late(rest: Rest) -> None:
    """A slow request takes at least the time asked for, and is right."""
    rest.do("SET", "k", "v")
    rest.control("POST", "faults", {"kind": "slow", "seconds": 0.05})
    started = time.monotonic()
    assert rest.do("GET", "k") == "v"
    assert time.monotonic() - started >= 0.05


def test_faults_choose_their_requests(rest: Rest) -> None:
    """A fault passes over other commands, lets ``skip`` requests through, strikes ``count`` times, by ``rate``."""
    rest.control("POST", "faults", {"kind": "error", "commands": ["XADD"], "skip": 1, "count": 2})
    rest.control("POST", "faults", {"kind": "error", "rate": 0, "count": None})
    statuses = [
        rest.post(["PING"]).status_code,
        *(rest.post([["PING"], ["XADD", "s", f"1-{n}", "a", "b"]], "/multi-exec").status_code for n in range(1, 5)),
    ]
    assert statuses == [200, 200, 500, 500, 200]
    assert [entry[0] for entry in rest.do("XRANGE", "s", "-", "+")] == ["1-1", "1-4"]
    rest.control("DELETE", "faults")
    assert rest.control("GET", "faults") == {"faults": []}


@pytest.mark.parametrize(
    "wrong", [None, [], {}, {"kind": "fire"}, {"kind": "drop", "cuont": 1}, {"kind": "drop", "rate": "x"}]
)
def test_a_fault_that_makes_no_sense_is_refused(rest: Rest, wrong: Any) -> None:
    """A fault with an unknown kind, field or value is 400 and is not set."""
    response = httpx.post(f"{rest.url}/__standin/faults", json=wrong)
    assert response.status_code == 400
    assert rest.do("SET", "k", "v") == OK
    assert rest.do("SELECT", 0) == Err("ERR Command is not available: 'SELECT'")
