"""Services that cannot be reached, refuse or answer nothing, as the client sees it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.reading import Reader, kinds, parse, text_of
from tests.e2e.system import System
from tests.e2e.waiting import until
from tests.http.refusals import refused, without_a_trace

#: A start that touches everything that a start can touch.
START: dict[str, Any] = {"json": {"prompt": "Is it there?", "chat_id": "c"}, "headers": {"idempotency-key": "k"}}
CHAT: dict[str, Any] = {"json": {"id": "c", "messages": [{"id": "m", "role": "user", "content": "Is it there?"}]}}


@pytest.mark.parametrize(
    ("path", "request_"),
    [("/api/streams", START), ("/api/streams", {"json": {"prompt": "Is it there?"}}), ("/api/chat", CHAT)],
    ids=["keyed", "plain", "chat"],
)
def test_a_start_while_the_store_is_unreachable(calm: System, path: str, request_: dict[str, Any]) -> None:
    """503 with ``Retry-After``, and nothing is left behind."""
    with without_a_trace(calm):
        calm.redis.set("cut")
        try:
            reply = calm.http.post(path, **request_)
        finally:
            calm.redis.set("open")
    assert int(reply.headers["retry-after"]) >= 1
    assert reply.json()["error"]["code"] in {"store_unavailable", "not_started"}
    refused(reply, 503, reply.json()["error"]["code"])


@pytest.mark.parametrize(("path", "request_"), [("/api/streams", START), ("/api/chat", CHAT)], ids=["stream", "chat"])
def test_a_start_while_the_queue_is_unreachable(calm: System, path: str, request_: dict[str, Any]) -> None:
    """Rule S4: 503 with ``Retry-After``, and no half-open stream, claim or key is left behind."""
    with without_a_trace(calm):
        calm.qstash.set("cut")
        try:
            reply = calm.http.post(path, **request_)
        finally:
            calm.qstash.set("open")
        assert int(reply.headers["retry-after"]) >= 1
        refused(reply, 503, "not_started")


def test_a_start_whose_enqueuing_is_not_confirmed(calm: System) -> None:
    """Rule S4: the queue took the message and its answer was lost: 503, nothing is left behind, and the delivery of
    that message calls no model; the same start again is an answer.
    """
    before, calls = calm.snapshot(), calm.calls()
    calm.qstash.set("deaf")
    calm.door.set("held")
    try:
        reply = calm.http.post("/api/streams", **START)
        refused(reply, 503, "not_started")
        known = {message["id"] for message in calm.control_queue("GET", "messages")["messages"]}
        calm.door.set("open")
        until(lambda: _tried(calm, known), "the delivery")
        assert calm.snapshot() == before
        assert calm.calls() == calls
    finally:
        calm.qstash.set("open")
        calm.door.set("open")
    reply = calm.http.post("/api/streams", json={"prompt": "Is it there now?"}, headers={"idempotency-key": "k"})
    assert reply.status_code == 202
    assert calm.finished(reply.json()["id"])["state"] == "finished"
    assert len(calm.calls("Is it there now?")) == 1
    until(lambda: not any(":lease:" in key for key in calm.key_names()), "end of the lease")


def _tried(calm: System, known: set[str]) -> bool:
    """Whether the newest of these messages has been delivered once."""
    found = [each for each in calm.control_queue("GET", "messages")["messages"] if each["id"] in known]
    return bool(found[-1]["tries"])


@pytest.mark.parametrize(
    ("prompt", "code", "word", "calls"),
    [
        ("standin: status=401\nHow?", "model_auth", "API key", 1),
        ("standin: status=404\nHow?", "model_not_found", "HOLDFAST_MODEL", 1),
        ("standin: status=429 quota=1\nHow?", "model_quota", "credit", 1),
        ("standin: status=429\nHow?", "model_rate_limited", "rate", 4),
    ],
    ids=["401", "404", "quota", "429"],
)
def test_a_model_that_refuses(system: System, prompt: str, code: str, word: str, calls: int) -> None:
    """Rule T1: the answer is sealed with an ``error`` part that says which refusal it was; what another try may mend
    is tried four times, what it cannot mend once.
    """
    stream = system.ask(prompt)
    with Reader(f"{system.url}/api/streams/{stream}") as reader:
        events = reader.to_end()
    assert kinds(events) == ["start", "error", "[DONE]"]
    assert word in events[-2].chunk["errorText"]
    status = system.status(stream)
    assert (status["state"], status["error"]["code"], status["attempts"]) == ("failed", code, 1)
    assert len(system.calls(prompt)) == calls
    assert [message["state"] for message in system.messages(stream)] in (["ACTIVE"], ["DELIVERED"])


def test_a_model_that_cannot_be_reached(system: System) -> None:
    """Rule T1: tried again for a while, then sealed with an ``error`` part that says so."""
    system.model.set("cut")
    try:
        stream = system.ask("Anybody there?")
        with Reader(f"{system.url}/api/streams/{stream}") as reader:
            events = reader.to_end()
    finally:
        system.model.set("open")
    assert kinds(events) == ["start", "error", "[DONE]"]
    assert "cannot be reached" in events[-2].chunk["errorText"]
    assert system.status(stream)["error"]["code"] == "model_unreachable"
    assert system.calls("Anybody there?") == []


def test_a_model_that_recovers(system: System) -> None:
    """Rule T1: a refusal that ends before the tries do costs the reader nothing, and the answer is exact."""
    prompt = "standin: status=503 times=2 tokens=20\nOn the third try."
    status = system.finished(system.ask(prompt))
    assert (status["state"], status["attempts"], status["exact"]) == ("finished", 1, True)
    assert [call["status"] for call in system.calls(prompt)] == ["refused", "refused", "completed"]


def test_a_model_that_breaks_off(system: System) -> None:
    """Rules T1 and T2: after a connection cut in mid-answer the same attempt goes on; the text stays one call's."""
    prompt = "standin: tokens=80 rate=100 fail_after=30 times=1\nBreak off."
    stream = system.ask(prompt)
    with Reader(f"{system.url}/api/streams/{stream}") as reader:
        text = text_of(reader.to_end())
    first, second = system.calls(prompt)
    assert (first["status"], second["continues"]) == ("cut", first["id"])
    assert text == first["text"]
    status = system.status(stream)
    assert (status["state"], status["attempts"], status["exact"]) == ("finished", 1, False)


