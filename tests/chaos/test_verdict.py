"""The verdicts of a chaos run: each kind of broken promise is seen."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.chaos.run import Asked
from tests.chaos.sightings import DONE, Body, Broken, Sighting
from tests.chaos.verdict import Fate, Stored, judge, struck
from tests.chaos.weather import Blow

_TEXT = "Hello, world"


def _stored(*more: tuple[str, dict[str, Any]]) -> Stored:
    queued = {"owner": "anyone", "message_id": "msg", "messages": []}
    start = [{"type": "start", "messageId": "msg"}, {"type": "text-start", "id": "t"}]
    finish = {
        "reason": "stop", "parts": 4, "characters": 12, "ttft_ms": 1, "duration_ms": 2, "attempts": 1, "exact": True,
    }  # fmt: skip
    log: Stored = [
        ("0-1", {"v": 1, "t": "queued", "at": 1000, **queued}),
        ("1-0", {"v": 1, "t": "begin", "at": 2000, "owner": "nonce", "message": "msg_1", "retried": 0}),
        ("1-1", {"v": 1, "t": "parts", "at": 3000, "pos": 0, "parts": [*start, _delta("Hello,")]}),
        ("1-2", {"v": 1, "t": "parts", "at": 4000, "pos": 3, "parts": [_delta(" world")]}),
        ("1-3", {"v": 1, "t": "finish", "at": 5000, **finish}),
    ]
    return [*log, *more]


def _delta(text: str) -> dict[str, Any]:
    return {"type": "text-delta", "id": "t", "delta": text}


def _call(**more: Any) -> dict[str, Any]:
    return {"text": _TEXT, "tokens_sent": 3, "offset": 0, "status": "completed", "prompt": "?", **more}


def _seen(stored: Stored) -> Sighting:
    """A reader that has everything."""
    sighting = Sighting("raw", began=2.0, ended=6.0)
    for id, record in stored:
        parts = record.get("parts") if record["t"] == "parts" else []
        for k, chunk in enumerate(parts or ()):
            cursor = id if k == len(parts or ()) - 1 else f"{id}.{k}"
            sighting.frames.append((cursor, json.dumps(chunk, separators=(",", ":"))))
    times = {"timeToFirstTokenMs": 1, "durationMs": 2}
    told = {
        "usage": {},
        "parts": 4,
        "characters": 12,
        **times,
        "attempts": 1,
        "handoffs": 0,
        "takeovers": 0,
        "rescues": 0,
        "exact": True,
    }
    finish = {"type": "finish", "finishReason": "stop", "messageMetadata": told}
    sighting.frames += [("1-3.0", json.dumps(finish, separators=(",", ":"))), ("1-3", DONE)]
    return sighting


def _judged(stored: Stored, sighting: Sighting, *calls: dict[str, Any]) -> Fate:
    asked = Asked(0, "?", stream="stream", sightings=[sighting])
    return judge(asked, stored, list(calls or [_call()]), [])


def test_an_answer_that_keeps_every_promise_has_no_problems() -> None:
    """A whole log, a reader that has all of it once, and the model's own text are in order."""
    fate = _judged(_stored(), _seen(_stored()))
    assert (fate.problems, fate.end, fate.terminals, fate.text) == ([], "finish", 1, _TEXT)


def test_a_missing_and_a_repeated_event_are_counted_in_bytes() -> None:
    """What a reader lacks is lost, what it has twice is twice, what no log holds is foreign."""
    sighting = _seen(_stored())
    sighting.frames[3] = sighting.frames[2]
    sighting.frames.insert(0, ("9-9", "stray"))
    fate = _judged(_stored(), sighting)
    assert fate.lost == len('{"type":"text-delta","id":"t","delta":" world"}')
    assert fate.twice == len('{"type":"text-delta","id":"t","delta":"Hello,"}')
    assert fate.foreign == len("stray")
    assert fate.problems


def test_events_out_of_order_are_a_problem_though_none_is_missing() -> None:
    """The order belongs to what a reader must have."""
    sighting = _seen(_stored())
    sighting.frames[2], sighting.frames[3] = sighting.frames[3], sighting.frames[2]
    assert any("differs at event 2" in problem for problem in _judged(_stored(), sighting).problems)


