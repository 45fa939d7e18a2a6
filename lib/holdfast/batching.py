"""Coalescing of chunks into appends, without I/O (docs/protocol.md, chapter B).

The first batch goes out at once; after it one append per interval; while an append is in flight the
next batch grows, so a slow store never slows the model down. Adjacent deltas of one part merge.

State:  idle ── push ──▶ waiting ── take ──▶ in flight ── landed ──▶ idle or waiting
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass
from typing import Any, Final

from holdfast.generation import Part

#: Chunk types that merge with their neighbour: the field that names the part, and the field that grows.
_MERGES: Final = {
    "text-delta": ("id", "delta"),
    "reasoning-delta": ("id", "delta"),
    "tool-input-delta": ("toolCallId", "inputTextDelta"),
}


@dataclass(frozen=True, slots=True)
class Batch:
    """What one append carries: chunks, and the checkpoint that holds exactly after the last of them."""

    chunks: list[Part]
    checkpoint: Any = None


@dataclass(slots=True)
class _Item:
    chunk: Part | None
    size: int
    checkpoint: Any = None


class Batcher:
    """Collects chunks and says when the next append is due.

    Args:
        interval: seconds between the starts of two appends.
        max_bytes: an append is closed when its chunks reach this size; one larger chunk goes alone.
    """

    def __init__(self, interval: float, max_bytes: int = 256 * 1024) -> None:
        self._interval = interval
        self._max_bytes = max_bytes
        self._pending: deque[_Item] = deque()
        self._sent_at: float | None = None
        self._flying: int | None = None
        #: Bytes that were pushed and are not in the log yet.
        self.bytes = 0

    def push(self, chunk: Part) -> None:
        """Add a chunk."""
        size = size_of(chunk)
        self._pending.append(_Item(chunk, size))
        self.bytes += size

    def mark(self, checkpoint: Any) -> None:
        """Keep a checkpoint with what was pushed so far; a later one replaces it (rule B4), and None is none."""
        if checkpoint is None:
            return  # alone it would make a record of nothing, which rule R3 refuses
        if not self._pending:
            self._pending.append(_Item(None, 0))
        self._pending[-1].checkpoint = checkpoint

    def due(self) -> float | None:
        """When the next append should start: a monotonic time, 0.0 for at once, None for nothing to send."""
        if self._flying is not None or not self._pending:
            return None
        if self._sent_at is None or self.bytes >= self._max_bytes:
            return 0.0
        return self._sent_at + self._interval

    def take(self, now: float) -> Batch:
        """Take the next batch, in order, for an append that starts ``now``; call when ``due`` gave a time.

        A batch that holds a checkpoint ends with the newest one, so that a checkpoint in the log always
        stands exactly behind the parts that it covers.
        """
        count = size = 0
        marked = 0
        for item in self._pending:
            if count and size + item.size > self._max_bytes:
                break
            count += 1
            size += item.size
            if item.checkpoint is not None:
                marked = count
        items = [self._pending.popleft() for _ in range(marked or count)]
        self._flying = sum(item.size for item in items)
        self._sent_at = now
        return Batch(_merged([item.chunk for item in items if item.chunk is not None]), items[-1].checkpoint)

    def landed(self) -> None:
        """The append that was taken last is in the log."""
        self.bytes -= self._flying or 0
        self._flying = None


def size_of(value: Any) -> int:
    """Bytes of a JSON value in the log."""
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"))


def sent_size_of(value: Any) -> int:
    """Bytes of a JSON value on its way to the store: as text within JSON, where every quote is escaped once more."""
    return size_of(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def _merged(chunks: list[Part]) -> list[Part]:
    """Chunks with runs of deltas of the same part made into one delta each."""
    merged: list[Part] = []
    run: list[str] = []
    for chunk in chunks:
        last = merged[-1] if merged else None
        names = _MERGES.get(chunk["type"])
        if names and last is not None and _alike(last, chunk, names[1]):
            run.append(chunk[names[1]])
            continue
        _close_run(merged, run)
        merged.append(chunk)
        run = [chunk[names[1]]] if names else []
    _close_run(merged, run)
    return merged


def _alike(a: Part, b: Part, grows: str) -> bool:
    return a.keys() == b.keys() and all(a[name] == b[name] for name in a if name != grows)


def _close_run(merged: list[Part], run: list[str]) -> None:
    if len(run) > 1:
        merged[-1] = merged[-1] | {_MERGES[merged[-1]["type"]][1]: "".join(run)}
