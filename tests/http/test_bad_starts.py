"""Starts that are refused: each names what is wrong, writes nothing and bills nothing."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.system import System
from tests.http.refusals import refused, without_a_trace

LIMIT = 20_000
JSON = {"content-type": "application/json"}
USER = {"role": "user", "content": "Hello"}


def parts(*found: Any) -> dict[str, Any]:
    """A user's message of these parts."""
    return {"role": "user", "parts": list(found)}


@pytest.mark.parametrize("path", ["/api/streams", "/api/chat"])
@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "body_not_json"),
        (b"prompt=hello", "body_not_json"),
        (b'{"prompt": "hello"', "body_not_json"),
        (b'{"prompt": NaN}', "body_not_json"),
        (b'{"prompt": "\xff"}', "body_not_json"),
        (b'{"prompt": "\\ud800"}', "body_not_json"),
        (b'{"prompt": "a", "prompt": "b"}', "body_repeats_name"),
        (b'{"prompt": "a", "deep": [{"id": 1, "\\u0069d": 2}]}', "body_repeats_name"),
        (b"[" * 19_000, "body_not_json"),
        (b'{"prompt": "x", "deep": ' + b"[" * 70 + b"]" * 70 + b"}", "body_too_deep"),
        (b'["hello"]', "body_not_object"),
        (b"null", "body_not_object"),
    ],
    ids=[
        "empty",
        "form",
        "half",
        "nan",
        "bytes",
        "surrogate",
        "twice",
        "twice within",
        "brackets",
        "deep",
        "list",
        "null",
    ],
)
def test_a_body_that_is_no_json_object(calm: System, path: str, body: bytes, code: str) -> None:
    """400: it was declared as JSON and is none, or no object."""
    with without_a_trace(calm):
        refused(calm.http.post(path, content=body, headers=JSON), 400, code)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "prompt"),
        ({"prompt": "a", "messages": [USER]}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": " \n"}, "prompt"),
        ({"prompt": 7}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"prompt": ["a"]}, "prompt"),
        ({"messages": []}, "messages"),
        ({"messages": "a"}, "messages"),
        ({"messages": None}, "messages"),
        ({"messages": ["a"]}, "messages[0]"),
        ({"messages": [USER, {"content": "a"}]}, "messages[1].role"),
        ({"messages": [{"role": "robot", "content": "a"}]}, "messages[0].role"),
        ({"messages": [{"role": ["user"], "content": "a"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": ""}]}, "messages[0].content"),
        ({"messages": [parts()]}, "messages[0].parts"),
        ({"messages": [parts("a")]}, "messages[0].parts"),
        ({"messages": [parts({"text": "a"})]}, "messages[0].parts"),
        ({"messages": [parts({"type": "text", "text": 7})]}, "messages[0].parts[0].text"),
        ({"messages": [parts({"type": "text", "text": " "})]}, "messages[0]"),
        ({"messages": [{**USER, "id": 7}]}, "messages[0].id"),
        ({"prompt": "a", "chat_id": ""}, "chat_id"),
        ({"prompt": "a", "chat_id": 7}, "chat_id"),
        ({"prompt": "a", "chat_id": "x" * 201}, "chat_id"),
        ({"prompt": "a", "chat_id": "a\nb"}, "chat_id"),
    ],
    ids=lambda value: json.dumps(value)[:40] if isinstance(value, dict) else value,
)
def test_a_field_that_is_wrong(calm: System, body: dict[str, Any], field: str) -> None:
    """422, naming the field in the message and beside it."""
    with without_a_trace(calm):
        reply = calm.http.post("/api/streams", json=body)
        assert refused(reply, 422, "field_invalid", field=field).startswith(field)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"messages": [USER]}, "id"),
        ({"id": 7, "messages": [USER]}, "id"),
        ({"id": "c"}, "messages"),
        ({"id": "c", "messages": []}, "messages"),
        ({"id": "c", "messages": [USER], "trigger": "resume"}, "trigger"),
        ({"id": "c", "messages": [USER], "trigger": ["submit-message"]}, "trigger"),
        ({"id": "c", "messages": [USER], "messageId": 7}, "messageId"),
    ],
    ids=lambda value: json.dumps(value)[:40] if isinstance(value, dict) else value,
)
def test_a_field_that_is_wrong_in_a_chat(calm: System, body: dict[str, Any], field: str) -> None:
    """422 for the AI SDK's body as well."""
    with without_a_trace(calm):
        reply = calm.http.post("/api/chat", json=body)
        assert refused(reply, 422, "field_invalid", field=field).startswith(field)


