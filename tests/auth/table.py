"""Every route, called by everybody: the table of docs/security.md (``python -m tests.auth.table`` writes it anew)."""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from holdfast.openapi import OPERATIONS, Operation
from tests.auth.devices import Device, app, told, visitor
from tests.clocks import run
from tests.fuzz.app import CRON_SECRET, ORIGIN, App, sign
from tests.processes import ROOT

DOCS: Final = ROOT / "docs" / "security.md"
_MARKS: Final = ("<!-- table: python -m tests.auth.table -->", "<!-- end of table -->")
_CHAT: Final = "a-chat"


@dataclass
class Scene:
    """An owner's finished answer in a chat, with all that opens it.

    Attributes:
        site: the application.
        owner, other: browsers of two people.
        stream: the answer.
        tokens: a share each that is good, has expired, was revoked and was tampered with, and the read token.
        code: of a link that was made and not used.
    """

    site: App
    owner: Device
    other: Device
    stream: str
    tokens: dict[str, str] = field(default_factory=dict)
    code: str = ""


async def scene() -> Scene:
    """Set everything up anew, for one call."""
    site = app()
    owner, other = await visitor(site), await visitor(site)
    started = await owner.start(chat_id=_CHAT)
    share = f"/api/streams/{started['id']}/share"
    made = Scene(site, owner, other, started["id"])
    made.tokens["read token"] = started["read_token"]
    for name, seconds in (("share token", 600), ("expired token", 1), ("revoked token", 600)):
        made.tokens[name] = told(await owner.ask("POST", share, {"seconds": seconds}))["token"]
    good = made.tokens["share token"]
    made.tokens["tampered token"] = good[:-1] + ("A" if good[-1] != "A" else "B")
    assert (await owner.ask("DELETE", share, {"token": made.tokens["revoked token"]})).status == 204
    made.code = told(await owner.ask("POST", "/api/session/link"))["code"]
    site.clock.origin_ms += 2_000
    return made


def _delivery(made: Scene) -> dict[str, Any]:
    return {"stream": made.stream, "attempt": 1}


def _failure(made: Scene) -> dict[str, Any]:
    source = base64.b64encode(json.dumps(_delivery(made)).encode()).decode()
    return {"sourceMessageId": "m9", "sourceBody": source}


def _message(_: Scene) -> dict[str, Any]:
    return {"id": "mine", "messages": [{"id": "q", "role": "user", "parts": [{"type": "text", "text": "Why?"}]}]}


#: What each route that takes a body is sent.
BODIES: Final[dict[str, Callable[[Scene], dict[str, Any]]]] = {
    "startStream": lambda _: {"prompt": "Why?"},
    "startChat": _message,
    "claimSession": lambda made: {"code": made.code},
    "publish": _delivery,
    "publishFailed": _failure,
}


def _path(operation: Operation, made: Scene) -> str:
    return operation.path.replace("{id}", made.stream if "/streams/" in operation.path else _CHAT)


async def _call(operation: Operation, device: Device, made: Scene, headers: dict[str, str] | None = None) -> str:
    body = BODIES.get(operation.id)
    sent = None if body is None else body(made)
    reply = await device.ask(operation.method.upper(), _path(operation, made), sent, headers=headers)
    return str(reply.status)


async def _bearing(operation: Operation, made: Scene, name: str) -> str:
    """A call with a token, once as a bearer and once in the query: both must come to the same, or the cell says so."""
    token = made.tokens[name]
    as_bearer = await _call(operation, Device(made.site, bearer=token), made)
    again = await scene()
    body = BODIES.get(operation.id)
    reply = await Device(again.site).ask(
        operation.method.upper(),
        _path(operation, again),
        None if body is None else body(again),
        token=again.tokens[name],
    )
    return as_bearer if as_bearer == str(reply.status) else f"{as_bearer}, `?token=` {reply.status}"


async def _queue(operation: Operation, made: Scene, *, forged: bool) -> str:
    body = BODIES.get(operation.id)
    sent = None if body is None else body(made)
    content = b"" if sent is None else json.dumps(sent).encode()
    signature = sign(content, f"{ORIGIN}{_path(operation, made)}", made.site.clock.now_ms() // 1000).decode()
    if forged:
        # Of another body, as somebody has it who saw one delivery: its own key signed it.
        signature = sign(content + b" ", f"{ORIGIN}{_path(operation, made)}", made.site.clock.now_ms() // 1000).decode()
    headers = {"upstash-signature": signature, "upstash-message-id": "m9", "upstash-retried": "0"}
    return await _call(operation, Device(made.site), made, headers)


type Caller = Callable[[Operation, Scene], Awaitable[str]]

CALLERS: Final[dict[str, Caller]] = {
    "anonymous": lambda operation, made: _call(operation, Device(made.site), made),
    "other owner": lambda operation, made: _call(operation, made.other, made),
    "owner": lambda operation, made: _call(operation, made.owner, made),
    "read token": lambda operation, made: _bearing(operation, made, "read token"),
    "share token": lambda operation, made: _bearing(operation, made, "share token"),
    "expired token": lambda operation, made: _bearing(operation, made, "expired token"),
    "revoked token": lambda operation, made: _bearing(operation, made, "revoked token"),
    "tampered token": lambda operation, made: _bearing(operation, made, "tampered token"),
    "QStash": lambda operation, made: _queue(operation, made, forged=False),
    "forged QStash": lambda operation, made: _queue(operation, made, forged=True),
    "cron": lambda operation, made: _call(operation, Device(made.site, bearer=CRON_SECRET), made),
}


def cell(operation: Operation, caller: str) -> str:
    """What one caller gets of one route."""

    async def call() -> str:
        return await CALLERS[caller](operation, await scene())

    return run(call())


def table() -> str:
    """The table as docs/security.md has it."""
    lines = [f"| Route | {' | '.join(CALLERS)} |", "|---" * (len(CALLERS) + 1) + "|"]
    for operation in OPERATIONS:
        cells = [cell(operation, caller) for caller in CALLERS]
        lines.append(f"| `{operation.method.upper()} {operation.path}` | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def within(text: str) -> tuple[str, str, str]:
    """The page's text before the table, the table, and the text after it."""
    before, rest = text.split(_MARKS[0])
    found, after = rest.split(_MARKS[1])
    return before + _MARKS[0], found, _MARKS[1] + after


if __name__ == "__main__":
    before, _, after = within(DOCS.read_text("utf-8"))
    DOCS.write_text(f"{before}\n\n{table()}\n{after}", "utf-8")
