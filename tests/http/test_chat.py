"""The routes of the stock AI SDK: its own body, a stream in the same response, resuming without a cursor."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.e2e.reading import Reader, parse, text_of
from tests.e2e.system import System
from tests.e2e.waiting import until
from tests.http.refusals import refused


def asked(chat: str, text: str, *before: dict[str, Any], id: str = "m1", **more: Any) -> dict[str, Any]:
    """What ``DefaultChatTransport`` sends."""
    message = {"id": id, "role": "user", "parts": [{"type": "text", "text": text}]}
    return {"id": chat, "messages": [*before, message], "trigger": "submit-message", **more}


def post(system: System, body: dict[str, Any]) -> httpx.Response:
    """Ask and read to the end."""
    reply = system.http.post("/api/chat", json=body)
    assert reply.status_code == 200, reply.text
    return reply


def begun(system: System, body: dict[str, Any]) -> str:
    """Ask, and hang up once the stream is named, as a closed tab does."""
    with system.http.stream("POST", "/api/chat", json=body) as reply:
        assert reply.status_code == 200
        return str(reply.headers["x-holdfast-stream"])


def test_a_start_streams_its_answer(system: System) -> None:
    """The POST's own body is the stream, named in a header, with the headers that the SDK asks for."""
    text = "standin: tokens=30\nHello."
    reply = post(system, asked("first", text))
    stream = reply.headers["x-holdfast-stream"]
    assert reply.headers["x-vercel-ai-ui-message-stream"] == "v1"
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert parse(reply.content) == parse(system.http.get(f"/api/streams/{stream}").content)
    start = parse(reply.content)[0].chunk
    assert start == {"type": "start", "messageId": f"msg_{stream}"}
    shown = system.http.get("/api/chat/first").json()
    (call,) = system.calls(text)
    assert (shown["id"], shown["stream"]) == ("first", None)
    question, answer = shown["messages"]
    assert (question["id"], question["role"], answer["id"], answer["role"]) == (
        "m1",
        "user",
        f"msg_{stream}",
        "assistant",
    )
    assert [part["text"] for part in answer["parts"] if part["type"] == "text"] == [call["text"]]


def test_a_live_answer_is_replayed_from_its_beginning(system: System) -> None:
    """The resume route follows the live answer, whatever cursor comes with the request, and names the stream."""
    text = "standin: tokens=90 rate=60\nA longer one."
    stream = begun(system, asked("live", text))
    system.called(text, 20)
    assert system.http.get("/api/chat/live").json()["stream"] == stream
    reply = system.http.get("/api/chat/live/stream", headers={"last-event-id": "1-2"})
    assert reply.status_code == 200
    assert reply.headers["x-holdfast-stream"] == stream
    assert text_of(parse(reply.content)) == system.calls(text)[0]["text"]
    assert system.status(stream)["state"] == "finished"


def test_an_ended_answer_is_replayed_for_a_while(system: System) -> None:
    """Rule W6: just after its end the answer is still there from its beginning; 15 seconds later there is nothing to
    resume.
    """
    stream = begun(system, asked("ended", "A short one."))
    system.finished(stream)
    reply = system.http.get("/api/chat/ended/stream")
    assert parse(reply.content) == parse(system.http.get(f"/api/streams/{stream}").content)
    until(lambda: system.messages(stream)[0]["state"] == "DELIVERED", "end of the delivery")
    _age(system, stream, seconds=16)
    reply = system.http.get("/api/chat/ended/stream")
    assert (reply.status_code, reply.content) == (204, b"")
    assert len(system.http.get("/api/chat/ended").json()["messages"]) == 2


def _age(system: System, stream: str, seconds: int) -> None:
    """Make the end of an answer older than it is."""
    entries, key = system.entries(stream), f"{system.prefix}:stream:{stream}"
    id, text = entries[-1]
    record = json.loads(text)
    entries[-1] = (id, json.dumps(record | {"at": record["at"] - seconds * 1_000}))
    system.redis_do("DEL", key)
    for id, text in entries:
        system.redis_do("XADD", key, id, "r", text)


@pytest.mark.parametrize(
    ("chat", "paths"),
    [
        ("with/slash", ["with/slash", "with%2Fslash"]),
        ("a%2Fb", ["a%252Fb"]),
        ("ünï cødé/?#x", ["%C3%BCn%C3%AF%20c%C3%B8d%C3%A9/%3F%23x"]),
        ("stream", ["stream"]),
    ],
)
def test_a_chat_id_may_hold_anything(system: System, chat: str, paths: list[str]) -> None:
    """An id with a slash, escaped or not, is that one chat's on both routes."""
    text = f"standin: tokens=10\nIn {chat}."
    post(system, asked(chat, text))
    for path in paths:
        assert system.http.get(f"/api/chat/{path}").json()["id"] == chat
        reply = system.http.get(f"/api/chat/{path}/stream")
        assert text_of(parse(reply.content)) == system.calls(text)[0]["text"]


def test_the_same_message_again_is_the_same_answer(system: System) -> None:
    """Rule H3: a repeated POST joins the live answer, and after the end replays it; the model is called once."""
    text = "standin: tokens=60 rate=60\nOnce."
    body = asked("again", text)
    stream = begun(system, body)
    joined = post(system, body)
    assert joined.headers["x-holdfast-stream"] == stream
    after = post(system, body)
    assert after.headers["x-holdfast-stream"] == stream
    assert parse(after.content) == parse(joined.content)
    assert len(system.calls(text)) == 1


def test_another_message_in_a_live_chat(system: System) -> None:
    """Rule H3: 409 names the live stream; with the live partial in its messages the request stops that answer and goes
    on after it.
    """
    text = "standin: tokens=400 rate=40\nA long one."
    stream = begun(system, asked("busy", text))
    with Reader(f"{system.url}/api/streams/{stream}") as reader:
        until(lambda: reader.text, "text of the live answer")
        reply = system.http.post("/api/chat", json=asked("busy", "And now?", id="m2"))
        assert stream in refused(reply, 409, "chat_busy", stream=stream)
        partial = {"id": f"msg_{stream}", "role": "assistant", "parts": [{"type": "text", "text": "made up"}]}
        post(system, asked("busy", "Never mind.", partial, id="m3"))
        stopped = text_of(reader.to_end())
    assert system.status(stream)["state"] == "stopped"
    (call,) = system.calls("Never mind.")
    # The server's history is what the model is told, and not the client's.
    assert [message["content"] for message in call["messages"]] == [text, stopped, "Never mind."]
    assert system.calls("And now?") == []


def test_a_regeneration_is_a_new_answer(system: System) -> None:
    """Rule H1: the old answer is dropped, the model is asked the same again, and the chat has one answer."""
    text = "Say it another way."
    old = post(system, asked("regenerated", text)).headers["x-holdfast-stream"]
    body = asked("regenerated", text, trigger="regenerate-message", messageId=f"msg_{old}")
    new = post(system, body).headers["x-holdfast-stream"]
    assert new != old
    first, second = system.calls(text)
    assert [message["content"] for message in second["messages"]] == [text]
    shown = system.http.get("/api/chat/regenerated").json()["messages"]
    assert [message["id"] for message in shown] == ["m1", f"msg_{new}"]
    assert [part["text"] for part in shown[1]["parts"] if part["type"] == "text"] == [second["text"]]
    assert first["text"] != second["text"]
