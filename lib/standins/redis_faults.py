"""Faults of the Redis stand-in: lost requests and replies, errors, hangs and slowness, for chosen commands."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from standins import faults
from standins.faults import Fault, Faults, Kinds, option
from standins.redis_exchange import Exchange

_MESSAGES = {429: "ERR max requests limit exceeded"}
_HTML = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"


def _names(value: Any) -> tuple[str, ...]:
    return tuple(word.upper() for word in faults.words(value))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RedisFault(Fault):
    """What goes wrong with a request.

    ``drop`` closes the connection without an answer, ``reset`` does so by a TCP reset, ``error`` answers ``status``
    with a JSON error, ``html`` answers 502 with a page, ``hang`` never answers, ``slow`` goes on ``seconds`` later.

    Attributes:
        applied: whether the commands are run first: a lost reply instead of a lost request.
        commands: names of commands, of which the request must have one; empty for any request.
        status: the status of ``error``.
        seconds: the delay of ``slow``.
    """

    applied: bool = option(False, faults.flag)
    commands: tuple[str, ...] = option((), _names)
    status: int = option(500, faults.status)
    seconds: float = option(1.0, faults.seconds)

    def fits(self, names: Sequence[str]) -> bool:
        """Whether a request with these commands is one that it is about."""
        return not self.commands or not set(self.commands).isdisjoint(names)


_ANY: Final = ("applied", "commands")
KINDS: Final = Kinds(
    RedisFault,
    {
        "drop": _ANY,
        "reset": _ANY,
        "error": (*_ANY, "status"),
        "html": _ANY,
        "hang": _ANY,
        "slow": (*_ANY, "seconds"),
    },
)

type RedisFaults = Faults[RedisFault]


async def strike(fault: RedisFault, exchange: Exchange) -> bool:
    """Do what a fault does.

    Returns:
        Whether the exchange has ended with it; after ``slow`` it goes on.
    """
    match fault.kind:
        case "drop" | "reset":
            await exchange.drop(reset=fault.kind == "reset")
        case "error":
            message = _MESSAGES.get(fault.status, "ERR internal error")
            await exchange.answer_json(fault.status, {"error": message})
        case "html":
            await exchange.answer(502, _HTML, "text/html")
        case "hang":
            await exchange.gone()
        case "slow":
            await asyncio.sleep(fault.seconds)
            return False
    return True
