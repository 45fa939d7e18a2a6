"""Shapes of bodies for the OpenAPI document, as JSON Schema 2020-12, and what each error status means."""

from __future__ import annotations

from typing import Any, Final

type Schema = dict[str, Any]


def _object(required: str = "", **properties: Schema) -> Schema:
    """An object; ``required`` names fields, separated by spaces. Further fields may come with a later release."""
    shape: Schema = {"type": "object", "properties": properties}
    return {**shape, "required": required.split()} if required else shape


def ref(name: str) -> Schema:
    """A schema by its name in the document."""
    return {"$ref": f"#/components/schemas/{name}"}


_TEXT: Final[Schema] = {"type": "string"}
_FLAG: Final[Schema] = {"type": "boolean"}
_COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
_MS: Final[Schema] = {"type": "integer", "description": "epoch milliseconds"}
_MS_OR_NONE: Final[Schema] = {"type": ["integer", "null"], "description": "epoch milliseconds"}
_TIME: Final[Schema] = {"type": "string", "format": "date-time"}
_ID: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": 200, "description": "printable characters"}
_STATES: Final = ["queued", "live", "stalled", "finished", "failed", "stopped"]

STREAM_ID: Final[Schema] = {"type": "string", "pattern": "^[A-Za-z0-9_-]{30}$"}
CURSOR: Final[Schema] = {"type": "string", "pattern": r"^[0-9]{1,16}-[0-9]{1,16}(\.[0-9]{1,16})?$"}

