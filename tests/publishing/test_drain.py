"""A process that is about to end hands its answers off at once (rule O5)."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from holdfast.drain import Drain
from holdfast.pace import Pace
from holdfast.publish import Publisher, Verdict
from holdfast.records import Finish, Handoff
from tests.clocks import virtual
from tests.publishing.stage import Script, Stage, saves


def _publisher(stage: Stage, generate: Script, drain: Drain) -> Publisher:
    return Publisher(stage.log, stage.queue, generate, Pace(), stage.crashes.append, drain)


@virtual
async def test_an_attempt_hands_off_when_its_process_ends() -> None:
    """At once, as at a deadline: what was said and saved is kept, the next attempt is enqueued, the lease is free."""
    stage, drain = Stage(), Drain()
    generate = Script(["half", saves("here"), 1000], [" whole"])
    await stage.open()
    publishing = asyncio.create_task(_publisher(stage, generate, drain).publish(stage.delivery()))
    await asyncio.sleep(5)
    drain.begin()
    assert await publishing is Verdict.DONE
    assert stage.clock.monotonic() < 5.1
    handoff = (await stage.records())[-1]
    assert isinstance(handoff, Handoff)
    assert (handoff.checkpoint, generate.cancelled) == ("here", 1)
    assert generate.requests[0].reason == "handoff"
    assert stage.queue.messages == [(stage.stream, 2, f"{stage.stream}.2")]
    assert await stage.calm.held(stage.stream, 1) is None
    await stage.publish(generate, "m2")
    end = (await stage.records())[-1]
    assert isinstance(end, Finish)
    assert (await stage.text(), end.handoffs, end.takeovers, end.rescues) == ("half whole", 1, 0, 0)


@virtual
async def test_a_process_that_ends_claims_nothing() -> None:
    """A delivery that comes during the drain is sent to another process, and no model is called for it."""
    stage, drain, generate = Stage(), Drain(), Script(["never"])
    await stage.open()
    drain.begin()
    before = await stage.records()
    assert await _publisher(stage, generate, drain).publish(stage.delivery()) is Verdict.RETRY
    assert (await stage.records(), generate.requests) == (before, [])


@virtual
async def test_every_attempt_of_the_process_hands_off() -> None:
    """All answers under way are handed off, and only then what waits for the drain is told."""
    drain, told = Drain(), asyncio.Event()
    stages = [Stage() for _ in range(3)]
    publishing = []
    for stage in stages:
        await stage.open()
        publisher = _publisher(stage, Script(["word", 1000]), drain)
        publishing.append(asyncio.create_task(publisher.publish(stage.delivery())))
    await asyncio.sleep(1)

    def settled() -> None:
        assert all(stage.queue.messages for stage in stages)
        told.set()

    drain.begin(settled)
    assert not told.is_set()
    assert await asyncio.gather(*publishing) == [Verdict.DONE] * 3
    assert told.is_set()
    for stage in stages:
        assert isinstance((await stage.records())[-1], Handoff)


@virtual
async def test_a_drain_of_nothing_is_over_at_once() -> None:
    """A process without an answer under way need not wait."""
    told: list[bool] = []
    Drain().begin(lambda: told.append(True))
    assert told == [True]


_PROCESS = """
    import asyncio, os, signal, sys
    from holdfast.adapters.signals import DrainOnSigterm
    from holdfast.drain import Drain

    async def main(mode):
        if mode == "handled":
            signal.signal(signal.SIGTERM, lambda number, frame: os.write(1, b"handler before\\n"))
        elif mode == "ignored":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        drain = Drain()
        on_sigterm = DrainOnSigterm(drain)
        on_sigterm.install()
        on_sigterm.install()
        other = DrainOnSigterm(Drain())
        other.install()
        on_sigterm.install()  # behind the other one: no circle
        with drain.watched() as draining:
            print("ready", flush=True)
            if mode == "ignored":
                await asyncio.to_thread(sys.stdin.readline)
                print("still here" if not drain.begun else "drains", flush=True)
                return
            await draining.wait()
            print("handed off", flush=True)
        if mode == "default":
            # There is time to acknowledge; then the signal ends the process, and nobody else does.
            print("acknowledged", flush=True)
            await asyncio.sleep(60)
        print("went on", flush=True)

    asyncio.run(main(sys.argv[1]))
"""


@pytest.mark.parametrize(
    ("mode", "code", "told"),
    [
        ("default", -signal.SIGTERM, ["ready", "handed off", "acknowledged"]),
        ("handled", 0, ["ready", "handler before", "handed off", "went on"]),
        ("ignored", 0, ["ready", "still here"]),
    ],
)
def test_what_handled_the_signal_before_still_does(mode: str, code: int, told: list[str]) -> None:
    """The process hands off first; then SIGTERM does to it what it would have done without us."""
    script = textwrap.dedent(_PROCESS)
    library = str(Path(__file__).parents[2] / "lib")
    with subprocess.Popen(
        [sys.executable, "-c", script, mode],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": library},
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        lines = [process.stdout.readline().strip()]
        process.send_signal(signal.SIGTERM)
        with process.stdin:
            process.stdin.write("go on\n")
        lines += process.stdout.read().split("\n")[:-1]
        assert process.wait(10) == code
    assert lines == told
