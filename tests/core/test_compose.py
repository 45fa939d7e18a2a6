"""What generators yield becomes well-formed chunks that continue the answer so far (docs/protocol.md, chapter P)."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from holdfast.answer import Answer
from holdfast.compose import Composer
from holdfast.errors import GenerationError
from holdfast.message import VOCABULARY, is_valid
from holdfast.records import FIRST, Entry
from tests.clocks import ORIGIN_MS
from tests.core.samples import queued
from tests.core.strategies import json_values, yielded

type Chunk = dict[str, Any]

_STREAMED = ("text", "reasoning")


def _answer(chunks: Iterable[Chunk] = ()) -> Answer:
    answer = Answer([Entry(FIRST, queued())])
    for chunk in chunks:
        answer.note(chunk, ORIGIN_MS)
    return answer


def _call(answer: Answer, tag: str, items: Iterable[object], *, close: bool = True) -> list[Chunk]:
    """One call of a generator; its chunks are noted in the answer, as a publisher does."""
    composer = Composer(answer, tag)
    made: list[Chunk] = []

    def note(chunks: Iterable[Chunk]) -> None:
        for chunk in chunks:
            answer.note(chunk, ORIGIN_MS)
            made.append(chunk)

    for item in items:
        note(composer.feed(item))
    if close:
        note(composer.close())
    return made


def _said(items: Iterable[object], kind: str = "text") -> str:
    """The text of a kind that a generator yielded."""
    said = ""
    for item in items:
        if isinstance(item, str):
            said += item if kind == "text" else ""
        elif isinstance(item, dict) and item["type"] == f"{kind}-delta":
            said += item["delta"]
    return said


def _check(chunks: list[Chunk], *, closed: bool) -> None:
    """Whatever the AI SDK's own reader demands of a sequence of chunks, and what rule P3 and P4 add."""
    open_: dict[str, str] = {}
    used: set[str] = set()
    for index, chunk in enumerate(chunks):
        kind = chunk["type"]
        assert is_valid(chunk)
        assert kind in VOCABULARY - {"finish", "abort", "error"} or kind.startswith("data-")
        assert (kind == "start") == (index == 0)
        stem, _, verb = kind.rpartition("-")
        if stem not in _STREAMED:
            continue
        id = chunk["id"]
        if verb == "start":
            assert id not in used, "ids never repeat"
            used.add(id)
            open_[id] = stem
        else:
            assert open_.get(id) == stem, f"{kind} outside of its part"
            if verb == "end":
                del open_[id]
            else:
                assert chunk["delta"]
    assert not (closed and open_)


@given(st.lists(yielded, max_size=25))
def test_whatever_is_yielded_is_well_formed(items: list[str | Chunk]) -> None:
    """Rules P1, P3, P4: any mix of strings and chunks gives a well-formed message with the same text."""
    answer = _answer()
    chunks = _call(answer, "1-0", items)
    _check(chunks, closed=True)
    for kind in _STREAMED:
        assert _said(chunks, kind) == _said(items, kind)
    assert answer.builder.text() == _said(items)
    assert answer.builder.open == []
    others = [item for item in items if isinstance(item, dict) and not item["type"].startswith(_STREAMED)]
    kept = [c for c in chunks if not c["type"].startswith((*_STREAMED, "start", "message-metadata"))]
    assert kept == [
        c for c in others if not c["type"].startswith(("start", "message-metadata")) and c["type"] != "finish"
    ]


@given(st.lists(st.lists(yielded, max_size=10), min_size=2, max_size=4))
@example([["a", {"type": "text-start", "id": "a"}], [{"type": "reasoning-start", "id": "a"}, "b"], ["c"]])
def test_interrupted_calls_go_on(calls: list[list[str | Chunk]]) -> None:
    """Rules P3, P4: calls cut anywhere, each going on from the last, are together one well-formed message."""
    answer = _answer()
    chunks: list[Chunk] = []
    for number, items in enumerate(calls):
        last = number == len(calls) - 1
        chunks += _call(answer, f"1-{number}", items, close=last)
        _check(chunks, closed=last)
    everything = [item for items in calls for item in items]
    for kind in _STREAMED:
        assert _said(chunks, kind) == _said(everything, kind)
    starts = [chunk for chunk in chunks if chunk["type"] == "start"]
    assert starts == [{"type": "start", "messageId": "msg_1"}]


