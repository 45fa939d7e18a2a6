"""What a publisher asks of QStash in ``Upstash-*`` headers, checked as QStash checks it."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from standins import qstash_backoff, qstash_expressions

#: Limits of the free plan (pricing page); requests over them are answered with 412.
MAX_MESSAGE_BYTES: Final = 1024 * 1024
MAX_TIMEOUT_SECONDS: Final = 15 * 60.0
MAX_DELAY_SECONDS: Final = 7 * 86_400.0
DEFAULT_RETRIES: Final = 3
#: What the service's own development server allows; the pricing page no longer states a number.
DEFAULT_MAX_RETRIES: Final = 5

_METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
_DIGITS: Final = re.compile(r"\d{1,12}")
#: Features that are not here. Accepting and ignoring them would be a lie about what was done.
_MISSING: Final = (
    "upstash-flow-control-key",
    "upstash-flow-control-value",
    "upstash-queue-name",
    "upstash-redact-fields",
)


class Refused(Exception):
    """A request that QStash would not accept: the status and the text of its ``{"error"}``."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(error)
        self.status = status
        self.error = error


@dataclass(frozen=True, slots=True)
class Limits:
    """What this QStash allows.

    Attributes:
        allow_remote: whether destinations other than loopback are called.
        max_retries: the highest ``Upstash-Retries``.
    """

    allow_remote: bool = False
    max_retries: int = DEFAULT_MAX_RETRIES


@dataclass(frozen=True, slots=True)
class Callback:
    """Where to report to, and how.

    Attributes:
        url: the absolute URL.
        options: how the callback is delivered; its retries are those of the message unless set.
    """

    url: str
    options: Options


@dataclass(frozen=True, slots=True)
class Options:
    """How one message is to be delivered. Durations are in seconds.

    Attributes:
        forward: header name and value pairs for the destination.
        not_before: epoch seconds, which wins over ``delay``, or None.
        timeout: for one try.
    """

    method: str = "POST"
    forward: tuple[tuple[str, str], ...] = ()
    retries: int = DEFAULT_RETRIES
    retry_delay: str | None = None
    delay: float = 0.0
    not_before: float | None = None
    timeout: float = MAX_TIMEOUT_SECONDS
    deduplication_id: str | None = None
    content_based_deduplication: bool = False
    callback: Callback | None = None
    failure_callback: Callback | None = field(default=None)
    label: str | None = None


def read(headers: Iterable[tuple[str, str]], limits: Limits) -> Options:
    """Read the headers of a publish request.

    Raises:
        Refused: a header is malformed (400), over the plan's limit (412), or names a feature that is not here (501).
    """
    pairs = [(name, value) for name, value in headers if name.lower().startswith(("upstash-", "content-type"))]
    for name, value in pairs:
        if name.lower() in _MISSING and value:
            raise Refused(501, f"{name} is not part of this stand-in")
    failure, pairs = _split(pairs, "upstash-failure-callback")
    callback, pairs = _split(pairs, "upstash-callback")
    options = _plain(pairs, limits, DEFAULT_RETRIES)
    deduplication_id = _one(pairs, "upstash-deduplication-id")
    if deduplication_id and ":" in deduplication_id:
        raise Refused(400, "DeduplicationId cannot contain ':'")
    return Options(
        method=options.method,
        forward=options.forward,
        retries=options.retries,
        retry_delay=options.retry_delay,
        delay=options.delay,
        not_before=options.not_before,
        timeout=options.timeout,
        deduplication_id=deduplication_id,
        content_based_deduplication=(_one(pairs, "upstash-content-based-deduplication") or "").lower() == "true",
        callback=_callback(callback, limits, options.retries),
        failure_callback=_callback(failure, limits, options.retries),
        label=_one(pairs, "upstash-label"),
    )


def check_destination(url: str, limits: Limits) -> str:
    """The destination as given, if this QStash may call it.

    Raises:
        Refused: it is not an absolute http(s) URL, or is remote while only loopback is allowed.
    """
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0 and url.isascii()
    except ValueError:
        raise Refused(400, "invalid destination url: it cannot be parsed") from None
    if not good:
        raise Refused(
            400, "invalid destination url: endpoint has invalid scheme, add http:// or https:// in front of it"
        )
    if not limits.allow_remote and not _is_loopback(parts.hostname or ""):
        raise Refused(400, "invalid destination url: this stand-in calls loopback only (start it with --allow-remote)")
    return url


