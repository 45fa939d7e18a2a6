"""The list of chats, and deleting one, over real processes (chapters J and W)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.reading import Reader
from tests.e2e.system import System
from tests.e2e.waiting import until
from tests.http.refusals import refused, without_a_trace


def listed(system: System, **query: Any) -> dict[str, Any]:
    """A page of the list."""
    reply = system.http.get("/api/chats", params=query)
    assert reply.status_code == 200, reply.text
    return dict(reply.json())


def named(system: System, *ids: str) -> list[dict[str, Any]]:
    """The chats of these ids, in the order of the list."""
    return [chat for chat in listed(system, limit=100)["chats"] if chat["id"] in ids]


def test_chats_are_listed_newest_first(system: System) -> None:
    """Rules J2, W8: titles, times and the live answer; pages by ``before``; a new turn brings a chat to the top."""
    system.finished(system.ask("What is\na hitch?", chat_id="list-1"))
    live = system.ask("standin: tokens=400 rate=40\nA long one.", chat_id="list/2")
    two, one = named(system, "list-1", "list/2")
    assert (two["id"], two["stream"]) == ("list/2", live)
    assert one == {"id": "list-1", "title": "What is a hitch?", "updated_at": one["updated_at"], "stream": None}
    assert two["updated_at"] >= one["updated_at"] > 1_700_000_000_000
    first = listed(system, limit=1)
    assert ([chat["id"] for chat in first["chats"]], first["more"]) == (["list/2"], True)
    assert listed(system, limit=1, before=two["updated_at"])["chats"][0]["id"] == "list-1"
    assert listed(system, before=0) == {"chats": [], "more": False}
    system.stop(live)
    system.finished(system.ask("And a splice?", chat_id="list-1"))
    assert [(chat["id"], chat["stream"]) for chat in named(system, "list-1", "list/2")] == [
        ("list-1", None),
        ("list/2", None),
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("limit", value) for value in ("0", "101", "ten", "", "-1", "1.5")),
        *(("before", value) for value in ("-1", "yesterday", "9" * 16, "\u0661")),
    ],
)
def test_bad_pages(calm: System, name: str, value: str) -> None:
    """Rule W8: 400 says what to send."""
    with without_a_trace(calm):
        message = refused(calm.http.get("/api/chats", params={name: value}), 400, "query_invalid", field=name)
        assert "whole number" in message


def test_a_chat_is_deleted_with_its_live_answer(system: System) -> None:
    """Rules J6, J7, J8: 204, and again; the reader gets the end, nothing is left to read, the model's call is cut."""
    text = "standin: tokens=2000 rate=40\nA very long one."
    system.finished(system.ask("Before it.", chat_id="dele/ted"))
    live = system.ask(text, chat_id="dele/ted")
    with Reader(f"{system.url}/api/streams/{live}") as reader:
        until(lambda: reader.text, "text of the live answer")
        reply = system.http.delete("/api/chat/dele%2Fted")
        assert (reply.status_code, reply.content) == (204, b"")
        *_, abort, done = reader.to_end()
        assert (abort.chunk["type"], done.data) == ("abort", b"[DONE]")
    refused(system.http.get("/api/chat/dele/ted"), 404, "chat_unknown")
    refused(system.http.get(f"/api/streams/{live}"), 404, "stream_unknown")
    assert system.http.get("/api/chat/dele/ted/stream").status_code == 204
    assert named(system, "dele/ted") == []
    until(lambda: system.messages(live)[0]["state"] != "ACTIVE", "end of the delivery")
    assert system.calls(text)[0]["tokens_sent"] < 2_000
    assert len(system.calls(text)) == 1
    assert system.http.delete("/api/chat/dele/ted").status_code == 204


def test_a_chat_that_never_was_cannot_be_deleted(calm: System) -> None:
    """404, and nothing is written."""
    with without_a_trace(calm):
        refused(calm.http.delete("/api/chat/nobody"), 404, "chat_unknown")


@pytest.mark.parametrize("chat", ["a/stream", "/stream"])
def test_an_id_that_would_be_another_chats_route_is_refused(calm: System, chat: str) -> None:
    """Rule H9: 400 by both routes that start, and nothing is written."""
    message = {"id": "m1", "role": "user", "parts": [{"type": "text", "text": "Why?"}]}
    with without_a_trace(calm):
        reply = calm.http.post("/api/chat", json={"id": chat, "messages": [message]})
        assert "another id" in refused(reply, 400, "chat_id_reserved", field="id")
        reply = calm.http.post("/api/streams", json={"prompt": "Why?", "chat_id": chat})
        refused(reply, 400, "chat_id_reserved", field="chat_id")