@pytest.mark.parametrize("path", ["/api/streams", "/api/chat"])
def test_the_newest_message_must_be_the_users(calm: System, path: str) -> None:
    """422: there is nothing to answer after an assistant's message."""
    body = {"messages": [USER, {"role": "assistant", "content": "Hi"}], "id": "c"}
    with without_a_trace(calm):
        assert "messages" in refused(calm.http.post(path, json=body), 422, "field_invalid", field="messages")


@pytest.mark.parametrize("key", ["x" * 256, "tab\there"], ids=["long", "control"])
def test_an_idempotency_key_that_is_none(calm: System, key: str) -> None:
    """400, before anything is kept under it."""
    with without_a_trace(calm):
        reply = calm.http.post("/api/streams", json={"prompt": "a"}, headers={"idempotency-key": key})
        refused(reply, 400, "idempotency_key_invalid")


def test_a_refused_start_does_not_use_its_key_up(calm: System) -> None:
    """The key of a refused start is as good as new: it keeps nothing."""
    body = {"messages": [{"role": "assistant", "content": "Hi"}]}
    with without_a_trace(calm):
        reply = calm.http.post("/api/streams", json=body, headers={"idempotency-key": "unused"})
        refused(reply, 422, "field_invalid", field="messages")


@pytest.mark.parametrize("path", ["/api/streams", "/api/chat", "/api/publish", "/api/publish/failed", "/api/cleanup"])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_body_over_the_limit(calm: System, path: str, *, chunked: bool) -> None:
    """413, whether the size is told beforehand or not; for the queue's own routes at their own limit."""
    size = LIMIT if path in {"/api/streams", "/api/chat"} else 2_000_000

    def blocks() -> Iterator[bytes]:
        for _ in range(size // 1_000 + 1):
            yield b" " * 1_000

    with without_a_trace(calm):
        content = blocks() if chunked else b" " * (size + 1)
        refused(calm.http.post(path, content=content, headers=JSON), 413, "body_too_large")


def test_a_body_over_the_limit_is_not_waited_for(calm: System) -> None:
    """413 comes as soon as the limit is passed, while a gigabyte was promised."""
    host, port = calm.url.removeprefix("http://").split(":")
    head = f"POST /api/streams HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n"
    head += f"content-length: {10**9}\r\n\r\n"
    with without_a_trace(calm), socket.create_connection((host, int(port)), 20) as client:
        client.sendall(head.encode() + b" " * (LIMIT + 1))
        assert client.recv(100).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api/nothing", 404, "route_unknown"),
        ("GET", "/api/streams/", 404, "route_unknown"),
        ("GET", "/api/streams", 405, "method_not_allowed"),
        ("PUT", "/api/chat", 405, "method_not_allowed"),
        ("GET", "/api/publish", 405, "method_not_allowed"),
        ("DELETE", "/api/cleanup", 405, "method_not_allowed"),
    ],
)
def test_a_route_or_method_that_is_not_there(calm: System, method: str, path: str, status: int, code: str) -> None:
    """404 and 405 are JSON as every other error; 405 says what is allowed."""
    with without_a_trace(calm):
        reply = calm.http.request(method, path)
        refused(reply, status, code)
        assert ("allow" in reply.headers) == (status == 405)
