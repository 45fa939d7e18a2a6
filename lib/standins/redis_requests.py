"""HTTP requests as Upstash's REST API reads them: commands in the body, in the path, in pipelines and transactions."""

from __future__ import annotations

import hmac
import json
from dataclasses import dataclass
from typing import Any, Literal, NoReturn
from urllib.parse import parse_qsl, unquote_to_bytes

from starlette.datastructures import Headers
from starlette.types import Receive, Scope

from standins.redis_rules import MAX_REQUEST_BYTES, Command, RefusedError, request_too_large

type Kind = Literal["single", "pipeline", "transaction", "subscribe", "psubscribe", "monitor"]

_METHODS = frozenset({"HEAD", "GET", "POST", "PUT"})
_SSE: dict[bytes, Kind] = {b"subscribe": "subscribe", b"psubscribe": "psubscribe", b"monitor": "monitor"}
# A body over the limit is read to its end, so that the client sees the answer instead of a broken pipe, up to this.
_MAX_DRAINED_BYTES = 4 * MAX_REQUEST_BYTES


@dataclass(frozen=True, slots=True)
class Request:
    """What a request asks for.

    Attributes:
        kind: how its commands are to be run.
        commands: its commands, at least one, each with at least a name; of an SSE request one, whose arguments
            are the channels.
        base64: whether strings are answered in base64.
        resp2: whether the answer is in the Redis protocol instead of JSON.
    """

    kind: Kind
    commands: list[Command]
    base64: bool = False
    resp2: bool = False


def admit(scope: Scope, token: str) -> None:
    """Check the method and the token.

    Args:
        scope: the ASGI scope.
        token: the only token that is valid.

    Raises:
        RefusedError: with 405 for a method that the API does not have, 401 for a missing or wrong token.
    """
    if scope["method"] not in _METHODS:
        raise RefusedError(f"ERR method {scope['method']} is not allowed", 405)
    given = Headers(scope=scope).get("authorization", "")
    scheme, _, credential = given.partition(" ")
    candidates = [credential.strip()] if scheme.lower() == "bearer" else []
    candidates += [value.decode("utf-8", "replace") for name, value in _query(scope) if name == b"_token"]
    if not any(hmac.compare_digest(candidate.encode(), token.encode()) for candidate in candidates):
        raise RefusedError("WRONGPASS invalid or missing auth token", 401)


async def read_body(receive: Receive) -> bytes:
    """Read a request's body.

    Raises:
        RefusedError: the body is larger than Upstash takes.
    """
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise RefusedError("ERR the client went away before its request was complete")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size <= MAX_REQUEST_BYTES:
            chunks.append(chunk)
        if not message.get("more_body", False) or size > _MAX_DRAINED_BYTES:
            break
    if size > MAX_REQUEST_BYTES:
        raise request_too_large(size)
    return b"".join(chunks)


def parse(scope: Scope, body: bytes) -> Request:
    """Tell what a request asks for.

    Raises:
        RefusedError: the body, the path or a header cannot be understood.
    """
    segments = [unquote_to_bytes(segment) for segment in scope["raw_path"].lstrip(b"/").split(b"/")]
    base64, resp2 = _formats(Headers(scope=scope))
    if segments == [b""]:
        return Request("single", [_command(_json(body, "command"), "command")], base64, resp2)
    if segments == [b"pipeline"]:
        return Request("pipeline", _commands(body, "pipeline"), base64, resp2)
    if segments == [b"multi-exec"]:
        # Upstash answers transactions in JSON only, whatever the header asks for.
        return Request("transaction", _commands(body, "multi-exec"), base64)
    if kind := _SSE.get(segments[0]):
        if (len(segments) == 1) is not (kind == "monitor") or b"" in segments:
            raise RefusedError(f"ERR wrong number of arguments for '{kind}' command")
        return Request(kind, [segments])
    command = segments + ([body] if body else [])
    for name, value in _query(scope):
        if name != b"_token":
            command += [name, value] if value else [name]
    return Request("single", [command], base64, resp2)


def _query(scope: Scope) -> list[tuple[bytes, bytes]]:
    return parse_qsl(scope["query_string"], keep_blank_values=True)


def _formats(headers: Headers) -> tuple[bool, bool]:
    base64 = headers.get("upstash-encoding", "").lower() == "base64"
    wanted = headers.get("upstash-response-format", "json").lower()
    if wanted not in {"json", "resp2"}:
        raise RefusedError(f"ERR invalid response format '{wanted}': it must be json or resp2")
    if base64 and wanted == "resp2":
        raise RefusedError("ERR base64 encoding is not permitted with the resp2 response format")
    return base64, wanted == "resp2"


def _json(body: bytes, what: str) -> Any:
    try:
        # Numbers keep their spelling: the database gets 1.0 as "1.0", and integers of any length.
        return json.loads(body.decode(), parse_int=str, parse_float=str, parse_constant=_not_json)
    except (ValueError, RecursionError):
        raise RefusedError(f"ERR failed to parse {what} request") from None


def _not_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _commands(body: bytes, what: str) -> list[Command]:
    rows = _json(body, what)
    if not isinstance(rows, list):
        raise RefusedError(f"ERR failed to parse {what} request")
    if not rows:
        raise RefusedError(f"ERR empty {what} request")
    return [_command(row, what) for row in rows]


def _command(row: Any, what: str) -> Command:
    if not isinstance(row, list):
        raise RefusedError(f"ERR failed to parse {what} request")
    if not row:
        raise RefusedError("ERR empty command")
    return [_argument(value, what) for value in row]


def _argument(value: Any, what: str) -> bytes:
    match value:
        case str():
            # A lone surrogate has no UTF-8 form; like Go's decoder, put the replacement character in its place.
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
        case bool():
            return b"true" if value else b"false"
        case None:
            raise RefusedError("ERR null args are not supported")
        case _:
            raise RefusedError(f"ERR failed to parse {what} request")
