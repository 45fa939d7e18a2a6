"""The HTTP contract as an OpenAPI 3.1 document, served at ``/api/openapi.json`` (docs/protocol.md, chapter W).

A route is one entry of ``OPERATIONS``; a test holds the table of routes in ``web.py`` against it, both ways.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from holdfast.openapi_schemas import CURSOR, ERRORS, SCHEMAS, STREAM_ID, Schema, ref

type _Json = dict[str, Any]

_JSON: Final = "application/json"
_SSE: Final = "text/event-stream"

#: Any route that asks who is there, and the store, can meet these.
_STORE: Final = (500, 501, 503)
_ASK: Final = (401, *_STORE)
#: Any write of a browser can be refused with these.
_WRITE: Final = (403, 415)
#: Any body that is read can meet these.
_BODY: Final = (400, 408, 413)

_OWNER: Final[list[_Json]] = [{"session": []}, {"bearer": []}]
_READER: Final[list[_Json]] = [*_OWNER, {"readToken": []}, {"token": []}]
#: Who has no session yet is given one.
_ANYBODY: Final[list[_Json]] = [*_OWNER, {}]
_QSTASH: Final[list[_Json]] = [{"qstash": []}]
_SCHEDULE: Final[list[_Json]] = [{"cron": []}, {"qstash": []}]


@dataclass(frozen=True, slots=True)
class Operation:
    """A method of a route.

    Attributes:
        method, path: in lower case; as OpenAPI writes paths.
        id: unique, for generated clients.
        summary: one sentence.
        success: status → the name of a schema, a media type, or None for no body.
        errors: further statuses; each means what ``ERRORS`` says.
        body: the name of the body's schema.
        parameters: names of ``PARAMETERS``.
        security: who may call it: any one of these, ``{}`` being anybody.
    """

    method: str
    path: str
    id: str
    summary: str
    success: dict[int, str | None]
    errors: tuple[int, ...] = ()
    body: str | None = None
    parameters: tuple[str, ...] = ()
    security: list[_Json] | None = None


def _parameter(where: str, name: str, schema: Schema, description: str) -> _Json:
    return {"in": where, "name": name, "required": where == "path", "schema": schema, "description": description}


_TEXT: Final[Schema] = {"type": "string"}
PARAMETERS: Final[dict[str, _Json]] = {
    "Stream": _parameter("path", "id", STREAM_ID, "the stream's id"),
    "ChatId": _parameter("path", "id", {**_TEXT, "minLength": 1}, "the chat's id; it may hold slashes"),
    "IdempotencyKey": _parameter(
        "header", "Idempotency-Key", {**_TEXT, "minLength": 1, "maxLength": 255}, "the same key is the same start"
    ),
    "LastEventId": _parameter("header", "Last-Event-ID", CURSOR, "the cursor after which to go on"),
    "LastEventIdQuery": _parameter("query", "last_event_id", CURSOR, "the same; the header wins"),
    "Limit": _parameter("query", "limit", {"type": "integer", "minimum": 1, "maximum": 100}, "chats of a page"),
    "Before": _parameter("query", "before", {"type": "integer", "minimum": 0}, "the last page's oldest `updated_at`"),
    "Share": _parameter("query", "token", _TEXT, "the one share to revoke"),
    "State": _parameter("query", "state", {"enum": ["1"]}, "1 tells of the answer's state in transient parts"),
}
_START: Final = ("IdempotencyKey",)

OPERATIONS: Final = (
    # -- clients: starting and stopping
    Operation(
        "post", "/api/streams", "startStream", "Start an answer, or join the one that the same request started.",
        {202: "Started"}, (*_BODY, *_WRITE, 409, 422, 429, *_ASK), "Start", _START, _ANYBODY,
    ),
    Operation(
        "post", "/api/chat", "startChat", "Start as the AI SDK does, and stream the answer in the same response.",
        {200: _SSE}, (*_BODY, *_WRITE, 404, 409, 410, 422, 429, *_ASK), "Chat", _START, _ANYBODY,
    ),
    Operation(
        "post", "/api/streams/{id}/stop", "stopStream", "End an answer; what was written stays. Idempotent.",
        {200: "Stopped"}, (*_WRITE, 404, 410, *_ASK), None, ("Stream",), _OWNER,
    ),
    # -- clients: reading
    Operation(
        "get", "/api/streams/{id}", "readStream",
        "An answer from a cursor on, as server-sent events; without any, and with `retry`, where there is no place.",
        {200: _SSE, 204: None}, (400, 401, 404, 410, 500, 501), None,
        ("Stream", "LastEventId", "LastEventIdQuery", "State"), _READER,
    ),
    Operation(
        "get", "/api/streams/{id}/status", "streamStatus", "State, counts and timings of an answer; no content.",
        {200: "Status"}, (404, 410, *_ASK), None, ("Stream",), _READER,
    ),
    Operation(
        "get", "/api/chat/{id}", "readChat", "A conversation as UI messages, and its live stream.",
        {200: "Conversation"}, (404, *_ASK), None, ("ChatId",), _OWNER,
    ),
    Operation(
        "get", "/api/chat/{id}/stream", "resumeChat", "The live answer of a chat from its beginning, else 204.",
        {200: _SSE, 204: None}, (404, 410, 429, *_ASK), None, ("ChatId",), _OWNER,
    ),
    # -- clients: chats as a whole
    Operation(
        "get", "/api/chats", "listChats", "The caller's chats, newest first, a page at a time.",
        {200: "Chats"}, (400, *_ASK), None, ("Limit", "Before"), _OWNER,
    ),
    Operation(
        "delete", "/api/chat/{id}", "deleteChat", "Stop what is being written, and delete everything. Idempotent.",
        {204: None}, (*_WRITE, 404, *_ASK), None, ("ChatId",), _OWNER,
    ),
    # -- clients: sessions, second devices, shares
    Operation(
        "post", "/api/session", "beginSession", "Make sure that the caller is somebody.",
        {200: "Session"}, (*_WRITE, *_ASK), None, (), _ANYBODY,
    ),
    Operation(
        "post", "/api/session/link", "linkDevice", "A code that makes another device the same owner, once.",
        {201: "Linked"}, (*_WRITE, *_ASK), None, (), [{"session": []}],
    ),
    Operation(
        "post", "/api/session/claim", "claimSession", "Become the owner that a code stands for.",
        {200: "Session"}, (*_BODY, *_WRITE, 410, 422, *_ASK), "Claim", (), [{}],
    ),
    Operation(
        "post", "/api/streams/{id}/share", "shareStream", "A link with which others read this stream alone.",
        {201: "Shared"}, (*_BODY, *_WRITE, 404, 410, 422, *_ASK), "Share", ("Stream",), _OWNER,
    ),
    Operation(
        "delete", "/api/streams/{id}/share", "revokeShares", "Revoke every share given so far, or the one named.",
        {204: None}, (*_BODY, *_WRITE, 404, 410, 422, *_ASK), "Revocation", ("Stream", "Share"), _OWNER,
    ),
    # -- machines
    Operation(
        "post", "/api/publish", "publish", "One delivery of the queue.",
        {200: "Verdict"}, (401, 408, 413, 489, *_STORE), "Delivery", (), _QSTASH,
    ),
    Operation(
        "post", "/api/publish/failed", "publishFailed", "The queue gave up on a message.",
        {200: "Sealed"}, (401, 408, 413, 489, *_STORE), "Failure", (), _QSTASH,
    ),
    Operation(
        "get", "/api/cleanup", "cleanupByGet", "The schedule's call, as Vercel's cron makes it.",
        {200: "Counts"}, (401, 408, 413, *_STORE), None, (), _SCHEDULE,
    ),
    Operation(
        "post", "/api/cleanup", "cleanup", "The schedule's call, as QStash makes it.",
        {200: "Counts"}, (401, 408, 413, *_STORE), None, (), _SCHEDULE,
    ),
    # -- anybody
    Operation("get", "/healthz", "health", "Whether this process answers.", {200: "Health"}),
    Operation("get", "/api/openapi.json", "contract", "This document.", {200: _JSON}),
)  # fmt: skip

_SECURITY: Final = {
    "session": {"type": "apiKey", "in": "cookie", "name": "holdfast_session", "description": "`__Host-` on https"},
    "bearer": {"type": "http", "scheme": "bearer", "description": "an API key, or a JWT whose `sub` is the owner"},
    "readToken": {"type": "http", "scheme": "bearer", "description": "a start's `read_token`, or a share"},
    "token": {"type": "apiKey", "in": "query", "name": "token", "description": "the same, for EventSource"},
    "qstash": {"type": "apiKey", "in": "header", "name": "Upstash-Signature", "description": "QStash's signature"},
    "cron": {"type": "http", "scheme": "bearer", "description": "CRON_SECRET"},
}


@cache
def document() -> _Json:
    """The document; callers must not change it."""
    paths: dict[str, _Json] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Holdfast",
            "version": "1",
            "description": "LLM answers that survive refreshes, dead networks, crashed functions and time limits.",
        },
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "parameters": PARAMETERS,
            "responses": {f"Error{status}": _error(status, what) for status, what in ERRORS.items()},
            "securitySchemes": _SECURITY,
        },
    }


def _operation(operation: Operation) -> _Json:
    told: _Json = {"operationId": operation.id, "summary": operation.summary}
    if operation.parameters:
        told["parameters"] = [{"$ref": f"#/components/parameters/{name}"} for name in operation.parameters]
    if operation.body is not None:
        # A body whose schema asks for nothing may be left out.
        required = bool({"required", "oneOf"} & SCHEMAS[operation.body].keys())
        told["requestBody"] = {"required": required, "content": {_JSON: {"schema": ref(operation.body)}}}
    successes = {str(status): _success(status, body) for status, body in operation.success.items()}
    errors = {str(status): {"$ref": f"#/components/responses/Error{status}"} for status in operation.errors}
    told["responses"] = successes | errors
    if operation.security is not None:
        told["security"] = operation.security
    return told


def _success(status: int, body: str | None) -> _Json:
    told: _Json = {"description": "Done." if status != 204 else "There is nothing to read."}
    if body == _SSE:
        told["content"] = {body: {"schema": ref("Event")}}
    elif body is not None:
        told["content"] = {_JSON: {"schema": {"type": "object"} if body == _JSON else ref(body)}}
    if body == _SSE:
        told["headers"] = {
            "x-holdfast-stream": {"schema": STREAM_ID, "description": "the stream that is read"},
            "x-holdfast-limit": {"schema": {"type": "string"}, "description": "the limit that left no place"},
        }
    if status == 202:
        told["headers"] = {"location": {"schema": {"type": "string"}, "required": True}}
    return told


def _error(status: int, what: str) -> _Json:
    # A delivery that is turned away says its verdict, for whoever looks at QStash's log.
    schema = {"anyOf": [ref("Error"), ref("Verdict")]} if status in {489, 503} else ref("Error")
    told: _Json = {"description": what, "content": {_JSON: {"schema": schema}}}
    if status in {429, 503}:
        told["headers"] = {"retry-after": {"schema": {"type": "string"}, "description": "seconds"}}
    return told
