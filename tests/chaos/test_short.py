"""A short chaos run: every kind of fault, kills and zombies included, and nothing lost, nothing twice."""

from __future__ import annotations

import asyncio

from tests.chaos.__main__ import chaos
from tests.chaos.plan import Options

_SEED = 7


def test_nothing_is_lost_and_nobody_waits_under_every_fault() -> None:
    """Every fault of the stand-ins, SIGKILL and SIGSTOP strike at least once while answers are read by readers of
    every kind; each reader ends with its answer's events, each once and in time.
    """
    options = Options(_SEED, answers=24, seconds=60, at_once=12, each=1, shots=2)
    outcome = asyncio.run(chaos(options))
    print(outcome.table())
    assert not outcome.problems, "\n".join([*outcome.problems, f"seed {_SEED}"])