def test_a_resume_while_the_store_is_unreachable(system: System) -> None:
    """Rule F6: 200 with ``retry:`` alone, never a 5xx that ends an EventSource for good; and then the rest."""
    stream = system.ask("A short one.")
    system.finished(stream)
    url = f"/api/streams/{stream}"
    events = parse(system.http.get(url).content)
    headers = {"last-event-id": events[4].id}
    system.redis.set("cut")
    try:
        reply = system.http.get(url, headers=headers)
        assert (reply.status_code, reply.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        assert reply.content == b"retry: 2000\n"
    finally:
        system.redis.set("open")
    assert parse(system.http.get(url, headers=headers).content) == events[5:]


@pytest.mark.parametrize("mode", ["cut", "deaf"], ids=["unreachable", "replies lost"])
def test_the_store_fails_for_a_moment_in_mid_answer(system: System, mode: Any) -> None:
    """Rules A3 and A4: while the store is gone, or takes appends whose replies are lost, the model speaks on; then
    every word is there once, from one call.
    """
    prompt = f"standin: tokens=160 rate=40\nHold on, {mode}."
    stream = system.ask(prompt)
    with Reader(f"{system.url}/api/streams/{stream}") as reader:
        until(lambda: len(reader.text) > 40, "some text")
        before = system.calls(prompt)[0]["tokens_sent"]
        refusals = system.refused_appends()
        system.redis.set(mode)
        try:
            system.called(prompt, before + 20)
        finally:
            system.redis.set("open")
        text = text_of(reader.to_end())
    (call,) = system.calls(prompt)
    assert text == call["text"]
    if mode == "deaf":
        # What is sent again after its reply was lost is what the store refuses, and what must not be there twice.
        assert system.refused_appends() > refusals
    status = system.status(stream)
    assert (status["state"], status["attempts"], status["exact"]) == ("finished", 1, True)
