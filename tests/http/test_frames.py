"""Server-sent events byte for byte (chapter F): what stands in a body, and where a reader goes on."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest

from tests.e2e.reading import Event, Reader, parse, text_of
from tests.e2e.system import Standins, System, system

CONNECTED = b":\nretry: 1000\n"


@pytest.fixture(scope="module")
def finished(system: System) -> str:
    """A finished answer with entries of several parts."""
    stream = system.ask("standin: tokens=40 rate=200 reasoning=10\nSpeak.")
    system.finished(stream)
    return stream


def read(system: System, stream: str, cursor: str = "", query: str = "") -> httpx.Response:
    """Read from a cursor in the header, in the query, or in both."""
    headers = {"last-event-id": cursor} if cursor else {}
    params = {"last_event_id": query} if query else {}
    return system.http.get(f"/api/streams/{stream}", headers=headers, params=params)


def frame(cursor: str, chunk: Any) -> bytes:
    """An event as rule F1 has it."""
    data = json.dumps(chunk, ensure_ascii=True, separators=(",", ":"))
    return f"id: {cursor}\ndata: {data}\n\n".encode()


def test_the_headers(system: System, finished: str) -> None:
    """Rule W4: what proxies and clients need, on a live body as on a replayed one."""
    reply = read(system, finished)
    wanted = {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-cache, no-transform",
        "x-accel-buffering": "no",
        "x-vercel-ai-ui-message-stream": "v1",
        "x-holdfast-stream": finished,
    }
    assert reply.status_code == 200
    assert {name: reply.headers.get(name) for name in wanted} == wanted
    assert "content-encoding" not in reply.headers


def test_a_whole_body(system: System, finished: str) -> None:
    """Rules F1, F2 and F4: the body is what the log holds, event by event, under the cursors of the protocol."""
    body, shared = CONNECTED, 0
    for id, text in system.entries(finished):
        record = json.loads(text)
        if record["t"] == "parts":
            shared += len(record["parts"]) > 1
            last = len(record["parts"]) - 1
            for index, chunk in enumerate(record["parts"]):
                body += frame(id if index == last else f"{id}.{index}", chunk)
    id, text = system.entries(finished)[-1]
    end = json.loads(text)
    summary = {
        "usage": end["usage"],
        "parts": end["parts"],
        "characters": end["characters"],
        "timeToFirstTokenMs": end["ttft_ms"],
        "durationMs": end["duration_ms"],
        "attempts": 1,
        "handoffs": 0,
        "takeovers": 0,
        "rescues": 0,
        "exact": True,
    }
    assert shared, "no entry has several parts: the cursors inside of one were not tried"
    body += frame(f"{id}.0", {"type": "finish", "finishReason": "stop", "messageMetadata": summary})
    body += f"id: {id}\ndata: [DONE]\n\n".encode()
    assert read(system, finished).content == body


def test_every_cursor_gives_exactly_the_rest(system: System, finished: str) -> None:
    """Rule C3: from each event's id, in the header or in the query, the reader gets what follows, once."""
    events = parse(read(system, finished).content)
    for index, event in enumerate(events[:-1]):
        assert parse(read(system, finished, event.id).content) == events[index + 1 :]
        assert read(system, finished, query=event.id).content == read(system, finished, event.id).content


def test_the_end_again_is_204(system: System, finished: str) -> None:
    """Rule D3: an EventSource that has the end comes back once more and is told to stop; the event before is not it."""
    *_, before, end = parse(read(system, finished).content)
    for reply in (read(system, finished, end.id), read(system, finished, query=end.id)):
        assert (reply.status_code, reply.content) == (204, b"")
    assert parse(read(system, finished, before.id).content) == [end]


def test_the_header_wins_over_the_query(system: System, finished: str) -> None:
    """Rule W2: an EventSource repeats its first query for ever; where it stands is in the header."""
    events = parse(read(system, finished).content)
    early, late = events[1].id, events[-3].id
    assert parse(read(system, finished, late, query=early).content) == events[-2:]
    assert parse(read(system, finished, early, query=late).content) == events[2:]
    assert parse(read(system, finished, late, query="nonsense").content) == events[-2:]


def test_cursors_grow_as_numbers(system: System) -> None:
    """Rule C2: ids grow from event to event, compared as numbers, past the tenth entry as well."""
    stream = system.ask("standin: tokens=100 rate=100\nLonger.")
    with Reader(f"{system.url}/api/streams/{stream}") as reader:
        events = reader.to_end()
    order = [_key(event) for event in events]
    assert max(seq for _, seq, _ in order) >= 10
    assert order == sorted(set(order))


def _key(event: Event) -> tuple[int, int, float]:
    found = re.fullmatch(r"(\d+)-(\d+)(?:\.(\d+))?", event.id)
    assert found is not None
    return int(found[1]), int(found[2]), float("inf") if found[3] is None else int(found[3])


def test_heartbeats_while_the_model_is_silent(system: System) -> None:
    """Rules F3 and F5: ``:`` lines without a blank one, so that nothing is dispatched; ``retry:`` before an event."""
    stream = system.ask("standin: ttft=1500 tokens=5 rate=100\nThink first.")
    body = read(system, stream).content
    lead, first, _ = body.partition(b"id: ")
    assert first
    assert lead.startswith(CONNECTED)
    assert lead.count(b":\n") >= 4
    assert re.fullmatch(rb":\nretry: 1000\n(:\n)+", lead), lead
    assert text_of(parse(body)) == system.calls()[-1]["text"]


def test_control_characters_and_scripts_pass_unharmed(system: System) -> None:
    """Rule F1: what would end a line stands escaped; the history returns what was asked, to the character."""
    prompt = "line\u2028feed\r\n\x85 naïve 日本語 🧵 \x00?"
    stream = system.ask(prompt, chat_id="scripts")
    system.finished(stream)
    body = read(system, stream).content
    assert body.isascii()
    assert parse(body)
    shown = system.http.get("/api/chat/scripts").json()["messages"]
    assert shown[0]["parts"] == [{"type": "text", "text": prompt}]


def test_the_time_limit_ends_a_body_and_hands_the_answer_on(at: Standins) -> None:
    """Rules D6, F6, O1 and O2: at the platform's limit each body ends cleanly with ``retry:`` and neither finish nor
    ``[DONE]``; the reader resumes, the next attempts go on, and the text is the first call's.
    """
    prompt = "standin: tokens=200 rate=40\nLonger than a function may run."
    with system({"HOLDFAST_MAX_SECONDS": "3"}, at) as running:
        stream = running.ask(prompt)
        with Reader(f"{running.url}/api/streams/{stream}") as reader:
            events = reader.to_end()
        calls = running.calls(prompt)
        status = running.status(stream)
        messages = running.messages(stream)
    *cut, last = reader.bodies
    assert cut, "the reader was never ended before the end"
    for body in cut:
        assert body.endswith(b"retry: 100\n")
        assert not any(event.data == b"[DONE]" or event.chunk["type"] == "finish" for event in parse(body))
    assert parse(last)[-1].data == b"[DONE]"
    assert text_of(events) == calls[0]["text"]
    assert [call["continues"] is None for call in calls] == [True] + [False] * (len(calls) - 1)
    assert status["state"] == "finished"
    assert status["handoffs"] == status["attempts"] - 1 >= 1
    assert len(messages) == status["attempts"], "each attempt is one message of the queue"
