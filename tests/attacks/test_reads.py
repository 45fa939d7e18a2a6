"""Attacks through what readers send and models say: forged lines in a stream, forged cursors, forged names."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest

from holdfast.errors import Unavailable
from holdfast.generation import Part
from tests.clocks import run, virtual
from tests.e2e.reading import parse, text_of
from tests.fuzz.app import App
from tests.publishing.stage import Script

#: What ends a line, or a text, for some reader of something.
BREAKS = ["\n", "\r", "\r\n", "\n\n", "\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x00", "\x1c", "\ufeff"]
FORGED = "{0}{0}event: error{0}id: 9-9{0}retry: 1{0}data: [DONE]{0}{0}"


async def answered(app: App, **body: Any) -> str:
    """An answer that has its end."""
    started = json.loads(
        (await app.ask("POST", "/api/streams", body=json.dumps({"prompt": "Why?"} | body).encode())).body
    )
    stream = str(started["id"])
    delivery = json.dumps({"stream": stream, "attempt": 1}).encode()
    assert (await app.deliver(delivery)).status == 200
    return stream


@pytest.mark.parametrize("end", BREAKS, ids=ascii)
def test_text_that_ends_lines(end: str) -> None:
    """A model that writes the frames of a stream writes text: no event, id, retry or end comes of it."""

    @virtual
    async def check() -> None:
        attack = FORGED.format(end)
        app = App(Script([attack, {"type": "data-note", "data": {attack: attack}}, "after"]))
        stream = await answered(app)
        reply = await app.ask("GET", f"/api/streams/{stream}")
        lines = reply.body.split(b"\n")
        assert reply.body.isascii()
        assert b"\r" not in reply.body
        assert {line.partition(b":")[0] for line in lines} == {b"", b"id", b"data", b"retry"}
        assert lines.count(b"data: [DONE]") == 1
        assert lines.count(b"retry: 1") == 0
        events = parse(reply.body)
        assert text_of(events) == attack + "after"
        assert [event.chunk["data"] for event in events[:-1] if event.chunk["type"] == "data-note"] == [
            {attack: attack}
        ]

    check()


@pytest.mark.parametrize("end", BREAKS, ids=ascii)
@pytest.mark.parametrize(
    "shape",
    [
        {"type": "text-start", "id": "{}"},
        {"type": "data-{}", "data": 1},
        {"type": "data-x", "id": "{}", "data": 1},
        {"type": "source-url", "sourceId": "{}", "url": "https://a.example/{}"},
        {"type": "tool-input-start", "toolCallId": "{}", "toolName": "{}"},
        {"type": "{}"},
    ],
    ids=lambda shape: shape["type"],
)
def test_names_that_end_lines(shape: Part, end: str) -> None:
    """The same in types, ids, names and addresses of chunks: each is data, or the chunk is refused as none."""

    @virtual
    async def check() -> None:
        attack = FORGED.format(end)
        app = App(Script([{name: _filled(value, attack) for name, value in shape.items()}]))
        reply = await app.ask("GET", f"/api/streams/{await answered(app)}")
        assert reply.body.isascii()
        assert b"\r" not in reply.body
        kinds = [event.chunk["type"] for event in parse(reply.body)[:-1]]
        assert reply.body.count(b"\ndata: [DONE]\n") == 1
        assert kinds[-1] in {"finish", "error"}

    check()


def _filled(value: Any, attack: str) -> Any:
    return value.replace("{}", attack) if isinstance(value, str) else value


@pytest.mark.parametrize("end", BREAKS, ids=ascii)
def test_the_text_of_an_error_that_ends_lines(end: str) -> None:
    """What a generator says of its failure is told in one event."""

    @virtual
    async def check() -> None:
        app = App(Script(["a", {"type": "error", "errorText": FORGED.format(end)}]))
        stream = await answered(app)
        reply = await app.ask("GET", f"/api/streams/{stream}")
        assert reply.body.isascii()
        assert parse(reply.body)[-2].chunk["errorText"] == FORGED.format(end)
        status = json.loads((await app.ask("GET", f"/api/streams/{stream}/status")).body)
        assert status["state"] == "failed"

    check()


CURSORS = [
    "1-1\nid: 9-9", "1-1\r\nset-cookie: a=b", "1-1 +", "(1-1", "-", "+", "$", "*", ">", "0", "1-*", "1-1-1", "-1-1",
    "1--1", "0x1-1", "1e3-0", "\u0661-1", "1-1\x00", "1_0-1", "99999999999999999999-0", "1-1.99999999999999999999",
    "1-1.-1", "' OR 1=1", "1-1 COUNT 1", "../../due",
]  # fmt: skip


@pytest.mark.parametrize("cursor", CURSORS, ids=ascii)
@pytest.mark.parametrize("by", ["header", "query"])
def test_a_cursor_that_is_more_than_a_cursor(by: str, cursor: str) -> None:
    """400: nothing of it reaches the store as a range, an option or another key, and nothing of it is echoed."""

    async def check() -> None:
        app = App()
        stream = await answered(app)
        seen: list[object] = []
        app.memory.watch = seen.append
        where: dict[str, Any] = {"headers": [(b"last-event-id", cursor.encode())]}
        if by == "query":
            where = {"query": b"last_event_id=" + quote(cursor).encode()}
        reply = await app.ask("GET", f"/api/streams/{stream}", **where)
        assert (reply.status, reply.code) == (400, "cursor_malformed")
        assert seen == []
        assert len(cursor) < 3 or cursor.encode() not in reply.body

    run(check())


NAMES = [
    "a\r\nset-cookie: stolen=1", "a\nx-injected: 1", "a\x00b", "\u2028", "日本", "due", "chats", "*", "[a-z]*", "?",
    "lease:{id}:1", "{id}:x", "{id}\n", " {id}", "{id} ", "../stream:{id}", "t:stream:{id}", "{id}.1", "..",
    "A" * 31, "-" * 29,
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_name_that_is_more_than_a_name(name: str) -> None:
    """Separators, patterns and line ends in a stream's name lead to no other key: it is unknown, on every route."""

    async def check() -> None:
        app = App(max_seconds=1.0)
        stream = await answered(app, chat_id="c")
        before = sorted(app.memory.keys())
        path = f"/api/streams/{name.replace('{id}', stream)}"
        for method, route in (("GET", path), ("GET", f"{path}/status"), ("POST", f"{path}/stop")):
            reply = await app.ask(method, route)
            assert (reply.status, reply.code) in {(404, "stream_unknown"), (404, "route_unknown")}
            assert "x-holdfast-stream" not in reply.headers
        assert sorted(app.memory.keys()) == before

    run(check())


