"""Routes that only machines call: the queue's deliveries and the schedule's cleanup (docs/protocol.md, chapter W)."""

from __future__ import annotations

import base64
import hmac
import json
import logging
import math
from collections.abc import Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from holdfast.adapters.signature import BadSignature, verify
from holdfast.errors import ApiError
from holdfast.handlers import Handlers
from holdfast.identity import is_stream_id
from holdfast.publish import Verdict
from holdfast.queue import Delivery

_logger = logging.getLogger("holdfast")

_MACHINE_BODY_BYTES: Final = 2_000_000


class MachineHandlers(Handlers):
    """Publishing and cleaning, for QStash and schedules alone."""

    async def publish(self, request: Request) -> Response:
        """``POST /api/publish``: one delivery of the queue."""
        body = await self._signed(request)
        delivery = _delivery(body, request.headers)
        self._services.sigterm.install()  # again: a server sets handlers of its own when it begins to serve
        began = self._services.clock.now_ms()
        verdict = await self._services.publisher(self._origin(request)).publish(delivery, self._deadline(request))
        told = {
            "stream": delivery.stream if is_stream_id(delivery.stream) else "?",
            "verdict": verdict.value,
            "message_id": delivery.message_id,
            "retried": delivery.retried,
            "took_ms": self._services.clock.now_ms() - began,
        }
        _logger.info("delivery", extra=told)
        match verdict:
            case Verdict.DONE:
                return JSONResponse({"verdict": "done"})
            case Verdict.AWAY:
                # Before the lease can end there is nothing to do, and tries are few.
                wait = str(math.ceil(self._settings.lease_seconds))
                return JSONResponse({"verdict": "away"}, 503, {"retry-after": wait})
            case Verdict.RETRY:
                return JSONResponse({"verdict": "retry"}, 503)
            case Verdict.REFUSE:
                # QStash's own status for "never again": straight to its dead letter queue.
                return JSONResponse({"verdict": "refuse"}, 489, {"upstash-nonretryable-error": "true"})

    async def publish_failed(self, request: Request) -> Response:
        """``POST /api/publish/failed``: the queue gave up on a message."""
        delivery = _failed_delivery(await self._signed(request))
        sealed = await self._services.publisher(self._origin(request)).failed(delivery)
        stream = delivery.stream if is_stream_id(delivery.stream) else "?"
        told = {"stream": stream, "message_id": delivery.message_id, "sealed": sealed}
        _logger.warning("delivery_failed", extra=told)
        return JSONResponse({"sealed": sealed})

    async def cleanup(self, request: Request) -> Response:
        """``GET|POST /api/cleanup``: the schedule's call."""
        expected = f"Bearer {self._settings.cron_secret}"
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), expected.encode()):
            await self._signed(request)
        seconds = self._seconds_left(request) * 0.8
        counts = await self._services.cleaner(self._origin(request)).run(seconds)
        _logger.info("cleanup", extra=counts.as_json())
        return JSONResponse(counts.as_json())

    async def _signed(self, request: Request) -> bytes:
        """The body of a request that QStash provably sent to this URL."""
        body = await self._body(request, _MACHINE_BODY_BYTES)
        keys = [self._settings.qstash_current_signing_key, self._settings.qstash_next_signing_key]
        url = f"{self._origin(request)}{request.url.path}"
        try:
            now = self._services.clock.now_ms() / 1000
            verify(request.headers.get("upstash-signature"), body, url, keys=keys, now=now)
        except BadSignature as error:
            raise ApiError(401, "signature_invalid", str(error)) from error
        return body


def _delivery(body: bytes, headers: Mapping[str, str]) -> Delivery:
    try:
        data = json.loads(body)
        retried = int(headers.get("upstash-retried", "0"))
        message = headers["upstash-message-id"]
        stream, attempt = data["stream"], data["attempt"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _bad_message() from error
    if not isinstance(stream, str) or not isinstance(attempt, int) or retried < 0:
        raise _bad_message()
    return Delivery(stream, attempt, message, retried)


def _failed_delivery(body: bytes) -> Delivery:
    try:
        data = json.loads(body)
        source = base64.b64decode(data["sourceBody"])
        headers = {"upstash-message-id": data["sourceMessageId"], "upstash-retried": str(data.get("retried", 0))}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _bad_message() from error
    return _delivery(source, headers)


def _bad_message() -> ApiError:
    return ApiError(489, "message_malformed", "The message is not one that Holdfast enqueued.")
