"""The two things that the delivery engine needs of the world: time, and a way to call a URL."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import httpx


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request to a destination."""

    method: str
    url: str
    headers: Sequence[tuple[str, str]]
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back. Status 0 says that nothing did, and ``error`` why.

    Attributes:
        headers: with names as they were sent.
        body: cut at the size of a message.
        timed_out: whether nothing came for as long as was waited.
    """

    status: int
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = b""
    error: str = ""
    timed_out: bool = False

    @property
    def ok(self) -> bool:
        """Whether the destination took the message."""
        return 200 <= self.status < 300


class Clock(Protocol):
    """Wall-clock time, and waiting for it."""

    def now(self) -> float:
        """Epoch seconds."""

    async def sleep_until(self, when: float) -> None:
        """Return once ``now()`` has reached ``when``; at once if it has already."""


class Sender(Protocol):
    """Calls destinations."""

    async def send(self, call: Call, timeout: float) -> Reply:
        """Carry out one call; never raises for what the destination does, a timeout (seconds) included."""


class RealClock:
    """The machine's own clock."""

    def now(self) -> float:
        """Epoch seconds."""
        return time.time()

    async def sleep_until(self, when: float) -> None:
        """Wait in short steps, so that a clock that is set, or a machine that slept, is noticed."""
        while (left := when - time.time()) > 0:  # noqa: ASYNC110 - it waits for the clock
            await asyncio.sleep(min(left, 10.0))


class HttpSender:
    """Calls destinations over HTTP. Redirects are not followed: one could lead off this machine.

    Args:
        max_body: bytes of a reply that are kept.
    """

    def __init__(self, max_body: int) -> None:
        self._max_body = max_body
        # Proxies of the environment would take deliveries off this machine.
        self._client = httpx.AsyncClient(
            timeout=None,  # noqa: S113 - each call has a deadline of its own, for the whole of it
            trust_env=False,
            # A connection kept from before the destination restarted would cost the message a try.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
        )

    async def send(self, call: Call, timeout: float) -> Reply:
        """Carry out one call; see ``Sender.send``."""
        try:
            async with asyncio.timeout(timeout):
                headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in call.headers]
                request = self._client.build_request(call.method, call.url, headers=headers, content=call.body)
                response = await self._client.send(request, stream=True)
                try:
                    return Reply(response.status_code, response.headers.multi_items(), await self._body(response))
                finally:
                    await response.aclose()
        except TimeoutError:
            return Reply(0, error="the destination did not answer in time", timed_out=True)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            return Reply(0, error=f"the destination could not be called: {type(error).__name__}")

    async def _body(self, response: httpx.Response) -> bytes:
        kept = bytearray()
        async for chunk in response.aiter_bytes():
            # The rest is read too: the destination is done only when its whole answer has come.
            kept += chunk[: max(0, self._max_body - len(kept))]
        return bytes(kept)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()
