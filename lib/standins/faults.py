"""Faults on request, as every stand-in takes them: rules in JSON, chosen by count, rate and seed, and counted.

A rule comes by the option ``--fault JSON`` or by ``POST /__standin/faults``; ``GET`` lists the rules that may still
strike and ``DELETE`` ends them all. All three answer
``{"faults": [{"kind": …, …, "fired": 2}], "fired": {"drop": 5}}``, whose second part counts since the last reset, the
rules included that are over. A reset brings back the rules of the command line, as they were at the start.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


def option[T](default: T, read: Callable[[Any], T | None]) -> T:
    """A field of a fault: its default, and what reads it from JSON or raises ``ValueError`` saying what it must be."""
    return field(default=default, metadata={"read": read})


def flag(value: Any) -> bool:
    """Read true or false."""
    if type(value) is not bool:
        raise ValueError("true or false")
    return value


def text(value: Any) -> str:
    """Read a string."""
    if not isinstance(value, str):
        raise ValueError("a string")
    return value


def words(value: Any) -> tuple[str, ...]:
    """Read a list of strings."""
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ValueError("a list of strings")
    return tuple(value)


def whole(value: Any) -> int:
    """Read a whole number from 0."""
    if type(value) is not int or value < 0:
        raise ValueError("a whole number from 0")
    return value


def whole_or_none(value: Any) -> int | None:
    """Read a whole number from 0, or null."""
    if value is None:
        return None
    try:
        return whole(value)
    except ValueError as error:
        raise ValueError(f"{error}, or null") from None


def number(value: Any) -> float:
    """Read a finite number."""
    if type(value) not in {int, float} or not math.isfinite(value):
        raise ValueError("a number")
    return float(value)


def seconds(value: Any) -> float:
    """Read a number from 0."""
    if type(value) not in {int, float} or not 0 <= value < math.inf:
        raise ValueError("a number of seconds from 0")
    return float(value)


def status(value: Any) -> int:
    """Read the status of an error."""
    if type(value) is not int or not 400 <= value <= 599:
        raise ValueError("a status from 400 to 599")
    return value


def _chance(value: Any) -> float:
    if type(value) not in {int, float} or not 0 <= value <= 1:
        raise ValueError("a number from 0 to 1")
    return float(value)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fault:
    """A rule of what goes wrong, and how often. What it can strike, and its further fields, depend on the kind.

    Attributes:
        kind: what goes wrong.
        name: what it is counted under; its kind unless given.
        count: how many times it strikes, or None for every time.
        rate: the chance from 0 to 1 that it strikes.
        skip: how many that it could strike pass first.
        seed: makes the choices of ``rate`` the same again; drawn, and shown, unless given.
    """

    kind: str
    name: str = option("", text)
    count: int | None = option(1, whole_or_none)
    rate: float = option(1.0, _chance)
    skip: int = option(0, whole)
    seed: int = option(0, whole)


_COMMON: Final = ("kind", "name", "count", "rate", "skip", "seed")


@dataclass(frozen=True, slots=True)
class Kinds[F: Fault]:
    """The faults that a stand-in knows.

    Attributes:
        make: the class of its rules.
        fields: each kind with the names of its own fields.
    """

    make: type[F]
    fields: Mapping[str, tuple[str, ...]]

    def read(self, wanted: Any) -> F:
        """The rule that a JSON value describes.

        Raises:
            ValueError: it describes none; the text names what is valid.
        """
        kind = wanted.get("kind") if isinstance(wanted, dict) else None
        if not isinstance(kind, str) or kind not in self.fields:
            raise ValueError(f"A fault is a JSON object whose kind is one of: {', '.join(self.fields)}.")
        known = (*_COMMON, *self.fields[kind])
        if unknown := sorted(wanted.keys() - set(known)):
            raise ValueError(f"Unknown fields: {', '.join(unknown)}. A fault of kind {kind} has: {', '.join(known)}.")
        values: dict[str, Any] = {"name": kind, "seed": secrets.randbits(32)}
        for each in fields(self.make):
            if each.name in wanted and each.name != "kind":
                try:
                    values[each.name] = each.metadata["read"](wanted[each.name])
                except ValueError as error:
                    raise ValueError(f"The field {each.name} must be {error}.") from None
        return self.make(kind=kind, **values)

    def read_text(self, given: str | bytes) -> F:
        """The rule that a JSON text describes.

        Raises:
            ValueError: as in ``read``.
        """
        try:
            wanted = json.loads(given)
        except (ValueError, RecursionError):
            wanted = None
        return self.read(wanted)

    def shown(self, fault: F) -> dict[str, Any]:
        """A rule as ``read`` takes it."""
        return {name: getattr(fault, name) for name in (*_COMMON, *self.fields[fault.kind])}

    def add_option(self, parser: argparse.ArgumentParser) -> None:
        """Give a command line the option ``--fault JSON``, which may be repeated."""

        def read(given: str) -> F:
            try:
                return self.read_text(given)
            except ValueError as error:
                raise argparse.ArgumentTypeError(str(error)) from None

        about = f"what shall go wrong, as POST /__standin/faults takes it; kinds: {', '.join(self.fields)}"
        parser.add_argument(
            "--fault", dest="faults", action="append", default=[], type=read, metavar="JSON", help=about
        )


class _Rule[F: Fault]:
    """A rule at work."""

    def __init__(self, fault: F) -> None:
        self.fault = fault
        self.fired = 0
        self.ended = False
        self._skip = fault.skip
        self._random = random.Random(fault.seed)

    @property
    def active(self) -> bool:
        return not self.ended and (self.fault.count is None or self.fired < self.fault.count)

    def strikes(self) -> bool:
        if self._skip:
            self._skip -= 1
            return False
        if self._random.random() >= self.fault.rate:
            return False
        self.fired += 1
        return True


class Faults[F: Fault]:
    """The rules of one stand-in, first one first.

    Args:
        kinds: the faults that it knows.
        initial: the rules of the command line.
    """

    def __init__(self, kinds: Kinds[F], initial: Iterable[F] = ()) -> None:
        self._kinds = kinds
        self._initial = tuple(initial)
        self.reset()

    def reset(self) -> None:
        """Count anew, with the rules of the command line and no others."""
        # Copies, so that a rule that was taken before the reset is not mistaken for one of these.
        self._rules = [_Rule(replace(fault)) for fault in self._initial]

    def add(self, fault: F) -> None:
        """Let a rule strike, after those that are there."""
        self._rules.append(_Rule(fault))

    def clear(self) -> None:
        """End every rule; what fired stays counted."""
        for rule in self._rules:
            rule.ended = True

    def take(self, fits: Callable[[F], bool]) -> F | None:
        """The first rule that strikes, counted; None if none does.

        Args:
            fits: whether a rule could strike here.
        """
        return next((rule.fault for rule in self._rules if rule.active and fits(rule.fault) and rule.strikes()), None)

    def missed(self, fault: F) -> None:
        """Take back the count of a rule that was taken and then found nothing to strike; it may strike another."""
        for rule in self._rules:
            if rule.fault is fault:
                rule.fired -= 1

    def fired(self) -> dict[str, int]:
        """How often faults struck since the last reset, by name."""
        counts: Counter[str] = Counter()
        for rule in self._rules:
            counts[rule.fault.name] += rule.fired
        return {name: count for name, count in counts.items() if count}

    def shown(self) -> dict[str, Any]:
        """What the control API answers."""
        active = [rule for rule in self._rules if rule.active]
        return {
            "faults": [{**self._kinds.shown(rule.fault), "fired": rule.fired} for rule in active],
            "fired": self.fired(),
        }

    def route(self) -> Route:
        """``/__standin/faults``: GET lists, POST adds the rule in its body (400 if it is none), DELETE ends all."""

        async def serve(request: Request) -> Response:
            if request.method == "DELETE":
                self.clear()
            elif request.method == "POST":
                try:
                    self.add(self._kinds.read_text(await request.body()))
                except ValueError as error:
                    return JSONResponse({"error": str(error)}, 400)
            return JSONResponse(self.shown())

        return Route("/__standin/faults", serve, methods=["GET", "POST", "DELETE"])