@pytest.mark.parametrize(
    "sighting",
    [Sighting("raw", hung=True), Sighting("raw"), Sighting("raw", began=2.0, ended=60.0), Sighting("raw", failure="x")],
    ids=["hung", "without end", "late", "failed"],
)
def test_a_reader_left_waiting_is_a_problem(sighting: Sighting) -> None:
    """A reader must have its end, in time, and without a refusal."""
    sighting.frames = _seen(_stored()).frames
    assert _judged(_stored(), sighting).problems


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        (_stored()[:-1], "no end"),
        (_stored(("1-4", {"v": 1, "t": "parts", "at": 1, "pos": 4, "parts": [_delta("!")]})), "follows the end"),
        ([entry for entry in _stored() if entry[0] != "1-1"], "follows"),
        ([*_stored()[:3], ("1-3", _stored()[3][1]), ("1-4", _stored()[4][1])], "follows"),
    ],
    ids=["no end", "append after the end", "entry missing", "gap"],
)
def test_a_log_that_breaks_the_protocol_is_a_problem(stored: Stored, said: str) -> None:
    """Rules D5, E1 and E3: a log is dense, has one end, and nothing is appended behind it."""
    assert any(said in problem for problem in _judged(stored, _seen(_stored())).problems)


def test_a_seal_behind_the_end_is_counted_and_no_problem() -> None:
    """Rule E1: somebody who did not see the end may seal behind it; the first terminal record counts."""
    seal = ("1099511627776-0", {"v": 1, "t": "stop", "at": 6000, "by": "request"})
    fate = _judged(_stored(seal), _seen(_stored()))
    assert (fate.problems, fate.terminals, fate.end) == ([], 2, "finish")


def test_a_claim_behind_the_end_is_counted_and_no_problem() -> None:
    """Rule K3: a delivery that looked before the end came may claim behind it; it may not write there."""
    claim = ("2-0", {"v": 1, "t": "begin", "at": 6000, "owner": "n", "message": "msg_1", "retried": 1})
    fate = _judged(_stored(claim), _seen(_stored()))
    assert (fate.problems, fate.terminals, fate.attempts, fate.claims_behind) == ([], 1, 1, 1)
    write = ("2-1", {"v": 1, "t": "parts", "at": 7000, "pos": 4, "parts": [_delta("!")]})
    assert _judged(_stored(claim, write), _seen(_stored())).problems


@pytest.mark.parametrize(
    "text", ["Hello, world!", "Good-bye, world", ""], ids=["cut short", "another text", "no call at all"]
)
def test_a_text_that_the_model_did_not_say_is_a_problem(text: str) -> None:
    """A finished answer is the whole text of one call."""
    assert _judged(_stored(), _seen(_stored()), _call(text=text)).problems


def test_an_error_without_a_fault_that_explains_it_is_a_problem() -> None:
    """An error counts as explained only by a refused key, or by tries that are used up."""
    error = {"v": 1, "t": "error", "at": 5000, "code": "model_auth", "message": "No.", "by": "publish"}
    stored = [*_stored()[:2], ("1-1", error)]
    sighting = Sighting("raw", began=2.0, ended=6.0)
    sighting.frames = [("1-1.0", '{"type":"error","errorText":"No."}'), ("1-1", DONE)]
    assert _judged(stored, sighting, _call(text="", status="refused")).problems == []
    assert _judged(stored, sighting, _call(text="", status="failed")).problems


def test_a_blow_counts_only_if_it_hits_a_live_answer() -> None:
    """An answer that had not begun, or had ended, was not hit."""
    fate = _judged(_stored(), _seen(_stored()))
    hits = [bool(struck(Blow("SIGKILL", at, at, ("stream",)), {"stream": fate})) for at in (1.5, 3.5, 5.5)]
    assert hits == [False, True, False]


@pytest.mark.parametrize("body", [b"event: x\n\n", b"data: 1\n\n", b":\n\n", b"id: 1-1\ndata: {}\r\n\n"])
def test_a_byte_that_the_protocol_excludes_is_seen(body: bytes) -> None:
    """Rules F1 and F3: nothing but ids, data, heartbeats of one line and retry stands in a body."""
    with pytest.raises(Broken):
        Body().feed(body)


def test_a_body_may_end_between_events_alone() -> None:
    """Rules F3 and F5: heartbeats and retry may stand at the end, half an event may not."""
    whole = Body()
    assert whole.feed(b":\nretry: 1000\nid: 1-1.0\ndata: {}\n\n:\nretry: 100\n") == [("1-1.0", "{}")]
    whole.end()
    assert whole.retry_ms == 100
    torn = Body()
    torn.feed(b"id: 1-1\ndata: {")
    with pytest.raises(Broken):
        torn.end()
