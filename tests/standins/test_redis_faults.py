"""Faults of the Redis stand-in, over sockets: what the client sees, and what was written."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.standins.redis_client import Rest, rest_server


@pytest.fixture(scope="module")
def server() -> Iterator[Rest]:
    with rest_server() as rest:
        yield rest


@pytest.fixture
def rest(server: Rest) -> Rest:
    server.control("POST", "reset?data=1")
    return server


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
    assert rest.control("GET", "faults") == {"faults": [], "fired": {kind: 1}}


def test_a_reset_is_a_reset_and_a_drop_is_not(rest: Rest) -> None:
    """``reset`` breaks the connection with a TCP RST; ``drop`` ends it, as a server does that dies."""
    seen = []
    for kind in ("reset", "drop"):
        rest.control("POST", "faults", {"kind": kind})
        with pytest.raises(httpx.TransportError) as failed:
            rest.do("PING")
        seen.append(type(failed.value))
    assert seen == [httpx.ReadError, httpx.RemoteProtocolError]


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
    rest.control("POST", "faults", {"kind": "error", "name": "down"})
    assert rest.post(["PING"]).status_code == 500
    assert rest.control("GET", "stats")["fired"] == {"error": 1, "html": 1, "down": 1}


def test_a_hang_ends_with_the_client(rest: Rest) -> None:
    """A request that hangs is answered never; others go on."""
    rest.control("POST", "faults", {"kind": "hang", "applied": True})
    with pytest.raises(httpx.ReadTimeout):
        rest.http.post("/", json=["SET", "k", "v"], timeout=0.2)
    assert rest.do("GET", "k") == "v"
    assert rest.control("GET", "stats")["fired"] == {"hang": 1}


def test_a_slow_answer_comes_late(rest: Rest) -> None:
    """A slow request takes at least the time asked for, and is right."""
    rest.do("SET", "k", "v")
    rest.control("POST", "faults", {"kind": "slow", "seconds": 0.05})
    started = time.monotonic()
    assert rest.do("GET", "k") == "v"
    assert time.monotonic() - started >= 0.05
    assert rest.control("GET", "stats")["fired"] == {"slow": 1}


def test_a_reply_that_never_was_is_not_lost(rest: Rest) -> None:
    """A transaction that is refused has applied nothing: the fault waits for one that does."""
    rest.control("POST", "faults", {"kind": "drop", "applied": True})
    assert rest.post([["SELECT", 1]], "/multi-exec").status_code == 400
    assert rest.control("GET", "stats")["fired"] == {}
    with pytest.raises(httpx.TransportError):
        rest.post([["SET", "k", "v"]], "/multi-exec")
    assert rest.do("GET", "k") == "v"
    assert rest.control("GET", "stats")["fired"] == {"drop": 1}


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
    assert rest.control("DELETE", "faults") == {"faults": [], "fired": {"error": 2}}
