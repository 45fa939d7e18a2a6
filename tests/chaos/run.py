"""One chaos run: asks, watches, and hands over what was seen."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.chaos import readers
from tests.chaos.plan import Options, dice
from tests.chaos.readers import Scene, attend
from tests.chaos.sightings import Sighting
from tests.chaos.system import System
from tests.chaos.weather import Weather

#: Shares of the answers: those of a chat, and those that somebody stops.
_CHATS, _STOPS = 0.25, 0.04

type Reader = Callable[[Scene, str, Sighting, random.Random], Awaitable[None]]

_KINDS: dict[str, Reader] = {
    "raw": readers.raw,
    "EventSource": readers.event_source,
    "late": readers.late,
    "follow": readers.following,
}


@dataclass(slots=True)
class Asked:
    """One answer that was asked for.

    Attributes:
        number: of the run.
        prompt: unique to it.
        stream: its id; empty until it is known.
        chat: the chat's id, or empty.
        began: epoch seconds.
        starts: requests that it took to start it.
        stop_asked: whether a stop was sent; its reply may have been lost, or have come after everybody's end.
        sightings: its readers'.
        problems: with starting it.
    """

    number: int
    prompt: str
    stream: str = ""
    chat: str = ""
    began: float = field(default_factory=time.time)
    starts: int = 0
    stop_asked: bool = False
    sightings: list[Sighting] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Run:
    """A run in progress.

    Args:
        system: what it runs on.
        options: how much of it.
        say: told how it goes, from time to time.
    """

    system: System
    options: Options
    say: Callable[[str], None]
    asked: list[Asked] = field(default_factory=list)
    weather: Weather = field(init=False)
    began: float = field(default_factory=time.time)
    _over: int = 0

    def __post_init__(self) -> None:
        self.weather = Weather(self.system, self.options, self._progress)

    async def go(self) -> None:
        """Ask for every answer and wait until every reader has its end, or has hung; then let all be calm."""
        gate = asyncio.Semaphore(self.options.at_once)
        raging = asyncio.create_task(self.weather.rage())
        saying = asyncio.create_task(self._tell())
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(self.options.answers):
                    await gate.acquire()
                    if time.time() - self.began > self.options.seconds:
                        break
                    if raging.done():
                        raging.result()
                    asked = self._new(number)
                    self.asked.append(asked)
                    group.create_task(self._answer(asked, gate))
        finally:
            for task in (raging, saying):
                task.cancel()
            await asyncio.gather(raging, saying, return_exceptions=True)
            await self.weather.calm()

    def _progress(self) -> float:
        """The share of the run that is behind: of its answers, or of its time."""
        return max(len(self.asked) / self.options.answers, (time.time() - self.began) / self.options.seconds)

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(30)
            fired = await self.weather.fired()
            least = min((count, name) for kinds in fired.values() for name, count in kinds.items())
            self.say(
                f"{time.time() - self.began:5.0f} s  {len(self.asked)} asked, {self._over} over, "
                f"{len(self.weather.blows)} blows, rarest fault: {least[1]} ({least[0]})"
            )

    def _new(self, number: int) -> Asked:
        rng = dice(self.options.seed, "answer", number)
        tokens = rng.choice((300, 320, 400, 500))
        rate = rng.choice((40, 60, 90))
        prompt = f"standin: tokens={tokens} rate={rate}\nQuestion {number} of run {self.options.seed}?"
        chat = f"chat-{self.options.seed}-{number}" if rng.random() < _CHATS else ""
        return Asked(number, prompt, chat=chat)

    async def _answer(self, asked: Asked, gate: asyncio.Semaphore) -> None:
        """Start one answer and see its readers to their end."""
        rng = dice(self.options.seed, "readers", asked.number)
        good, bad = self.system.switch.url, self.system.switch.readers_url
        scene = Scene(self.system.http, bad, good)
        tasks: list[asyncio.Task[Sighting]] = []
        try:
            if asked.chat:
                named = asyncio.Event()
                tasks.append(asyncio.create_task(self._chat(scene, asked, rng, named)))
                await named.wait()
            else:
                asked.stream = await self._start(asked)
            if not asked.stream:
                return
            stopping = asyncio.create_task(self._stop(asked, rng))
            for kind in rng.sample(sorted(_KINDS), 2):
                sighting = Sighting(kind)
                asked.sightings.append(sighting)
                work = _KINDS[kind](scene, asked.stream, sighting, dice(self.options.seed, kind, asked.number))
                tasks.append(asyncio.create_task(attend(sighting, work)))
            await asyncio.gather(*tasks)
            stopping.cancel()
            await asyncio.wait({stopping})
        finally:
            self._over += 1
            gate.release()

    async def _chat(self, scene: Scene, asked: Asked, rng: random.Random, known: asyncio.Event) -> Sighting:
        sighting = Sighting("useChat")
        asked.sightings.append(sighting)
        part = {"type": "text", "text": asked.prompt}
        message = {"id": f"question-{asked.number}", "role": "user", "parts": [part]}
        body = {"id": asked.chat, "messages": [message], "trigger": "submit-message"}

        def named(stream: str) -> None:
            if asked.stream not in {"", stream}:
                asked.problems.append(f"its chat has two answers: {asked.stream} and {stream}")
            asked.stream = stream
            known.set()

        try:
            return await attend(sighting, readers.chatting(scene, asked.chat, body, sighting, rng, named))
        finally:
            known.set()

    async def _start(self, asked: Asked) -> str:
        """Start an answer, as often as it takes, under one key."""
        body: dict[str, Any] = {"prompt": asked.prompt}
        headers = {"idempotency-key": f"{self.options.seed}-{asked.number}"}
        while True:
            asked.starts += 1
            with suppress(httpx.TransportError):
                url = f"{self.system.switch.readers_url}/api/streams"
                reply = await self.system.http.post(url, json=body, headers=headers)
                if reply.status_code == 202:
                    return str(reply.json()["id"])
                if reply.status_code != 503:
                    asked.problems.append(f"its start was answered with {reply.status_code}: {reply.text}")
                    return ""
            await asyncio.sleep(0.3)

    async def _stop(self, asked: Asked, rng: random.Random) -> None:
        """Stop a few of the answers, some time after their start."""
        if rng.random() >= _STOPS:
            return
        await asyncio.sleep(rng.uniform(0, 6))
        asked.stop_asked = True
        while True:
            with suppress(httpx.TransportError):
                reply = await self.system.http.post(f"{self.system.switch.url}/api/streams/{asked.stream}/stop")
                if reply.status_code == 200:
                    return
            await asyncio.sleep(0.3)
