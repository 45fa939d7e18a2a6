"""Errors as responses, and the log line that each refusal leaves (docs/protocol.md, rule W1)."""

from __future__ import annotations

import logging
from typing import Any, Final

from starlette.responses import JSONResponse, Response
from starlette.types import Scope

from holdfast.errors import ApiError

_logger = logging.getLogger("holdfast")

#: QStash's status for a message that no retry can mend; it counts only with its header.
_NEVER_AGAIN: Final = 489
_TOO_SLOW: Final = 408
_UNAUTHORIZED: Final = 401
#: What paths are made of, beside what callers name.
_WORDS: Final = frozenset(
    {
        "api", "chat", "chats", "claim", "cleanup", "failed", "healthz", "link", "openapi.json", "publish", "session",
        "share", "status", "stop", "stream", "streams",
    }
)  # fmt: skip
_MOST_SEGMENTS: Final = 8


def error_reply(error: ApiError) -> Response:
    """An error as JSON, with the headers that its status asks for."""
    body = {"error": {"code": error.code, "message": error.message, **error.extra}}
    headers = {} if error.retry_after is None else {"retry-after": str(error.retry_after)}
    if error.status == _UNAUTHORIZED:
        headers["www-authenticate"] = "Bearer"  # RFC 9110, section 11.6.1
    if error.status == _NEVER_AGAIN:
        headers["upstash-nonretryable-error"] = "true"
    if error.status == _TOO_SLOW:
        headers["connection"] = "close"  # what is left of the body is not waited for (RFC 9110, section 15.5.9)
    return JSONResponse(body, error.status, headers)


def refuse(scope: Scope, error: ApiError) -> Response:
    """``error_reply``, with a line in the log: what was refused and why, and nothing that the caller wrote.

    Args:
        scope: the request's ASGI scope.
        error: the refusal.
    """
    told: dict[str, Any] = {"status": error.status, "code": error.code, **where(scope)}
    _logger.log(logging.WARNING if error.status >= 500 else logging.INFO, "refused", extra=told)
    return error_reply(error)


def where(scope: Scope) -> dict[str, str]:
    """A request's method, and its path with ``*`` for whatever the caller chose; the query is never told."""
    segments = scope["path"].split("/")[1 : _MOST_SEGMENTS + 1]
    route = "".join(f"/{segment if segment in _WORDS or not segment else '*'}" for segment in segments)
    method = scope["method"]
    return {"method": method if method.isalpha() and len(method) < 10 else "?", "route": route}
