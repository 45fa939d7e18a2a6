"""What became of each answer: readers against the log, the log against the protocol and against the model."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from holdfast.budget import Budget
from holdfast.endings import ending_chunk
from holdfast.records import SEAL_ATTEMPT, EntryId, decode, is_terminal
from tests.chaos.plan import END_SECONDS
from tests.chaos.run import Asked
from tests.chaos.sightings import DONE, Frame, Sighting, shown
from tests.chaos.weather import Blow

type Stored = list[tuple[str, dict[str, Any]]]

_STREAM = re.compile(r'"stream": ?"([^"]+)"')

#: Errors after so many refused calls in a row, the last ones of an answer, that allow no other end: a key that is
#: refused at once, and a model that refuses as often as a publisher asks (rule T1).
_REFUSALS = {"model_auth": 1, "model_rate_limited": 4, "model_unreachable": 4}


@dataclass(slots=True)
class Fate:
    """What became of one answer.

    Attributes:
        asked: the answer.
        end: ``finish``, ``error`` or ``stop``; empty where there is none.
        code: of an error.
        by: who ended it, of an error or a stop.
        text: what the log holds.
        terminals: how many terminal records the log holds.
        claims_behind: how many attempts were claimed behind the end, and called nobody.
        attempts: how many were begun before it.
        calls: the model's.
        tokens: that the model sent, over all calls.
        began, ended: epoch seconds.
        begins: epoch seconds of each attempt's claim.
        messages: the queue's message of each attempt.
        queue: the queue's messages about it, with their tries.
        stored: its log.
        lost, twice, foreign: bytes of events that readers lack, have twice, or should not have.
        problems: what breaks the promise, in words.
    """

    asked: Asked
    end: str = ""
    code: str = ""
    by: str = ""
    text: str = ""
    terminals: int = 0
    claims_behind: int = 0
    attempts: int = 0
    calls: list[dict[str, Any]] = field(default_factory=list)
    tokens: int = 0
    began: float = 0.0
    ended: float = 0.0
    begins: list[float] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    queue: list[dict[str, Any]] = field(default_factory=list)
    stored: Stored = field(default_factory=list)
    lost: int = 0
    twice: int = 0
    foreign: int = 0
    problems: list[str] = field(default_factory=list)


def judge(asked: Asked, stored: Stored, calls: list[dict[str, Any]], queue: list[dict[str, Any]]) -> Fate:
    """Compare everything that is known of one answer.

    Args:
        asked: it, with its readers.
        stored: its log.
        calls: the model's calls for its prompt, oldest first.
        queue: the queue's messages about it.
    """
    fate = Fate(asked, calls=calls, tokens=sum(call["tokens_sent"] for call in calls), queue=queue, stored=stored)
    fate.problems += asked.problems
    if not asked.stream or not stored:
        fate.problems.append("it has no log")
        return fate
    expected = _read(fate, stored)
    for sighting in asked.sightings:
        _compare(fate, sighting, expected)
    _against_model(fate)
    return fate


def _read(fate: Fate, stored: Stored) -> list[Frame]:
    """Read a log by the rules → the events that a reader must have."""
    frames: list[Frame] = []
    before = EntryId(-1, 0)
    position = 0
    fate.began = stored[0][1]["at"] / 1000
    for raw, record in stored:
        id, kind = EntryId.parse(raw), record["t"]
        if not (id.seq == before.seq + 1 if id.attempt == before.attempt else id > before and kind != "parts"):
            fate.problems.append(f"{raw} follows {before}")
        before = id
        if fate.end:
            # What else may come behind the end: one seal by somebody who did not see it (rule E1), and a claim by
            # a delivery that looked before it came, which then calls no model (rule K3).
            if id.attempt != SEAL_ATTEMPT and kind != "begin":
                fate.problems.append(f"{kind} at {raw} follows the end")
            fate.terminals += kind != "begin"
            fate.claims_behind += kind == "begin"
        elif kind == "begin":
            fate.begins.append(record["at"] / 1000)
            fate.messages.append(record["message"])
        elif kind == "parts":
            if record["pos"] != position:
                fate.problems.append(f"{raw} says position {record['pos']}, not {position}")
            position += len(record["parts"])
            frames += _batch(raw, record["parts"])
        elif is_terminal(terminal := decode(json.dumps(record))):
            frames += [(f"{raw}.0", shown(ending_chunk(terminal))), (raw, DONE)]  # type: ignore[arg-type]
            fate.terminals, fate.end, fate.ended = 1, kind, record["at"] / 1000
            fate.code, fate.by = record.get("code", ""), record.get("by", "")
    fate.attempts = len(fate.begins)
    if not fate.end:
        fate.problems.append("its log has no end")
    chunks = (chunk for _, record in stored if record["t"] == "parts" for chunk in record["parts"])
    fate.text = "".join(chunk["delta"] for chunk in chunks if chunk["type"] == "text-delta")
    return frames


def _batch(id: str, parts: list[dict[str, Any]]) -> list[Frame]:
    """The events of one entry: the last one has the entry's cursor (rule F2)."""
    last = len(parts) - 1
    return [(id if k == last else f"{id}.{k}", shown(chunk)) for k, chunk in enumerate(parts)]


