"""The queue over QStash: messages that are safe to send twice, calls that are bounded, foreign errors mapped here."""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from holdfast.adapters.calls import Calls
from holdfast.errors import Rejected, SettingsError, Unavailable

if TYPE_CHECKING:
    from qstash import AsyncQStash

#: Milliseconds before the next try: 1, 2, 4 … 30 s. QStash's own 12 s, 2.5 min, 30 min are too slow for a live answer.
#: The grammar is that of QStash's "Retry" page: ``retried`` counts from 0, min, max and pow take two arguments.
RETRY_DELAY = "min(30000, 1000 * pow(2, retried))"

#: QStash answers 400 to a deduplication id with a colon; these characters are known to pass.
_SAFE_ID = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_STATUS = re.compile(r"status: (\d{3})\b")


class QStashQueue:
    """A ``holdfast.queue.Queue`` on QStash.

    The SDK is imported by the first call, not by this module: readers of streams rarely need it.

    Args:
        url: ``QSTASH_URL``; tokens belong to one region.
        token: ``QSTASH_TOKEN``.
        destination: the absolute URL of the publish function, or what returns it.
        failure_url: the absolute URL that QStash calls when it gives up on a message; None for none.
        retries: tries after the first. Plans limit it; 3 is QStash's default and passes on every plan.
        headers: what QStash forwards to the destination and to the failure URL with each call.
        timeout_seconds: the longest that one call to QStash may take.
        delivery_timeout_seconds: how long QStash waits for the destination; None for the plan's limit.
    """

    def __init__(
        self,
        *,
        url: str,
        token: str,
        destination: str | Callable[[], str],
        failure_url: str | Callable[[], str] | None = None,
        retries: int = 3,
        headers: Mapping[str, str] | None = None,
        timeout_seconds: float = 10.0,
        delivery_timeout_seconds: int | None = None,
    ) -> None:
        self._url = url
        self._token = token
        self._destination = destination
        self._failure_url = failure_url
        self._retries = retries
        self._headers = dict(headers or {})
        self._timeout = timeout_seconds
        self._delivery_timeout = delivery_timeout_seconds
        self._client: AsyncQStash | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._calls = Calls()

    async def enqueue(self, stream: str, attempt: int, *, dedup: str) -> None:
        """Have the destination called with ``{"stream", "attempt"}`` until it answers 2xx; see ``Queue.enqueue``.

        Args:
            stream: the stream's id.
            attempt: the attempt that the delivery is meant to begin.
            dedup: messages with the same value within ten minutes are one message. Any text will do.

        Raises:
            Unavailable: QStash could not be reached, was over its rate, or its answer was lost.
            Rejected: QStash refused the message.
        """
        # A failure callback is tried as often as the message, but at QStash's slow pace unless it is told otherwise.
        callback_headers = {f"Forward-{name}": value for name, value in self._headers.items()}
        callback_headers |= {"Retry-Delay": RETRY_DELAY}
        destination, failure_url = _now(self._destination), _now(self._failure_url or "")
        async with self._call("the message") as client:
            call = client.message.publish_json(
                url=destination,
                body={"stream": stream, "attempt": attempt},
                method="POST",
                headers=self._headers,
                retries=self._retries,
                retry_delay=RETRY_DELAY,
                failure_callback=failure_url or None,
                failure_callback_headers=callback_headers if failure_url else None,
                deduplication_id=safe_id(dedup),
                timeout=self._delivery_timeout,
            )
            await self._calls.wait(call, self._timeout)

    async def schedule(self, cron: str, destination: str, schedule_id: str, *, retries: int = 0) -> None:
        """Have a URL called by POST at the times of a cron expression; the same id again replaces the schedule.

        Args:
            cron: five fields, in UTC unless prefixed with ``CRON_TZ=<zone> ``.
            destination: the absolute URL.
            schedule_id: letters, digits, hyphens, periods and underscores.
            retries: tries after the first, for each firing. The next firing is a try of its own.

        Raises:
            Unavailable: QStash could not be reached, was over its rate, or its answer was lost.
            Rejected: QStash refused the schedule (malformed expression, too many schedules).
        """
        async with self._call("the schedule") as client:
            call = client.schedule.create(
                destination=destination,
                cron=cron,
                schedule_id=schedule_id,
                method="POST",
                headers=self._headers,
                retries=retries,
                retry_delay=RETRY_DELAY if retries else None,
                timeout=self._delivery_timeout,
            )
            await self._calls.wait(call, self._timeout)

    async def close(self) -> None:
        """Close the connections."""
        client, self._client, self._loop = self._client, None, None
        if client is not None:
            await self._calls.close()
            # The SDK has no method for this.
            await client.http._client.aclose()

    @asynccontextmanager
    async def _call(self, what: str) -> AsyncIterator[AsyncQStash]:
        """One bounded call; whatever goes wrong in it leaves as an error of ours, without QStash's text."""
        import httpx
        from qstash.errors import DailyMessageLimitExceededError, QStashError, RateLimitExceededError

        try:
            yield self._connected()
        except DailyMessageLimitExceededError as error:
            raise Unavailable("QStash refused: the plan's messages for today are used up.") from error
        except RateLimitExceededError as error:
            raise Unavailable("QStash refused: too many requests at once.") from error
        except QStashError as error:
            # The SDK gives the status in the error's text alone.
            match = _STATUS.search(str(error))
            status = int(match[1]) if match else 0
            if status >= 500 or not status:
                raise Unavailable(f"QStash failed to take {what} (status {status or 'unknown'}).") from error
            raise Rejected(f"QStash refused {what} (status {status}).{_HINTS.get(status, '')}") from error
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise Rejected("QSTASH_URL or the destination is not a URL that can be called.") from error
        except (httpx.HTTPError, TimeoutError) as error:
            raise Unavailable("QStash did not answer.") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            # What the SDK raises for an answer that is not QStash's: a page, or JSON of another shape.
            raise Unavailable("QStash answered with something that is not a result.") from error

    def _connected(self) -> AsyncQStash:
        from qstash import AsyncQStash

        # A client belongs to the event loop of its first use; on another one its connections are dead.
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            self._loop = loop
            # The SDK's own retries would outlast the caller; ours stand where deduplication makes them safe.
            self._client = AsyncQStash(self._token, retry=False, base_url=self._url)
            # The SDK has no setting for it, and a call whose caller has left must end by itself.
            self._client.http._client.timeout = self._timeout
            self._calls = Calls()
        return self._client


