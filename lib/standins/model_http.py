"""HTTP of the stand-in model: event streams that notice a client's leaving, errors in OpenAI's shape, counting."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from standins.model_pace import CutError

_KINDS = {
    "/v1/chat/completions": "chat",
    "/v1/responses": "responses",
    "/v1/models": "models",
}


class RefusalError(Exception):
    """An answer that is an error of the API.

    Args:
        status: the HTTP status.
        code: OpenAI's error code, or None.
        message: what OpenAI would explain.
        kind: OpenAI's error type.
        headers: further headers.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        kind: str = "invalid_request_error",
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.response = JSONResponse(
            {"error": {"message": message, "type": kind, "param": None, "code": code}}, status, headers=headers
        )


def refusal_for(status: int, *, quota: bool = False, retry_after: int = 1) -> RefusalError:
    """The error that a prompt or a fault asked for; a 429 may mean that the account has no money left."""
    if status == 401:
        return RefusalError(401, "Incorrect API key provided.", code="invalid_api_key")
    if quota:
        message = "You exceeded your current quota."
        return RefusalError(status, message, code="insufficient_quota", kind="insufficient_quota")
    if status == 404:
        return RefusalError(404, "The model does not exist or you do not have access to it.", code="model_not_found")
    if status == 429:
        message = "Rate limit reached."
        headers = {"retry-after": str(retry_after)}
        return RefusalError(429, message, code="rate_limit_exceeded", kind="requests", headers=headers)
    if status >= 500:
        return RefusalError(status, "The server had an error while processing your request.", kind="server_error")
    return RefusalError(status, "The request was refused.")


async def body_of(request: Request) -> dict[str, Any]:
    """The request's JSON object.

    Raises:
        RefusalError: it is none.
    """
    try:
        body = json.loads(await request.body())
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise RefusalError(400, "We could not parse the JSON body of your request.")
    return body


def sse(data: dict[str, Any] | str, event: str = "") -> bytes:
    """One event, as OpenAI writes it."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return f"{f'event: {event}\n' if event else ''}data: {text}\n\n".encode()


#: A chunk that breaks off in mid-JSON, and the body of such an answer.
GARBAGE_BODY = b'{"id":"garbage","object":"chat.comp'
GARBAGE = b"data: " + GARBAGE_BODY + b"\n\n"


class Severed(Response):
    """A response whose connection is cut after the headers."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  # ASGI's signature
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})


class EventStream(Response):
    """A body of server-sent events that stops being made as soon as the client has gone.

    ``CutError``, raised by the content, closes the connection without ending the body.

    Args:
        content: the events.
        on_disconnect: told when the client leaves before the end.
        on_end: told when the connection has ended, however it did.
    """

    def __init__(
        self, content: AsyncIterator[bytes], on_disconnect: Callable[[], None], on_end: Callable[[], None]
    ) -> None:
        super().__init__(media_type="text/event-stream; charset=utf-8", headers={"cache-control": "no-cache"})
        del self.headers["content-length"]
        self._content = content
        self._on_disconnect = on_disconnect
        self._on_end = on_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  # ASGI's signature
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})

        async def write() -> None:
            try:
                async for chunk in self._content:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
            except CutError:
                # uvicorn closes the connection of an application that returns in mid-body.
                return
            await send({"type": "http.response.body", "body": b""})

        try:
            await while_connected(write(), receive, self._on_disconnect)
        finally:
            self._on_end()


async def while_connected[T](work: Coroutine[Any, Any, T], receive: Receive, gone: Callable[[], None]) -> T | None:
    """Run something unless the client leaves; then call ``gone``, cancel the work and return None."""
    working = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(_disconnect(receive))
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        gone()
        return None
    finally:
        for task in (working, watching):
            task.cancel()
        await asyncio.gather(working, watching, return_exceptions=True)


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class Meter:
    """ASGI middleware that counts requests and body bytes by kind, checks the key, and answers refusals.

    Args:
        app: the application.
        key: the one key that is accepted, or empty for any.
    """

    def __init__(self, app: ASGIApp, key: str = "") -> None:
        self._app = app
        self._key = key
        self.requests: Counter[str] = Counter()
        self.bytes_in: Counter[str] = Counter()
        self.bytes_out: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()

    def reset(self) -> None:
        """Begin counting anew."""
        for counter in (self.requests, self.bytes_in, self.bytes_out, self.refused):
            counter.clear()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/v1/"):
            await self._app(scope, receive, send)
            return
        kind = kind_of(scope["method"], scope["path"])
        self.requests[kind] += 1

        async def counted_receive() -> Message:
            message = await receive()
            self.bytes_in[kind] += len(message.get("body", b""))
            return message

        async def counted_send(message: Message) -> None:
            self.bytes_out[kind] += len(message.get("body", b""))
            if message["type"] == "http.response.start" and message["status"] >= 400:
                self.refused[str(message["status"])] += 1
            await send(message)

        try:
            self._check(scope)
        except RefusalError as refusal:
            await refusal.response(scope, counted_receive, counted_send)
            return
        await self._app(scope, counted_receive, counted_send)

    def _check(self, scope: Scope) -> None:
        header = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
        scheme, _, given = header.partition(" ")
        if scheme.lower() != "bearer" or not given.strip():
            raise RefusalError(401, "You didn't provide an API key.")
        if self._key and given.strip() != self._key:
            raise RefusalError(401, "Incorrect API key provided.", code="invalid_api_key")


def kind_of(method: str, path: str) -> str:
    """What a request counts as: chat, responses, models, retrieve, cancel or other."""
    if kind := _KINDS.get(path):
        return kind
    if path.startswith("/v1/responses/"):
        return "cancel" if method == "POST" else "retrieve"
    return "other"


async def answer_refusal(request: Request, error: Exception) -> Response:  # noqa: ARG001  # Starlette's signature
    """Starlette's handler for ``RefusalError``."""
    assert isinstance(error, RefusalError)  # noqa: S101  # registered for nothing else
    return error.response


def quiet_cuts() -> None:
    """Keep uvicorn from reporting the connections that are cut on purpose as errors."""
    logging.getLogger("uvicorn.error").addFilter(lambda record: "without completing" not in record.getMessage())
