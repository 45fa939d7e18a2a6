"""Readers of a stream: frames byte for byte, and one that comes back with its cursor as an EventSource does."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import httpx

from tests.e2e.waiting import LIMIT
from tests.owner import AUTH

_EVENT = re.compile(rb"id: (?P<id>[0-9.-]+)\ndata: (?P<data>[^\n\r]+)\n")
#: What may stand before an event, or at the end of a body: heartbeats, and how soon to come back (rules F3, F5).
_BETWEEN = re.compile(rb"(:\n|retry: [0-9]+\n)*")


@dataclass(frozen=True, slots=True)
class Event:
    """One event.

    Attributes:
        id: the cursor after it.
        data: as it was sent.
        at_ns: epoch nanoseconds of its arrival; no part of what makes two events the same.
    """

    id: str
    data: bytes
    at_ns: int = field(default=0, compare=False)

    @property
    def chunk(self) -> dict[str, Any]:
        """The UI chunk; empty for ``[DONE]``."""
        return {} if self.data == b"[DONE]" else dict(json.loads(self.data))


def parse(body: bytes, *, cut: bool = False) -> list[Event]:
    """The events of a body, every byte of which must be as chapter F of the protocol has it.

    Args:
        body: the bytes.
        cut: whether the body may break off anywhere.
    """
    *blocks, tail = body.split(b"\n\n")
    events = []
    for block in blocks:
        lead = _BETWEEN.match(block)
        assert lead is not None
        event = _EVENT.fullmatch(block[lead.end() :] + b"\n")
        assert event is not None, f"not an event: {block!r}"
        events.append(Event(event["id"].decode(), event["data"]))
    assert cut or _BETWEEN.fullmatch(tail), f"not the end of a body: {tail!r}"
    return events


def text_of(events: Iterable[Event]) -> str:
    """The text of an answer."""
    return "".join(each.chunk["delta"] for each in events if each.chunk.get("type") == "text-delta")


def kinds(events: Iterable[Event]) -> list[str]:
    """The types of the chunks, and ``[DONE]``; runs of one type only once."""
    found: list[str] = []
    for event in events:
        kind = event.chunk.get("type", "[DONE]")
        if found[-1:] != [kind]:
            found.append(kind)
    return found


class Reader:
    """Reads a stream in a thread of its own until ``[DONE]``, coming back with its cursor after every end.

    Args:
        url: the stream's.
        auth: the headers that show who reads.
    """

    def __init__(self, url: str, auth: Mapping[str, str] = AUTH) -> None:
        self._auth = dict(auth)
        self.events: list[Event] = []
        #: The bytes of each response.
        self.bodies: list[bytes] = []
        self._url = url
        self._failure = ""
        self._gone = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._gone.set()
        self._thread.join(LIMIT)

    @property
    def text(self) -> str:
        """The text so far."""
        return text_of(list(self.events))

    def to_end(self, seconds: float = LIMIT) -> list[Event]:
        """Everything, once the end has come."""
        self._thread.join(seconds)
        assert not self._failure, self._failure
        assert not self._thread.is_alive(), f"no end after {seconds:g} s, but {self.events[-1:]}"
        return self.events

    def _run(self) -> None:
        with httpx.Client(timeout=httpx.Timeout(LIMIT, read=LIMIT), trust_env=False) as http:
            while not self._gone.is_set() and not self._failure and not self._over():
                try:
                    self._read(http)
                except httpx.TransportError:
                    # The server is gone: an EventSource tries again after a while.
                    self._gone.wait(0.05)

    def _over(self) -> bool:
        return bool(self.events) and self.events[-1].data == b"[DONE]"

    def _read(self, http: httpx.Client) -> None:
        headers = self._auth | ({"last-event-id": self.events[-1].id} if self.events else {})
        with http.stream("GET", self._url, headers=headers) as reply:
            if reply.status_code != 200:
                reply.read()
                self._failure = f"{reply.status_code}: {reply.text}"
                return
            body, parsed = b"", 0
            self.bodies.append(body)
            for block in reply.iter_raw():
                now = time.time_ns()
                body += block
                self.bodies[-1] = body
                whole = body.rfind(b"\n\n") + 2
                if whole > max(parsed, 1):
                    self.events += [Event(each.id, each.data, now) for each in parse(body[parsed:whole])]
                    parsed = whole
                if self._gone.is_set() or self._over():
                    return
            parse(body)