SCHEMAS: Final[dict[str, Schema]] = {
    "Error": _object("error", error=_object("code message", code=_TEXT, message=_TEXT, stream=_TEXT, field=_TEXT)),
    "Part": {**_object("type", type=_TEXT, text=_TEXT), "description": "a part of an AI SDK UI message"},
    "Message": {
        **_object(
            "role",
            id=_ID,
            role={"enum": ["system", "user", "assistant"]},
            content={**_TEXT, "description": "text, in place of parts"},
            parts={"type": "array", "items": ref("Part"), "minItems": 1},
            metadata={"type": "object"},
        ),
        "description": "an AI SDK UI message, or role and content",
    },
    "Start": {
        **_object(
            prompt={**_TEXT, "minLength": 1},
            messages={"type": "array", "items": ref("Message"), "minItems": 1},
            chat_id=_ID,
        ),
        "oneOf": [{"required": ["prompt"]}, {"required": ["messages"]}],
        "description": "fields beside these are given to the generator",
        "examples": [{"prompt": "Why do knots hold?"}],
    },
    "Started": _object(
        "id url stop_url status_url read_token created",
        id=STREAM_ID,
        url=_TEXT,
        stop_url=_TEXT,
        status_url=_TEXT,
        read_token={**_TEXT, "description": "lets its holder read this stream"},
        created={**_FLAG, "description": "false where an answer was there already"},
    ),
    "Chat": {
        **_object(
            "id messages",
            id=_ID,
            messages={"type": "array", "items": ref("Message"), "minItems": 1},
            trigger={"enum": ["submit-message", "regenerate-message"]},
            messageId=_ID,
        ),
        "description": "the body of the AI SDK's DefaultChatTransport",
    },
    "Conversation": _object(
        "id messages stream",
        id=_TEXT,
        messages={"type": "array", "items": ref("Message")},
        stream={"type": ["string", "null"], "description": "the live answer's stream"},
    ),
    "Chats": _object(
        "chats more",
        chats={
            "type": "array",
            "items": _object(
                "id title updated_at stream",
                id=_TEXT,
                title=_TEXT,
                updated_at=_MS,
                stream={"type": ["string", "null"], "description": "the live answer's stream"},
            ),
        },
        more=_FLAG,
    ),
    "Session": _object("owner_kind", owner_kind={"enum": ["session", "key", "jwt", "hook"]}),
    "Linked": _object("url code expires_at", url=_TEXT, code=_TEXT, expires_at=_TIME),
    "Claim": _object("code", code={**_TEXT, "minLength": 1}),
    "Share": {**_object(seconds={"type": "integer", "minimum": 1}), "description": "how long it is good; a day"},
    "Shared": _object("url stream_url token expires_at", url=_TEXT, stream_url=_TEXT, token=_TEXT, expires_at=_TIME),
    "Revocation": _object(token={**_TEXT, "description": "the one share to revoke; all without it"}),
    "Stopped": _object(
        "id stopped state",
        id=STREAM_ID,
        stopped={**_FLAG, "description": "false where the answer had its end"},
        state={"enum": _STATES},
    ),
    "Status": _object(
        "id state attempts handoffs takeovers rescues exact cursor parts characters createdAt updatedAt endedAt",
        id=STREAM_ID,
        state={"enum": _STATES},
        attempts=_COUNT,
        handoffs=_COUNT,
        takeovers=_COUNT,
        rescues=_COUNT,
        exact=_FLAG,
        cursor=CURSOR,
        parts=_COUNT,
        characters=_COUNT,
        createdAt=_MS,
        firstVisibleAt=_MS_OR_NONE,
        updatedAt=_MS,
        endedAt=_MS_OR_NONE,
        messageId=_TEXT,
        chatId=_TEXT,
        usage={"type": "object", "additionalProperties": _COUNT},
        finishReason=_TEXT,
        error=_object("code message", code=_TEXT, message=_TEXT),
    ),
    "Delivery": _object("stream attempt", stream=STREAM_ID, attempt={"type": "integer", "minimum": 1}),
    "Verdict": _object(verdict={"enum": ["done", "away", "retry", "refuse"]}),
    "Failure": {
        **_object("sourceMessageId sourceBody", sourceMessageId=_TEXT, sourceBody=_TEXT, retried=_COUNT),
        "description": "QStash's failure callback",
    },
    "Sealed": _object("sealed", sealed=_FLAG),
    "Counts": _object(
        "complete",
        streams_checked=_COUNT,
        streams_deleted=_COUNT,
        streams_rescued=_COUNT,
        streams_sealed=_COUNT,
        streams_failed=_COUNT,
        chats_deleted=_COUNT,
        complete=_FLAG,
    ),
    "Event": {
        **_object(
            "data",
            id={**CURSOR, "description": "the cursor to come back with"},
            event={"const": "message", "description": "events have no names"},
            data={**_TEXT, "description": "an AI SDK UI message chunk as JSON, or [DONE] at the end"},
            retry={**_COUNT, "description": "milliseconds after which to come back"},
        ),
        "description": "each server-sent event",
    },
    "Health": _object("ok", ok={"const": True}),
}

#: What each error status means, wherever it comes. Every one of them carries ``Error``, but 489 and 503 of deliveries.
ERRORS: Final[dict[int, str]] = {
    400: "The body is no JSON object, or a cursor or key is malformed; the request was not understood.",
    401: "What was shown proves nothing: wrong or expired credentials, or a call that is not provably QStash's.",
    403: "A page of an origin that is neither the deployment's own nor listed; or only a session can be linked.",
    404: "There is no such thing, or it is not the caller's.",
    408: "The body did not arrive in time.",
    409: "Another answer of this chat is being written, and `stream` names it; or the chat was deleted meanwhile.",
    410: "Deleted after its retention; or the link was used or has expired.",
    413: "The body or the conversation is too large.",
    415: "The body was not sent as application/json.",
    422: "A field is missing or wrong, and `field` names it; or an Idempotency-Key was used for another request.",
    429: "Too many starts, live answers or readers; the code says which. Try again after `Retry-After`.",
    489: "A message that nobody here enqueued: QStash does not repeat it.",
    500: "Nobody foresaw it; the function's log says what.",
    501: "Written by a newer release.",
    503: "The store or the queue did not answer; try again after `Retry-After`.",
}
