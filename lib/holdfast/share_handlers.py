"""Routes of shares: let others read one stream, and take that back (docs/protocol.md, rules U10 and U11)."""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from holdfast import tokens
from holdfast.errors import ApiError
from holdfast.handlers import Handlers
from holdfast.subscribe import Reading

#: How long a share is good unless it is said, in seconds.
_USUAL_SECONDS: Final = 86_400


class ShareHandlers(Handlers):
    """Shares of streams; for their owners alone."""

    async def share(self, request: Request) -> Response:
        """``POST /api/streams/{id}/share``: a link with which others read this stream, and nothing else."""
        fields = await self._fields(request)
        stream = (await self._own(request)).stream
        longest = self._settings.longest_reading_seconds
        seconds = fields.get("seconds", min(_USUAL_SECONDS, longest))
        if not isinstance(seconds, int) or isinstance(seconds, bool) or not 1 <= seconds <= longest:
            message = f"seconds: must be a whole number from 1 to {longest}."
            raise ApiError(422, "field_invalid", message, extra={"field": "seconds"})
        expires = self._services.clock.now_ms() // 1000 + seconds
        token = await self._services.shares.give(stream, expires)
        told = {
            # In the fragment, which browsers send to nobody, so that it stands in no log and in no Referer.
            "url": self._services.auth.page_url(request, f"share={stream}.{token}"),
            "stream_url": f"/api/streams/{stream}?token={token}",
            "token": token,
            "expires_at": self._iso(expires),
        }
        return JSONResponse(told, 201, {"cache-control": "no-store"})

    async def revoke(self, request: Request) -> Response:
        """``DELETE /api/streams/{id}/share``: take back every share that was given so far, or the one that is named."""
        fields: dict[str, Any] = await self._fields(request)
        stream = (await self._own(request)).stream
        token = fields["token"] if "token" in fields else request.query_params.get("token")
        if token is None and "token" not in fields:
            await self._services.shares.revoke_all(stream)
            return Response(status_code=204)
        # Whatever its time: what has expired is as good as revoked.
        share = tokens.read(token, self._services.auth.secrets, stream, 0) if isinstance(token, str) else None
        if share is None or not share.shared:
            message = "token: is no share of this stream. Send none to revoke every share."
            raise ApiError(422, "field_invalid", message, extra={"field": "token"})
        await self._services.shares.revoke(stream, share)
        return Response(status_code=204)

    async def _own(self, request: Request) -> Reading:
        access = await self._services.auth.writer(request)
        return await self._services.subscriber(self._origin(request)).open(request.path_params["id"], access)