def check_size(body: bytes) -> None:
    """Refuse a body over the plan's limit.

    Raises:
        Refused: with 412, as every quota is.
    """
    if len(body) > MAX_MESSAGE_BYTES:
        raise Refused(412, "quota maxMessageSize exceeded")


def digest(url: str, body: bytes, options: Options) -> str:
    """The identity of a message by its content: destination, body and forwarded headers ("Deduplication" page)."""
    forward = sorted((name.lower(), value) for name, value in options.forward)
    parts = json.dumps([url, forward]).encode()
    return hashlib.sha256(len(parts).to_bytes(8, "big") + parts + body).hexdigest()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _split(pairs: list[tuple[str, str]], prefix: str) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """The headers that configure one kind of callback, renamed as if for a message of its own, and the others."""
    mine = [(f"upstash{name[len(prefix) :]}", value) for name, value in pairs if name.lower().startswith(prefix)]
    return mine, [(name, value) for name, value in pairs if not name.lower().startswith(prefix)]


def _callback(pairs: list[tuple[str, str]], limits: Limits, retries: int) -> Callback | None:
    url = _one(pairs, "upstash")
    if not url:
        return None
    plain = _plain(pairs, limits, retries)
    forward = (("Content-Type", "application/json"), *plain.forward)
    return Callback(
        check_destination(url, limits),
        Options(
            method=plain.method,
            forward=forward,
            retries=plain.retries,
            retry_delay=plain.retry_delay,
            delay=plain.delay,
            timeout=plain.timeout,
        ),
    )


def _plain(pairs: list[tuple[str, str]], limits: Limits, default_retries: int) -> Options:
    """The options that messages and callbacks share."""
    method = (_one(pairs, "upstash-method") or "POST").upper()
    if method not in _METHODS:
        raise Refused(400, f"invalid method: {method}")
    retry_delay = _one(pairs, "upstash-retry-delay")
    if retry_delay is not None:
        try:
            qstash_expressions.parse(retry_delay)
        except qstash_expressions.BadExpression as error:
            raise Refused(400, f"invalid retry delay expression: {error}") from error
    retries = int(_whole(pairs, "upstash-retries", default_retries))
    if retries > limits.max_retries:
        raise Refused(412, "quota maxRetries exceeded")
    delay = _duration(pairs, "upstash-delay", 0.0)
    if delay > MAX_DELAY_SECONDS:
        raise Refused(412, "quota maxDelay exceeded")
    not_before = _whole(pairs, "upstash-not-before", -1)
    return Options(
        method=method,
        forward=tuple(_forwarded(pairs)),
        retries=retries,
        retry_delay=retry_delay,
        delay=delay,
        not_before=float(not_before) if not_before >= 0 else None,
        # The header can only shorten what the plan allows.
        timeout=min(_duration(pairs, "upstash-timeout", MAX_TIMEOUT_SECONDS), MAX_TIMEOUT_SECONDS),
    )


def _forwarded(pairs: list[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    for name, value in pairs:
        if name.lower() == "content-type":
            yield "Content-Type", value
        elif name.lower().startswith("upstash-forward-") and len(name) > len("upstash-forward-"):
            yield name[len("upstash-forward-") :], value


def _one(pairs: Iterable[tuple[str, str]], name: str) -> str | None:
    return next((value for key, value in pairs if key.lower() == name), None)


def _whole(pairs: list[tuple[str, str]], name: str, default: int) -> int:
    value = _one(pairs, name)
    if value is None:
        return default
    if not _DIGITS.fullmatch(value):
        raise Refused(400, f"invalid {name}: {value!r} is not a whole number")
    return int(value)


def _duration(pairs: list[tuple[str, str]], name: str, default: float) -> float:
    value = _one(pairs, name)
    if value is None:
        return default
    try:
        return qstash_backoff.duration(value)
    except ValueError:
        raise Refused(400, f"invalid {name}: {value!r} is not a duration such as 10s") from None


def header_lists(pairs: Iterable[tuple[str, str]]) -> Mapping[str, list[str]]:
    """Headers as QStash reports them: each name with the list of its values."""
    lists: dict[str, list[str]] = {}
    for name, value in pairs:
        lists.setdefault(name.title(), []).append(value)
    return lists
