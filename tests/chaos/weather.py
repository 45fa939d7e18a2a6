"""What goes wrong, and when: every fault of the stand-ins, and the deaths and sleeps of the functions' processes."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.plan import STOP_SECONDS, Options, dice, shots
from tests.chaos.system import System

#: Faults by service: the name under which they are counted, and what the stand-in is asked for.
FAULTS: dict[str, dict[str, dict[str, Any]]] = {
    "redis": {
        "request lost": {"kind": "drop"},
        "reply lost": {"kind": "drop", "applied": True},
        "append's reply lost": {"kind": "drop", "applied": True, "commands": ["XADD"]},
        "append's request lost": {"kind": "drop", "commands": ["XADD"]},
        "connection reset": {"kind": "reset"},
        "connection reset, applied": {"kind": "reset", "applied": True, "commands": ["XADD"]},
        "429": {"kind": "error", "status": 429, "commands": ["XADD"]},
        "500": {"kind": "error", "status": 500},
        "500, applied": {"kind": "error", "status": 500, "applied": True, "commands": ["XADD"]},
        "HTML 502": {"kind": "html"},
        "hang": {"kind": "hang"},
        "hang, applied": {"kind": "hang", "applied": True, "commands": ["XADD"]},
        "slow": {"kind": "slow", "seconds": 0.7},
    },
    "qstash": {
        "twice at once": {"kind": "twice", "url": "/api/publish"},
        "again after success": {"kind": "again", "seconds": 0.3},
        "refused duplicate": {"kind": "refused_duplicate", "url": "/api/publish"},
        "late": {"kind": "late", "seconds": 4},
        "out of order": {"kind": "out_of_order", "seconds": 3},
        "clock ahead": {"kind": "skew", "seconds": 5},
        "clock far behind": {"kind": "skew", "seconds": -400},
        "delivery cut at timeout": {"kind": "cut", "seconds": 2},
        "callback lost": {"kind": "callback_lost"},
    },
    "model": {
        "401": {"kind": "error", "status": 401},
        "429 with Retry-After": {"kind": "error", "status": 429},
        "500": {"kind": "error", "status": 500},
        "hang before the stream": {"kind": "hang"},
        "hang in the stream": {"kind": "stall", "after": 120},
        "connection cut": {"kind": "cut", "after": 100},
        "clean end without finish": {"kind": "clean", "after": 140},
        "error chunk": {"kind": "error_chunk", "after": 80},
        "empty answer": {"kind": "empty"},
        "garbage chunk": {"kind": "garbage", "after": 60},
    },
}


#: Seconds after which a delivery that is still in hand is one that publishes, and was not turned away.
_SETTLED = 0.7


@dataclass(frozen=True, slots=True)
class Blow:
    """What was done to a process.

    Attributes:
        what: ``SIGKILL`` or ``SIGSTOP``.
        at, until: epoch seconds; it is back after ``until``.
        streams: what it was publishing then.
    """

    what: str
    at: float
    until: float
    streams: tuple[str, ...]


@dataclass(slots=True)
class Weather:
    """Sets faults and strikes processes as the run goes on.

    Args:
        system: what it strikes.
        options: the run's.
        progress: the share of the answers that have been started, from 0 to 1.
    """

    system: System
    options: Options
    progress: Callable[[], float]
    blows: list[Blow] = field(default_factory=list)
    _busy: set[int] = field(default_factory=set)

    async def rage(self) -> None:
        """Strike until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._set_faults())
            group.create_task(self._strike("SIGKILL", dice(self.options.seed, "kills")))
            group.create_task(self._strike("SIGSTOP", dice(self.options.seed, "stops")))

    async def fired(self) -> dict[str, dict[str, int]]:
        """How often each fault has struck, by service."""
        found = {service: (await self.system.control(service, "faults"))["fired"] for service in FAULTS}
        return {service: {name: found[service].get(name, 0) for name in FAULTS[service]} for service in FAULTS}

    async def calm(self) -> None:
        """End every fault, and see that every process is up."""
        for service in FAULTS:
            await self.system.control(service, "faults", "DELETE")
        for number, functions in enumerate(self.system.functions):
            functions.wake()
            if functions.process.poll() is not None:
                functions.restart()
            await asyncio.to_thread(functions.wait_ready)
            self.system.switch.backends[number].up = True

    async def _set_faults(self) -> None:
        rng = dice(self.options.seed, "faults")
        due = sorted(
            (at, service, name)
            for service, kinds in FAULTS.items()
            for name in kinds
            for at in shots(rng, self.options.shots)
        )
        for at, service, name in due:
            await self._reach(at)
            # Which of the next requests it hits is left to chance as well.
            most = {"redis": 40, "qstash": 2, "model": 2}[service]
            body = {**FAULTS[service][name], "name": name, "count": 1, "skip": rng.randint(0, most)}
            if "after" in body:
                body["after"] = rng.randint(1, 2 * body["after"])
            await self.system.control(service, "faults", "POST", body)

    async def _strike(self, what: str, rng: random.Random) -> None:
        for at in shots(rng, self.options.shots + self.options.shots // 4):
            await self._reach(at)
            number = await self._victim(rng)
            self._busy.add(number)
            try:
                await (self._kill if what == "SIGKILL" else self._stop)(number, rng)
            finally:
                self._busy.discard(number)

    async def _victim(self, rng: random.Random) -> int:
        """A process that publishes, while another one stays up."""
        while True:
            up = [n for n, backend in enumerate(self.system.switch.backends) if backend.up and n not in self._busy]
            found = [n for n in up if self.system.switch.backends[n].streams(_SETTLED)]
            if len(up) > 1 and found:
                return rng.choice(found)
            await asyncio.sleep(0.05)

    async def _kill(self, number: int, rng: random.Random) -> None:
        functions, backend = self.system.functions[number], self.system.switch.backends[number]
        streams, at = backend.streams(), time.time()
        backend.up = False
        functions.kill()
        await asyncio.sleep(rng.uniform(0, 2))
        functions.restart()
        await asyncio.to_thread(functions.wait_ready)
        backend.up = True
        self.blows.append(Blow("SIGKILL", at, time.time(), streams))

    async def _stop(self, number: int, rng: random.Random) -> None:
        functions, backend = self.system.functions[number], self.system.switch.backends[number]
        streams, at = backend.streams(), time.time()
        # Half of the time the front door has not noticed, and goes on sending requests to it.
        backend.up = rng.random() < 0.5
        functions.pause()
        await asyncio.sleep(rng.uniform(*STOP_SECONDS))
        functions.wake()
        backend.up = True
        self.blows.append(Blow("SIGSTOP", at, time.time(), streams))

    async def _reach(self, at: float) -> None:
        while self.progress() < at:  # noqa: ASYNC110 - time is a part of it
            await asyncio.sleep(0.05)
