"""Readers that come early or late, are cut off anywhere, and come back with their cursors."""

from __future__ import annotations

import random
from contextlib import aclosing
from dataclasses import dataclass, field

from holdfast.access import Access
from holdfast.clock import Clock
from holdfast.endings import ending_chunk
from holdfast.errors import ApiError, Rejected, Unavailable, Vanished
from holdfast.records import Cursor, Entry, Error, Finish, Parts, Stop
from holdfast.subscribe import Frame, Subscriber


@dataclass(frozen=True, slots=True)
class Kind:
    """How a reader reads.

    Attributes:
        name: for messages.
        arrives: seconds after the start.
        stays: the longest connection, in seconds.
        cut: how likely a connection is cut after a few frames.
        away: the longest time between two connections, in seconds.
    """

    name: str
    arrives: float
    stays: float
    cut: float
    away: float


@dataclass(slots=True)
class Reader:
    """One reader of one stream.

    Attributes:
        kind: how it reads.
        subscriber: its way to the stream.
        clock: time.
        rng: decides when it is cut.
        frames: everything that it was sent, in order.
        ended: whether it has read the end, or was told that the stream is gone.
        gone: whether it was told that the stream is gone.
        complaints: what must not happen to a reader.
        connections: how many times it connected.
    """

    kind: Kind
    subscriber: Subscriber
    clock: Clock
    rng: random.Random
    frames: list[Frame] = field(default_factory=list)
    ended: bool = False
    gone: bool = False
    complaints: list[str] = field(default_factory=list)
    connections: int = 0

    async def run(self, stream: str) -> None:
        """Read until the end."""
        await self.clock.sleep(self.kind.arrives)
        while not self.ended:
            self.connections += 1
            try:
                await self._connect(stream)
            except (Unavailable, Rejected):
                pass
            except Vanished:
                self.ended = self.gone = True
            except ApiError as error:
                if error.status not in {404, 410}:
                    self.complaints.append(f"D: reader {self.kind.name} was refused with {error.status} {error.code}")
                self.ended = self.gone = True
            if not self.ended:
                await self.clock.sleep(self.rng.uniform(0, self.kind.away))

    async def _connect(self, stream: str) -> None:
        cursor = Cursor.parse(str(self.frames[-1].cursor)) if self.frames else None
        reading = await self.subscriber.open(stream, Access("me"), cursor)
        if reading.complete:
            self.complaints.append(f"D3: reader {self.kind.name} is told that it has everything, before it had")
        left = self.rng.randint(0, 12) if self.rng.random() < self.kind.cut else None
        async with aclosing(reading.frames(self.rng.uniform(0.3, 1) * self.kind.stays)) as frames:
            async for frame in frames:
                if not isinstance(frame, Frame):
                    continue
                self.frames.append(frame)
                if frame.chunk is None:
                    self.ended = True
                    return
                if left is not None:
                    left -= 1
                    if left < 0:
                        return  # cut off, with its last frame received


def expected(entries: list[Entry]) -> list[Frame]:
    """Every frame of a log in order, written down from rules C1, E1, F2 and F4 and not from the reader's code."""
    frames = []
    for entry in entries:
        if isinstance(entry.record, Parts):
            parts = entry.record.parts
            frames += [Frame(Cursor(entry.id, k), chunk) for k, chunk in enumerate(parts[:-1])]
            frames += [Frame(Cursor(entry.id), chunk) for chunk in parts[-1:]]
        elif isinstance(entry.record, Finish | Error | Stop):
            return [*frames, Frame(Cursor(entry.id, 0), ending_chunk(entry.record)), Frame(Cursor(entry.id), None)]
    return frames


def text(frames: list[Frame]) -> str:
    """The text that a reader has."""
    return "".join(f.chunk["delta"] for f in frames if f.chunk is not None and f.chunk["type"] == "text-delta")
