"""Intervals and limits of a publisher."""

from __future__ import annotations

from dataclasses import dataclass, field

from holdfast.budget import Budget


@dataclass(frozen=True, slots=True)
class Pace:
    """Intervals and limits of a publisher.

    Attributes:
        flush: seconds between the starts of two appends.
        renew: seconds between two renewals of the lease.
        margin: seconds before the deadline at which an attempt hands off; at most a fifth of what is left.
        max_unsent: bytes that may wait for the store before the generator has to wait as well.
        fruitless: calls of the generator in a row that may fail without a word before the answer ends.
        calls: calls of the generator that one attempt may make, each after a failure of the one before.
        pause: seconds before the first of them is repeated; doubles each time.
        longest_pause: the longest such wait, also when the provider asks for more.
        budget: what one answer may cost in all.
    """

    flush: float = 0.2
    renew: float = 3.0
    margin: float = 8.0
    max_unsent: int = 1_000_000
    fruitless: int = 4
    calls: int = 30
    pause: float = 0.5
    longest_pause: float = 20.0
    budget: Budget = field(default_factory=Budget)
