"""Routes of sessions: begin one, and take it to another device (docs/protocol.md, rules U3, U4 and U12)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from holdfast import links
from holdfast.errors import ApiError
from holdfast.handlers import Handlers
from holdfast.links import LINK_SECONDS


class SessionHandlers(Handlers):
    """Sessions of browsers."""

    async def begin(self, request: Request) -> Response:
        """``POST /api/session``: make sure that the caller is somebody, before anything else is asked."""
        auth = self._services.auth
        caller = await auth.starting(request)
        return auth.hand_over(request, JSONResponse({"owner_kind": caller.kind}))

    async def link(self, request: Request) -> Response:
        """``POST /api/session/link``: a code that makes another device the same owner, once and within minutes."""
        auth = self._services.auth
        caller = await auth.caller(request)
        if caller is None or caller.session is None:
            message = (
                "Only a session can be taken to another device: begin one with POST /api/session, and send its cookie."
            )
            raise ApiError(403, "session_required", message)
        code = await links.offer(self._services.log, caller.session.owner)
        expires_at = self._iso(self._services.clock.now_ms() // 1000 + LINK_SECONDS)
        told = {"url": auth.page_url(request, f"link={code}"), "code": code, "expires_at": expires_at}
        return JSONResponse(told, 201, {"cache-control": "no-store"})

    async def claim(self, request: Request) -> Response:
        """``POST /api/session/claim``: become the owner that a code stands for."""
        await self._services.auth.caller(request)  # what is shown and proves nothing never counts as nothing (rule U2)
        code = (await self._fields(request)).get("code")
        if not isinstance(code, str) or not code:
            raise ApiError(422, "field_invalid", "code: must be the code of a link.", extra={"field": "code"})
        auth = self._services.auth
        owner = await links.claim(self._services.log, code)
        session = None if owner is None else auth.session_of(owner)
        if session is None:
            message = "This link was used or has expired. Make a new one on the other device."
            raise ApiError(410, "link_expired", message)
        auth.sign_in(request, session)
        return auth.hand_over(request, JSONResponse({"owner_kind": "session"}))
