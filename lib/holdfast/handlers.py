"""What every route needs of a request: its body within limits, its origin, its deadline."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any, Final

from starlette.requests import Request

from holdfast.adapters.platform import deadline_ms, own_origin
from holdfast.errors import ApiError, SettingsError
from holdfast.services import Services

#: The largest body of a route that takes a field or two.
_SMALL_BODY_BYTES: Final = 10_000
#: Seconds for which a body may take to arrive.
BODY_SECONDS: Final = 30


class Handlers:
    """Common ground of the handlers.

    Args:
        services: the verbs.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._settings = services.settings

    def _origin(self, request: Request) -> str:
        origin = self._settings.public_url or own_origin(request.scope)
        if origin is None:
            raise SettingsError("HOLDFAST_PUBLIC_URL is not set, and the platform did not say where this function is.")
        return origin

    def _deadline(self, request: Request) -> int:
        now = self._services.clock.now_ms()
        return deadline_ms(request.scope, request.headers, now, self._settings.max_seconds)

    def _seconds_left(self, request: Request) -> float:
        return (self._deadline(request) - self._services.clock.now_ms()) / 1000

    async def _body(self, request: Request, limit: int | None = None) -> bytes:
        limit = limit or self._settings.max_body_bytes
        chunks = bytearray()
        try:
            # Without an end to it, a body that drips in would hold a function as long as the platform lets it run.
            async with asyncio.timeout(BODY_SECONDS):
                async for chunk in request.stream():
                    chunks += chunk
                    if len(chunks) > limit:
                        raise ApiError(413, "body_too_large", f"The body is larger than {limit} bytes.")
        except TimeoutError as error:
            what = f"The body did not arrive within {BODY_SECONDS} seconds. Nothing was started; send it again."
            raise ApiError(408, "body_too_slow", what) from error
        return bytes(chunks)

    async def _fields(self, request: Request) -> dict[str, Any]:
        """The fields of a small body; none where there is no body."""
        body = await self._body(request, min(_SMALL_BODY_BYTES, self._settings.max_body_bytes))
        if not body.strip():
            return {}
        try:
            fields = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise ApiError(400, "body_not_json", "The body is not valid JSON. Send a JSON object as UTF-8.") from error
        if not isinstance(fields, dict):
            raise ApiError(400, "body_not_object", "The body must be a JSON object.")
        return fields

    def _iso(self, seconds: int) -> str:
        """A time in epoch seconds as ISO 8601, UTC."""
        return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
