"""Retry-delay expressions: the documented grammar and nothing else."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standins.qstash_backoff import duration
from standins.qstash_expressions import BadExpression, parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1000", [1_000, 1_000, 1_000]),
        ("1000 * (1 + retried)", [1_000, 2_000, 3_000]),
        ("pow(2, retried) * 1000", [1_000, 2_000, 4_000]),
        ("max(1000, pow(2, retried) * 700)", [1_000, 1_400, 2_800]),
        ("min(30000,1000*pow(2,retried))", [1_000, 2_000, 4_000]),
        ("2 + 3 * 4 - 8 / 4 - 1", [11, 11, 11]),
        ("-retried + +5 - -1", [6, 5, 4]),
        ("10 % 4 + retried % 2", [2, 3, 2]),
        ("round(2.5) + floor(1.9) + ceil(1.1) + abs(-1) + sqrt(16) + exp(0)", [12, 12, 12]),
        ("  ( ( 7 ) )  ", [7, 7, 7]),
    ],
)
def test_documented_expressions_have_their_values(text: str, expected: list[float]) -> None:
    """Precedence, left associativity, functions; ``retried`` counts from 0."""
    assert [parse(text)(retried) for retried in range(3)] == expected


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "retry", "1 2", "1 +", "* 1", "(1", "1)", "pow(2)", "pow(1, 2, 3)", "min(1)", "max(1, 2, 3)", "sqrt()",
        "pow", "pow 2", "__import__('os')", "retried()", "2 ** 3", "1; 2", "1e3", ".5", "a.b",
        "(" * 60 + "1" + ")" * 60,
        "1" * 2_000,
    ],
)  # fmt: skip
def test_everything_else_is_refused(text: str) -> None:
    """Unknown names, wrong arity, stray signs, depth and length."""
    with pytest.raises(BadExpression):
        parse(text)


@pytest.mark.parametrize("text", ["1 / retried", "sqrt(retried - 1)", "exp(1000)", "pow(10, 400)", "1 % retried"])
def test_a_result_that_is_no_number_is_an_arithmetic_or_value_error(text: str) -> None:
    """The engine then falls back on the default backoff."""
    with pytest.raises((ArithmeticError, ValueError)):
        parse(text)(0)


@given(st.text(alphabet="retied0129.+-*/%(), powmaxs", max_size=40), st.integers(0, 100))
def test_any_text_is_refused_or_gives_a_number(text: str, retried: int) -> None:
    """No other error, and never an infinity."""
    try:
        delay = parse(text)
    except BadExpression:
        return
    try:
        value = delay(retried)
    except (ArithmeticError, ValueError):
        return
    assert math.isfinite(value)


def test_durations_add_their_parts() -> None:
    """All units of the documentation; anything else is a ValueError."""
    assert duration("1d10h30m5s") == 86_400 + 36_000 + 1_800 + 5
    assert duration("1500ms") == 1.5
    assert duration("2us") == duration("2µs") == pytest.approx(2e-6)
    for text in ("", "10", "s", "10x", "-1s", "1s "):
        with pytest.raises(ValueError, match="not a duration"):
            duration(text)
