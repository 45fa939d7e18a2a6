"""A message of the QStash stand-in, its tries, and how they read in QStash's answers and callbacks."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import Any, Literal

from standins.qstash_options import Options, header_lists
from standins.qstash_transport import Reply

type State = Literal["CREATED", "ACTIVE", "RETRY", "DELIVERED", "FAILED", "CANCELED"]
type Kind = Literal["message", "callback", "failure_callback"]

#: States that a message does not leave.
OVER: frozenset[State] = frozenset({"DELIVERED", "FAILED", "CANCELED"})


@dataclass(frozen=True, slots=True)
class Try:
    """One call of the destination.

    Attributes:
        at: when it began, in epoch seconds.
        seconds: how long it took.
        retried: how many tries came before.
        status: the answer's status; 0 when there was none.
        error: why there was none.
        duplicate: whether it is a call that a fault added.
    """

    at: float
    seconds: float
    retried: int
    status: int
    error: str = ""
    duplicate: bool = False


@dataclass(slots=True, eq=False)
class Message:
    """A message on its way. Times are epoch seconds.

    Attributes:
        number: its place in the order in which messages were taken.
        late_success: what a call answered that succeeded after another one had been taken for the try.
    """

    id: str
    url: str
    body: bytes
    options: Options
    created: float
    due: float
    caller_ip: str
    kind: Kind = "message"
    schedule_id: str | None = None
    source: str | None = None
    number: int = 0
    state: State = "CREATED"
    retried: int = 0
    cancel_requested: bool = False
    late_success: Reply | None = None
    tries: list[Try] = field(default_factory=list)

    def described(self) -> dict[str, Any]:
        """The message as ``GET /v2/messages/{id}`` has it; fields that do not apply are left out."""
        options = self.options
        described: dict[str, Any] = {
            "messageId": self.id,
            "url": self.url,
            "method": options.method,
            "header": header_lists(options.forward),
            "maxRetries": options.retries,
            "notBefore": int(self.due * 1_000),
            "createdAt": int(self.created * 1_000),
            "callerIP": self.caller_ip,
            **text_or_base64("body", self.body),
        }
        optional = {
            "callback": options.callback and options.callback.url,
            "failureCallback": options.failure_callback and options.failure_callback.url,
            "retryDelayExpression": options.retry_delay,
            "scheduleId": self.schedule_id,
            "label": options.label,
        }
        return described | {name: value for name, value in optional.items() if value}

    def watched(self) -> dict[str, Any]:
        """The message as the control API shows it, with every try."""
        return {
            "id": self.id,
            "kind": self.kind,
            "url": self.url,
            "body": self.body.decode("utf-8", "replace"),
            "state": self.state,
            "created": self.created,
            "due": self.due,
            "retried": self.retried,
            "max_retries": self.options.retries,
            "retry_delay": self.options.retry_delay,
            "timeout": self.options.timeout,
            "schedule_id": self.schedule_id,
            "source": self.source,
            "deduplication_id": self.options.deduplication_id,
            "tries": [
                {
                    "at": each.at,
                    "seconds": each.seconds,
                    "retried": each.retried,
                    "status": each.status,
                    "error": each.error,
                    "duplicate": each.duplicate,
                }
                for each in self.tries
            ],
        }


def dead_letter(message: Message, reply: Reply, dlq_id: str) -> dict[str, Any]:
    """A message that was given up, as ``GET /v2/dlq/{id}`` has it."""
    return {
        **message.described(),
        "dlqId": dlq_id,
        "responseStatus": reply.status,
        "responseHeader": header_lists(reply.headers),
        **text_or_base64("responseBody", reply.body or reply.error.encode()),
    }


def callback_body(message: Message, reply: Reply, dlq_id: str | None) -> bytes:
    """What a callback is sent ("Callbacks" page): the reply, and the message that it answers.

    Args:
        message: the message that was delivered, or not.
        reply: the destination's answer; of one that never came, status 0 and the reason as body.
        dlq_id: where the message lies, for failure callbacks.
    """
    body: dict[str, Any] = {
        "status": reply.status,
        "header": header_lists(reply.headers),
        "body": base64.b64encode(reply.body or reply.error.encode()).decode(),
        "retried": message.retried,
        "maxRetries": message.options.retries,
        "sourceMessageId": message.id,
        "url": message.url,
        "method": message.options.method,
        "sourceHeader": header_lists(message.options.forward),
        "sourceBody": base64.b64encode(message.body).decode(),
        # Text, as the page shows them.
        "notBefore": str(int(message.due * 1_000)),
        "createdAt": str(int(message.created * 1_000)),
        "callerIP": message.caller_ip,
    }
    if dlq_id is not None:
        body["dlqId"] = dlq_id
    if message.schedule_id is not None:
        body["scheduleId"] = message.schedule_id
    return json.dumps(body).encode()


def text_or_base64(name: str, body: bytes) -> dict[str, str]:
    """A body under its name when it is UTF-8, else under ``<name>Base64``; nothing for an empty one."""
    if not body:
        return {}
    try:
        return {name: body.decode()}
    except UnicodeDecodeError:
        return {f"{name}Base64": base64.b64encode(body).decode()}
