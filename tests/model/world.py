"""One answer's whole world: the real core on a store in memory, between a bad network, a queue, a model and readers."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

from holdfast import history
from holdfast.adapters.memory import MemoryLog
from holdfast.errors import ApiError, Rejected, Unavailable, Vanished
from holdfast.keys import Keys
from holdfast.log import Log, parse
from holdfast.operations import Append, Drop, Get, Operation, Range
from holdfast.publish import Publisher, Verdict
from holdfast.queue import Delivery
from holdfast.records import FIRST, SEAL_ATTEMPT, Entry, Error, Handoff, Stop, decode, is_terminal
from holdfast.requests import StartRequest
from holdfast.rescue import Rescuer
from holdfast.retention import Cleaner
from holdfast.start import Starter
from holdfast.subscribe import Subscriber
from tests.clocks import VirtualClock
from tests.model import plan as plans
from tests.model.plan import Plan
from tests.model.processes import CURRENT, Line, Process, QueueLine, Store, Weather
from tests.model.readers import Reader
from tests.model.scripted_model import Bug, ScriptedModel
from tests.model.scripted_queue import ScriptedQueue

#: Seconds of grace for what needs several requests over a slow network.
SLACK = 6.0
CALM = Weather()
QUESTION = {"id": "q1", "role": "user", "parts": [{"type": "text", "text": "What holds?"}]}


class World:
    """Everything of one run.

    Args:
        plan: what the run is about.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.rng = random.Random(plan.seed + 1)  # noqa: S311 - decides schedules, protects nothing
        self.clock = VirtualClock()
        self.memory = MemoryLog(self.clock)
        self.store = Store(self.memory, self.clock, witnesses=[self._witness])
        self.weather = plan.weather()
        self.keys = Keys("model")
        self.stream = ""
        self.vanished_at: float | None = None
        self.violations: list[str] = []
        self.counts: Counter[str] = Counter()
        # By stream key, then attempt: a start that is repeated after a lost reply may have opened several.
        self._begun: defaultdict[str, dict[int, tuple[float, Process]]] = defaultdict(dict)
        self._reached: defaultdict[str, dict[int, float]] = defaultdict(dict)
        self.queue = ScriptedQueue(self.clock, self.rng, plan.habits, self._deliver, self._fail)
        self.model = ScriptedModel(
            clock=self.clock,
            rng=self.rng,
            temper=plan.temper,
            longest_silence=4 * plans.LEASE,
            check=self._check,
            report=self.violations.append,
        )
        self.readers: list[Reader] = []

    @property
    def begun(self) -> dict[int, tuple[float, Process]]:
        """When each attempt was begun, and by which process."""
        return self._begun[self.keys.stream(self.stream)]

    # -- what is looked at from outside ---------------------------------------------------------------

    def peek(self, *operations: Operation) -> Any:
        """The store's results, without a network; MemoryLog never waits, so one step carries it out."""
        try:
            self.memory.apply(*operations).send(None)
        except StopIteration as stop:
            return stop.value
        raise AssertionError("MemoryLog waited.")

    def entries(self) -> list[Entry]:
        """The log as it stands."""
        (raw,) = self.peek(Range(self.keys.stream(self.stream), FIRST))
        return parse(raw)

    def leased(self) -> bool:
        """Whether the newest attempt's lease is alive."""
        return bool(self.begun) and self.peek(Get(self.keys.lease(self.stream, max(self.begun))))[0] is not None

    def log(self, process: Process, weather: Weather | None = None) -> Log:
        """The verbs over a process's line."""
        weather = self.weather if weather is None else weather
        return Log(Line(process, self.store, weather, self.rng), self.keys, self.clock, round(plans.LEASE * 1000))

    def rescuer(self, process: Process, weather: Weather | None = None) -> Rescuer:
        """Over a process's lines."""
        return Rescuer(self.log(process, weather), self._queue(process, weather), plans.STALL, plans.GIVE_UP)

    def _queue(self, process: Process, weather: Weather | None = None) -> QueueLine:
        return QueueLine(process, self.queue, weather or self.weather, self.rng, self.clock)

    def _publisher(self, process: Process) -> Publisher:
        return Publisher(self.log(process), self._queue(process), self.model, plans.PACE, self._crashed)

    def _crashed(self, error: BaseException) -> None:
        if not isinstance(error, Bug):
            self.violations.append(f"the generator was made to raise {error!r}")

    # -- what is watched ------------------------------------------------------------------------------

    def _witness(self, process: Process, append: Append) -> None:
        now, key = self.clock.monotonic(), append.key
        ours = key == self.keys.stream(self.stream)
        if self.vanished_at is not None and ours and append.id != FIRST:
            self.violations.append(f"A5: {append.id} was appended to a log that is gone")
        if append.id == FIRST:  # a start that was rolled back may be tried again under the same id
            self._reached[key].clear()
            self._begun[key].clear()
        self._reached[key].setdefault(append.id.attempt, now)
        if ours and (append.id.attempt == SEAL_ATTEMPT or _is_judged(append)):
            self._sealed(append, now)
        elif append.id.seq == 0 and append.id.attempt != SEAL_ATTEMPT:
            self._begun[key][append.id.attempt] = (now, process)
            process.begun[append.id.attempt] = key

    def _sealed(self, append: Append, now: float) -> None:
        record = decode(append.record)
        if isinstance(record, Stop):
            self.counts["stopped"] += 1
            return
        if not isinstance(record, Error):
            self.violations.append(f"E2: {record} stands in the place of a seal")
            return
        self.counts[f"sealed by {record.by}"] += 1
        ended_at = min(
            (self.store.landed[append.key, e.id] for e in self.entries() if is_terminal(e.record)), default=now
        )
        if now - ended_at > SLACK:
            self.violations.append(f"E3: {record.by} sealed what had ended {now - ended_at:.1f} s before")
        if self.begun:
            began, process = self.begun[max(self.begun)]
            # Between a look and its seal there is time for another claim, but not for this much of it.
            healthy = not (process.dead or process.froze) and self.leased() and now - began > SLACK
            if healthy and process.task is not None and not process.task.done():
                self.violations.append(f"Q: {record.by} sealed an answer that {process.name} is writing")
        elif record.by == "callback" and not self.queue.counts["callbacks"]:
            self.violations.append("Q3: sealed without a callback")
        asked = any(f".r{max(self.begun, default=0)}." in dedup for dedup in self.queue.seen)
        unbegun = record.by == "cleanup" and not self.begun  # rule X3: it asks for none
        if record.code == "abandoned" and not asked and not unbegun:
            self.violations.append(f"Q1: {record.by} gave the answer up, and nobody had asked for a rescue")

    def _check(self, process: Process, attempt: int) -> None:
        """Whether a generator that runs may still run (rules L2, L7, A5)."""
        now = self.clock.monotonic()
        if process.froze or process.dead:
            return
        reached = self._reached[process.begun.get(attempt, "")]
        over = min((at for other, at in reached.items() if other > attempt), default=now)
        if now - over > plans.LEASE + SLACK:
            self.violations.append(f"L2: {process.name} runs attempt {attempt}, {now - over:.1f} s after its end")
        if now - process.replied_at > plans.LEASE + SLACK / 2:
            self.violations.append(f"L7: {process.name} runs {now - process.replied_at:.1f} s after the last reply")
        if self.vanished_at is not None and now - self.vanished_at > plans.LEASE + SLACK:
            self.violations.append(f"A5: {process.name} runs {now - self.vanished_at:.1f} s after its log had gone")

    # -- the queue's calls ----------------------------------------------------------------------------

    async def _deliver(self, delivery: Delivery) -> Verdict | None:
        process = Process(f"{delivery.message_id}/{delivery.retried}")
        limit = self.plan.limit
        deadline_ms = None if limit is None else self.clock.now_ms() + round(limit * 1000)

        async def work() -> Verdict:
            CURRENT.set(process)
            return await self._publisher(process).publish(delivery, deadline_ms)

        verdict = await self.call(process, work)
        if verdict is Verdict.DONE:
            self._check_acknowledged(delivery)
        elif verdict is Verdict.REFUSE and self.vanished_at is None and delivery.stream == self.stream:
            self.violations.append(f"L6: {process.name} refused a message of a stream that is there")
        self.counts["turned away"] += verdict is Verdict.AWAY
        return verdict

    def _check_acknowledged(self, delivery: Delivery) -> None:
        (raw,) = self.peek(Range(self.keys.stream(delivery.stream), FIRST))
        entries = parse(raw)
        ended = any(is_terminal(entry.record) for entry in entries)
        handed = any(isinstance(e.record, Handoff) and e.record.message == delivery.message_id for e in entries)
        if entries and not ended and not handed:
            self.violations.append(f"L6: {delivery.message_id}/{delivery.retried} was acknowledged without an end")

    async def _fail(self, delivery: Delivery) -> bool:
        process = Process(f"{delivery.message_id}/callback")
        sealed = await self.call(process, lambda: self._publisher(process).failed(delivery))
        return sealed is not None

    async def call[T](self, process: Process, work: Callable[[], Awaitable[T]]) -> T | None:
        """Run something in a process of its own → what it returned; None if it died or the store did not answer."""
        process.replied_at = self.clock.monotonic()
        task = process.task = asyncio.ensure_future(work())
        if self.rng.random() < self.plan.freezes:
            at, seconds = self.rng.uniform(0, 8), self.rng.uniform(0.5, 3) * plans.LEASE
            loop = asyncio.get_running_loop()
            loop.call_later(at, lambda: process.freeze(loop.time(), seconds))
            self.counts["freezes"] += 1
        try:
            await asyncio.wait({task})
        finally:
            task.cancel()
        if task.cancelled():
            return None
        error = task.exception()
        if error is None:
            return task.result()
        if not isinstance(error, Unavailable | Rejected | Vanished | ApiError):
            self.violations.append(f"{process.name} raised {error!r}")
        return None

    # -- the run --------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Ask the question, again and again under one key, until it is taken."""
        request = StartRequest("me", [QUESTION], chat_id="c" if self.plan.chat else None, key="once")
        for number in range(100):
            process = Process(f"start {number}")
            starter = Starter(self.log(process), self._queue(process), plans.RETENTION, 10 * plans.RETENTION)
            started = await self.call(process, lambda starter=starter: starter.start(request))  # type: ignore[misc]
            if started is not None:
                self.stream = started.stream
                return
            await self.clock.sleep(self.rng.uniform(0.1, 1))
        raise AssertionError("The start was never taken.")

    def admit_readers(self) -> list[asyncio.Task[None]]:
        """Let the readers in."""
        for kind in self.plan.readers:
            process = Process(kind.name)
            weather = Weather(self.weather.loss, 0.0, self.weather.slow)
            subscriber = Subscriber(
                self.log(process, weather), self.rescuer(process, weather), plans.PATIENCE, plans.RETENTION * 1000
            )
            self.readers.append(Reader(kind, subscriber, self.clock, self.rng))
        return [asyncio.create_task(reader.run(self.stream)) for reader in self.readers]

    async def stop(self, at: float) -> None:
        """Somebody presses the button, and presses again where it fails."""
        await self.clock.sleep(at)
        stopped = None
        while stopped is None and self.vanished_at is None:
            process = Process("stop")
            record = Stop(at=self.clock.now_ms(), by="request")
            stopped = await self.call(process, lambda p=process, r=record: history.end(self.log(p), self.stream, r))  # type: ignore[misc]

    async def vanish(self, at: float) -> None:
        """The log is lost to a stranger's hand."""
        await self.clock.sleep(at)
        self.vanished_at = self.clock.monotonic()
        self.peek(Drop((self.keys.stream(self.stream),)))

    async def fail_store(self, at: float, seconds: float) -> None:
        """The store answers nobody for a while."""
        await self.clock.sleep(at)
        self.weather.down_until = self.clock.monotonic() + seconds

    async def clean(self, every: float) -> None:
        """The schedule."""
        while True:
            await self.clock.sleep(every)
            process = Process("cleanup")
            cleaner = Cleaner(self.log(process), self.rescuer(process))
            await self.call(process, lambda cleaner=cleaner: cleaner.run(20.0))  # type: ignore[misc]

    async def watch(self) -> None:
        """Nobody waits for ever (rule Q2): an answer without lease and news gets its end."""
        size, quiet_since = 0, self.clock.monotonic()
        while self.vanished_at is None:
            await self.clock.sleep(1.0)
            now, entries = self.clock.monotonic(), self.entries()
            if len(entries) != size or self.leased():
                size, quiet_since = len(entries), now
            if now - quiet_since > plans.GIVE_UP + 4 * plans.STALL + SLACK:
                self.violations.append(f"Q2: the answer stood still for {now - quiet_since:.0f} s")
                return
            if self.ended(entries):
                return

    @staticmethod
    def ended(entries: list[Entry]) -> bool:
        """Whether a log has its end."""
        return any(is_terminal(entry.record) for entry in entries)


def _is_judged(append: Append) -> bool:
    """Whether somebody else than its publisher ends a log, at the next free id (rule E5)."""
    record = decode(append.record)
    return isinstance(record, Error) and record.by != "publish"
