"""When QStash tries again: its durations, its default backoff, retry-delay expressions and ``Retry-After``."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

from standins import qstash_expressions

#: No delay between tries is longer ("Retry" page).
MAX_DELAY_SECONDS: Final = 86_400.0

_UNITS: Final = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|[dhms])")
_RETRY_HEADERS: Final = (
    "retry-after",
    "x-ratelimit-reset",
    "x-ratelimit-reset-requests",
    "x-ratelimit-reset-tokens",
)


def duration(text: str) -> float:
    """Seconds of a duration such as ``10s``, ``1d10h30m`` or ``250ms``.

    Raises:
        ValueError: not a duration.
    """
    at, seconds = 0, 0.0
    while at < len(text):
        match = _PART.match(text, at)
        if match is None:
            break
        seconds += float(match[1]) * _UNITS[match[2]]
        at = match.end()
    if not at or at < len(text):
        raise ValueError(f"not a duration: {text!r}")
    return seconds


def delay_seconds(*, retried: int, expression: str | None, headers: Mapping[str, str], now: float) -> float:
    """How long to wait after a failed try.

    Args:
        retried: how many retries came before, from 0.
        expression: the message's ``Upstash-Retry-Delay``, already known to be well formed, or None.
        headers: the response's, with names in lower case; empty when there was none.
        now: epoch seconds.

    Returns:
        Seconds: as the response asks, else as the expression says, else ``e^(2.5 n)`` for the n-th retry.
    """
    for name in _RETRY_HEADERS:
        if name in headers:
            asked = _asked(headers[name].strip(), now)
            if asked is not None and asked <= MAX_DELAY_SECONDS:
                return max(0.0, asked)
    if expression is not None:
        try:
            return min(MAX_DELAY_SECONDS, max(0.0, qstash_expressions.parse(expression)(retried) / 1_000))
        except (ArithmeticError, ValueError):
            pass  # the result is not a number; the documentation says nothing, the default is the safe reading
    # The exponent's bound only keeps exp() finite: the cap is reached long before.
    return min(MAX_DELAY_SECONDS, math.exp(min(2.5 * (retried + 1), 700.0)))


def _asked(value: str, now: float) -> float | None:
    """Seconds of a header's value: a number of seconds, a duration, or an RFC 1123 date."""
    try:
        return float(value) if re.fullmatch(r"\d+(\.\d+)?", value) else duration(value)
    except ValueError:
        pass
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now