@pytest.mark.parametrize("name", ["a\r\nset-cookie: stolen=1", "a\nx-injected: 1", "日本", "a\x00"], ids=ascii)
def test_a_name_that_would_be_a_header_while_the_store_is_down(name: str) -> None:
    """The body that brings an EventSource back names its stream in a header, but not whatever the path says."""

    async def check() -> None:
        app = App()
        app.memory.fault = Unavailable("down")
        reply = await app.ask("GET", f"/api/streams/{name}")
        assert "x-holdfast-stream" not in reply.headers
        assert not any("\n" in value or "\r" in value for value in reply.headers.values())
        known = app.stream_id()
        assert (await app.ask("GET", f"/api/streams/{known}")).headers["x-holdfast-stream"] == known

    run(check())


@pytest.mark.parametrize("chat", ["a:b", "*", "c:turns", "../c", "a\u00a0b", "{c}", "c/../d", "%2e%2e", "t:chat:c"])
def test_a_chats_name_that_is_more_than_a_name(chat: str) -> None:
    """A chat's keys hold a digest of its name: separators and patterns in it lead to no other chat and no other key."""

    async def check() -> None:
        app = App()
        await answered(app, chat_id="c")
        known = set(app.memory.keys())
        reply = await app.ask("GET", f"/api/chat/{chat}")
        assert reply.status in {204, 404}
        if chat.isprintable():
            await answered(app, chat_id=chat)
        # The name itself stands in no key: what it could break out of, it never gets into.
        added = set(app.memory.keys()) - known
        assert all(chat not in key.removeprefix("t:") for key in added if ":chat:" in key or ":stream:" in key)
        shown = json.loads((await app.ask("GET", "/api/chat/c")).body)
        assert len(shown["messages"]) == 2, "another chat's turn came into this one"

    run(check())


@virtual
async def test_the_status_tells_no_content() -> None:
    """State, counts and times: neither the question nor the answer, in any field of it."""
    app = App(Script(["canary-answer", {"type": "data-canary", "data": {"k": "canary-data"}}]))
    body = {"messages": [{"id": "canary-id", "role": "user", "content": "canary-question"}], "canary-extra": "canary-x"}
    started = json.loads((await app.ask("POST", "/api/streams", body=json.dumps(body).encode())).body)
    stream = started["id"]
    for _ in range(2):
        reply = await app.ask("GET", f"/api/streams/{stream}/status")
        assert reply.status == 200
        assert b"canary" not in reply.body
        assert (await app.deliver(json.dumps({"stream": stream, "attempt": 1}).encode())).status == 200
    assert json.loads(reply.body)["characters"] > 0
