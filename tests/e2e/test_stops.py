"""Stopping: in mid-answer, before it has begun, and again."""

from __future__ import annotations

import time

from tests.e2e.reading import Reader, kinds, parse, text_of
from tests.e2e.system import System
from tests.e2e.waiting import until

SECOND_NS = 1_000_000_000


def test_a_stop_in_mid_answer_ends_every_reader_within_a_second(system: System) -> None:
    """Rules E3 and E4: both readers get ``abort`` and ``[DONE]`` within a second of the request, the partial stays for
    later readers and in the chat, the model is cancelled, and a second stop changes nothing.
    """
    prompt = "standin: tokens=400 rate=40\nTell me of ropes."
    stream = system.ask(prompt, chat_id="stopped chat")
    url = f"{system.url}/api/streams/{stream}"
    with Reader(url) as first, Reader(url) as second:
        until(lambda: len(first.text) > 40 and len(second.text) > 40, "text at both readers")
        asked = time.time_ns()
        assert system.stop(stream) == {"id": stream, "stopped": True, "state": "stopped"}
        events = first.to_end()
        assert second.to_end() == events
        for reader in (first, second):
            assert reader.events[-1].at_ns - asked < SECOND_NS
    text = text_of(events)
    assert kinds(events)[-2:] == ["abort", "[DONE]"]
    call = until(lambda: (found := system.calls(prompt)[0])["status"] != "running" and found, "end of the call")
    assert call["status"] == "disconnected"
    assert call["tokens_sent"] < 400
    assert text
    assert call["text"].startswith(text)

    before = system.entries(stream)
    assert system.stop(stream) == {"id": stream, "stopped": False, "state": "stopped"}
    assert system.entries(stream) == before
    assert parse(system.http.get(url).content) == events
    shown = system.http.get("/api/chat/stopped chat").json()
    assert shown["stream"] is None
    assert [part["text"] for part in shown["messages"][1]["parts"] if part["type"] == "text"] == [text]


def test_a_stop_before_the_generator_has_begun_prevents_it(system: System) -> None:
    """Rules E4 and K3: the queue's delivery comes after the stop, finds the end and calls no model."""
    prompt = "Never say this."
    system.door.set("held")
    try:
        stream = system.ask(prompt)
        url = f"/api/streams/{stream}"
        assert system.status(stream)["state"] == "queued"
        assert system.stop(stream)["stopped"] is True
        assert kinds(parse(system.http.get(url).content)) == ["abort", "[DONE]"]
    finally:
        system.door.set("open")
    (message,) = until(
        lambda: [each for each in system.messages(stream) if each["state"] == "DELIVERED"], "the delivery"
    )
    assert [each["status"] for each in message["tries"]] == [200]
    assert system.calls(prompt) == []
    status = system.status(stream)
    assert (status["state"], status["attempts"], status["characters"]) == ("stopped", 0, 0)
