"""What a reader has seen, and how its bytes are read: strictly by chapter F of the protocol."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, field
from typing import Any

_LEAD = re.compile(rb"(?::\n|retry: (?P<retry>[0-9]+)\n)*")
_EVENT = re.compile(rb"id: (?P<id>[0-9]+-[0-9]+(?:\.[0-9]+)?)\ndata: (?P<data>[^\n\r]+)")
#: A state part has no id, and only who asked gets one (rule D7).
_STATE = re.compile(rb'data: (?P<data>\{"type":"data-holdfast"[^\n\r]+)')

DONE = "[DONE]"

type Frame = tuple[str, str]


class Broken(Exception):
    """A reader met what the contract excludes."""


@dataclass(slots=True)
class Sighting:
    """What one reader has seen of one answer.

    Attributes:
        kind: of reader.
        began, ended: epoch seconds; ``ended`` is 0 until it has the end.
        moved: epoch seconds of the last news.
        frames: cursor and data of each event, in order, each as often as it came; ``[DONE]`` too.
        partial: frames of the connections before the last one, of a reader that is shown all from the beginning.
        history: the answer's text in the chat's history, where the reader's end was found there.
        connections: how many it made.
        states: how many state parts it was told.
        failure: why it gave up, or empty.
        hung: whether it waited beyond its bound.
    """

    kind: str
    began: float = field(default_factory=time.time)
    ended: float = 0.0
    moved: float = field(default_factory=time.time)
    frames: list[Frame] = field(default_factory=list)
    partial: list[list[Frame]] = field(default_factory=list)
    history: str | None = None
    connections: int = 0
    states: int = 0
    failure: str = ""
    hung: bool = False

    @property
    def cursor(self) -> str:
        """Where to go on from."""
        return self.frames[-1][0] if self.frames else ""

    @property
    def over(self) -> bool:
        """Whether the last thing seen was the end."""
        return bool(self.frames) and self.frames[-1][1] == DONE

    def see(self, frame: Frame) -> None:
        """Take an event in."""
        self.frames.append(frame)
        self.moved = time.time()

    def end(self) -> None:
        """The end has come."""
        self.ended = self.moved = time.time()


class Body:
    """One response's events as they come, every byte of which must be as chapter F has it."""

    def __init__(self) -> None:
        self.retry_ms: int | None = None
        self.states = 0
        self._rest = b""

    def feed(self, block: bytes) -> list[Frame]:
        """The events that these bytes complete.

        Raises:
            Broken: a byte is not as it should be.
        """
        *blocks, self._rest = (self._rest + block).split(b"\n\n")
        frames = []
        for each in blocks:
            rest = self._led(each)
            if _STATE.fullmatch(rest):
                self.states += 1
                continue
            if (event := _EVENT.fullmatch(rest)) is None:
                raise Broken(f"not an event: {each[:80]!r}")
            frames.append((event["id"].decode(), event["data"].decode()))
        return frames

    def end(self) -> None:
        """The body has ended in peace.

        Raises:
            Broken: it ended inside an event.
        """
        if self._led(self._rest):
            raise Broken(f"not the end of a body: {self._rest[-80:]!r}")

    def _led(self, block: bytes) -> bytes:
        """What follows heartbeats and ``retry``, which is kept."""
        lead = _LEAD.match(block)
        assert lead is not None
        if lead["retry"]:
            self.retry_ms = int(lead["retry"])
        return block[lead.end() :]


def shown(chunk: dict[str, Any]) -> str:
    """A chunk as its event's data."""
    return json.dumps(chunk, ensure_ascii=True, separators=(",", ":"))
