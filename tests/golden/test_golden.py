"""Logs as releases wrote them: each is read, replayed and folded for ever as it was then (docs/protocol.md, R3)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from holdfast import sse
from holdfast.access import Access
from holdfast.adapters.memory import MemoryLog
from holdfast.answer import Answer
from holdfast.endings import ending_chunk
from holdfast.identity import new_stream_id
from holdfast.log import parse
from holdfast.operations import Append, RawEntry
from holdfast.records import VERSION, Begin, Cursor, EntryId, Finish, decode, encode
from tests.clocks import VirtualClock, run
from tests.core.reading import read, subscriber

_LOGS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text("utf-8")) for path in sorted(Path(__file__).parent.glob("v*.json"))
}
#: The two versions that a release reads (rule R3).
_READ = (VERSION, VERSION - 1)


def _entries(log: dict[str, Any]) -> list[RawEntry]:
    return [(EntryId.parse(id), text) for id, text in log["entries"]]


def _body(log: dict[str, Any], cursor: Cursor | None = None) -> str:
    """What a reader gets of a stored log, byte for byte."""

    async def scenario() -> bytes:
        entries = _entries(log)
        written = decode(entries[-1][1]).at
        owner = json.loads(entries[0][1])["owner"]
        clock = VirtualClock(written)
        store = MemoryLog(clock)
        reader = subscriber(store, clock)
        stream = new_stream_id(written)
        key = reader.log.keys.stream(stream)
        await store.apply(*(Append(key, id, text, create=True) for id, text in entries))
        return b"".join(
            sse.done(frame.cursor) if frame.chunk is None else sse.event(frame.cursor, frame.chunk)
            for frame in await read(reader, cursor, stream, Access(owner))
        )

    return run(scenario()).decode()


def test_every_ending_is_kept() -> None:
    """There is a log of each ending, every kind of record stands in one, and all are of versions that are read."""
    assert {log["state"] for log in _LOGS.values()} == {"finished", "stopped", "failed"}
    kinds = {json.loads(text)["t"] for log in _LOGS.values() for _, text in log["entries"]}
    assert kinds == {"queued", "begin", "parts", "handoff", "finish", "error", "stop"}
    assert {log["version"] for log in _LOGS.values()} <= set(_READ)


#: What later releases of the same version added to a record, behind its other fields, and what it reads as without.
_ADDED: dict[str, dict[str, Any]] = {
    "parts": {"resumed": False},
    "handoff": {"usage": {}, "cut": 0},
    "error": {"usage": {}},
}


@pytest.mark.parametrize("name", _LOGS)
def test_records_are_written_as_they_were(name: str) -> None:
    """Rules R1, R2, R3: each stored text is read, and one of this version is written to the byte as it was."""
    for id, text in _entries(_LOGS[name]):
        stored = json.loads(text)
        assert (str(id), stored["v"]) == (str(id), _LOGS[name]["version"])
        if stored["v"] == VERSION:
            whole = _ADDED.get(stored["t"], {})
            behind = {field: value for field, value in whole.items() if field not in stored}
            assert encode(decode(text)) == json.dumps(stored | behind, ensure_ascii=False, separators=(",", ":"))


@pytest.mark.parametrize("name", _LOGS)
def test_readers_get_the_same_bytes(name: str) -> None:
    """Rules F1 to F4, E1: the events of the log, from its first part to ``[DONE]``, are those of then."""
    lines = _LOGS[name]["body"]
    assert _body(_LOGS[name]).split("\n") == [*lines, ""]
    assert lines[-2:] == ["data: [DONE]", ""]


@pytest.mark.parametrize("name", _LOGS)
def test_readers_resume_from_every_cursor_of_then(name: str) -> None:
    """Rule C3: a cursor that was given then still leads to the rest."""
    whole = "\n".join(_LOGS[name]["body"]) + "\n"
    events = whole.removesuffix("\n\n").split("\n\n")
    assert len(events) > 1
    for index, event in enumerate(events[:-1]):
        cursor = Cursor.parse(event.split("\n")[0].removeprefix("id: "))
        assert _body(_LOGS[name], cursor) == "\n\n".join(events[index + 1 :]) + "\n\n"


@pytest.mark.parametrize("name", _LOGS)
def test_the_message_is_the_same(name: str) -> None:
    """Rules P2, E1: the log folds into the state and the message of then."""
    log = _LOGS[name]
    answer = Answer(parse(_entries(log)))
    assert answer.end is not None
    answer.builder.add(ending_chunk(answer.end[1]))
    assert answer.builder.settled() == log["message"]
    if isinstance(end := answer.end[1], Finish):
        assert (end.parts, end.characters) == (answer.parts, answer.characters)
    found = (answer.state(leased=False), answer.attempts, answer.parts, answer.characters, answer.checkpoint)
    assert found == (log["state"], log["attempts"], log["parts"], log["characters"], log["checkpoint"])


@pytest.mark.parametrize("name", _LOGS)
def test_the_body_builds_the_message(name: str) -> None:
    """Rule P1: a client that folds the events it was sent has the message that history keeps."""
    log = _LOGS[name]
    sent = [json.loads(line.removeprefix("data: ")) for line in log["body"] if line.startswith("data: {")]
    answer = Answer(parse(_entries(log)[:1]))
    for chunk in sent:
        answer.builder.add(chunk)
    assert answer.builder.settled() == log["message"]


@pytest.mark.parametrize("name", _LOGS)
def test_an_unfinished_log_says_where_it_stands(name: str) -> None:
    """Rule X1: cut after any entry before its end, the log is queued, or live by its lease."""
    entries = parse(_entries(_LOGS[name]))
    last = next(n for n, entry in enumerate(entries) if str(entry.id) in _LOGS[name]["body"][-3])
    for count in range(1, last):
        answer = Answer(entries[:count])
        begun = any(isinstance(entry.record, Begin) for entry in entries[:count])
        assert answer.state(leased=True) == ("live" if begun else "queued")
        assert answer.state(leased=False) == ("stalled" if begun else "queued")
