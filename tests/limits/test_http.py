"""Limits as clients meet them: statuses, headers, what the store is asked, and what stays untouched."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from tests.e2e import system as running
from tests.e2e.system import System
from tests.e2e.waiting import until
from tests.http.refusals import refused

OWNER, ADDRESS, LIVE, CHARS = 6, 7, 3, 1_000
LIMITS = {
    "HOLDFAST_MAX_STARTS_PER_MINUTE": str(OWNER),
    "HOLDFAST_MAX_ADDRESS_STARTS_PER_MINUTE": str(ADDRESS),
    "HOLDFAST_MAX_LIVE_ANSWERS": str(LIVE),
    "HOLDFAST_MAX_PROMPT_CHARS": str(CHARS),
    "HOLDFAST_MAX_STREAM_READERS": "2",
    "HOLDFAST_MAX_READERS": "3",
}


@pytest.fixture(scope="module")
def server() -> Iterator[System]:
    """A system with small limits, to which nothing is delivered."""
    with running.system(LIMITS) as found:
        found.door.set("held")
        yield found


@pytest.fixture
def system(server: System) -> Iterator[System]:
    """With every allowance full and every place free, before and after."""
    _clear(server)
    yield server
    for stream in _streams(server):
        server.redis_do("DEL", f"{server.prefix}:stream:{stream}")
    _clear(server)


def _clear(system: System) -> None:
    for key in system.key_names():
        if re.search(r":(rate|live|due):?", key):
            system.redis_do("DEL", key)


def _streams(system: System) -> list[str]:
    return [key.rpartition(":")[2] for key in system.key_names() if ":stream:" in key]


def ask(system: System, **more: Any) -> httpx.Response:
    """Start an answer."""
    return system.http.post("/api/streams", json={"prompt": "Why?"}, **more)


def full(system: System) -> None:
    """Make room for as many live answers as there have been."""
    for key in system.key_names():
        if ":live:" in key:
            system.redis_do("DEL", key)


def test_what_a_start_costs_in_commands(system: System) -> None:
    """Limits add three: one for the owner's allowance, one for the address's, one for the place."""
    before = system.stats()
    assert ask(system).status_code == 202
    after = system.stats()
    counts = {name: after["commands"][name] - before["commands"].get(name, 0) for name in after["commands"]}
    assert {name: count for name, count in counts.items() if count} == {"EVAL": 3, "XADD": 1, "PEXPIRE": 2, "ZADD": 1}


def test_an_owner_s_starts(system: System) -> None:
    """429 with a code, a time and what to do; nothing is started; the other routes go on."""
    for _ in range(OWNER):
        assert ask(system).status_code == 202
        full(system)
    streams = _streams(system)
    reply = ask(system)
    assert 1 <= int(reply.headers["retry-after"]) <= 60 // OWNER
    message = refused(reply, 429, "limit_starts_owner")
    assert f"try again in {reply.headers['retry-after']} second" in message
    reply = system.http.post("/api/chat", json={"id": "c", "messages": [{"role": "user", "content": "Why?"}]})
    refused(reply, 429, "limit_starts_owner")
    assert _streams(system) == streams
    assert system.status(streams[0])["state"] == "queued"


def test_an_address_s_starts_whatever_its_headers_say(system: System) -> None:
    """A caller who forges another platform's headers with every request is the same caller."""
    for number in range(OWNER):
        forged = f"203.0.113.{number}"
        headers = {
            "x-real-ip": forged,
            "x-vercel-forwarded-for": forged,
            "x-amzn-request-context": f'{{"http": {{"sourceIp": "{forged}"}}}}',
            "forwarded": f"for={forged}",
        }
        assert ask(system, headers=headers).status_code == 202
        full(system)
    (bucket,) = [key for key in system.key_names() if ":rate:address:" in key]
    assert system.redis_do("HGET", bucket, "tokens") == str(ADDRESS - OWNER)


def test_an_owner_s_live_answers(system: System) -> None:
    """429 while so many are written; a stop makes room at once."""
    for _ in range(LIVE):
        assert ask(system).status_code == 202
    reply = ask(system)
    assert int(reply.headers["retry-after"]) >= 1
    refused(reply, 429, "limit_live")
    system.stop(_streams(system)[0])
    assert ask(system).status_code == 202


