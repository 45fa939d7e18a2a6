"""The supervisor: what it does when a process dies, does not start, or is asked to start anew."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from standins.functions import EXIT_SETTINGS
from standins.supervisor import RunError, Spec, Supervisor
from tests.local.ports import free_block
from tests.processes import ROOT

LIMIT = 30.0


class Run:
    """A supervisor under test, with what it said and when which process was ready."""

    def __init__(self, folder: Path, *specs: Spec, waits_for_change: str = "") -> None:
        self.said: list[str] = []
        self.record = folder / "run.json"
        self.readied: asyncio.Queue[str] = asyncio.Queue()
        self.spoke = asyncio.Event()
        self.supervisor = Supervisor(
            specs,
            record=self.record,
            say=self._say,
            on_ready=self.readied.put_nowait,
            waits_for_change=waits_for_change,
        )

    def _say(self, line: str) -> None:
        self.said.append(line)
        self.spoke.set()

    async def said_with(self, text: str) -> str:
        """The first line with a text in it, now or later."""
        async with asyncio.timeout(LIMIT):
            while True:
                if found := next((line for line in self.said if text in line), None):
                    return found
                self.spoke.clear()
                await self.spoke.wait()

    async def ready(self) -> str:
        """The name of the next process that becomes ready."""
        async with asyncio.timeout(LIMIT):
            return await self.readied.get()

    def processes(self) -> dict[str, Any]:
        """What the run's record says of the processes."""
        found: dict[str, Any] = json.loads(self.record.read_text())["processes"]
        return found


def spec(name: str, port: int, *trouble: str, loses: str = "") -> Spec:
    """A server to supervise."""
    url = f"http://127.0.0.1:{port}"
    env = {**os.environ, "PYTHONPATH": f"{ROOT / 'lib'}:{ROOT}"}
    return Spec(name, ("tests.local.server", str(port), *trouble), env, url, f"{url}/healthz", loses)


@asynccontextmanager
async def running(run: Run) -> AsyncIterator[Run]:
    """The supervisor's run, until the block ends."""
    task = asyncio.create_task(run.supervisor.run())
    try:
        yield run
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.mark.asyncio
async def test_a_killed_process_comes_back_as_another_one(tmp_path: Path) -> None:
    """A process killed with SIGKILL is started again, healthy, and what was lost with it is said."""
    port = free_block(2)
    async with running(Run(tmp_path, spec("one", port), spec("two", port + 1, loses="its data"))) as run:
        assert {await run.ready(), await run.ready()} == {"one", "two"}
        before = run.processes()
        os.kill(before["two"]["pid"], signal.SIGKILL)
        assert await run.ready() == "two"
        after = run.processes()
        assert after["two"]["pid"] != before["two"]["pid"]
        assert after["two"]["restarts"] == 1
        assert after["two"]["ready"]
        assert after["one"] == before["one"]
        said = await run.said_with("ended")
        assert "SIGKILL" in said
        assert "Lost with it: its data." in said


@pytest.mark.asyncio
async def test_every_process_ends_with_the_run(tmp_path: Path) -> None:
    """When the run is cancelled its processes are gone, and so is the record of it."""
    run = Run(tmp_path, spec("one", free_block(1)))
    async with running(run):
        await run.ready()
        pid = run.processes()["one"]["pid"]
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not run.record.exists()


@pytest.mark.asyncio
async def test_wrong_settings_are_told_once(tmp_path: Path) -> None:
    """A process that ends because of its settings ends the run at once, with its own words shown one time."""
    run = Run(tmp_path, spec("one", free_block(1), "dies", str(EXIT_SETTINGS)))
    with pytest.raises(RunError, match="setting named above"):
        await asyncio.wait_for(run.supervisor.run(), LIMIT)
    assert run.said == [f"one | this is why: {EXIT_SETTINGS}"]


@pytest.mark.asyncio
async def test_a_process_that_never_starts_ends_the_run(tmp_path: Path) -> None:
    """Start-ups that keep failing are given up after a few tries with growing pauses."""
    run = Run(tmp_path, spec("one", free_block(1), "dies", "3"))
    with pytest.raises(RunError, match="in 3 tries: exit code 3"):
        await asyncio.wait_for(run.supervisor.run(), LIMIT)
    assert [line for line in run.said if "Trying again" in line] == [
        "one did not start: exit code 3. Trying again in 0.25 s.",
        "one did not start: exit code 3. Trying again in 0.5 s.",
    ]


@pytest.mark.asyncio
async def test_a_broken_source_waits_for_its_change(tmp_path: Path) -> None:
    """A process whose source is being written is not tried again until the source changes."""
    cure = tmp_path / "cure"
    broken = spec("one", free_block(1), "needs", str(cure))
    async with running(Run(tmp_path, broken, waits_for_change="one")) as run:
        await run.said_with("Waiting for a change")
        cure.touch()
        await run.supervisor.restart("one")
        assert await run.ready() == "one"
        pid = run.processes()["one"]["pid"]
        await run.supervisor.restart("one")
        assert await run.ready() == "one"
        assert run.processes()["one"]["pid"] != pid
        assert not [line for line in run.said if "ended" in line], "a wanted restart was told as a crash"


@pytest.mark.asyncio
async def test_output_is_passed_on_with_its_owner(tmp_path: Path) -> None:
    """Lines of any length arrive with the name of who wrote them; the line for tests is left out."""
    async with running(Run(tmp_path, spec("one", free_block(1)))) as run:
        assert await run.said_with("serving") == "one | serving " + "x" * 200_000
        assert not [line for line in run.said if "listening on" in line]


def test_a_child_ends_when_its_parent_is_killed() -> None:
    """A process started through ``standins.child`` ends as soon as the other end of its standard input is gone."""
    with subprocess.Popen(
        [sys.executable, "-m", "standins.child", "tests.local.server", str(free_block(1))],
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'lib'}:{ROOT}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        assert child.stdout.readline().startswith("listening on ")
        assert child.poll() is None
        child.stdin.close()
        assert child.wait(LIMIT) == 1
