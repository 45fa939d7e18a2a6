"""The retry-delay expressions of QStash: numbers, ``retried``, ``+ - * / %``, parentheses and nine functions."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Final


class BadExpression(ValueError):
    """An expression that QStash's documented grammar does not have."""


type _Node = Callable[[float], float]

_FUNCTIONS: Final[dict[str, tuple[int, Callable[..., float]]]] = {
    "pow": (2, math.pow),
    "sqrt": (1, math.sqrt),
    "abs": (1, abs),
    "exp": (1, math.exp),
    "floor": (1, math.floor),
    "ceil": (1, math.ceil),
    "round": (1, lambda x: math.floor(x + 0.5)),
    "min": (2, min),
    "max": (2, max),
}
_TOKEN = re.compile(r"\s*(?:(?P<number>\d+(?:\.\d+)?)|(?P<name>[A-Za-z_]\w*)|(?P<sign>[-+*/%(),]))")
_MAX_CHARS: Final = 1_000
_MAX_DEPTH: Final = 50


def parse(text: str) -> Callable[[int], float]:
    """Read an expression of ``Upstash-Retry-Delay``.

    Args:
        text: for example ``min(30000, 1000 * pow(2, retried))``.

    Returns:
        What gives the delay in milliseconds from the number of retries so far, counted from 0. A result that is not
        a number (a division by zero, an overflow) raises ``ArithmeticError`` or ``ValueError`` there.

    Raises:
        BadExpression: unknown names or characters, wrong number of arguments, or too long.
    """
    if len(text) > _MAX_CHARS:
        raise BadExpression("the expression is too long")
    parser = _Parser(_tokens(text))
    node = parser.sum()
    parser.end()

    def delay(retried: int) -> float:
        value = node(float(retried))
        if not math.isfinite(value):
            raise OverflowError("the delay is not finite")
        return value

    return delay


def _tokens(text: str) -> list[str]:
    tokens: list[str] = []
    text, at = text.rstrip(), 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise BadExpression(f"unexpected character {text[at]!r}")
        tokens.append(match[0].strip())
        at = match.end()
    return tokens


class _Parser:
    """Recursive descent: sum → product → unary → number, ``retried``, call, or parentheses."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    def sum(self) -> _Node:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise BadExpression("the expression is nested too deeply")
        left = self._product()
        while (sign := self._peek()) in {"+", "-"}:
            self._at += 1
            left = _binary(sign, left, self._product())
        self._depth -= 1
        return left

    def end(self) -> None:
        if self._at != len(self._tokens):
            raise BadExpression(f"unexpected {self._peek()!r}")

    def _product(self) -> _Node:
        left = self._unary()
        while (sign := self._peek()) in {"*", "/", "%"}:
            self._at += 1
            left = _binary(sign, left, self._unary())
        return left

    def _unary(self) -> _Node:
        negative = False
        while self._peek() in {"-", "+"}:
            negative ^= self._take() == "-"
        atom = self._atom()
        return (lambda retried: -atom(retried)) if negative else atom

    def _atom(self) -> _Node:
        token = self._take()
        if token == "(":  # noqa: S105 - a parenthesis
            inner = self.sum()
            self._expect(")")
            return inner
        if token == "retried":  # noqa: S105 - a variable
            return lambda retried: retried
        if token in _FUNCTIONS:
            return self._call(token)
        if token[:1].isdigit():
            number = float(token)
            return lambda _: number
        raise BadExpression(f"unexpected {token!r}" if token else "the expression ends too early")

    def _call(self, name: str) -> _Node:
        count, function = _FUNCTIONS[name]
        self._expect("(")
        arguments = [self.sum()]
        while self._peek() == ",":
            self._at += 1
            arguments.append(self.sum())
        self._expect(")")
        if len(arguments) != count:
            raise BadExpression(f"{name} takes {count} argument(s), not {len(arguments)}")
        return lambda retried: function(*(argument(retried) for argument in arguments))

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _take(self) -> str:
        token = self._peek()
        self._at += 1
        return token

    def _expect(self, wanted: str) -> None:
        if (token := self._take()) != wanted:
            raise BadExpression(f"expected {wanted!r}, not {token!r}")


def _binary(sign: str, left: _Node, right: _Node) -> _Node:
    match sign:
        case "+":
            return lambda retried: left(retried) + right(retried)
        case "-":
            return lambda retried: left(retried) - right(retried)
        case "*":
            return lambda retried: left(retried) * right(retried)
        case "/":
            return lambda retried: left(retried) / right(retried)
        case _:
            return lambda retried: math.fmod(left(retried), right(retried))
