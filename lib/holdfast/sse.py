"""Server-sent events byte for byte as every stock client reads them (docs/protocol.md, chapter F)."""

from __future__ import annotations

import json
from typing import Final

from holdfast.generation import Part
from holdfast.records import Cursor

HEADERS: Final = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache, no-transform",
    "x-accel-buffering": "no",
    "x-vercel-ai-ui-message-stream": "v1",
}

#: One line and no blank one: a blank line would dispatch an empty event in several clients (rule F3).
HEARTBEAT: Final = b":\n"


def event(cursor: Cursor, chunk: Part) -> bytes:
    """One chunk as an event whose id is the cursor after it (rule F1)."""
    # JSON escapes every control character, so nothing in a chunk can end the line.
    data = json.dumps(chunk, ensure_ascii=True, separators=(",", ":"))
    return f"id: {cursor}\ndata: {data}\n\n".encode()


def bare(chunk: Part) -> bytes:
    """One chunk without an id: it belongs to the next one that has one (rule W6)."""
    return f"data: {json.dumps(chunk, ensure_ascii=True, separators=(',', ':'))}\n\n".encode()


def state(name: str, attempt: int) -> bytes:
    """What is happening to the answer, for readers who asked (rule D7): transient, and without an id."""
    chunk = {"type": "data-holdfast", "data": {"state": name, "attempt": attempt}, "transient": True}
    return bare(chunk)


def done(cursor: Cursor) -> bytes:
    """The end of the answer, under the end's cursor (rule F4)."""
    return f"id: {cursor}\ndata: [DONE]\n\n".encode()


def retry(milliseconds: int) -> bytes:
    """How soon the client should come back: a bare line at the end of a body (rule F5)."""
    return f"retry: {milliseconds}\n".encode()
