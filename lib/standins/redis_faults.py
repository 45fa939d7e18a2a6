"""Faults on request: lost requests and replies, errors, hangs and slowness, for chosen commands."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from standins.redis_exchange import Exchange

type Kind = Literal["drop", "reset", "error", "html", "hang", "slow"]

_MESSAGES = {429: "ERR max requests limit exceeded"}
_HTML = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"


@dataclass(slots=True)
class Fault:
    """A fault that waits for its requests.

    Attributes:
        kind: ``drop`` closes the connection without an answer, ``reset`` does so by a TCP reset, ``error`` answers
            ``status`` with a JSON error, ``html`` answers 502 with a page, ``hang`` never answers, ``slow`` answers
            ``seconds`` later.
        applied: whether the commands are run first: a lost reply instead of a lost request.
        commands: names of commands, of which the request must have one; empty for any request.
        skip: how many such requests pass before the first one is hit.
        count: how many are hit, or None for all that come.
        rate: the chance from 0 to 1 that such a request is hit.
        status: the status of ``error``.
        seconds: the delay of ``slow``.
    """

    kind: Kind
    applied: bool = False
    commands: tuple[str, ...] = ()
    skip: int = 0
    count: int | None = 1
    rate: float = 1.0
    status: int = 500
    seconds: float = 1.0

    def takes(self, names: Sequence[str], chance: float) -> bool:
        """Whether a request with these commands is hit; counts it if so."""
        if self.count == 0 or (self.commands and not set(self.commands) & set(names)):
            return False
        if self.skip:
            self.skip -= 1
            return False
        if chance >= self.rate:
            return False
        if self.count is not None:
            self.count -= 1
        return True


class Faults:
    """The faults that are set, first one first."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._random = random.Random()

    def add(self, wanted: Any) -> None:
        """Set a fault described by JSON with the fields of ``Fault``.

        Raises:
            TypeError, ValueError: the description is wrong.
        """
        known = {field.name for field in fields(Fault)}
        if not isinstance(wanted, dict) or wanted.get("kind") not in get_args(Kind.__value__):
            raise ValueError(f"A fault is an object whose kind is one of: {', '.join(get_args(Kind.__value__))}.")
        if unknown := wanted.keys() - known:
            raise ValueError(f"Unknown fields: {', '.join(sorted(unknown))}. Known: {', '.join(sorted(known))}.")
        count = wanted.get("count", 1)
        self._faults.append(
            Fault(
                kind=wanted["kind"],
                applied=bool(wanted.get("applied", False)),
                commands=tuple(str(name).upper() for name in wanted.get("commands", ())),
                skip=int(wanted.get("skip", 0)),
                count=None if count is None else int(count),
                rate=float(wanted.get("rate", 1)),
                status=int(wanted.get("status", 500)),
                seconds=float(wanted.get("seconds", 1)),
            )
        )

    def clear(self) -> None:
        """Forget every fault."""
        self._faults.clear()

    def listed(self) -> list[dict[str, Any]]:
        """The faults that may still strike."""
        return [asdict(fault) for fault in self._faults if fault.count != 0]

    def take(self, names: Sequence[str]) -> Fault | None:
        """The fault that hits a request with these commands, or None."""
        if not self._faults:
            return None
        self._faults = [fault for fault in self._faults if fault.count != 0]
        return next((fault for fault in self._faults if fault.takes(names, self._random.random())), None)


async def strike(fault: Fault, exchange: Exchange) -> bool:
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