def _compare(fate: Fate, sighting: Sighting, expected: list[Frame]) -> None:
    """One reader's events against those of the log."""
    name = sighting.kind
    if sighting.failure:
        fate.problems.append(f"{name}: {sighting.failure}")
    if sighting.hung or not sighting.ended:
        fate.problems.append(f"{name}: hung after {sighting.connections} connections at {sighting.cursor or 'nothing'}")
    elif sighting.ended - max(fate.ended, sighting.began) > END_SECONDS:
        waited = sighting.ended - max(fate.ended, sighting.began)
        fate.problems.append(f"{name}: learned of the end {waited:.1f} s late")
    for frames in sighting.partial:
        # A page that shows all from the beginning must show what there is, in order.
        _count(fate, f"{name} (before it was cut)", _bare(frames), _bare(expected)[: len(frames)])
    if sighting.history is None:
        _count(fate, name, _bare(sighting.frames), _bare(expected))
    elif sighting.history != fate.text:
        fate.problems.append(f"{name}: the history holds {len(sighting.history)} characters of {len(fate.text)}")


def _bare(frames: Iterable[Frame]) -> list[Frame]:
    """Without the cursor of the end, which some readers are not shown."""
    return [("", data) if data == DONE else (cursor, data) for cursor, data in frames]


def _count(fate: Fate, name: str, seen: list[Frame], expected: list[Frame]) -> None:
    if seen == expected:
        return
    have, want = Counter(seen), Counter(expected)
    lost = sum(len(data) * count for (_, data), count in (want - have).items())
    extra = have - want
    twice = sum(len(frame[1]) * count for frame, count in extra.items() if frame in want)
    foreign = sum(len(frame[1]) * count for frame, count in extra.items() if frame not in want)
    fate.lost, fate.twice, fate.foreign = fate.lost + lost, fate.twice + twice, fate.foreign + foreign
    if not fate.problems or lost or twice or foreign:
        at = next((k for k, pair in enumerate(zip(seen, expected, strict=False)) if pair[0] != pair[1]), len(seen))
        fate.problems.append(
            f"{name}: {lost} bytes lost, {twice} twice, {foreign} foreign; differs at event {at}: "
            f"{seen[at : at + 1]} instead of {expected[at : at + 1]}"
        )


def _against_model(fate: Fate) -> None:
    """The log's text against what the model said: it is one call's text, from its beginning, and whole if finished."""
    texts = [call["text"] for call in fate.calls if call["text"]]
    if not any(text.startswith(fate.text) for text in texts) and fate.text:
        near = max(texts, key=lambda text: _common(text, fate.text), default="")
        at = _common(near, fate.text)
        fate.problems.append(
            f"the text is no call's: it differs at {at} of {len(fate.text)} characters: "
            f"{fate.text[at : at + 30]!r} instead of {near[at : at + 30]!r}"
        )
        fate.foreign += len(fate.text) - at
    if fate.end == "finish" and fate.text not in texts and not emptied(fate):
        fate.problems.append(f"it is finished, with {len(fate.text)} characters of {[len(text) for text in texts]}")
        fate.lost += min((len(text) for text in texts if text.startswith(fate.text)), default=0) - len(fate.text)
    if fate.end == "error" and not explained(fate):
        fate.problems.append(f"error {fate.code} by {fate.by}, which nothing explains")
    if fate.end == "stop" and not fate.asked.stop_asked:
        fate.problems.append("it was stopped, and nobody asked for that")


def _common(a: str, b: str) -> int:
    return next((k for k, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def emptied(fate: Fate) -> bool:
    """Whether the model itself ended the answer there, by a call that said nothing and called that finished."""
    return bool(fate.calls) and not fate.calls[-1]["tokens_sent"] and fate.calls[-1]["status"] == "completed"


def explained(fate: Fate) -> str:
    """The fault that allowed no other end than an error, or nothing."""
    last = fate.calls[-_REFUSALS.get(fate.code, 0) :] if fate.code in _REFUSALS else []
    if last and len(last) == _REFUSALS[fate.code] and all(call["status"] == "refused" for call in last):
        return "the model refused" if len(last) == 1 else f"the model refused {len(last)} times in a row"
    idle = Budget().idle_attempts
    if fate.code == "no_progress" and not any(call["tokens_sent"] for call in fate.calls[-idle:]):
        return f"the model hung {idle} times in a row"
    if fate.code == "retries_exhausted" and fate.by == "callback":
        return _given_up(fate)
    return ""


def _given_up(fate: Fate) -> str:
    """Whether the queue gave up on the message of the newest attempt, or on every one where none began (rule Q3)."""
    wanted = fate.messages[-1:] or [message["id"] for message in fate.queue if message["kind"] == "message"]
    mine = [message for message in fate.queue if message["id"] in wanted]
    if mine and all(message["state"] == "FAILED" for message in mine):
        return "every try of its message failed"
    return ""


def struck(blow: Blow, fates: dict[str, Fate]) -> list[Fate]:
    """The live answers that a blow hit: begun before it, and not ended yet."""
    found = (fates[stream] for stream in blow.streams if stream in fates)
    return [fate for fate in found if any(at <= blow.at for at in fate.begins) and fate.ended > blow.at]


def by_prompt(calls: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The model's calls by the prompt that they answer."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for call in calls:
        found[call["prompt"]].append(call)
    return found


def by_stream(messages: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The queue's messages by the stream that they are about."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for message in messages:
        if named := _STREAM.search(message["body"]):
            found[named[1]].append(message)
    return found
