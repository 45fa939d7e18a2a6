"""Routes on a caller's chats as a whole: list them, delete one (docs/protocol.md, chapters J and W)."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from holdfast import chats, erasure, history
from holdfast.errors import ApiError
from holdfast.handlers import Handlers

_NUMBER: Final = re.compile(r"[0-9]{1,15}", re.ASCII)
_AT_ONCE: Final = 50


class ChatHandlers(Handlers):
    """Listing and deleting chats."""

    async def list_chats(self, request: Request) -> Response:
        """``GET /api/chats``: the caller's chats, newest first, a page at a time."""
        owner = await self._services.auth.owner(request)
        limit = _number(request, "limit", 1, chats.MOST_AT_ONCE)
        before = _number(request, "before", 0, 10**15 - 1)
        if owner is None:
            return JSONResponse({"chats": [], "more": False})  # as for somebody without a chat
        listed, more = await chats.page(self._services.log, owner, _AT_ONCE if limit is None else limit, before)
        return JSONResponse({"chats": [asdict(chat) for chat in listed], "more": more})

    async def delete_chat(self, request: Request) -> Response:
        """``DELETE /api/chat/{id}``: stop what is being written, and delete everything. Idempotent."""
        id: str = request.path_params["id"]
        owner = await self._services.auth.owner(request)
        seconds = self._settings.chat_retention_seconds
        if owner is None or not await erasure.erase(history.of_chat(self._services.log, owner, id, seconds)):
            raise ApiError(404, "chat_unknown", "There is no such chat, or it was deleted after its retention.")
        return Response(status_code=204)


def _number(request: Request, name: str, low: int, high: int) -> int | None:
    """A parameter of the query, None where it is absent.

    Raises:
        ApiError: 400, it is no number or out of bounds.
    """
    text = request.query_params.get(name)
    if text is None:
        return None
    if not _NUMBER.fullmatch(text) or not low <= int(text) <= high:
        raise ApiError(
            400, "query_invalid", f"{name}: send a whole number from {low} to {high}.", extra={"field": name}
        )
    return int(text)
