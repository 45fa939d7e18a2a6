"""Everything around one publisher: a store with scripted faults, a queue that remembers, virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

from holdfast.adapters.memory import MemoryLog
from holdfast.answer import Answer
from holdfast.generation import GenerationRequest, Generator, Part
from holdfast.identity import message_id, new_stream_id
from holdfast.keys import Keys
from holdfast.log import Log
from holdfast.pace import Pace
from holdfast.publish import Publisher, Verdict
from holdfast.queue import Delivery
from holdfast.records import Begin, Entry, Queued, Record
from holdfast.rescue import Rescuer
from holdfast.retention import Cleaner
from holdfast.start import Starter
from tests.clocks import VirtualClock
from tests.faults import FaultyLog

LEASE_MS = 10_000
RETENTION = 3600
CHAT_RETENTION = 30 * RETENTION


class RememberingQueue:
    """A queue that delivers nothing by itself and remembers what it was given.

    Attributes:
        messages: every message that it took, as (stream, attempt, deduplication id).
        fault: raised instead of taking a message.
    """

    def __init__(self) -> None:
        self.messages: list[tuple[str, int, str]] = []
        self.fault: Exception | None = None

    async def enqueue(self, stream: str, attempt: int, *, dedup: str) -> None:
        """Take a message, once per deduplication id."""
        if self.fault is not None:
            raise self.fault
        if dedup not in self.dedups:
            self.messages.append((stream, attempt, dedup))

    @property
    def dedups(self) -> list[str]:
        """The deduplication ids of all messages."""
        return [dedup for _, _, dedup in self.messages]


class Stage:
    """One stream and what surrounds it."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.memory = MemoryLog(self.clock)
        self.port = FaultyLog(self.memory, self.clock)
        self.keys = Keys("t")
        self.log = Log(self.port, self.keys, self.clock, LEASE_MS)
        self.calm = Log(self.memory, self.keys, self.clock, LEASE_MS)
        self.queue = RememberingQueue()
        self.crashes: list[BaseException] = []
        self.stream = new_stream_id(self.clock.now_ms())

    async def open(self, stream: str | None = None, **fields: Any) -> str:
        """Open a log as start does."""
        stream = stream or self.stream
        now = self.clock.now_ms()
        values: dict[str, Any] = {
            "at": now,
            "owner": "me",
            "message_id": message_id(stream),
            "messages": [said("Why?")],
        }
        values["retention_seconds"] = RETENTION
        await self.calm.open(stream, Queued(**values | fields), now + 30_000)
        return stream

    def publisher(self, generate: Generator, **pace: Any) -> Publisher:
        """Over the faulty port."""
        return Publisher(self.log, self.queue, generate, Pace(**pace), self.crashes.append)

    async def publish(
        self, generate: Generator, message: str = "m1", retried: int = 0, limit: float | None = None, **pace: Any
    ) -> Verdict:
        """Deliver once; ``limit``: seconds that the platform gives the call."""
        deadline_ms = None if limit is None else self.clock.now_ms() + round(limit * 1000)
        return await self.publisher(generate, **pace).publish(self.delivery(message, retried), deadline_ms)

    def delivery(self, message: str = "m1", retried: int = 0) -> Delivery:
        """A try of a message of this stage's stream."""
        return Delivery(self.stream, 1, message, retried)

    def rescuer(self) -> Rescuer:
        """With the usual limits: 4 s and two minutes."""
        return Rescuer(self.log, self.queue)

    def cleaner(self) -> Cleaner:
        """Over the faulty port."""
        return Cleaner(self.log, self.rescuer())

    def starter(self) -> Starter:
        """Over the faulty port."""
        return Starter(self.log, self.queue, RETENTION, CHAT_RETENTION)

    async def entries(self, stream: str | None = None) -> list[Entry]:
        """The log as it stands."""
        return await self.calm.read(stream or self.stream)

    def has_log(self, stream: str | None = None) -> bool:
        """Whether a log exists."""
        return self.keys.stream(stream or self.stream) in set(self.memory.keys())

    async def records(self) -> list[Record]:
        """The records of the log as it stands."""
        return [entry.record for entry in await self.entries()]

    async def answer(self, stream: str | None = None) -> Answer:
        """The log as it stands, folded."""
        return Answer(await self.entries(stream))

    async def text(self) -> str:
        """The text in the log."""
        return (await self.answer()).builder.text()

    async def claim(self, message: str = "m1", retried: int = 0, owner: str = "holder") -> None:
        """Begin the next attempt for somebody who then does nothing."""
        answer = await self.answer()
        number = answer.last.id.attempt + 1
        begin = Begin(at=self.clock.now_ms(), owner=owner, message=message, retried=retried)
        await self.calm.claim(self.stream, number, begin, self.calm.ttl_ms(answer.queued))


class Script:
    """A generator that yields what it is told and remembers how it was called.

    Args:
        steps: what to do, in order: yield text or a chunk, wait for a number of seconds, or raise.
        further: the steps of later calls; the last ones are used for every call after them.
    """

    def __init__(self, steps: Iterable[Any], *further: Iterable[Any]) -> None:
        self._scripts = [list(script) for script in (steps, *further)]
        self.requests: list[GenerationRequest] = []
        self.cancelled = 0

    async def __call__(self, request: GenerationRequest) -> AsyncIterator[str | Part]:
        """Follow the script."""
        steps = self._scripts[min(len(self.requests), len(self._scripts) - 1)]
        self.requests.append(request)
        try:
            for step in steps:
                if isinstance(step, BaseException):
                    raise step
                if isinstance(step, int | float):
                    await asyncio.sleep(step)
                elif callable(step):
                    step(request)
                else:
                    yield step
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


def saves(checkpoint: object) -> Callable[[GenerationRequest], None]:
    """A step that saves a checkpoint."""
    return lambda request: request.save(checkpoint)


def said(text: str, id: str | None = None, role: str = "user") -> dict[str, Any]:
    """A UI message."""
    message = {"role": role, "parts": [{"type": "text", "text": text}]}
    return message if id is None else {"id": id, **message}


async def die(stage: Stage, generate: Generator, seconds: float, message: str = "m1") -> None:
    """Deliver to a publisher that is killed after so many seconds: nothing of it reaches the store afterwards."""
    publishing = asyncio.create_task(stage.publish(generate, message))
    await asyncio.sleep(seconds)
    publishing.cancel()
    await asyncio.wait({publishing})
