"""When the platform ends a request, and what address it gave this function."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping
from typing import Any


def deadline_ms(scope: Mapping[str, Any], headers: Mapping[str, str], now_ms: int, max_seconds: float) -> int:
    """The moment at which this invocation is ended, in epoch milliseconds.

    Asked in this order: Vercel's own deadline, Lambda's remaining time (Mangum's context, or the Lambda
    Web Adapter's header), and else ``max_seconds`` from now, which also bounds what the platform says.

    Args:
        scope: the request's ASGI scope.
        headers: the request's headers, names in lower case.
        now_ms: the time, in epoch milliseconds.
        max_seconds: ``HOLDFAST_MAX_SECONDS``.
    """
    told = (_vercel(), _lambda(scope, now_ms), _lambda_web_adapter(headers))
    return min([now_ms + round(max_seconds * 1000), *(at for at in told if at is not None)])


def own_origin(scope: Mapping[str, Any]) -> str | None:
    """The public origin of a Lambda function URL, from the event that the platform wrote; None elsewhere.

    Never from the Host header, which anybody can choose.
    """
    event = scope.get("aws.event")
    context = event.get("requestContext") if isinstance(event, dict) else None
    domain = context.get("domainName") if isinstance(context, dict) else None
    return f"https://{domain}" if isinstance(domain, str) and domain else None


def _vercel() -> int | None:
    try:
        get_deadline: Callable[[], Any] = importlib.import_module("vercel_runtime").get_deadline
    except (ImportError, AttributeError):
        return None
    deadline = get_deadline()
    if deadline is None:
        return None
    seconds = deadline.timestamp() if hasattr(deadline, "timestamp") else float(deadline)
    # A number may be in seconds or milliseconds; no deadline lies in 1970 or beyond the year 5000.
    return round(seconds if seconds > 1e11 else seconds * 1000)


def _lambda(scope: Mapping[str, Any], now_ms: int) -> int | None:
    context = scope.get("aws.context")
    if context is None or not hasattr(context, "get_remaining_time_in_millis"):
        return None
    return now_ms + int(context.get_remaining_time_in_millis())


def _lambda_web_adapter(headers: Mapping[str, str]) -> int | None:
    try:
        context = json.loads(headers.get("x-amzn-lambda-context", ""))
        deadline = context.get("deadline_ms", context.get("deadline"))
        # Anybody can send this header where no adapter does: a time of the past is one, however far off.
        return max(0, int(deadline))
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return None
