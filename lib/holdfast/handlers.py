"""What every route needs of a request: its body within limits, its origin, its deadline."""

from __future__ import annotations

from starlette.requests import Request

from holdfast.adapters.platform import client_address, deadline_ms, own_origin
from holdfast.errors import ApiError, SettingsError
from holdfast.services import Services


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

    def _address(self, request: Request) -> str:
        return client_address(request.scope, request.headers, self._services.platform)

    def _deadline(self, request: Request) -> int:
        now = self._services.clock.now_ms()
        return deadline_ms(request.scope, request.headers, now, self._settings.max_seconds)

    def _seconds_left(self, request: Request) -> float:
        return (self._deadline(request) - self._services.clock.now_ms()) / 1000

    async def _body(self, request: Request, limit: int | None = None) -> bytes:
        limit = limit or self._settings.max_body_bytes
        chunks = bytearray()
        async for chunk in request.stream():
            chunks += chunk
            if len(chunks) > limit:
                raise ApiError(413, "body_too_large", f"The body is larger than {limit} bytes.")
        return bytes(chunks)
