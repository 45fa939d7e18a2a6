"""One call of ``follow``: connections, what is remembered between them, and the waits."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from holdfast.client_types import Event, FollowGaveUp, FollowRefused, Reconnect, StreamExpired, StreamNotFound
from holdfast.clock import Clock, SystemClock
from holdfast.eventstream import EventStream, Message, TooLong

_CONNECT_SECONDS = 10.0
_FIRST_DELAY = 0.25
_LONGEST_DELAY = 15.0
_LONGEST_EXPLANATION = 10_000
#: Proxies of the environment are for the world outside this machine (``mounts`` of an httpx client).
DIRECT: dict[str, None] = dict.fromkeys(("all://localhost", "all://127.0.0.1", "all://[::1]"))
#: Statuses that say "not now". Every other status that is not a success is an answer, and final.
LATER = frozenset({408, 425, 429})


class _Lost(Exception):
    """One connection came to nothing; another one may help."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long to go on, in seconds: in all, without a byte, without a sign of life."""

    deadline: float | None
    idle: float
    give_up: float


class Reader:
    """What ``holdfast.client.follow`` does; see there for the arguments."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        url: str,
        cursor: str | None,
        headers: dict[str, str],
        bounds: Bounds,
        on_reconnect: Callable[[Reconnect], None] | None,
        clock: Clock,
    ) -> None:
        self._client = client
        self._url = url
        self._cursor = cursor or ""
        self._headers = headers
        self._bounds = bounds
        self._on_reconnect = on_reconnect
        self._clock = clock
        self._ends_at = None if bounds.deadline is None else clock.monotonic() + bounds.deadline
        self._alive_at = clock.monotonic()
        self._alive = False
        self._retry_seconds: float | None = None
        self._reconnects = 0
        self._failures = 0
        self._done = False
        # What earlier connections gave: a proxy may drop Last-Event-ID, and a route may replay from the start.
        # The type belongs to it, since a server that cannot go on says so under the reader's own cursor.
        self._seen: set[tuple[str, str]] = set()

    async def events(self) -> AsyncGenerator[Event]:
        """Every event up to the answer's end."""
        while True:
            self._alive, failed, retry_after = False, False, None
            try:
                async with aclosing(self._connection()) as connection:
                    async for event in connection:
                        yield event
                        # The time that the caller took says nothing about the server.
                        self._lives()
                if self._done:
                    return
                reason = "the server ended its response"
            except _Lost as lost:
                failed, reason, retry_after = True, lost.reason, lost.retry_after
            # A body that ended as planned but carried no sign of life is how a server says "not now".
            self._failures = 0 if self._alive else self._failures + 1
            await self._pause(reason, failed, retry_after)

    async def _connection(self) -> AsyncGenerator[Event]:
        here: set[tuple[str, str]] = set()
        stream = EventStream(self._cursor)
        response = await self._respond()
        opened_at = self._clock.monotonic()
        try:
            body = response.aiter_bytes()
            while not self._done and (chunk := await self._next(body)) is not None:
                heartbeats = stream.comments
                # One in the connection's first second proves little: it may be all that the server has to say.
                messages = self._messages(stream, chunk)
                if stream.comments > heartbeats and self._clock.monotonic() >= opened_at + 1:
                    self._lives()
                for message in messages:
                    if message.event != "message":
                        continue
                    if message.data == "[DONE]":
                        self._done = True
                        return
                    event = self._event(message)
                    if message.own_id and (event.cursor, event.kind) in self._seen:
                        continue
                    self._lives()
                    self._cursor = event.cursor
                    here.add((event.cursor, event.kind))
                    yield event
        finally:
            self._seen |= here
            if stream.retry_ms is not None:
                self._retry_seconds = stream.retry_ms / 1000
            await response.aclose()

    def _lives(self) -> None:
        self._alive, self._alive_at = True, self._clock.monotonic()

    def _messages(self, stream: EventStream, chunk: bytes) -> list[Message]:
        try:
            return stream.feed(chunk)
        except TooLong as error:
            raise FollowRefused(str(error), cursor=self._cursor or None) from error

    async def _respond(self) -> httpx.Response:
        """Make one request, up to the head of its response; 204 has an empty body and means that all is read."""
        headers = {
            "Accept": "text/event-stream",
            "Accept-Encoding": "identity",
            "Cache-Control": "no-store",
            **self._headers,
        }
        if self._cursor:
            headers["Last-Event-ID"] = self._cursor
        try:
            # A client that was handed in has time-outs of its own, and httpx's five seconds would cut every pause.
            timeout = httpx.Timeout(None, connect=_CONNECT_SECONDS)
            request = self._client.build_request("GET", self._url, headers=headers, timeout=timeout)
            async with asyncio.timeout(self._patience()):
                response = await self._client.send(request, stream=True, follow_redirects=True)
        except TimeoutError:
            raise self._silent() from None
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError) as error:
            raise FollowRefused(f"{self._place()} cannot be requested: check the URL and the headers.") from error
        except httpx.TooManyRedirects as error:
            raise FollowRefused("The stream's URL redirects in circles.", cursor=self._cursor or None) from error
        except httpx.TransportError as error:
            raise _Lost("the server cannot be reached") from error
        try:
            self._check(response, await self._explanation(response))
        except BaseException:
            await response.aclose()
            raise
        return response

    async def _explanation(self, response: httpx.Response) -> str:
        """What a server of the contract says to a refusal, or nothing."""
        length = response.headers.get("content-length", "")
        if not 400 <= response.status_code < 500 or not length.isdigit() or int(length[:9]) > _LONGEST_EXPLANATION:
            return ""
        try:
            async with asyncio.timeout(self._patience()):
                message = json.loads(await response.aread())["error"]["message"]
        except (TimeoutError, httpx.HTTPError, ValueError, KeyError, TypeError):
            return ""
        return message if isinstance(message, str) else ""

    def _check(self, response: httpx.Response, explanation: str) -> None:
        """Let an event stream or a 204 pass; raise what any other response means."""
        status = response.status_code
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if status == 204:
            self._done = True
            return
        if status == 200 and kind == "text/event-stream":
            return
        place: dict[str, Any] = {"cursor": self._cursor or None, "status": status}
        if status >= 500 or status in LATER:
            raise _Lost(f"the server answered {status}", retry_after_seconds(response.headers))
        if status == 404:
            raise StreamNotFound("There is no such stream, or it is not yours to read.", **place)
        if status == 410:
            raise StreamExpired("The stream has expired: its retention is over.", **place)
        if status in {401, 403}:
            raise FollowRefused(f"The server refused to show the stream ({status}): check the token.", **place)
        if status == 200:
            raise FollowRefused(f"{self._place()} is no event stream (content type {kind or 'missing'}).", **place)
        raise FollowRefused(f"The server refused the request ({status}). {explanation}".rstrip(), **place)

    async def _next(self, body: AsyncIterator[bytes]) -> bytes | None:
        """The next bytes of a body, or None at its clean end."""
        if over := self._over(0.0):
            raise over
        try:
            async with asyncio.timeout(self._patience()):
                return await anext(body, None)
        except TimeoutError:
            raise self._silent() from None
        except httpx.TransportError as error:
            raise _Lost("the connection was cut") from error
        except httpx.DecodingError as error:
            raise FollowRefused("The response is compressed in a way that cannot be read.") from error

    def _event(self, message: Message) -> Event:
        try:
            chunk = json.loads(message.data)
        except ValueError:
            chunk = None
        if not isinstance(chunk, dict):
            raise FollowRefused("The stream carries an event that is no UI message chunk.", cursor=self._cursor or None)
        return Event(message.last_id, chunk)

    def _place(self) -> str:
        """The URL for people; its query may hold a token."""
        return self._url.partition("?")[0]

    def _patience(self) -> float:
        """Seconds to wait for the next byte."""
        left = [self._bounds.idle, self._alive_at + self._bounds.give_up - self._clock.monotonic()]
        if self._ends_at is not None:
            left.append(self._ends_at - self._clock.monotonic())
        return max(0.0, min(left))

    def _silent(self) -> _Lost | FollowGaveUp:
        return self._over(0.0) or _Lost("the connection went silent")

    def _over(self, delay: float) -> FollowGaveUp | None:
        """The error to raise if a bound is reached within ``delay`` seconds."""
        at = self._clock.monotonic() + delay
        if self._ends_at is not None and at >= self._ends_at:
            return FollowGaveUp("The answer did not end within the time given.", cursor=self._cursor or None)
        if at >= self._alive_at + self._bounds.give_up:
            message = f"The server gave no sign of life for {self._bounds.give_up:g} s."
            return FollowGaveUp(message, cursor=self._cursor or None)
        return None

    async def _pause(self, reason: str, failed: bool, retry_after: float | None) -> None:
        """Wait before the next connection: the server's own ``retry`` at least, longer with each failure."""
        growing = min(_FIRST_DELAY * 2 ** min(self._failures - 1, 10), _LONGEST_DELAY) if self._failures else 0.0
        told = self._retry_seconds
        if failed:
            delay = max(growing, _FIRST_DELAY if told is None else told)
        elif told is None:
            delay = growing
        else:
            # The server ended its response and said when to come back; the floor is for one that says 0 for ever.
            delay = max(told, min(growing, 0.1))
        # Jitter only upwards: readers that were cut together do not come back together, and none comes early.
        delay = max(delay * random.uniform(1.0, 1.3), retry_after or 0.0)  # noqa: S311 - spreads load, hides nothing
        if over := self._over(delay):
            over.__cause__ = _Lost(reason)
            raise over
        self._reconnects += 1
        if self._on_reconnect:
            self._on_reconnect(Reconnect(self._reconnects, reason, failed, delay))
        await self._clock.sleep(delay)


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """What a ``Retry-After`` header asks for, in seconds from now (RFC 9110, section 10.2.3), or None."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, at.timestamp() - SystemClock().now_ms() / 1000)
