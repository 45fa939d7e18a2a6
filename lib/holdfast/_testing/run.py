"""One answer of a generator, written by the real publisher to a log in memory and interrupted as scheduled."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from holdfast._testing.clock import LoopClock
from holdfast._testing.plan import Interruption, Schedule
from holdfast._testing.watch import Call, Watched
from holdfast.adapters.memory import MemoryLog
from holdfast.answer import Answer
from holdfast.drain import Drain
from holdfast.errors import Unavailable
from holdfast.generation import Generator, Part, UIMessage
from holdfast.identity import message_id, new_stream_id
from holdfast.keys import Keys
from holdfast.log import Log
from holdfast.operations import Append, Operation
from holdfast.pace import Pace
from holdfast.publish import Publisher, Verdict
from holdfast.queue import Delivery
from holdfast.records import Entry, Parts, Queued, Terminal

#: Seconds that a generator has to close after it was cancelled, as much as the publisher gives it.
OBEDIENCE: Final = 5.0

#: Every item gets an append of its own, and what a provider may mend is tried again without much ado. A deadline
#: is told to the millisecond, so that a generator can be held up until it comes.
_PACE: Final = Pace(flush=0.0, pause=0.01, margin=0.0)

#: Seconds that are left to a generator at the item after which its deadline comes.
_NEAR: Final = 0.1

#: Deliveries of one answer, beyond those that its schedule asks for, after which it is not going to end.
_SPARE: Final = 8


@dataclass(frozen=True, slots=True)
class Question:
    """What the generator is asked, the same in every run."""

    messages: list[UIMessage]
    extra: dict[str, Any]
    owner: str


@dataclass(slots=True)
class Run:
    """How one answer went.

    Attributes:
        done: the interruptions that took place, in order; each ended an attempt.
        answer: what the log says in the end.
        chunks: the log's chunks with the attempt that wrote each.
        calls: the calls of the generator.
        crashes: exceptions that no rule foresees.
        disobedient: the call that did not close in time, if there was one.
        late: whether the answer did not end in time.
        near: whether the answer ended in a call whose deadline was near, before that was reached.
    """

    done: list[Interruption]
    answer: Answer
    chunks: list[tuple[int, Part]]
    calls: list[Call]
    crashes: list[BaseException]
    disobedient: Call | None
    late: bool
    near: bool

    @property
    def end(self) -> Terminal | None:
        """The record that ended the answer."""
        return None if self.answer.end is None else self.answer.end[1]

    @property
    def text(self) -> str:
        """The answer's text."""
        return self.answer.builder.text()


class _Store:
    """A log in memory that can be cut off, so that nothing is appended any more."""

    def __init__(self, memory: MemoryLog) -> None:
        self.memory = memory
        self.shut = False

    def close(self) -> None:
        self.shut = True

    async def apply(self, *operations: Operation) -> Sequence[Any]:
        if self.shut and any(isinstance(operation, Append) for operation in operations):
            raise Unavailable("The attempt is cut off from its log.")
        return await self.memory.apply(*operations)


class _Queue:
    """Counts the messages that it was given; the run delivers them by itself."""

    def __init__(self) -> None:
        self.messages: set[str] = set()

    async def enqueue(self, stream: str, attempt: int, *, dedup: str) -> None:  # noqa: ARG002 - the port's
        self.messages.add(dedup)