@given(st.lists(yielded, max_size=10), st.lists(yielded, max_size=10), st.data())
def test_a_call_that_lost_its_unsent_rest_goes_on(first: list[Any], second: list[Any], data: st.DataObject) -> None:
    """Rules P3, P4: the next call continues whatever prefix of the chunks reached the log."""
    made = _call(_answer(), "1-0", first)
    kept = made[: data.draw(st.integers(0, len(made)))]
    answer = _answer(kept)
    rest = _call(answer, "2-0", second)
    _check([*kept, *rest], closed=True)
    for kind in _STREAMED:
        assert _said([*kept, *rest], kind) == _said(kept, kind) + _said(second, kind)


def test_an_open_part_goes_on_under_its_own_id() -> None:
    """Rule P4: strings, and a generator's own first text part, go on in the part that was cut."""
    for items in (["lo"], [{"type": "text-start", "id": "0"}, {"type": "text-delta", "id": "0", "delta": "lo"}]):
        answer = _answer()
        before = _call(answer, "1-0", ["Hel"], close=False)
        after = _call(answer, "2-0", items)
        (opened,) = (chunk["id"] for chunk in before if chunk["type"] == "text-start")
        assert after == [
            {"type": "text-delta", "id": opened, "delta": "lo"},
            {"type": "text-end", "id": opened},
        ]
        assert answer.builder.message()["parts"] == [{"type": "text", "text": "Hello", "state": "done"}]


def test_another_kind_ends_the_cut_part() -> None:
    """Rule P4: where the next call begins with something else, the cut part ends first."""
    answer = _answer()
    _call(answer, "1-0", ["Hel"], close=False)
    after = _call(answer, "2-0", [{"type": "source-url", "sourceId": "s", "url": "https://example.com"}, "next"])
    assert [chunk["type"] for chunk in after] == ["text-end", "source-url", "text-start", "text-delta", "text-end"]


def test_a_cut_tool_call_is_closed() -> None:
    """Rule P4: a call whose input was cut ends in ``tool-input-error`` before anything else, once."""
    answer = _answer()
    cut = [
        {"type": "tool-input-start", "toolCallId": "c1", "toolName": "look"},
        {"type": "tool-input-delta", "toolCallId": "c1", "inputTextDelta": '{"q'},
    ]
    _call(answer, "1-0", cut, close=False)
    composer = Composer(answer, "2-0")
    first, *rest = composer.feed("So ")
    assert (first["type"], first["toolCallId"], first["toolName"]) == ("tool-input-error", "c1", "look")
    assert first["errorText"]
    assert [chunk["type"] for chunk in rest] == ["text-start", "text-delta"]
    assert [chunk["type"] for chunk in composer.feed("then")] == ["text-delta"]
    assert [chunk["type"] for chunk in composer.close()] == ["text-end"]


def test_a_cut_tool_call_is_closed_by_the_end_too() -> None:
    """Rule P4: also where the next call says nothing at all."""
    answer = _answer()
    _call(answer, "1-0", [{"type": "tool-input-start", "toolCallId": "c1", "toolName": "look"}], close=False)
    assert [chunk["type"] for chunk in _call(answer, "2-0", [])] == ["tool-input-error"]
    assert answer.builder.unfinished_tools == []


def test_a_complete_tool_call_stays() -> None:
    """Rule P4: a call whose input is complete may have run, and is left as it is."""
    answer = _answer()
    done = {"type": "tool-input-available", "toolCallId": "c1", "toolName": "look", "input": {}}
    _call(answer, "1-0", [done], close=False)
    assert _call(answer, "2-0", [{"type": "tool-output-available", "toolCallId": "c1", "output": 3}]) == [
        {"type": "tool-output-available", "toolCallId": "c1", "output": 3}
    ]


def test_an_empty_answer_is_a_message() -> None:
    """Rule P3: a generator that says nothing leaves a message without parts."""
    assert _call(_answer(), "1-0", ["", {"type": "text-delta", "id": "a", "delta": ""}]) == [
        {"type": "start", "messageId": "msg_1"}
    ]


def test_usage_and_reason_are_kept_and_not_shown() -> None:
    """``finish`` tells the composer why and how much; its other metadata become the message's."""
    composer = Composer(_answer(), "1-0")
    usage = {"inputTokens": 3, "outputTokens": 5, "cached": True, "note": "x"}
    chunk = {"type": "finish", "finishReason": "length", "messageMetadata": {"usage": usage, "model": "m"}}
    assert list(composer.feed(chunk)) == [
        {"type": "start", "messageId": "msg_1"},
        {"type": "message-metadata", "messageMetadata": {"model": "m"}},
    ]
    assert composer.reason == "length"
    assert composer.usage == {"inputTokens": 3, "outputTokens": 5}
    assert chunk["messageMetadata"] == {"usage": usage, "model": "m"}


