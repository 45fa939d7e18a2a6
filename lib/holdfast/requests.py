"""Start bodies, checked field by field: what a client sent, made into one shape or refused by name."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from holdfast.errors import ApiError
from holdfast.generation import UIMessage
from holdfast.identity import digest
from holdfast.stored import DEEPEST, too_deep

type Trigger = Literal["submit", "regenerate"]

_ROLES: Final = ("system", "user", "assistant")
_KNOWN: Final = frozenset({"prompt", "messages", "chat_id"})
_CHAT_KNOWN: Final = frozenset({"id", "messages", "trigger", "messageId"})
_TRIGGERS: Final[dict[str, Trigger]] = {"submit-message": "submit", "regenerate-message": "regenerate"}
#: How the route ends that resumes a chat: for an id that ends so, it and the chat's own route would be one.
_RESUMES = "/stream"
_MAX_ID = 200
_MAX_KEY = 255


@dataclass(frozen=True, slots=True)
class StartRequest:
    """A start, whichever route it came by.

    Attributes:
        owner: who asks.
        messages: what the client sent, oldest first, as UI messages; without a chat, everything.
        chat_id: the conversation, or None.
        trigger: a new message, or another answer to the same one.
        target: the id of the message that is edited or answered anew, if the client named one.
        key: the client's idempotency key, or None.
        extra: unknown fields of the body, for the generator.
    """

    owner: str
    messages: list[UIMessage]
    chat_id: str | None = None
    trigger: Trigger = "submit"
    target: str | None = None
    key: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def newest(self) -> UIMessage:
        """The message that is to be answered."""
        return self.messages[-1]

    @property
    def turn_identity(self) -> str:
        """What tells this turn from another one of the same chat (rule H3)."""
        newest = {name: self.newest.get(name) for name in ("id", "role", "parts")}
        return digest(self.trigger, newest)

    @property
    def fingerprint(self) -> str:
        """What tells this request from another one under the same idempotency key."""
        return digest(self.messages, self.chat_id, self.trigger, self.target, self.extra)


def parse_start(body: bytes, owner: str, key: str | None) -> StartRequest:
    """Read the body of ``POST /api/streams``.

    Args:
        body: the raw body.
        owner: who asks.
        key: the ``Idempotency-Key`` header, if there is one.

    Raises:
        ApiError: 400 not JSON, 422 a field is missing or wrong; the message names it.
    """
    data = _object(body)
    if ("prompt" in data) == ("messages" in data):
        raise _invalid("prompt", "send either prompt or messages, and not both")
    if "prompt" in data:
        messages = [_from_text("user", _text(data["prompt"], "prompt"))]
    else:
        messages = _messages(data["messages"])
    chat_id = None if data.get("chat_id") is None else _chat_id(data["chat_id"], "chat_id")
    extra = {name: value for name, value in data.items() if name not in _KNOWN}
    return StartRequest(owner, messages, chat_id, key=_key(key), extra=extra)


def parse_chat(body: bytes, owner: str, key: str | None) -> StartRequest:
    """Read the body that the AI SDK's ``DefaultChatTransport`` sends to ``POST /api/chat``.

    Raises:
        ApiError: as for ``parse_start``.
    """
    data = _object(body)
    trigger = _TRIGGERS.get(data.get("trigger", "submit-message")) if isinstance(data.get("trigger", ""), str) else None
    if trigger is None:
        raise _invalid("trigger", f"must be one of {', '.join(_TRIGGERS)}")
    target = None if data.get("messageId") is None else _id(data["messageId"], "messageId")
    extra = {name: value for name, value in data.items() if name not in _CHAT_KNOWN}
    messages = _messages(data.get("messages"))
    return StartRequest(owner, messages, _chat_id(data.get("id"), "id"), trigger, target, _key(key), extra)


def _object(body: bytes) -> dict[str, Any]:
    try:
        data = json.loads(body, parse_constant=_refuse_constant, object_pairs_hook=_once)
        nested = too_deep(data, DEEPEST)
        # A lone surrogate passes json.loads and can be stored nowhere.
        json.dumps(data, ensure_ascii=False, allow_nan=False).encode()
    except _Repeated as error:
        what = "The body names a field of one object twice. Send each once: which one counts differs between readers."
        raise ApiError(400, "body_repeats_name", what) from error
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "body_not_json", "The body is not valid JSON. Send a JSON object as UTF-8.") from error
    if nested:
        raise ApiError(400, "body_too_deep", f"The body is nested deeper than {DEEPEST} levels.")
    if not isinstance(data, dict):
        raise ApiError(400, "body_not_object", "The body must be a JSON object.")
    return data


class _Repeated(Exception):
    """An object has a name twice."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    # What stands in front, say a filter, may have judged the other value (RFC 8259, section 4).
    if len(found) != len(pairs):
        raise _Repeated
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(name)  # NaN and Infinity are not JSON


def _messages(value: Any) -> list[UIMessage]:
    if not isinstance(value, list):
        raise _invalid("messages", "must be a list of messages")
    if not value:
        raise _invalid("messages", "must not be empty")
    return [_message(item, f"messages[{index}]") for index, item in enumerate(value)]


def _message(value: Any, name: str) -> UIMessage:
    if not isinstance(value, dict):
        raise _invalid(name, "must be an object with role and content or parts")
    role = value.get("role")
    if role not in _ROLES:
        raise _invalid(f"{name}.role", f"must be one of {', '.join(_ROLES)}")
    if "parts" in value:
        parts = value["parts"]
        named = isinstance(parts, list) and all(isinstance(p, dict) and isinstance(p.get("type"), str) for p in parts)
        if not named or not parts:
            raise _invalid(f"{name}.parts", "must be a list of parts, each an object with a type, and not empty")
        for index, part in enumerate(parts):
            if part["type"] == "text" and not isinstance(part.get("text"), str):
                raise _invalid(f"{name}.parts[{index}].text", "must be text")
        message: UIMessage = {"role": role, "parts": parts}
    else:
        message = _from_text(role, _text(value.get("content"), f"{name}.content"))
    if value.get("id") is not None:
        message["id"] = _id(value["id"], f"{name}.id")
    if isinstance(value.get("metadata"), dict):
        message["metadata"] = value["metadata"]
    if role == "user" and not _says_something(message):
        raise _invalid(name, "must not be empty")
    return message


def _says_something(message: UIMessage) -> bool:
    return any(part["type"] != "text" or part["text"].strip() for part in message["parts"])


def _from_text(role: str, text: str) -> UIMessage:
    return {"role": role, "parts": [{"type": "text", "text": text}]}


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise _invalid(name, "must be text")
    if not value.strip():
        raise _invalid(name, "must not be empty")
    return value


def _id(value: Any, name: str) -> str:
    if not isinstance(value, str) or not value or len(value) > _MAX_ID or not value.isprintable():
        raise _invalid(name, f"must be text of 1 to {_MAX_ID} printable characters")
    return value


def _chat_id(value: Any, name: str) -> str:
    id = _id(value, name)
    if id.endswith(_RESUMES):
        message = f"{name}: must not end in {_RESUMES}, which is a chat's route to resume by. Choose another id."
        raise ApiError(400, "chat_id_reserved", message, extra={"field": name})
    return id


def _key(value: str | None) -> str | None:
    if value is not None and (not value or len(value) > _MAX_KEY or not value.isprintable()):
        raise ApiError(400, "idempotency_key_invalid", f"Idempotency-Key: 1 to {_MAX_KEY} printable characters.")
    return value


def _invalid(name: str, what: str) -> ApiError:
    return ApiError(422, "field_invalid", f"{name}: {what}.", extra={"field": name})