_HINTS = {
    401: " Check QSTASH_TOKEN, and that QSTASH_URL is of the same region.",
    412: " It is over a limit of the plan: check HOLDFAST_QSTASH_RETRIES.",
}


def safe_id(text: str) -> str:
    """A deduplication id that QStash accepts: the text itself where it can be, else its SHA-256 in hex."""
    return text if _SAFE_ID.fullmatch(text) else hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def check_reachable(qstash_url: str, public_url: str) -> None:
    """Refuse a public URL that QStash cannot reach from where it runs.

    Args:
        qstash_url: where QStash is.
        public_url: where it is to deliver to.

    Raises:
        SettingsError: the public URL is on this machine, or in a private network, and QStash is not.
    """
    host, queue_host = _host(public_url), _host(qstash_url)
    if _is_loopback(queue_host):
        return
    if _is_loopback(host) or (_is_private(host) and queue_host.endswith(".upstash.io")):
        raise SettingsError(
            f"HOLDFAST_PUBLIC_URL ({host}) cannot be reached by QStash. Open a tunnel to this server, for example "
            "with `cloudflared tunnel --url http://localhost:8000` or `ngrok http 8000`, and set HOLDFAST_PUBLIC_URL "
            "to its address; or unset QSTASH_TOKEN and QSTASH_URL to use the local stand-in."
        )


def _now(url: str | Callable[[], str]) -> str:
    return url if isinstance(url, str) else url()


def _host(url: str) -> str:
    return (urlsplit(url).hostname or "").rstrip(".").lower()


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address


def _is_loopback(host: str) -> bool:
    address = _address(host)
    if address is None:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback or address.is_unspecified


def _is_private(host: str) -> bool:
    address = _address(host)
    return address is not None and (address.is_private or address.is_link_local)
