"""Keeps a set of server processes running: starts them, waits for them, restarts the dead, ends them all."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from standins.functions import EXIT_SETTINGS

#: Seconds between a process that dies before it was ready and the next try; the last one is kept to.
BACKOFF = (0.25, 0.5, 1.0, 2.0, 5.0)
#: Tries of a process that was never ready before the whole run is given up.
FIRST_TRIES = 3
#: Seconds that a process has to end by itself after SIGTERM.
STOP_SECONDS = 4.0
#: Seconds that a process has to become ready.
READY_SECONDS = 60.0


class RunError(Exception):
    """The run cannot go on. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Spec:
    """One process to keep running.

    Attributes:
        name: as it is shown.
        argv: the command.
        env: its whole environment.
        url: where it serves.
        health: the URL that answers 200 once it is ready.
        loses: what is lost when it dies, to be said then; empty for nothing.
        fds: descriptors that it inherits.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    url: str
    health: str
    loses: str = ""
    fds: tuple[int, ...] = ()


@dataclass(slots=True)
class _Child:
    """A spec with its present process."""

    spec: Spec
    process: asyncio.subprocess.Process | None = None
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    ending: bool = False
    restarts: int = 0


class Supervisor:
    """Runs processes until it is told to stop.

    Args:
        specs: the processes; they start together and end together.
        record: a JSON file that names every process while the run lasts: ``{"pid", "url", "processes":
            {name: {"pid", "url", "restarts", "ready"}}}``, with the first spec's URL as the run's.
        say: prints one line to the user.
        on_ready: called each time that a process has become ready, with its name.
        waits_for_change: the name of a process that is restarted by ``restart`` while its source is being
            written; its failures at start-up never end the run.
    """

    def __init__(
        self,
        specs: tuple[Spec, ...],
        *,
        record: Path,
        say: Callable[[str], None],
        on_ready: Callable[[str], Any] = lambda _: None,
        waits_for_change: str = "",
    ) -> None:
        self._children = {spec.name: _Child(spec) for spec in specs}
        self._record = record
        self._say = say
        self._on_ready = on_ready
        self._waits_for_change = waits_for_change
        self._ending = False

    async def run(self) -> None:
        """Keep every process running until cancelled; then end them all.

        Raises:
            RunError: a process does not start.
        """
        try:
            async with asyncio.TaskGroup() as group:
                for child in self._children.values():
                    group.create_task(self._keep(child))
        except* RunError as problems:
            raise RunError(str(_first(problems))) from None
        finally:
            self._ending = True
            for child in self._children.values():
                child.ending = True
            await asyncio.gather(*(_end(child.process) for child in self._children.values()))
            self._record.unlink(missing_ok=True)

    async def wait_ready(self) -> None:
        """Return when every process is ready."""
        for child in self._children.values():
            await child.ready.wait()

    async def restart(self, name: str) -> None:
        """Start a process anew, because its source changed."""
        child = self._children[name]
        child.ending = True
        child.changed.set()
        await _end(child.process)

    async def _keep(self, child: _Child) -> None:
        failures = 0
        was_ready = False
        while not self._ending:
            child.changed.clear()
            child.ending = False
            process = child.process = await _start(child.spec)
            self._write()
            printing = asyncio.create_task(self._print(child, process))
            ready = await _first_of(process, child.spec.health)
            if ready:
                failures, was_ready = 0, True
                child.ready.set()
                self._write()
                self._on_ready(child.spec.name)
            elif process.returncode is None:
                self._say(f"{child.spec.name} was not ready within {READY_SECONDS:g} s.")
                await _end(process)
            code = await process.wait()
            child.ready.clear()
            # A grandchild may hold the pipe open for ever.
            await asyncio.wait([printing], timeout=0.5)
            printing.cancel()
            if self._ending:
                return
            child.restarts += 1
            if child.ending:
                continue
            if ready:
                lost = f" Lost with it: {child.spec.loses}." if child.spec.loses else ""
                self._say(f"{child.spec.name} (pid {process.pid}) ended: {_reason(code)}. Starting it again.{lost}")
                continue
            failures += 1
            await self._after_failure(child, code, failures, was_ready)

    async def _after_failure(self, child: _Child, code: int, failures: int, was_ready: bool) -> None:
        """Decide what follows a start that failed: give up, wait for a change, or a pause."""
        name = child.spec.name
        if code == EXIT_SETTINGS and not was_ready:
            raise RunError(f"{name} did not start because of the setting named above.")
        if child.spec.name == self._waits_for_change:
            self._say(f"{name} did not start: {_reason(code)}. Waiting for a change of its source.")
            await child.changed.wait()
            return
        if not was_ready and failures >= FIRST_TRIES:
            raise RunError(f"{name} did not start in {failures} tries: {_reason(code)}. Its own words stand above.")
        pause = BACKOFF[min(failures, len(BACKOFF)) - 1]
        self._say(f"{name} did not start: {_reason(code)}. Trying again in {pause:g} s.")
        await asyncio.sleep(pause)

    async def _print(self, child: _Child, process: asyncio.subprocess.Process) -> None:
        async for line in _lines(process):
            # The line that tells a test where a stand-in listens tells a user nothing; words of a process
            # that was asked to end, such as cancelled requests, alarm for nothing.
            if child.ending or self._ending or line.startswith("listening on "):
                continue
            self._say(f"{child.spec.name} | {line}")

    def _write(self) -> None:
        children = list(self._children.values())
        content = {
            "pid": os.getpid(),
            "url": children[0].spec.url,
            "processes": {
                child.spec.name: {
                    "pid": child.process.pid,
                    "url": child.spec.url,
                    "restarts": child.restarts,
                    "ready": child.ready.is_set(),
                }
                for child in children
                if child.process
            },
        }
        self._record.parent.mkdir(exist_ok=True)
        # Replaced in one step, so a script never reads half of it.
        fresh = self._record.with_suffix(".new")
        fresh.write_text(json.dumps(content, indent=2) + "\n")
        fresh.replace(self._record)


async def _start(spec: Spec) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "standins.child",
        *spec.argv,
        env=spec.env,
        # Held open for as long as this process lives; standins.child ends when it closes.
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        pass_fds=spec.fds,
        # Ctrl-C reaches the whole group of the terminal; these are ended by the supervisor, quietly.
        process_group=0,
    )


async def _first_of(process: asyncio.subprocess.Process, health: str) -> bool:
    """Whether the process answered on its health URL before it ended."""
    ended = asyncio.create_task(process.wait())
    healthy = asyncio.create_task(_healthy(health))
    try:
        await asyncio.wait((ended, healthy), return_when=asyncio.FIRST_COMPLETED)
        return healthy.done() and not ended.done() and healthy.result()
    finally:
        ended.cancel()
        healthy.cancel()


async def _healthy(url: str) -> bool:
    """Ask until the answer is 200. A request that hangs is given up, since its process may be another one by now."""
    # Proxies of the environment are for the world outside this machine.
    async with httpx.AsyncClient(trust_env=False, timeout=2) as client:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(READY_SECONDS):
                while True:
                    with contextlib.suppress(httpx.HTTPError):
                        if (await client.get(url)).status_code == 200:
                            return True
                    await asyncio.sleep(0.05)
    return False


async def _lines(process: asyncio.subprocess.Process) -> AsyncIterator[str]:
    """What a process prints, line by line, however long a line is."""
    rest = b""
    while process.stdout and (chunk := await process.stdout.read(65_536)):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.decode(errors="replace").rstrip()
    if rest:
        yield rest.decode(errors="replace")


async def _end(process: asyncio.subprocess.Process | None) -> None:
    """Ask a process to end, and insist after a while."""
    if process is None or process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()


def _reason(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def _first(problems: BaseExceptionGroup[BaseException]) -> BaseException:
    first = problems.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
