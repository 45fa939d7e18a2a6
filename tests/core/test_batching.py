"""Coalescing: nothing lost, nothing out of order, in time and within size (docs/protocol.md, chapter B)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.batching import Batch, Batcher
from holdfast.records import Parts, decode, encode
from tests.core.samples import delta
from tests.core.strategies import yielded_chunks

_GROWS = {"text-delta": "delta", "reasoning-delta": "delta", "tool-input-delta": "inputTextDelta"}
_LIMIT = 120


def _letters(chunks: Iterable[dict[str, Any]]) -> list[Any]:
    """Chunks with every delta cut into its letters: equal exactly if merging changed neither content nor order."""
    cut: list[Any] = []
    for chunk in chunks:
        grows = _GROWS.get(chunk["type"])
        if grows is None:
            cut.append(chunk)
        else:
            rest = {name: value for name, value in chunk.items() if name != grows}
            cut += [(rest, letter) for letter in chunk[grows]]
    return cut


def _size(chunks: Iterable[dict[str, Any]]) -> int:
    return sum(len(json.dumps(chunk, ensure_ascii=False, separators=(",", ":")).encode()) for chunk in chunks)


#: Chunks to push, numbers as checkpoints to mark, None to let an append start and land.
_acts = st.lists(st.one_of(yielded_chunks, yielded_chunks, st.integers(1, 99), st.none()), max_size=40)


@given(_acts)
def test_what_goes_in_comes_out(acts: list[dict[str, Any] | int | None]) -> None:
    """Rules B3, B4: whatever the order of pushes, marks and takes, batches joined are the chunks in order.

    Every checkpoint that was not replaced stands exactly behind the chunks that were pushed before it.
    """
    batcher = Batcher(0.2, _LIMIT)
    pushed: list[dict[str, Any]] = []
    marks: list[tuple[int, int]] = []  # (letters before it, checkpoint)
    out: list[Batch] = []

    def take() -> None:
        if batcher.due() is not None:
            out.append(batcher.take(0.0))
            batcher.landed()

    for act in acts:
        if isinstance(act, dict):
            batcher.push(act)
            pushed.append(act)
        elif isinstance(act, int):
            batcher.mark(act)
            marks.append((len(_letters(pushed)), act))
        else:
            take()
    while batcher.due() is not None:
        take()

    assert _letters(chunk for batch in out for chunk in batch.chunks) == _letters(pushed)
    assert batcher.bytes == 0
    before = 0
    seen: list[tuple[int, int]] = []
    for batch in out:
        before += len(_letters(batch.chunks))
        if batch.checkpoint is not None:
            seen.append((before, batch.checkpoint))
        assert decode(encode(Parts(at=0, pos=0, parts=batch.chunks, checkpoint=batch.checkpoint)))
    # None may stand anywhere but where it was made; the newest one always comes out.
    assert all(mark in marks for mark in seen)
    assert seen[-1:] == marks[-1:]


@given(st.lists(yielded_chunks, max_size=40))
def test_batches_keep_their_size(chunks: list[dict[str, Any]]) -> None:
    """Rule B3: a batch is within the size, but for one larger chunk alone; and no smaller than need be."""
    batcher = Batcher(0.2, _LIMIT)
    for chunk in chunks:
        batcher.push(chunk)
    sizes = []
    while batcher.due() is not None:
        batch = batcher.take(0.0)
        assert _size(batch.chunks) <= _LIMIT or len(batch.chunks) == 1
        sizes.append(batcher.bytes)
        batcher.landed()
    # Bytes count until they have landed.
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[:1] == ([_size(chunks)] if chunks else [])


@given(st.lists(yielded_chunks, max_size=20))
def test_only_neighbours_of_one_part_merge(chunks: list[dict[str, Any]]) -> None:
    """Rule B3: in a batch no two neighbours are deltas of the same part, and nothing else was joined."""
    batcher = Batcher(0.2)
    for chunk in chunks:
        batcher.push(chunk)
    if not chunks:
        assert batcher.due() is None
        return
    merged = batcher.take(0.0).chunks
    for a, b in pairwise(merged):
        grows = _GROWS.get(a["type"])
        assert grows is None or {**a, grows: ""} != {**b, grows: ""}
    runs = 1 + sum(
        a["type"] not in _GROWS or {**a, _GROWS[a["type"]]: ""} != {**b, _GROWS[a["type"]]: ""}
        for a, b in pairwise(chunks)
    )
    assert len(merged) == runs


def test_merging_by_example() -> None:
    """Rule B3: runs of one part merge; another part, another field or anything in between divides them."""
    batcher = Batcher(0.2)
    tool = {"type": "tool-input-delta", "toolCallId": "c", "inputTextDelta": '{"a"'}
    for chunk in (
        delta("a"), delta("b"), delta("c", "t1"), delta("d", "t1"), delta("e"),
        {**delta("f"), "providerMetadata": {}}, {"type": "text-end", "id": "t0"},
        tool, {**tool, "inputTextDelta": ":1}"},
    ):  # fmt: skip
        batcher.push(chunk)
    assert batcher.take(0.0).chunks == [
        delta("ab"),
        delta("cd", "t1"),
        delta("e"),
        {**delta("f"), "providerMetadata": {}},
        {"type": "text-end", "id": "t0"},
        {**tool, "inputTextDelta": '{"a":1}'},
    ]


def test_merging_leaves_the_pushed_chunks_alone() -> None:
    """A chunk that was pushed is the caller's still."""
    batcher = Batcher(0.2)
    first = delta("a")
    batcher.push(first)
    batcher.push(delta("b"))
    batcher.take(0.0)
    assert first == delta("a")


