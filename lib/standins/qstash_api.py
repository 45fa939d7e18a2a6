"""QStash's REST API, v2: publish, batch, messages, schedules, DLQ, signing keys and logs, over the engine."""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from standins.qstash_engine import Engine
from standins.qstash_options import MAX_MESSAGE_BYTES, Refused, read
from standins.qstash_schedules import Schedule, Schedules

#: A batch may hold many messages; past this the rest is read and thrown away.
_MAX_BATCH_BYTES = 16 * MAX_MESSAGE_BYTES
_PAGE = 100

type _Handler = Callable[[Request], Awaitable[Response]]


class Api:
    """The routes that the SDKs call.

    Args:
        engine: takes and delivers the messages.
        schedules: publish by the clock.
        token: what callers must bear.
    """

    def __init__(self, engine: Engine, schedules: Schedules, token: str) -> None:
        self._engine = engine
        self._schedules = schedules
        self._token = token

    def routes(self) -> list[Route]:
        """All routes, each behind the token."""
        table: list[tuple[str, str, _Handler]] = [
            ("POST", "/v2/publish/{destination:path}", self._publish),
            ("POST", "/v2/batch", self._batch),
            ("GET", "/v2/messages/{id}", self._get_message),
            ("DELETE", "/v2/messages/{id}", self._cancel),
            ("DELETE", "/v2/messages", self._cancel_many),
            ("GET", "/v2/schedules", self._list_schedules),
            ("GET", "/v2/schedules/{id}", self._get_schedule),
            ("DELETE", "/v2/schedules/{id}", self._delete_schedule),
            # The Python SDK sends PATCH, the documentation says POST.
            ("PATCH,POST", "/v2/schedules/{id}/pause", self._pause),
            ("PATCH,POST", "/v2/schedules/{id}/resume", self._resume),
            ("POST", "/v2/schedules/{destination:path}", self._create_schedule),
            ("GET", "/v2/dlq", self._list_dlq),
            ("GET", "/v2/dlq/{id}", self._get_dead),
            ("DELETE", "/v2/dlq/{id}", self._delete_dead),
            ("DELETE", "/v2/dlq", self._delete_many_dead),
            ("GET", "/v2/keys", self._keys),
            ("POST", "/v2/keys/rotate", self._rotate),
            ("GET", "/v2/events", self._events),
            ("GET", "/v2/logs", self._events),
            ("GET,POST,PUT,PATCH,DELETE", "/{rest:path}", self._unknown),
        ]
        return [Route(path, self._guarded(handler), methods=methods.split(",")) for methods, path, handler in table]

    def _guarded(self, handler: _Handler) -> _Handler:
        async def guarded(request: Request) -> Response:
            given = request.headers.get("authorization", "")
            try:
                if not hmac.compare_digest(given.encode(), f"Bearer {self._token}".encode()):
                    raise Refused(401, "unauthorized")
                return await handler(request)
            except Refused as refused:
                return JSONResponse({"error": refused.error}, refused.status)

        return guarded

    async def _publish(self, request: Request) -> Response:
        if request.headers.get("upstash-cron"):
            return await self._create_schedule(request)
        url, body = _destination(request, "/v2/publish/"), await _body(request, MAX_MESSAGE_BYTES)
        answer, status = self._take(url, body, request.headers.items(), _caller(request))
        return JSONResponse(answer, status)

    def _take(self, url: str, body: bytes, headers: Any, caller: str) -> tuple[dict[str, Any], int]:
        published = self._engine.publish(url, body, read(headers, self._engine.limits), caller_ip=caller)
        if published.deduplicated:
            return {"messageId": published.message_id, "deduplicated": True}, 202
        return {"messageId": published.message_id}, 200

    async def _batch(self, request: Request) -> Response:
        items = _json(await _body(request, _MAX_BATCH_BYTES))
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise Refused(400, "a batch is a JSON array of objects")
        answers = []
        for item in items:
            # One bad message does not keep the others from being sent ("Batching" page).
            try:
                if item.get("queue"):
                    raise Refused(501, "queues are not part of this stand-in")
                headers = [(str(name), str(value)) for name, value in (item.get("headers") or {}).items()]
                body = str(item.get("body") or "").encode()
                answers.append(self._take(str(item.get("destination", "")), body, headers, _caller(request))[0])
            except Refused as refused:
                answers.append({"error": refused.error, "status": refused.status})
        return JSONResponse(answers)

    async def _get_message(self, request: Request) -> Response:
        message = self._engine.pending(request.path_params["id"])
        if message is None:
            raise Refused(404, f"message {request.path_params['id']} not found")
        return JSONResponse(message.described())

    async def _cancel(self, request: Request) -> Response:
        if not self._engine.cancel(request.path_params["id"]):
            raise Refused(404, f"message {request.path_params['id']} not found")
        return Response(status_code=200)

    async def _cancel_many(self, request: Request) -> Response:
        body = await _body(request, MAX_MESSAGE_BYTES)
        ids = _strings(_json(body), "messageIds") if body else list(self._engine.messages)
        return JSONResponse({"cancelled": sum(self._engine.cancel(each) for each in ids)})

    async def _create_schedule(self, request: Request) -> Response:
        prefix = "/v2/publish/" if request.url.path.startswith("/v2/publish/") else "/v2/schedules/"
        schedule = self._schedules.create(
            _destination(request, prefix),
            request.headers.get("upstash-cron", ""),
            await _body(request, MAX_MESSAGE_BYTES),
            read(request.headers.items(), self._engine.limits),
            schedule_id=request.headers.get("upstash-schedule-id"),
            caller_ip=_caller(request),
        )
        return JSONResponse({"scheduleId": schedule.id})

    async def _list_schedules(self, _: Request) -> Response:
        return JSONResponse([self._schedules.described(schedule) for schedule in self._schedules.all.values()])

    async def _get_schedule(self, request: Request) -> Response:
        return JSONResponse(self._schedules.described(self._schedule(request)))

    async def _delete_schedule(self, request: Request) -> Response:
        self._schedules.delete(self._schedule(request).id)
        return Response(status_code=200)

    async def _pause(self, request: Request) -> Response:
        self._schedule(request).paused = True
        return Response(status_code=200)

    async def _resume(self, request: Request) -> Response:
        self._schedule(request).paused = False
        return Response(status_code=200)

    def _schedule(self, request: Request) -> Schedule:
        schedule = self._schedules.all.get(request.path_params["id"])
        if schedule is None:
            raise Refused(404, f"schedule {request.path_params['id']} not found")
        return schedule

    async def _list_dlq(self, request: Request) -> Response:
        messages, cursor = _page(list(self._engine.dlq.values()), request)
        return JSONResponse({"messages": messages} | cursor)

    async def _get_dead(self, request: Request) -> Response:
        return JSONResponse(self._engine.dlq[self._dead(request)])

    async def _delete_dead(self, request: Request) -> Response:
        del self._engine.dlq[self._dead(request)]
        return Response(status_code=200)

    def _dead(self, request: Request) -> str:
        dlq_id: str = request.path_params["id"]
        if dlq_id not in self._engine.dlq:
            raise Refused(404, f"dlq message {dlq_id} not found")
        return dlq_id

    async def _delete_many_dead(self, request: Request) -> Response:
        ids = _strings(_json(await _body(request, MAX_MESSAGE_BYTES)), "dlqIds")
        return JSONResponse({"deleted": sum(self._engine.dlq.pop(each, None) is not None for each in ids)})

    async def _keys(self, _: Request) -> Response:
        return JSONResponse({"current": self._engine.keys.current, "next": self._engine.keys.next})

    async def _rotate(self, request: Request) -> Response:
        self._engine.keys.rotate(self._engine.rng)
        return await self._keys(request)

    async def _events(self, request: Request) -> Response:
        events, cursor = _page(list(reversed(self._engine.events)), request, state=request.query_params.get("state"))
        return JSONResponse({request.url.path.rsplit("/", 1)[1]: events} | cursor)

    async def _unknown(self, request: Request) -> Response:
        raise Refused(501, f"{request.method} {request.url.path} is not part of this stand-in")


