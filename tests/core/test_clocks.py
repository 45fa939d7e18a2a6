"""The tests' own virtual time, without which the other tests prove nothing."""

from __future__ import annotations

import asyncio
import itertools
import time

import pytest

from tests.clocks import ORIGIN_MS, Deadlock, VirtualClock, run, run_virtual, virtual


def test_a_day_passes_at_once_and_in_order() -> None:
    """Sleeps take virtual time, in the order of their ends, and no real time."""
    seen: list[tuple[str, float]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        seen.append((name, asyncio.get_running_loop().time()))

    async def scenario() -> None:
        await asyncio.gather(sleeper("day", 86_400), sleeper("hour", 3_600), sleeper("blink", 0.001))

    began = time.monotonic()
    run_virtual(scenario)
    assert time.monotonic() - began < 10
    assert seen == [("blink", 0.001), ("hour", 3_600.0), ("day", 86_400.0)]


@virtual
async def test_timeouts_fire_in_virtual_time() -> None:
    """``asyncio.timeout`` and ``asyncio.wait`` end when the loop's time says so."""
    clock = VirtualClock()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(7):
            await asyncio.Event().wait()
    assert clock.monotonic() == 7.0
    task = asyncio.create_task(asyncio.sleep(100))
    done, _ = await asyncio.wait({task}, timeout=3)
    assert (done, clock.monotonic()) == (set(), 10.0)
    assert clock.now_ms() == ORIGIN_MS + 10_000


@virtual
async def test_the_wall_clock_can_jump() -> None:
    """Setting the origin moves the wall clock and no timer."""
    clock = VirtualClock()
    await clock.sleep(1)
    clock.origin_ms -= 60_000
    assert (clock.now_ms(), clock.monotonic()) == (ORIGIN_MS - 59_000, 1.0)


def test_a_deadlock_fails_loudly() -> None:
    """A task that waits for what never comes ends the run, although it catches every exception."""

    async def scenario() -> None:
        try:
            await asyncio.Event().wait()
        except Exception:  # noqa: BLE001 - what code under test might do
            pytest.fail("the deadlock was swallowed")

    with pytest.raises(Deadlock, match="no timer"):
        run_virtual(scenario)


def test_endless_polling_fails_loudly() -> None:
    """A poll that never ends does not hang the tests."""

    async def scenario() -> None:
        for _ in itertools.count():
            await asyncio.sleep(1)

    with pytest.raises(Deadlock, match="polls for ever"):
        run_virtual(scenario, turns=500)


@virtual
async def test_threads_take_no_virtual_time() -> None:
    """Work in a thread is waited for, while a timer that is due later does not fire."""
    gate = asyncio.create_task(asyncio.sleep(5))
    await asyncio.to_thread(time.sleep, 0.05)
    assert not gate.done()
    assert asyncio.get_running_loop().time() == 0.0
    await gate


@virtual
async def test_real_sockets_work() -> None:
    """A connection over loopback carries data, and timers fire beside an idle one."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        await asyncio.sleep(0.01)
        writer.write(b"hello\n")
        assert await reader.readline() == b"hello\n"
        writer.close()
        await writer.wait_closed()


def test_results_and_errors_come_out() -> None:
    """``run`` returns what the coroutine returns and raises what it raises."""

    async def answer() -> int:
        return 42

    async def fail() -> None:
        raise ValueError("no")

    assert run(answer()) == 42
    with pytest.raises(ValueError, match="no"):
        run(fail())