class _Stage:
    """One stream and what surrounds it."""

    def __init__(self, generate: Generator, limit: float, near: tuple[float, float]) -> None:
        # A deadline is near by the loop's clock and by the wall's, whichever the generator looks at. In virtual time
        # they go apart, so the first is set to show at that item what the second will show there.
        self.clock = LoopClock(near[1] - near[0])
        self.store = _Store(MemoryLog(self.clock))
        self.log = Log(self.store, Keys("testing"), self.clock)
        self.queue = _Queue()
        self.crashes: list[BaseException] = []
        self.watched = Watched(generate, self.store.close)
        self.stream = new_stream_id(self.clock.now_ms())
        self._limit = limit
        self._near = near[0] + _NEAR

    async def attempt(self, delivery: Delivery, interruption: Interruption | None, until: float) -> bool | None:
        """Deliver once → whether the attempt was cut off or asked to hand off, or None if it took too long."""
        self.store.shut = False
        self.watched.arm(interruption)
        drain = Drain()
        publisher = Publisher(self.log, self.queue, self.watched, _PACE, self.crashes.append, drain)
        near = interruption is not None and interruption.near
        # Else behind the end of the run: hand-offs come by drain, to the item.
        time_left = self._near if near else self._limit * 2
        deadline = self.clock.monotonic() + time_left
        deadline_ms = self.clock.now_ms() + round(time_left * 1000)
        publishing = asyncio.create_task(publisher.publish(delivery, deadline_ms))
        reached = asyncio.create_task(self.watched.reached.wait())
        left = max(0.0, until - self.clock.monotonic())
        try:
            await asyncio.wait({publishing, reached}, timeout=left, return_when="FIRST_COMPLETED")
            if publishing.done():
                return publishing.result() is not Verdict.DONE
            if not self.watched.reached.is_set() or interruption is None:
                return None
            if near:
                await asyncio.wait({publishing}, timeout=max(0.0, deadline - self.clock.monotonic()) + OBEDIENCE * 2)
                return False
            if interruption.kind == "hand-off":
                drain.begin()
                await asyncio.wait({publishing}, timeout=OBEDIENCE * 2)
                return True
            self.store.shut = True
            return True
        finally:
            for task in (publishing, reached):
                task.cancel()
            await asyncio.wait({publishing, reached})


async def run(
    generate: Generator, question: Question, schedule: Schedule, limit: float, references: Sequence[Run] = ()
) -> Run:
    """Have one answer written.

    Args:
        generate: the generator.
        question: what it is asked.
        schedule: how its attempts are interrupted, in order; later ones are let run.
        limit: seconds of the loop's time that it may take.
        references: uninterrupted runs, which tell when a deadline has to come.
    """
    stage = _Stage(generate, limit, _when(schedule, references))
    now = stage.clock.now_ms()
    queued = Queued(
        at=now,
        owner=question.owner,
        message_id=message_id(stage.stream),
        messages=question.messages,
        extra=question.extra,
    )
    await stage.log.open(stage.stream, queued, now)
    until = stage.clock.monotonic() + limit
    waiting = list(schedule)
    done: list[Interruption] = []
    late = near = False
    message = retried = 0
    disobedient: Call | None = None
    for _ in range(len(schedule) + _SPARE):
        interruption = waiting.pop(0) if waiting else None
        delivery = Delivery(stage.stream, 1, f"m{message}", retried)
        interrupted = await stage.attempt(delivery, interruption, until)
        if interrupted is None:
            late = True
            break
        if disobedient := await _disobedient(stage.watched.calls):
            break
        # A hand-off is a message of its own; after a crash the queue tries the same one again (rule L4).
        handed_off = len(stage.queue.messages) > message
        if interruption is not None and (interrupted or handed_off):
            done.append(interruption)
        answer = Answer(await stage.log.read(stage.stream))
        if answer.end is not None:
            near = interruption is not None and interruption.near
            break
        message, retried = (message + 1, 0) if handed_off else (message, retried + 1)
    entries = await stage.log.read(stage.stream)
    return Run(done, Answer(entries), _chunks(entries), stage.watched.calls, stage.crashes, disobedient, late, near)


def _when(schedule: Schedule, references: Sequence[Run]) -> tuple[float, float]:
    """When the item comes at which a deadline is to be near, in seconds: by the loop's clock, and by the wall's."""
    after = next((each.after for each in schedule if each.near), 0)
    times = [reference.calls[0].times[:after] for reference in references]
    return min((each[-1] for each in times if after and len(each) == after), default=(0.0, 0.0))


def _chunks(entries: list[Entry]) -> list[tuple[int, Part]]:
    return [(entry.id.attempt, c) for entry in entries if isinstance(entry.record, Parts) for c in entry.record.parts]


async def _disobedient(calls: list[Call]) -> Call | None:
    """The call that is still at work although its attempt is over, after it was given its time."""
    for call in calls:
        if not call.began or call.closed.is_set():
            continue
        # The publisher has waited for an async generator already. A sync one ends in its thread, at its next yield.
        if call.task is not None and call.task.done() and await asyncio.to_thread(call.closed.wait, OBEDIENCE):
            continue
        for _ in range(3):  # one that swallows its cancellation once often obeys the next
            if call.task is not None and not call.task.done():
                call.task.cancel()
                await asyncio.wait({call.task}, timeout=0.1)
        return call
    return None
