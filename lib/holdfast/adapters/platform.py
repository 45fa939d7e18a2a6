"""What only the platform knows: when it ends a request, its address for this function, and who calls."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping
from ipaddress import IPv6Address, ip_address
from typing import Any, Literal

type Platform = Literal["vercel", "lambda", "other"]

#: Bits of an IPv6 address that one customer is given: the rest are his to choose (RFC 6177).
_NETWORK_BITS = 64


def platform_of(env: Mapping[str, str]) -> Platform:
    """Which platform runs this process, by the variables that it sets itself.

    Args:
        env: the environment.
    """
    if env.get("VERCEL"):  # first: Vercel's own functions may run on Lambda
        return "vercel"
    return "lambda" if env.get("AWS_LAMBDA_FUNCTION_NAME") else "other"


def client_address(scope: Mapping[str, Any], headers: Mapping[str, str], platform: Platform) -> str:
    """The network address that a request came from, in the form in which it is limited.

    Only what the platform itself writes counts: Lambda's request context (Mangum's event, or the header that the
    Lambda Web Adapter sets in the place of a client's own), Vercel's headers on Vercel, and else the socket's peer
    as the ASGI server tells it. A header that a client could have sent never does.

    Args:
        scope: the request's ASGI scope.
        headers: the request's headers, names in lower case.
        platform: what runs this process.

    Returns:
        An IPv4 address; of an IPv6 address the network of 64 bits; ``unknown`` where nobody says, which all callers
        share.
    """
    event = scope.get("aws.event")
    if isinstance(event, dict):
        return _network(_source_of(event.get("requestContext")))
    if platform == "lambda":
        try:
            return _network(_source_of(json.loads(headers.get("x-amzn-request-context", ""))))
        except (ValueError, RecursionError):
            return _network(None)
    if platform == "vercel":
        # Of several the first is the client's: Vercel writes all of it (Vercel documentation, "Request headers").
        told = headers.get("x-vercel-forwarded-for") or headers.get("x-real-ip")
        if told:
            return _network(told.partition(",")[0])
    peer = scope.get("client")
    return _network(peer[0] if peer else None)


def _source_of(context: Any) -> Any:
    """The caller in a request context: of function URLs and HTTP APIs, or of REST APIs."""
    for part in ("http", "identity"):
        found = context.get(part) if isinstance(context, dict) else None
        if isinstance(found, dict) and found.get("sourceIp"):
            return found["sourceIp"]
    return None


def _network(text: Any) -> str:
    try:
        address = ip_address(text.strip().partition("%")[0])
    except (ValueError, AttributeError):
        return "unknown"
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        host_bits = address.max_prefixlen - _NETWORK_BITS
        return f"{IPv6Address(int(address) >> host_bits << host_bits)}/{_NETWORK_BITS}"
    return str(address)


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
