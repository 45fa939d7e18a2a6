"""Faults of the QStash stand-in: what at-least-once delivery, in no order and by a clock of its own, may look like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from standins import faults
from standins.faults import Fault, Faults, Kinds, option


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class QStashFault(Fault):
    """What goes wrong with a message, a callback's included.

    ``twice`` makes one try as two calls at once, of which the first one's answer counts. ``refused_duplicate`` makes
    two calls too, but the first answer counts: a refused one uses up a try while the other call is still under way
    (whose late success ends the message). ``again`` delivers once more ``seconds`` after success. ``late`` makes a
    try ``seconds`` later than due. ``out_of_order`` holds a message back until one that was published after it has
    been answered, at most ``seconds``. ``skew`` signs with a clock that is ``seconds`` ahead, or behind if negative.
    ``cut`` stops waiting for the answer after ``seconds``, while the destination works on. ``callback_lost`` never
    sends a callback or failure callback.

    Attributes:
        url: a piece of the destination's URL, as a filter; for ``callback_lost`` of the callback's.
        seconds: how long; see above.
    """

    url: str = option("", faults.text)
    seconds: float = option(1.0, faults.number)

    def __post_init__(self) -> None:
        if self.seconds < 0 and self.kind != "skew":
            raise ValueError("The field seconds must be a number of seconds from 0.")

    def fits(self, url: str, *kinds: str) -> bool:
        """Whether it is one of these kinds, and about this destination."""
        return self.kind in kinds and self.url in url


_TIMED: Final = ("url", "seconds")
KINDS: Final = Kinds(
    QStashFault,
    {
        "twice": ("url",),
        "refused_duplicate": ("url",),
        "again": _TIMED,
        "late": _TIMED,
        "out_of_order": _TIMED,
        "skew": _TIMED,
        "cut": _TIMED,
        "callback_lost": ("url",),
    },
)

type QStashFaults = Faults[QStashFault]


def no_faults() -> QStashFaults:
    """None set, and a place to set them."""
    return Faults(KINDS)
