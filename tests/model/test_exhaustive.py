"""Every fault at every call of two attempts, on the real core: nothing lost, nothing twice, one end (A, K, L, E)."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import pytest

from holdfast.answer import Answer
from holdfast.errors import Unavailable
from holdfast.generation import GenerationRequest
from holdfast.log import Log
from holdfast.operations import Operation
from holdfast.pace import Pace
from holdfast.publish import Publisher, Verdict
from holdfast.records import SEAL, Finish, Stop, is_terminal
from tests.clocks import run
from tests.publishing.stage import LEASE_MS, Stage

#: Appends of text in one whole answer.
_APPENDS = 3
#: More calls of the store than one attempt makes; a fault behind its last call strikes nothing.
_CALLS = 10


class Blow(Enum):
    """What happens at one call of the store."""

    KILLED_BEFORE = "killed before the request"
    KILLED_AFTER = "killed before the reply"
    REQUEST_LOST = "request lost"
    REPLY_LOST = "reply lost"
    STOP_BEFORE = "stop before the request"
    STOP_AFTER = "stop before the reply"
    FROZEN = "request held for longer than the lease"


_KILLS = (Blow.KILLED_BEFORE, Blow.KILLED_AFTER)


@dataclass(frozen=True)
class Fate:
    """A blow and the call that it strikes, counted from 0."""

    call: int
    blow: Blow


class Line:
    """A publisher's way to the store, struck once."""

    def __init__(self, stage: Stage, fate: Fate | None) -> None:
        self._stage = stage
        self._fate = fate
        self._calls = 0
        self.struck = asyncio.Event()

    async def apply(self, *operations: Operation) -> Sequence[Any]:
        """Carry out operations, unless this is the call."""
        number, self._calls = self._calls, self._calls + 1
        if self._fate is None or number != self._fate.call:
            return await self._stage.memory.apply(*operations)
        self.struck.set()
        match self._fate.blow:
            case Blow.KILLED_BEFORE:
                await asyncio.Event().wait()
            case Blow.KILLED_AFTER:
                await self._stage.memory.apply(*operations)
                await asyncio.Event().wait()
            case Blow.REQUEST_LOST:
                raise Unavailable
            case Blow.REPLY_LOST:
                await self._stage.memory.apply(*operations)
                raise Unavailable
            case Blow.STOP_BEFORE:
                await _stop(self._stage)
            case Blow.STOP_AFTER:
                results = await self._stage.memory.apply(*operations)
                await _stop(self._stage)
                return results
            case Blow.FROZEN:
                # It reaches the store all the same, when everybody has long gone on.
                held = asyncio.create_task(self._later(operations))
                await asyncio.sleep(2 * LEASE_MS / 1000)
                return await held
        return await self._stage.memory.apply(*operations)

    async def _later(self, operations: tuple[Operation, ...]) -> Sequence[Any]:
        await asyncio.sleep(1.9 * LEASE_MS / 1000)
        return await self._stage.memory.apply(*operations)


class Model:
    """Says another text with every call; one that is given a partial answer says the rest of it."""

    def __init__(self) -> None:
        self.calls = 0

    def text(self, call: int) -> list[str]:
        """The whole text of a call, in as many pieces as there are appends."""
        return [f"<{call}.{piece}>" for piece in range(_APPENDS)]

    async def __call__(self, request: GenerationRequest) -> AsyncIterator[str]:
        """Say it, one piece a flush interval."""
        self.calls += 1
        call = int(request.partial[1 : request.partial.index(".")]) if request.partial else self.calls
        said = 0
        for piece in self.text(call):
            said += len(piece)
            if said > len(request.partial):
                yield piece
                await asyncio.sleep(1)


async def _stop(stage: Stage) -> None:
    await stage.calm.seal(stage.stream, Stop(at=stage.clock.now_ms(), by="request"))


async def _deliver(stage: Stage, model: Model, retried: int, fate: Fate | None) -> asyncio.Task[Verdict] | None:
    """One delivery → its task if it goes on behind a held request, and None when it is over."""
    line = Line(stage, fate)
    log = Log(line, stage.keys, stage.clock, LEASE_MS)
    publisher = Publisher(log, stage.queue, model, Pace(flush=0.5), stage.crashes.append)
    task = asyncio.create_task(publisher.publish(stage.delivery("m1", retried)))
    struck = asyncio.create_task(line.struck.wait())
    await asyncio.wait({task, struck}, return_when="FIRST_COMPLETED")
    struck.cancel()
    if task.done() or fate is None:
        return None
    if fate.blow in _KILLS:
        task.cancel()
        await asyncio.wait({task})
        return None
    if fate.blow is Blow.FROZEN:
        return task
    await asyncio.wait({task})
    return None


async def _explore(first: Fate | None, second: Fate | None) -> str:
    """One state → how the answer ended."""
    stage, model = Stage(), Model()
    await stage.open()
    frozen = [await _deliver(stage, model, 0, first), await _deliver(stage, model, 1, second)]
    for retried in itertools.count(2):
        assert retried < 12, "nobody ends it"
        await asyncio.sleep(LEASE_MS / 1000 + 1)
        answer = await stage.answer()
        if answer.end is not None:
            break
        await _deliver(stage, model, retried, None)
    await asyncio.gather(*(task for task in frozen if task is not None))
    await asyncio.sleep(3 * LEASE_MS / 1000)
    entries = await stage.entries()
    answer = Answer(entries)  # folding checks that parts follow each other without a gap or a repetition
    assert answer.end is not None
    ends = [entry for entry in entries if is_terminal(entry.record)]
    assert ends[0].id == answer.end[0]
    assert all(entry.id == SEAL for entry in ends[1:]), "a second end that is no seal"
    assert entries.index(next((e for e in entries if e.id == SEAL), entries[-1])) == len(entries) - 1, "behind a seal"
    text = answer.builder.text()
    wholes = ["".join(model.text(call)) for call in range(1, model.calls + 1)]
    match answer.end[1]:
        case Finish():
            assert text in wholes
        case Stop():
            assert not text or any(whole.startswith(text) for whole in wholes)
        case other:
            pytest.fail(f"ended with {other}")
    assert not stage.crashes
    return type(answer.end[1]).__name__


def test_every_fault_at_every_call_of_two_attempts(capsys: pytest.CaptureFixture[str]) -> None:
    """Two attempts, three appends, a crash, a lost request, a lost reply, a stop or a freeze at every call of each."""
    fates = [None, *(Fate(call, blow) for call in range(_CALLS) for blow in Blow)]
    ended: Counter[str] = Counter()

    async def explore() -> None:
        for first, second in itertools.product(fates, fates):
            try:
                ended[await _explore(first, second)] += 1
            except AssertionError as error:
                raise AssertionError(f"first {first}, second {second}: {error}") from error

    run(explore())
    with capsys.disabled():
        print(f"\n{ended.total()} states of two attempts explored: {dict(ended)}")
    assert ended.total() == (1 + _CALLS * len(Blow)) ** 2
    assert ended["Finish"] > ended["Stop"] > 0
