"""Requests made from the OpenAPI document, valid and not: each answer stands in the document, and none is a 5xx."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import load_all_checks
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from holdfast.openapi import OPERATIONS, document
from tests.clocks import run
from tests.fuzz.app import CRON_SECRET, ORIGIN, App, Reply, sign
from tests.publishing.stage import Script

#: Requests for each operation and mode: about half a minute in all on a slow machine.
_EXAMPLES: Final = 40
#: Always the same requests, so that a run tells of the code and not of luck; and no search for a smaller failure, which
#: may take minutes.
_FIXED = settings(
    max_examples=_EXAMPLES, deadline=None, derandomize=True, database=None, phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)  # fmt: skip
_CHECKS = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
#: What the path, the signature or the secret is taken from: the document's own idea, or what opens something.
_KINDS = st.sampled_from(["made up", "finished", "live"])

type _Case = schemathesis.Case[Any]

load_all_checks()


def _operations() -> list[Any]:
    """The document's operations; one that schemathesis cannot read is raised."""
    return [each.ok() for each in schemathesis.openapi.from_dict(document()).get_all_operations()]  # type: ignore[union-attr]


def test_every_operation_is_tried() -> None:
    """The document is read as it is meant: as many operations as there are entries."""
    assert len(_operations()) == len(OPERATIONS)


def _tries() -> list[Any]:
    """Each operation with valid requests, and with invalid ones where there is something that can be wrong."""
    wrong = {(each.method, each.path) for each in OPERATIONS if each.body or {*each.parameters} - {"ChatId"}}
    return [
        pytest.param(each, mode, id=f"{each.method} {each.path} {mode.value}")
        for each in _operations()
        for mode in schemathesis.GenerationMode
        if mode is schemathesis.GenerationMode.POSITIVE or (each.method, each.path) in wrong
    ]


@pytest.mark.parametrize(("operation", "mode"), _tries())
def test_answers_are_those_of_the_document(operation: Any, mode: schemathesis.GenerationMode) -> None:
    """Status, content type, headers and body of each answer stand in the document; nothing is answered with a 5xx."""
    seen: set[int] = set()

    @_FIXED
    @given(case=operation.as_strategy(generation_mode=mode), kind=_KINDS)
    def check(case: _Case, kind: str) -> None:
        seen.add(run(_tried(case, kind)))

    check()
    assert seen


async def _tried(case: _Case, kind: str) -> int:
    """Send one request to an application that holds an answer which has its end, and one which has none."""
    app = App(Script(["Yes."]), max_seconds=1.0)
    streams = {"finished": await _asked(app, "c"), "live": await _asked(app, "d")}
    delivery = json.dumps({"stream": streams["finished"], "attempt": 1}).encode()
    assert (await app.deliver(delivery)).status == 200
    if kind in streams and "id" in (case.path_parameters or {}):
        is_stream = case.operation.path.startswith("/api/streams")
        case.path_parameters["id"] = streams[kind] if is_stream else {"finished": "c", "live": "d"}[kind]
    sent = requests.Request(**case.as_transport_kwargs(base_url=ORIGIN)).prepare()
    began = app.clock.now_ms()
    reply = await _answered(app, sent, machine=kind != "made up")
    request = httpx.Request(str(sent.method), str(sent.url))
    response = httpx.Response(reply.status, headers=reply.headers, content=reply.body, request=request)
    response.elapsed = timedelta(milliseconds=app.clock.now_ms() - began)
    case.validate_response(response, checks=_CHECKS)
    # To a delivery 503 says "again"; elsewhere it says that a service is down, and none is.
    assert reply.status < 500 or (reply.status == 503 and b'"verdict"' in reply.body), reply
    return reply.status


async def _asked(app: App, chat: str) -> str:
    body = json.dumps({"prompt": "Why?", "chat_id": chat}).encode()
    return str(json.loads((await app.ask("POST", "/api/streams", body=body)).body)["id"])


async def _answered(app: App, sent: requests.PreparedRequest, *, machine: bool) -> Reply:
    url = urlsplit(str(sent.url))
    raw: Any = sent.body or b""
    body = raw.encode() if isinstance(raw, str) else bytes(raw)
    headers = [(_latin(name).lower(), _latin(value)) for name, value in sent.headers.items()]
    if machine and url.path.startswith("/api/publish"):
        signature = sign(body, f"{ORIGIN}{url.path}", app.clock.now_ms() // 1000)
        headers += [(b"upstash-signature", signature), (b"upstash-message-id", b"m9"), (b"upstash-retried", b"0")]
    if machine and url.path == "/api/cleanup":
        headers.append((b"authorization", f"Bearer {CRON_SECRET}".encode()))
    return await app.ask(
        str(sent.method), unquote(url.path), query=url.query.encode(), headers=headers, body=body, typed=False
    )


def _latin(text: str | bytes) -> bytes:
    return text.encode("latin-1", "replace") if isinstance(text, str) else text
