"""The HTTP contract as one table of routes, and how errors leave (docs/protocol.md, chapter W)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from holdfast.chat_handlers import ChatHandlers
from holdfast.client_handlers import ClientHandlers
from holdfast.errors import ApiError, BadRecord, IdentityUnavailable, Rejected, Unavailable, Vanished
from holdfast.guard import Guard
from holdfast.machine_handlers import MachineHandlers
from holdfast.openapi import document
from holdfast.replies import refuse
from holdfast.services import Services
from holdfast.session_handlers import SessionHandlers
from holdfast.share_handlers import ShareHandlers
from holdfast.subscribe import unknown_stream

type _Handler = Callable[[Request], Awaitable[Response]]


def application(services: Services, roles: frozenset[str]) -> Starlette:
    """The ASGI app of a process.

    Args:
        services: the verbs.
        roles: which functions the process serves: start, subscribe, publish, cleanup.
    """
    if roles & {"start", "subscribe"}:
        _ = services.auth  # a hook that leads nowhere should stop the start, not the first request
    client, chats, machine = ClientHandlers(services), ChatHandlers(services), MachineHandlers(services)
    session, share = SessionHandlers(services), ShareHandlers(services)
    table: list[tuple[str, str, _Handler, list[str]]] = [
        ("start", "/", client.page, ["GET"]),
        ("start", "/api/openapi.json", _contract, ["GET"]),
        ("start", "/api/streams", client.start_stream, ["POST"]),
        ("start", "/api/streams/{id}/stop", client.stop, ["POST"]),
        ("start", "/api/streams/{id}/share", share.share, ["POST"]),
        ("start", "/api/streams/{id}/share", share.revoke, ["DELETE"]),
        ("start", "/api/session", session.begin, ["POST"]),
        ("start", "/api/session/link", session.link, ["POST"]),
        ("start", "/api/session/claim", session.claim, ["POST"]),
        ("start", "/api/chat", client.start_chat, ["POST"]),
        ("start", "/api/chat/{id:path}", chats.delete_chat, ["DELETE"]),
        ("subscribe", "/api/streams/{id}/status", client.status, ["GET"]),
        ("subscribe", "/api/streams/{id}", client.read_stream, ["GET"]),
        ("subscribe", "/api/chat/{id:path}/stream", client.resume_chat, ["GET"]),
        ("subscribe", "/api/chat/{id:path}", client.read_chat, ["GET"]),
        ("subscribe", "/api/chats", chats.list_chats, ["GET"]),
        ("publish", "/api/publish", machine.publish, ["POST"]),
        ("publish", "/api/publish/failed", machine.publish_failed, ["POST"]),
        ("cleanup", "/api/cleanup", machine.cleanup, ["GET", "POST"]),
    ]
    served = [Route(path, handler, methods=methods) for role, path, handler, methods in table if role in roles]
    handlers: dict[Any, Any] = {
        ApiError: _api_error,
        IdentityUnavailable: _identity_unavailable,
        Unavailable: _unavailable,
        Rejected: _unavailable,
        BadRecord: _unreadable,
        Vanished: _vanished,
        HTTPException: _http_error,
        ClientDisconnect: _gone,
    }
    settings = services.settings
    guard = Middleware(Guard, allowed=settings.allowed_origins, public_url=settings.public_url)
    routes = [*served, Route("/healthz", _health)]
    app = Starlette(routes=routes, exception_handlers=handlers, middleware=[guard])
    # A redirect to the path without its last slash would lead to whatever host the request itself names.
    app.router.redirect_slashes = False
    return app


async def _health(_request: Request) -> Response:
    """``GET /healthz``: this process answers."""
    return JSONResponse({"ok": True})


async def _contract(_request: Request) -> Response:
    """``GET /api/openapi.json``: every route, for tools."""
    return JSONResponse(document())


async def _api_error(request: Request, error: ApiError) -> Response:
    return refuse(request.scope, error)


async def _unavailable(request: Request, _error: Exception) -> Response:
    message = "The store did not answer. Try again."
    return refuse(request.scope, ApiError(503, "store_unavailable", message, retry_after=2))


async def _identity_unavailable(request: Request, _error: Exception) -> Response:
    message = "Who you are could not be found out: what decides it did not answer. Try again."
    return refuse(request.scope, ApiError(503, "auth_unavailable", message, retry_after=2))


async def _unreadable(request: Request, error: Exception) -> Response:
    return refuse(request.scope, ApiError(501, "stream_unreadable", str(error)))


async def _vanished(request: Request, _error: Exception) -> Response:
    return refuse(request.scope, unknown_stream())


async def _gone(_request: Request, _error: Exception) -> Response:
    return Response(status_code=400)  # nobody is there to read it


async def _http_error(request: Request, error: HTTPException) -> Response:
    messages = {
        404: ("route_unknown", "There is no such route. See docs/protocol.md for the list."),
        405: ("method_not_allowed", "This route does not take this method."),
    }
    code, message = messages.get(error.status_code, ("http_error", "The request was not understood."))
    response = refuse(request.scope, ApiError(error.status_code, code, message))
    response.headers.update(error.headers or {})
    return response
