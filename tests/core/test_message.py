"""Chunks fold into the message that the AI SDK's own reader would build (docs/protocol.md, chapter P)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.message import MessageBuilder, is_valid, is_visible
from tests.core.strategies import json_values, yielded_chunks

type Chunk = dict[str, Any]


def _text(verb: str, id: str = "a", delta: str | None = None, kind: str = "text") -> Chunk:
    return {"type": f"{kind}-{verb}", "id": id} | ({} if delta is None else {"delta": delta})


def _tool(verb: str, id: str = "c", **fields: Any) -> Chunk:
    return {"type": f"tool-{verb}", "toolCallId": id, **fields}


_CALL = _tool("input-start", toolName="look")
_CASES: dict[str, tuple[list[Chunk], list[Chunk]]] = {
    "text": (
        [_text("start"), _text("delta", delta="Hel"), _text("delta", delta="lo"), _text("end")],
        [{"type": "text", "text": "Hello", "state": "done"}],
    ),
    "text that goes on": (
        [_text("start"), _text("delta", delta="Hel")],
        [{"type": "text", "text": "Hel", "state": "streaming"}],
    ),
    "kinds apart under one id": (
        [_text("start", kind="reasoning"), _text("start"), _text("delta", delta="T"),
         _text("delta", delta="R", kind="reasoning"), _text("end", kind="reasoning")],
        [{"type": "reasoning", "text": "R", "state": "done"}, {"type": "text", "text": "T", "state": "streaming"}],
    ),
    "two open at once": (
        [_text("start", "a"), _text("start", "b"),
         _text("delta", "a", "1"), _text("delta", "b", "2"), _text("delta", "a", "3")],
        [{"type": "text", "text": "13", "state": "streaming"}, {"type": "text", "text": "2", "state": "streaming"}],
    ),
    "an id once more": (
        [_text("start"), _text("delta", delta="1"), _text("end"),
         _text("start"), _text("delta", delta="2"), _text("end")],
        [{"type": "text", "text": "1", "state": "done"}, {"type": "text", "text": "2", "state": "done"}],
    ),
    "a delta of nothing": ([_text("delta", delta="x"), _text("end")], []),
    "a tool call": (
        [_CALL, _tool("input-delta", inputTextDelta='{"q":1}'),
         _tool("input-available", toolName="look", input={"q": 1}),
         _tool("output-available", output=[3])],
        [{"type": "tool-look", "toolCallId": "c", "state": "output-available", "input": {"q": 1}, "output": [3]}],
    ),
    "a call without a start": (
        [_tool("input-available", toolName="look", input=None)],
        [{"type": "tool-look", "toolCallId": "c", "state": "input-available", "input": None}],
    ),
    "a dynamic tool": (
        [_tool("input-available", toolName="look", input=1, dynamic=True)],
        [{"type": "dynamic-tool", "toolName": "look", "toolCallId": "c", "state": "input-available", "input": 1}],
    ),
    "a call being written": ([_CALL], [{"type": "tool-look", "toolCallId": "c", "state": "input-streaming"}]),
    "a tool that failed": (
        [_tool("input-available", toolName="look", input=1), _tool("output-error", errorText="no")],
        [{"type": "tool-look", "toolCallId": "c", "state": "output-error", "input": 1, "errorText": "no"}],
    ),
    "output of nothing": ([_tool("output-available", output=1)], []),
    "sources and files": (
        [{"type": "source-url", "sourceId": "s", "url": "https://example.com", "title": "T"},
         {"type": "source-document", "sourceId": "d", "mediaType": "text/plain", "title": "D"},
         {"type": "file", "url": "data:,x", "mediaType": "text/plain"}],
        [{"type": "source-url", "sourceId": "s", "url": "https://example.com", "title": "T"},
         {"type": "source-document", "sourceId": "d", "mediaType": "text/plain", "title": "D"},
         {"type": "file", "url": "data:,x", "mediaType": "text/plain"}],
    ),
    "data in place": (
        [{"type": "data-w", "id": "1", "data": "old"}, {"type": "data-w", "data": "other"},
         {"type": "data-w", "id": "1", "data": "new"}, {"type": "data-v", "id": "1", "data": "v"}],
        [{"type": "data-w", "id": "1", "data": "new"}, {"type": "data-w", "data": "other"},
         {"type": "data-v", "id": "1", "data": "v"}],
    ),
    "data for the moment": ([{"type": "data-w", "data": 1, "transient": True}], []),
    "steps": (
        [{"type": "start-step"}, _text("start"), _text("end"), {"type": "finish-step"}, {"type": "start-step"}],
        [{"type": "step-start"}, {"type": "text", "text": "", "state": "done"}, {"type": "step-start"}],
    ),
    "what nobody knows": ([{"type": "text"}, {"type": "hologram", "id": "a"}, {"type": "text-delta"}, {}], []),
}  # fmt: skip


@pytest.mark.parametrize("name", _CASES)
def test_chunks_build_parts(name: str) -> None:
    """Rules P1, P2: each sequence of chunks builds exactly these parts."""
    chunks, parts = _CASES[name]
    builder = MessageBuilder("msg_1")
    for chunk in chunks:
        builder.add(chunk)
    assert builder.message() == {"id": "msg_1", "role": "assistant", "parts": parts}


def test_metadata_is_gathered() -> None:
    """``start``, ``message-metadata`` and ``finish`` add to the message's metadata."""
    builder = MessageBuilder("msg_1")
    for chunk in (
        {"type": "start", "messageId": "other", "messageMetadata": {"a": 1}},
        {"type": "message-metadata", "messageMetadata": {"b": 2}},
        {"type": "finish", "messageMetadata": {"a": 3}},
    ):
        builder.add(chunk)
    assert builder.message() == {"id": "msg_1", "role": "assistant", "parts": [], "metadata": {"a": 3, "b": 2}}


