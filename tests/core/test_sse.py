"""Frames byte for byte, with nothing in a chunk that could break out of its line (docs/protocol.md, chapter F)."""

from __future__ import annotations

import json
import re

from hypothesis import given
from hypothesis import strategies as st

from holdfast import sse
from holdfast.records import Cursor, EntryId
from tests.core.strategies import json_values, nasty

_chunks = st.dictionaries(nasty, nasty | json_values, max_size=4)


def test_frames_by_example() -> None:
    """Rules F1 to F5: events, the end, the heartbeat and retry are these bytes and no others."""
    entry = EntryId(1, 12)
    assert sse.event(Cursor(entry, 3), {"type": "text-delta", "id": "t", "delta": "é\n"}) == (
        b'id: 1-12.3\ndata: {"type":"text-delta","id":"t","delta":"\\u00e9\\n"}\n\n'
    )
    assert sse.event(Cursor(entry), {"type": "abort"}) == b'id: 1-12\ndata: {"type":"abort"}\n\n'
    assert sse.done(Cursor(entry)) == b"id: 1-12\ndata: [DONE]\n\n"
    assert sse.HEARTBEAT == b":\n"
    assert sse.retry(1500) == b"retry: 1500\n"


@given(_chunks, st.integers(0, 9), st.none() | st.integers(0, 9))
def test_a_chunk_is_one_event(chunk: dict[str, object], seq: int, part: int | None) -> None:
    """Rule F1: whatever a chunk holds, its event is two lines and a blank one, and its data is that chunk."""
    cursor = Cursor(EntryId(1, seq), part)
    text = sse.event(cursor, chunk).decode("ascii")
    id, data, *rest = re.split("\r\n|\r|\n", text)
    assert rest == ["", ""]
    assert id == f"id: {cursor}"
    assert json.loads(data.removeprefix("data: ")) == chunk
    assert len(text.splitlines()) == 3  # nor any of the line ends of Unicode


@given(st.lists(_chunks, max_size=5))
def test_a_body_is_its_events(chunks: list[dict[str, object]]) -> None:
    """Rules F1, F3, F5: events with heartbeats and retry lines in between are dispatched as those events alone."""
    body = b"".join(
        sse.HEARTBEAT + sse.retry(9) + sse.event(Cursor(EntryId(1, n)), chunk) for n, chunk in enumerate(chunks)
    )
    blocks = (body + sse.HEARTBEAT).decode().split("\n\n")
    assert len(blocks) == len(chunks) + 1
    assert [json.loads(block.rpartition("\ndata: ")[2]) for block in blocks[:-1]] == chunks
