"""The command's calls to a Holdfast server: start, stop, status."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx

from holdfast._cli.kept import Kept
from holdfast._cli.problem import GAVE_UP, USAGE, Problem
from holdfast._cli.screen import printable
from holdfast.client_reader import LATER, retry_after_seconds
from holdfast.clock import Clock

_TIMEOUT = httpx.Timeout(30.0, connect=10.0)
_FIRST_DELAY = 0.25
_LONGEST_DELAY = 5.0


def checked_base(url: str) -> str:
    """A base URL without its last slash.

    Raises:
        Problem: it is not an absolute http(s) URL.
    """
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        good = False
    if not good:
        raise Problem(
            f"{printable(url)!r} is no http(s) URL. Set --url or HOLDFAST_URL, e.g. http://127.0.0.1:8000.", USAGE
        )
    return url.rstrip("/")


async def begin(
    client: httpx.AsyncClient,
    base: str,
    headers: dict[str, str],
    seen: Callable[[httpx.Response], None],
    *,
    patience: float,
    clock: Clock,
    waiting: Callable[[str], None],
) -> None:
    """Have a session before anything is started in it: a start that is sent twice must be one owner's.

    Args:
        client, base, patience, clock, waiting: as for ``start``.
        headers: what shows who asks, so far.
        seen: called with the response, whose cookie is the session.

    Raises:
        Problem: the server refused, or could not be reached in time.
    """
    url = f"{base}/api/session"
    await _call(client, "POST", url, headers, patience=patience, clock=clock, waiting=waiting, seen=seen)


async def start(
    client: httpx.AsyncClient,
    base: str,
    body: dict[str, Any],
    key: str,
    shown: dict[str, str],
    *,
    patience: float,
    clock: Clock,
    waiting: Callable[[str], None],
) -> Kept:
    """Start an answer; asked again until the server takes it.

    Args:
        client: the connections.
        base: the server.
        body: the start's body.
        key: the idempotency key, by which a start that was sent twice is one answer.
        shown: headers that show who asks.
        patience: seconds after which to stop asking again.
        clock: time.
        waiting: called with the reason before each wait.

    Raises:
        Problem: the server refused, or could not be reached in time.
    """
    headers = {"Idempotency-Key": key, **shown}
    reply = await _call(
        client, "POST", f"{base}/api/streams", headers, body=body, patience=patience, clock=clock, waiting=waiting
    )
    stream, url = reply.get("id"), reply.get("url")
    if not isinstance(stream, str) or not isinstance(url, str) or not stream:
        raise Problem(f"{base} answered with something that is no start: is it a Holdfast server?")
    url = urljoin(f"{base}/", url)
    stop_url, token = reply.get("stop_url"), reply.get("read_token")
    return Kept(
        id=stream,
        url=url,
        stop_url=urljoin(f"{base}/", stop_url if isinstance(stop_url, str) else f"{url.partition('?')[0]}/stop"),
        base=base,
        read_token=token if isinstance(token, str) else "",
        at=clock.now_ms(),
    )


async def stop(
    client: httpx.AsyncClient, stream: Kept, shown: dict[str, str], *, patience: float, clock: Clock
) -> dict[str, Any]:
    """Stop an answer; stopping is idempotent, so it is asked again where the outcome is unknown.

    Args:
        client, patience, clock: as for ``start``.
        stream: whose.
        shown: headers that show who asks: its owner, for a token only reads.

    Raises:
        Problem: the server refused, or could not be reached in time.
    """
    return await _call(client, "POST", stream.stop_url, shown, patience=patience, clock=clock)


async def status(
    client: httpx.AsyncClient, stream: Kept, shown: dict[str, str], *, patience: float, clock: Clock
) -> dict[str, Any]:
    """An answer's state as the server tells it.

    Args:
        client, patience, clock: as for ``start``.
        stream: whose.
        shown: headers that show that the asker may read it.

    Raises:
        Problem: the server refused, or could not be reached in time.
    """
    return await _call(client, "GET", stream.status_url, shown, patience=patience, clock=clock)


async def _call(
    client: httpx.AsyncClient,
    method: str,
    url: str,
    headers: dict[str, str],
    *,
    patience: float,
    clock: Clock,
    body: dict[str, Any] | None = None,
    waiting: Callable[[str], None] = lambda _reason: None,
    seen: Callable[[httpx.Response], None] = lambda _response: None,
) -> dict[str, Any]:
    """One request that is safe to repeat, and its JSON object."""
    give_up_at = clock.monotonic() + patience
    place = url.partition("?")[0]
    delay = _FIRST_DELAY
    while True:
        wait: float | None = None
        try:
            response = await client.request(method, url, headers=headers, json=body, timeout=_TIMEOUT)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError):
            raise Problem(f"{place} cannot be requested: check the URL.", USAGE) from None
        except httpx.ConnectError:
            reason = f"{place} cannot be reached: is the server running? `make run` starts one here."
        except httpx.TransportError as error:
            reason = f"{place} did not answer ({type(error).__name__})."
        else:
            if response.is_success:
                seen(response)
                return _object(response, place)
            if response.status_code < 500 and response.status_code not in LATER:
                raise _refusal(response, place)
            reason = str(_refusal(response, place))
            wait = retry_after_seconds(response.headers)
        wait = max(wait or 0.0, delay * random.uniform(1.0, 1.3))  # noqa: S311 - spreads load, hides nothing
        if clock.monotonic() + wait >= give_up_at:
            raise Problem(reason, GAVE_UP)
        waiting(reason)
        await clock.sleep(wait)
        delay = min(delay * 2, _LONGEST_DELAY)


def _object(response: httpx.Response, place: str) -> dict[str, Any]:
    try:
        reply = response.json() if response.content else {}
    except ValueError:
        reply = None
    if not isinstance(reply, dict):
        raise Problem(f"{place} answered with something else than a JSON object: is it a Holdfast server?")
    return reply


def _refusal(response: httpx.Response, place: str) -> Problem:
    """The server's own words, where it has any."""
    try:
        error = response.json()["error"]
        extra = [f"{name}: {value}" for name, value in error.items() if name not in {"code", "message"}]
        text = " ".join([f"{error['message']} ({response.status_code} {error['code']})", *extra])
    except (ValueError, KeyError, TypeError, AttributeError):
        text = f"{place} answered {response.status_code}."
    return Problem(printable(text))