def test_when_an_append_is_due() -> None:
    """Rules B1, B2: at once at first, then an interval after the last start; never while one is in flight."""
    batcher = Batcher(0.2)
    assert batcher.due() is None
    batcher.push(delta("a"))
    assert batcher.due() == 0.0
    batcher.take(10.0)
    batcher.push(delta("b"))
    assert batcher.due() is None
    batcher.landed()
    assert batcher.due() == pytest.approx(10.2)
    batcher.push(delta("c"))
    assert batcher.due() == pytest.approx(10.2)
    assert batcher.take(10.2).chunks == [delta("bc")]
    batcher.landed()
    assert batcher.due() is None


def test_a_full_batch_does_not_wait() -> None:
    """Rule B3: what fills a batch is due at once, and only what has not landed counts."""
    batcher = Batcher(0.2, _LIMIT)
    batcher.push(delta("a" * _LIMIT))
    batcher.take(1.0)
    batcher.landed()
    batcher.push(delta("b"))
    assert batcher.due() == pytest.approx(1.2)
    batcher.push(delta("c" * _LIMIT))
    assert batcher.due() == 0.0
    assert batcher.take(1.01).chunks == [delta("b")]
    batcher.landed()
    assert batcher.due() == 0.0
    assert batcher.take(1.02).chunks == [delta("c" * _LIMIT)]


def test_a_checkpoint_ends_its_batch() -> None:
    """Rule B4: what was pushed after a checkpoint goes with the next append."""
    batcher = Batcher(0.2)
    batcher.push(delta("a"))
    batcher.mark({"step": 1})
    batcher.push(delta("b"))
    assert batcher.take(0.0) == Batch([delta("a")], {"step": 1})
    batcher.landed()
    assert batcher.take(0.2) == Batch([delta("b")])


def test_a_checkpoint_alone() -> None:
    """Rule B4: a checkpoint goes out where there is nothing to send with it; a later one replaces it."""
    batcher = Batcher(0.2)
    batcher.mark(1)
    batcher.mark(2)
    assert batcher.due() == 0.0
    assert batcher.take(0.0) == Batch([], 2)
    batcher.landed()
    assert (batcher.due(), batcher.bytes) == (None, 0)


def test_no_checkpoint_is_nothing_to_send() -> None:
    """Rules B4, R3: None as a checkpoint makes no empty record, which nobody could read."""
    batcher = Batcher(0.2)
    batcher.mark(None)
    assert batcher.due() is None
    batcher.push(delta("a"))
    assert batcher.take(0.0) == Batch([delta("a")])


def test_unstorable_text_is_counted_and_not_fatal_here() -> None:
    """A lone surrogate is refused where chunks are checked; counting bytes must not fail before."""
    batcher = Batcher(0.2)
    batcher.push(delta("\ud800"))
    assert batcher.bytes > 0
