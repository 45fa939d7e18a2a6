"""``python -m tests.chaos.takeover``: from SIGKILL of a publisher to the next visible token, settings as deployed."""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass

from holdfast.client import follow
from tests.chaos.plan import Options, dice
from tests.chaos.report import machine
from tests.chaos.system import System, running

#: What the median may be, in seconds.
TARGET = 3.0
_LIMIT = 60.0


@dataclass(slots=True)
class _Eye:
    """A reader that notes when text of each attempt first came: epoch seconds by attempt."""

    first: dict[int, float]

    async def watch(self, url: str) -> None:
        """Follow an answer to its end."""
        async with aclosing(follow(url)) as events:
            async for event in events:
                if event.text:
                    self.first.setdefault(int(event.cursor.partition("-")[0]), time.time())


async def measure(times: int, seed: int) -> tuple[list[float], list[float]]:
    """Kill the publisher of so many answers, one after the other.

    Returns:
        Seconds from the kill to the next text, for a reader whose own function goes on, and for one that
        comes by the public address, whose function may have been the one that died.
    """
    rng = dice(seed, "takeover")
    steady: list[float] = []
    public: list[float] = []
    async with running(Options(seed, processes=2), settings={}) as system:
        for number in range(times):
            prompt = f"standin: tokens=1200 rate=40\nQuestion {number} of run {seed}?"
            reply = await system.http.post(f"{system.switch.url}/api/streams", json={"prompt": prompt})
            stream = str(reply.json()["id"])
            async with asyncio.timeout(_LIMIT):
                seen = await _one(system, stream, rng.uniform(1, 4))
            steady.append(seen[0])
            public.append(seen[1])
    return steady, public


async def _one(system: System, stream: str, after: float) -> tuple[float, float]:
    """Kill the publisher of one answer ``after`` seconds of text."""
    backends = system.switch.backends
    await _until(lambda: any(stream in backend.streams() for backend in backends))
    publisher = next(n for n, backend in enumerate(backends) if stream in backend.streams())
    other = f"http://127.0.0.1:{backends[1 - publisher].port}"
    eyes = [_Eye({}), _Eye({})]
    urls = [f"{origin}/api/streams/{stream}" for origin in (other, system.switch.url)]
    watching = [asyncio.create_task(eye.watch(url)) for eye, url in zip(eyes, urls, strict=True)]
    await _until(lambda: all(eye.first for eye in eyes))
    await asyncio.sleep(after)
    functions = system.functions[publisher]
    backends[publisher].up = False
    killed = time.time()
    functions.kill()
    # What the other eye still shows of the first attempt was written before; the next token is the second one's.
    await _until(lambda: all(2 in eye.first for eye in eyes))
    await system.http.post(f"{system.switch.url}/api/streams/{stream}/stop")
    await asyncio.gather(*watching)
    functions.restart()
    await asyncio.to_thread(functions.wait_ready)
    backends[publisher].up = True
    return eyes[0].first[2] - killed, eyes[1].first[2] - killed


async def _until(look: Callable[[], bool]) -> None:
    while not look():  # noqa: ASYNC110 - what it sees comes from many places
        await asyncio.sleep(0.01)


def described(seconds: list[float]) -> str:
    """Median and spread."""
    ordered = sorted(seconds)
    low, high = ordered[len(ordered) // 10], ordered[-1 - len(ordered) // 10]
    return (
        f"median {statistics.median(ordered):.2f} s, from {low:.2f} to {high:.2f} s in eight of ten, "
        f"{ordered[0]:.2f} to {ordered[-1]:.2f} s in all {len(ordered)}"
    )


def main() -> None:
    """Measure, print, and exit with 1 if the median is over its target."""
    parser = argparse.ArgumentParser(prog="tests.chaos.takeover", description=__doc__)
    parser.add_argument("--times", type=int, default=25)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000), help="default: any")
    given = parser.parse_args()
    steady, public = asyncio.run(measure(given.times, given.seed))
    print(f"seed {given.seed}, {machine()}")
    print(f"From SIGKILL to the next token, reader's function alive: {described(steady)}")
    print(f"From SIGKILL to the next token, by the public address:   {described(public)}")
    print(json.dumps({"steady": [round(s, 3) for s in steady], "public": [round(s, 3) for s in public]}))
    if statistics.median(public) >= TARGET or statistics.median(steady) >= TARGET:
        sys.exit(f"a median is not under {TARGET:g} s")


if __name__ == "__main__":
    main()