def test_a_repeat_of_a_start_joins_it_over_the_limit(system: System) -> None:
    """By its Idempotency-Key it is the answer that was let in."""
    first = ask(system, headers={"idempotency-key": "k"})
    for _ in range(LIVE - 1):
        ask(system)
    assert ask(system).status_code == 429
    again = ask(system, headers={"idempotency-key": "k"})
    assert (again.status_code, again.json()["id"], again.json()["created"]) == (202, first.json()["id"], False)


def test_a_prompt_that_is_too_long(system: System) -> None:
    """413, counted in characters, and without a time: the same would be refused for ever."""
    before = system.key_names()
    reply = system.http.post("/api/streams", json={"prompt": "☃" * (CHARS + 1)})
    assert str(CHARS) in refused(reply, 413, "prompt_too_large")
    assert "retry-after" not in reply.headers
    assert system.key_names() == before
    assert system.http.post("/api/streams", json={"prompt": "☃" * CHARS}).status_code == 202


def test_a_store_that_is_down(system: System) -> None:
    """503, never let in: neither started nor enqueued."""
    enqueued = system.enqueued()
    system.redis.set("cut")
    try:
        reply = ask(system)
    finally:
        system.redis.set("open")
    assert int(reply.headers["retry-after"]) >= 1
    refused(reply, 503, "store_unavailable")
    assert (_streams(system), system.enqueued()) == ([], enqueued)


def test_readers_of_one_stream(system: System) -> None:
    """The third is told by an empty body when to come back, which every EventSource does; one who leaves makes room."""
    stream, other = ask(system).json()["id"], ask(system).json()["id"]
    with ExitStack() as readers:
        for _ in range(2):
            assert _reading(system, readers, stream).headers["x-holdfast-stream"] == stream
        reply = system.http.get(f"/api/streams/{stream}")
        assert (reply.status_code, reply.content) == (200, b"retry: 5000\n")
        assert (reply.headers["x-holdfast-limit"], reply.headers["retry-after"]) == ("limit_readers", "5")
        assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
        _reading(system, readers, other)
        assert system.http.head(f"/api/streams/{stream}").status_code == 200  # needs no place
    until(lambda: _gets_in(system, stream), "place of a reader who left")


def test_readers_of_all_streams(system: System) -> None:
    """With as many as the process serves, a chat is refused before it is started, since it could not be read; a start
    that is read later is not.
    """
    streams = [ask(system).json()["id"] for _ in range(2)]
    chat = {"id": "full", "messages": [{"id": "m", "role": "user", "content": "Why?"}]}
    with ExitStack() as readers:
        for stream in (streams[0], streams[0], streams[1]):
            _reading(system, readers, stream)
        assert system.http.get(f"/api/streams/{streams[1]}").content == b"retry: 5000\n"
        before = _streams(system)
        assert "Nothing was started" in refused(system.http.post("/api/chat", json=chat), 429, "limit_readers")
        assert _streams(system) == before
        assert ask(system, headers={"idempotency-key": "later"}).status_code == 202
    until(lambda: _gets_in(system, streams[0]), "place of a reader who left")


def test_a_reader_who_resumes_a_chat(system: System) -> None:
    """The AI SDK's own client never comes back by itself, so it is told 429, which it shows."""
    stream = system.ask("Why?", chat_id="c")
    with ExitStack() as readers:
        for _ in range(2):
            _reading(system, readers, stream)
        reply = system.http.get("/api/chat/c/stream")
        assert reply.headers["retry-after"] == "5"
        refused(reply, 429, "limit_readers")
    until(lambda: _gets_in(system, stream), "place of a reader who left")


def _reading(system: System, readers: ExitStack, stream: str) -> httpx.Response:
    """Begin to read, and go on until the block ends."""
    reply = readers.enter_context(system.http.stream("GET", f"/api/streams/{stream}"))
    body = reply.iter_raw()
    assert next(body) == b":\nretry: 1000\n"
    readers.callback(lambda: body)  # an iterator that nobody holds closes its response
    return reply


def _gets_in(system: System, stream: str) -> bool:
    with system.http.stream("GET", f"/api/streams/{stream}") as reply:
        return "x-holdfast-limit" not in reply.headers