def test_a_settled_message_streams_no_more() -> None:
    """Rule H5: history holds no part that is still being written; a call whose input was cut is left out."""
    builder = MessageBuilder("msg_1")
    for chunk in (
        _text("start"),
        _text("delta", delta="Hel"),
        _CALL,
        _tool("input-available", "d", toolName="t", input=1),
    ):
        builder.add(chunk)
    assert builder.settled()["parts"] == [
        {"type": "text", "text": "Hel", "state": "done"},
        {"type": "tool-t", "toolCallId": "d", "state": "input-available", "input": 1},
    ]
    assert builder.open == [("text", "a")]
    assert builder.unfinished_tools == [("c", "look")]
    assert builder.message()["parts"][0]["state"] == "streaming"


@given(
    st.lists(yielded_chunks | st.dictionaries(st.sampled_from(["type", "id", "toolCallId"]), json_values), max_size=20)
)
def test_the_text_is_the_deltas(chunks: list[Chunk]) -> None:
    """Rule P2: whatever comes, nothing raises, text is the deltas of what was started, and looking changes nothing."""
    builder, looked = MessageBuilder("m"), MessageBuilder("m")
    started: set[str] = set()
    said = 0
    for chunk in chunks:
        builder.add(chunk)
        looked.add(chunk)
        assert looked.message() == looked.message()
        if is_valid(chunk) and chunk["type"] == "text-start":
            started.add(chunk["id"])
        if is_valid(chunk) and chunk["type"] == "text-delta" and chunk["id"] in started:
            said += len(chunk["delta"])
    assert len(builder.text()) == said
    assert builder.message() == looked.message()


@pytest.mark.parametrize(
    ("chunk", "visible"),
    [
        (_text("delta", delta="x"), True),
        (_text("delta", delta="x", kind="reasoning"), True),
        (_text("delta", delta=""), False),
        (_text("start"), False),
        (_text("end"), False),
        (_CALL, True),
        (_tool("output-available", output=1), True),
        ({"type": "source-url", "sourceId": "s", "url": "u"}, True),
        ({"type": "file", "url": "u", "mediaType": "m"}, True),
        ({"type": "data-x", "data": 1}, True),
        ({"type": "start", "messageId": "m"}, False),
        ({"type": "start-step"}, False),
        ({"type": "finish-step"}, False),
        ({"type": "message-metadata", "messageMetadata": {}}, False),
    ],
)
def test_what_a_reader_sees(chunk: Chunk, visible: bool) -> None:
    """Rule T2: what shows is what cannot be started over."""
    assert is_visible(chunk) is visible
