"""What a chaos run consists of: how much, how fast, and the bounds that its verdicts rest on."""

from __future__ import annotations

import random
from dataclasses import dataclass

#: Settings of the functions. What is not here is as deployed.
SETTINGS = {
    "HOLDFAST_POLL_MS": "250",
    "HOLDFAST_LEASE_SECONDS": "3",
    "HOLDFAST_STALL_SECONDS": "2",
    "HOLDFAST_HEARTBEAT_SECONDS": "2",
    "HOLDFAST_REQUEST_TIMEOUT_SECONDS": "1",
    # Publishers hand off and responses end after less than this: both happen in every run.
    "HOLDFAST_MAX_SECONDS": "20",
    "HOLDFAST_LOG_LEVEL": "WARNING",
    # One client asks for a thousand answers, and reads each of them often.
    "HOLDFAST_MAX_STARTS_PER_MINUTE": "0",
    "HOLDFAST_MAX_ADDRESS_STARTS_PER_MINUTE": "0",
    "HOLDFAST_MAX_LIVE_ANSWERS": "1000",
    "HOLDFAST_MAX_READERS": "0",
}

#: Tries of a delivery after the first, by the functions process that enqueued it: with one, retries run out often.
RETRIES = ("1", "3", "1")

#: Seconds without anything new after which a reader counts as hung. What the protocol allows: three attempts' whole
#: time limit with a silent model (3 of 20, rule O4), or two minutes without lease or news until the last resort (Q2)
#: with a lease (3) and looks (2 each) before; a reconnection (20, with its jitter), polls, and a slow machine.
HUNG_SECONDS = 220.0

#: Seconds from an answer's end, or from a reader's coming, to that reader's end: a response that hangs in a stopped
#: process (``STOP_SECONDS``), a reconnection (20 with jitter), a read that is repeated for a fault (3), a poll.
END_SECONDS = 40.0

#: How long a process stands still, in seconds: longer than its lease.
STOP_SECONDS = (4.0, 9.0)


@dataclass(frozen=True, slots=True)
class Options:
    """How much of it.

    Attributes:
        seed: every choice of the harness follows from it; what the processes make of it does not.
        answers: how many are asked for.
        seconds: after so many no further answer is started.
        at_once: how many are open at a time.
        processes: of the functions.
        each: how often every fault has to strike; 0 for as often as it happens to.
        shots: how often every fault is set.
    """

    seed: int
    answers: int = 1000
    seconds: float = 2400.0
    at_once: int = 24
    processes: int = 3
    each: int = 20
    shots: int = 24


def dice(seed: int, *what: object) -> random.Random:
    """A source of choices of its own for each purpose, so that none disturbs another's."""
    return random.Random(f"{seed}/{'/'.join(map(str, what))}")  # noqa: S311 - it has to be repeatable


def shots(rng: random.Random, count: int) -> list[float]:
    """Moments of a run, as shares of its answers, at which something happens: spread, and in order."""
    first, last = 0.02, 0.9
    width = (last - first) / max(count, 1)
    return [first + (index + rng.random()) * width for index in range(count)]