@pytest.mark.parametrize("reason", ["odd", None, 7, ["stop"], {"a": 1}])
def test_an_odd_reason_is_other(reason: object) -> None:
    """A finish reason that is not the AI SDK's is ``other``."""
    composer = Composer(_answer(), "1-0")
    assert list(composer.feed({"type": "finish", "finishReason": reason})) == []
    assert composer.reason == "other"


@pytest.mark.parametrize(
    "item",
    [
        None,
        7,
        b"text",
        ["text"],
        {},
        {"type": None},
        {"type": "text"},
        {"type": "tool-input"},
        {"type": "text-delta", "id": "a"},
        {"type": "text-delta", "delta": "x"},
        {"type": "text-delta", "id": 1, "delta": "x"},
        {"type": "text-delta", "id": "a", "delta": None},
        {"type": "tool-input-available", "toolCallId": "c", "toolName": "n"},
        {"type": "tool-output-available", "toolCallId": "c"},
        {"type": "source-url", "url": "https://example.com"},
        {"type": "file", "url": "https://example.com"},
        {"type": "data-x"},
        {"type": "data-x", "data": ...},
        {"type": "data-x", "data": float("nan")},
        {"type": "data-x", "data": {1, 2}},
        {"type": "data-x", "data": b"x"},
        {"type": "data-x", "id": 3, "data": 1},
    ],
    ids=repr,
)
def test_anything_else_ends_the_answer(item: object) -> None:
    """Rule P1: what is neither text nor a valid chunk raises GenerationError, which no retry mends."""
    with pytest.raises(GenerationError) as caught:
        list(Composer(_answer(), "1-0").feed(item))
    assert (caught.value.code, caught.value.retry) == ("generator_invalid", False)


def test_a_chunk_that_holds_itself_is_refused() -> None:
    """Rule P1: what JSON cannot hold is refused, however it is built."""
    loop: dict[str, Any] = {"type": "data-x"}
    loop["data"] = loop
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for item in (loop, {"type": "data-x", "data": deep}):
        with pytest.raises(GenerationError):
            list(Composer(_answer(), "1-0").feed(item))


@given(json_values | st.dictionaries(st.sampled_from(["type", "id", "delta", "data", "finishReason"]), json_values))
def test_junk_is_refused_or_well_formed(item: object) -> None:
    """Rule P1: no JSON value makes a composer raise anything else, or yield what is not valid."""
    refusal: str | None = None
    chunks: list[Chunk] = []
    try:
        chunks = list(Composer(_answer(), "1-0").feed(item))
    except GenerationError as error:
        refusal = error.code
    assert refusal in {None, "generator_invalid"}
    _check(chunks, closed=False)


@pytest.mark.parametrize("kind", ["error", "abort"])
def test_a_failed_model_is_a_failure(kind: str) -> None:
    """A generator's own ``error`` or ``abort`` chunk ends the answer with its words."""
    with pytest.raises(GenerationError) as caught:
        list(Composer(_answer(), "1-0").feed({"type": kind, "errorText": "no credit"}))
    assert (caught.value.code, caught.value.message) == ("model_error", "no credit")


@pytest.mark.parametrize(
    ("yielded_text", "stored"),
    [("a\ud83d\ude00b", "a😀b"), ("a\ud83d", "a�"), ("\ude00b", "�b"), ("\ud83dx\ude00", "�x�")],
)
def test_halves_of_characters(yielded_text: str, stored: str) -> None:
    """Surrogates, of which models' JSON is full, are joined, or replaced where one stands alone: stores take UTF-8."""
    items: tuple[object, ...] = (
        yielded_text,
        {"type": "text-delta", "id": "a", "delta": yielded_text},
        {"type": "data-x", "data": {yielded_text: [yielded_text]}},
    )
    for item in items:
        chunks = _call(_answer(), "1-0", [item])
        text = json.dumps(chunks, ensure_ascii=False)
        assert text.encode()
        assert stored in text


def test_a_chunk_is_what_it_was_when_it_was_yielded() -> None:
    """A generator may go on using its own objects: what it does to them later is not part of the answer."""
    progress: dict[str, Any] = {"done": 1}
    chunk = {"type": "data-progress", "data": progress}
    before = copy.deepcopy(chunk)
    chunks = _call(_answer(), "1-0", [chunk])
    progress["done"] = 2
    assert chunks[-1] == before