def _destination(request: Request, prefix: str) -> str:
    """The destination as it stands in the URL: never decoded, and with its own query."""
    raw: bytes = request.scope.get("raw_path") or request.url.path.encode()
    path, query = raw.split(b"?")[0].decode("latin-1"), request.scope["query_string"].decode("latin-1")
    return path[len(prefix) :] + (f"?{query}" if query else "")


async def _body(request: Request, limit: int) -> bytes:
    """The body, cut just past the limit; all of it is read, so that the caller can read the refusal."""
    kept = bytearray()
    async for chunk in request.stream():
        kept += chunk[: max(0, limit + 1 - len(kept))]
    return bytes(kept)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(400, "the body is not JSON") from None


def _strings(value: Any, name: str) -> list[str]:
    strings = value.get(name) if isinstance(value, dict) else None
    if not isinstance(strings, list) or not all(isinstance(each, str) for each in strings):
        raise Refused(400, f"{name} must be an array of strings")
    return strings


def _caller(request: Request) -> str:
    return request.client.host if request.client else "127.0.0.1"


def _page(entries: list[dict[str, Any]], request: Request, **more: str | None) -> tuple[list[Any], dict[str, str]]:
    """The entries that match the query's filters, from its cursor on; and the cursor of the next page, if any."""
    query = request.query_params
    filters = {name: query.get(name) for name in ("messageId", "url", "scheduleId", "responseStatus", "label")} | more
    chosen = [
        entry
        for entry in entries
        if all(value is None or str(entry.get(name)) == unquote(value) for name, value in filters.items())
    ]
    try:
        start, count = int(query.get("cursor") or 0), min(_PAGE, int(query.get("count") or _PAGE))
    except ValueError:
        raise Refused(400, "cursor and count must be whole numbers") from None
    end = start + max(1, count)
    return chosen[start:end], ({"cursor": str(end)} if end < len(chosen) else {})
