"""What one run of the model is about, drawn from its seed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from holdfast.pace import Pace
from holdfast.subscribe import Patience
from tests.model.processes import Weather
from tests.model.readers import Kind
from tests.model.scripted_model import Temper
from tests.model.scripted_queue import Habits

LEASE: Final = 4.0
PACE: Final = Pace(flush=0.2, renew=1.2, margin=2.0, pause=0.5, longest_pause=5.0)
PATIENCE: Final = Patience(poll=0.2, idle_poll=1.0, heartbeat=5.0, unknown=3.0, gap=3.0)
STALL: Final = 2.0
GIVE_UP: Final = 100.0
RETENTION: Final = 3600

#: How bad the network is: how likely a request or a reply is lost.
LOSSES: Final = (0.0, 0.02, 0.06, 0.12)


@dataclass(frozen=True, slots=True)
class Plan:
    """One run.

    Attributes:
        seed: what it was drawn from.
        loss: how likely a request or a reply is lost; 0 for a run without any fault.
        habits: the queue's.
        temper: the model's.
        chat: whether the answer belongs to a chat.
        limit: seconds that the platform gives a call, or None.
        stop_at: when somebody stops the answer, or None.
        vanish_at: when the log is lost to a stranger's hand, or None.
        outage: when the store answers nobody, from and for how many seconds, or None.
        freezes: how likely a process freezes.
        lag: how likely a read is answered by a replica, and how many seconds that lags at most.
        cleanup: seconds between two cleanups, or None.
        readers: who reads.
    """

    seed: int
    loss: float
    habits: Habits
    temper: Temper
    chat: bool
    limit: float | None
    stop_at: float | None
    vanish_at: float | None
    outage: tuple[float, float] | None
    freezes: float
    lag: tuple[float, float]
    cleanup: float | None
    readers: tuple[Kind, ...]

    @property
    def faultless(self) -> bool:
        """Whether nothing fails in this run: what then goes wrong is the protocol's own doing."""
        return not self.loss

    def weather(self) -> Weather:
        """The network of this run."""
        return Weather(loss=self.loss, crash=self.loss / 6, slow=self.loss / 4, lag=self.lag)


def draw(seed: int) -> Plan:
    """The run of a seed."""
    rng = random.Random(seed)  # noqa: S311 - decides schedules, protects nothing
    loss = LOSSES[seed % 4]
    faults = loss > 0
    errors = faults and rng.random() < 0.25
    words = rng.choice((3, 20, 60))

    def maybe(likely: float, low: float, high: float) -> float | None:
        return rng.uniform(low, high) if rng.random() < likely else None

    late = rng.uniform(1, 60)
    return Plan(
        seed=seed,
        loss=loss,
        habits=Habits(
            tries=(2, 4, 12)[seed % 3],
            twice=0.15,
            late=0.1,
            gives_up=0.15 if faults else 0.0,
            loses_callback=0.3 if faults else 0.0,
        ),
        temper=Temper(
            words=words,
            silence=0.02,
            retryable=0.03 if errors else 0.0,
            fatal=0.004 if errors else 0.0,
            bug=0.002 if errors else 0.0,
        ),
        chat=rng.random() < 0.4,
        limit=maybe(0.35, 4.5, 15),
        stop_at=maybe(0.2, 0, 20),
        vanish_at=maybe(0.06, 1, 15) if faults else None,
        outage=(rng.uniform(0, 15), rng.uniform(1, 8)) if faults and rng.random() < 0.15 else None,
        freezes=0.1 if faults else 0.0,
        lag=(0.3, 1.0) if faults and rng.random() < 0.5 else (0.0, 0.0),
        cleanup=maybe(0.3, 10, 40),
        readers=(
            Kind("steady", 0.0, 300.0, 0.0, 1.0),
            Kind("hasty", rng.uniform(0, 3), 6.0, 0.5, 2.0),
            Kind("late", late, 60.0, 0.3, 1.0),
        ),
    )
