"""Where a check interrupts: points chosen from how an uninterrupted run went."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

type Kind = Literal["crash", "hand-off"]

#: How many of the newest items a crash may take with it.
_MOST_LOST: Final = 3
#: One interrupted run in so many is interrupted a second time.
_DOUBLES: Final = 5


@dataclass(frozen=True, slots=True)
class Interruption:
    """One interruption of an attempt.

    Attributes:
        kind: whether the attempt dies without a word, or hands off.
        after: items that the generator has yielded in this attempt when it happens; 0 is before the first.
        ahead: whether the generator is at work on its next item by then, rather than waiting at its ``yield``.
        lost: how many of these items, the newest ones, are not in the log yet; they are lost with a crash.
        near: whether the generator could see it coming: it is given a deadline that is near, and handed off then.
            Such an interruption is the first of its answer.
    """

    kind: Kind
    after: int
    ahead: bool = False
    lost: int = 0
    near: bool = False

    def __str__(self) -> str:
        where = "before the first item" if self.after == 0 else f"after item {self.after}"
        ahead = ", at work on the next" if self.ahead and self.after else ""
        lost = f", the newest {self.lost} unwritten" if self.lost else ""
        deadline = " at its deadline," if self.near else ""
        return f"{self.kind}{deadline} {where}{ahead}{lost}"


type Schedule = tuple[Interruption, ...]


def schedules(items: int, landmarks: Sequence[int], most: int, seed: int) -> list[Schedule]:
    """What to interrupt, one schedule for each run; the same arguments give the same ones.

    Args:
        items: how many the generator yields when it is not interrupted.
        landmarks: numbers of items after which an interruption is worth more than after others, from 1.
        most: how many runs to interrupt.
        seed: chooses among more points than that.
    """
    chance = random.Random(seed)  # noqa: S311 - chooses where to interrupt
    points = list(_points(items, landmarks, chance))
    doubles = most // _DOUBLES
    chosen: list[Schedule] = [(point,) for point in points[: most - doubles]]
    chosen += [_double(items, number, chance) for number in range(min(doubles, most - len(chosen)))]
    return chosen


def _points(items: int, landmarks: Sequence[int], chance: random.Random) -> Iterator[Interruption]:
    """Every point, the most telling ones first."""
    first: list[int] = []
    # The middle shows what any other point does; the ends and the seams of parts have bugs of their own.
    for after in (max(1, items // 2), *landmarks, 1, items):
        if 0 < after <= items and after not in first:
            first.append(after)
    rest = [after for after in range(1, items + 1) if after not in first]
    chance.shuffle(rest)
    for number, after in enumerate((*first[:1], 0, *first[1:], *rest)):
        kinds: tuple[Kind, Kind] = ("crash", "hand-off") if number % 2 == 0 else ("hand-off", "crash")
        for kind in kinds:
            lost = chance.randint(0, min(after - 1, _MOST_LOST)) if kind == "crash" and after in rest else 0
            yield Interruption(kind, after, ahead=chance.random() < 0.5, lost=lost)
            if items and number == 0:
                # One that returns when its time is nearly up shows it in any place, and most clearly in an early one.
                early = max(1, items // (4 if kind == "crash" else 3))
                yield Interruption("hand-off", early, ahead=True, near=True)


def _double(items: int, number: int, chance: random.Random) -> Schedule:
    """Two interruptions of one answer, the second in the attempt that follows the first."""
    kinds: tuple[Kind, Kind] = (("crash", "hand-off"), ("hand-off", "crash"), ("crash", "crash"))[number % 3]
    first = chance.randint(0, max(0, items - 1))
    second = chance.randint(0, max(1, items - first))
    return tuple(
        Interruption(kind, after, ahead=chance.random() < 0.5)
        for kind, after in zip(kinds, (first, second), strict=True)
    )
