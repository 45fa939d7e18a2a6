"""Conversations: what the model is told of earlier turns, and which starts are one and the same."""

from __future__ import annotations

from typing import Any

from tests.e2e.system import System
from tests.e2e.waiting import until


def test_the_model_sees_the_first_answer_in_the_second_turn(system: System) -> None:
    """Chapter H: the server's history goes to the model, the client sends its new message alone."""
    first = "What is a hitch?"
    system.finished(system.ask(first, chat_id="turns"))
    second = "And a splice?"
    system.finished(system.ask(second, chat_id="turns"))
    (told,) = system.calls(second)
    (answer,) = system.calls(first)
    assert [(each["role"], each["content"]) for each in told["messages"]] == [
        ("user", first),
        ("assistant", answer["text"]),
        ("user", second),
    ]
    shown = system.http.get("/api/chat/turns").json()
    assert [each["role"] for each in shown["messages"]] == ["user", "assistant"] * 2


def test_the_same_start_twice_is_one_answer(system: System) -> None:
    """Rule S2: with one ``Idempotency-Key`` there is one stream and one call, while it is live and after its end; the
    key with another body is refused.
    """
    prompt = "standin: tokens=80 rate=40\nOnce, please."
    headers = {"idempotency-key": "a key of the tests"}

    def start(text: str) -> dict[str, Any]:
        return dict(system.http.post("/api/streams", json={"prompt": text}, headers=headers).json())

    begun = start(prompt)
    assert begun["created"] is True
    live = start(prompt)
    assert (live["id"], live["created"]) == (begun["id"], False)
    system.finished(begun["id"])
    over = start(prompt)
    assert (over["id"], over["created"]) == (begun["id"], False)
    assert start("Something else.")["error"]["code"] == "idempotency_key_reused"
    assert len(system.calls(prompt)) == 1
    assert len(system.messages(begun["id"])) == 1


def test_another_start_in_a_live_chat_is_refused(system: System) -> None:
    """Rule H3: 409 names the live stream and calls no model; the same message joins; after the end the chat goes on."""
    prompt = "standin: tokens=400 rate=40\nA long story."
    live = system.ask(prompt, chat_id="busy")
    other = {"prompt": "Meanwhile?", "chat_id": "busy"}
    reply = system.http.post("/api/streams", json=other)
    assert reply.status_code == 409
    error = reply.json()["error"]
    assert (error["code"], error["stream"]) == ("chat_busy", live)
    assert live in error["message"]
    joined = system.http.post("/api/streams", json={"prompt": prompt, "chat_id": "busy"})
    assert (joined.status_code, joined.json()["id"], joined.json()["created"]) == (202, live, False)
    system.stop(live)
    after = system.http.post("/api/streams", json=other)
    assert after.status_code == 202
    system.finished(after.json()["id"])
    assert [len(system.calls(text)) for text in (prompt, "Meanwhile?")] == [1, 1]


def test_a_chat_is_nobody_elses(system: System) -> None:
    """Chats do not mix: another chat's turn is told nothing of the first one, and an unknown one is 404."""
    system.finished(system.ask("My secret.", chat_id="one"))
    system.finished(system.ask("What was it?", chat_id="two"))
    (told,) = system.calls("What was it?")
    assert [each["content"] for each in told["messages"]] == ["What was it?"]
    assert system.http.get("/api/chat/three").status_code == 404
    until(lambda: system.http.get("/api/chat/one").json()["stream"] is None, "end of the chat's answer")
