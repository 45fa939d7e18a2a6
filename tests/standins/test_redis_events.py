"""Subscriptions and MONITOR over server-sent events, on fakeredis and on a real engine."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.standins.redis_client import ENGINES, Rest, rest_server


@pytest.fixture(scope="module", params=ENGINES)
def server(request: pytest.FixtureRequest) -> Iterator[Rest]:
    with rest_server(request.param) as rest:
        yield rest


@pytest.fixture
def rest(server: Rest) -> Rest:
    server.control("POST", "reset?data=1")
    return server


def events(response: httpx.Response) -> Iterator[str]:
    """The data lines of a response as they come."""
    return (line.removeprefix("data: ") for line in response.iter_lines() if line.startswith("data: "))


def test_subscribe(rest: Rest) -> None:
    """A subscriber is told of its subscription, then gets each message of its channel."""
    with rest.http.stream("POST", "/subscribe/chat/other", headers={"accept": "text/event-stream"}) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = events(response)
        assert [next(lines), next(lines)] == ["subscribe,chat,1", "subscribe,other,2"]
        assert rest.do("PUBLISH", "chat", "hello, world") == 1
        assert rest.do("PUBLISH", "elsewhere", "nobody") == 0
        assert rest.http.post("/publish/other", content=b"two\nlines").json() == {"result": 1}
        assert next(lines) == "message,chat,hello, world"
        assert [next(lines), next(lines)] == ["message,other,two", "lines"]
    assert rest.control("GET", "stats")["commands"] == {"SUBSCRIBE": 1, "PUBLISH": 3}


def test_psubscribe(rest: Rest) -> None:
    """A pattern's subscriber gets the pattern and the channel with each message."""
    with rest.http.stream("POST", "/psubscribe/room:*") as response:
        lines = events(response)
        assert next(lines) == "psubscribe,room:*,1"
        rest.do("PUBLISH", "room:7", '{"a":1}')
        assert next(lines) == 'pmessage,room:*,room:7,{"a":1}'


def test_a_subscriber_that_leaves_is_forgotten(rest: Rest) -> None:
    """The database stops counting a subscriber whose client went away, though nothing was published to it."""
    with rest.http.stream("POST", "/subscribe/chat") as response:
        lines = events(response)
        assert next(lines) == "subscribe,chat,1"
        assert rest.do("PUBLISH", "chat", "x") == 1
    # Noticing takes a moment that nothing announces; each look is a round trip, and their number bounds the wait.
    assert any(rest.do("PUBLISH", "chat", "x") == 0 for _ in range(200))


def test_monitor(rest: Rest) -> None:
    """A monitor sees the commands of every request with their arguments, quoted as Redis quotes them."""
    with rest.http.stream("POST", "/monitor") as response:
        lines = events(response)
        assert next(lines) == '"OK"'
        rest.do("SELECT", 0)
        rest.do("SET", "k", 'a "b"\n\x01')
        rest.batch("/multi-exec", [["GET", "k"], ["DBSIZE"]])
        seen = [next(lines) for _ in range(3)]
    assert [line.split("] ", 1)[1] for line in seen] == ['"SET" "k" "a \\"b\\"\\n\\x01"', '"GET" "k"', '"DBSIZE"']
    assert float(seen[0].split(" ")[0]) > 1e9


@pytest.mark.parametrize("path", ["/subscribe", "/subscribe/", "/psubscribe", "/monitor/all"])
def test_a_subscription_needs_its_channels(rest: Rest, path: str) -> None:
    """A subscription without a channel, or a monitor with one, is 400."""
    assert rest.http.post(path).status_code == 400
