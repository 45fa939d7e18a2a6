"""Callers with a cookie jar each, over the real application, a store in memory and virtual time."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode

import jwt

from holdfast.identity import new_stream_id
from tests.fuzz.app import App, Reply

#: At least 32 bytes, as HS256 wants it (RFC 7518, section 3.2).
SECRET = "secret-of-the-tests-0123456789abcdef"
#: Every route that reads, changes or names one stream, but for reading tokens' own.
READS = (("GET", ""), ("GET", "/status"))
WRITES = (("POST", "/stop"), ("POST", "/share"), ("DELETE", "/share"))


def app(beside: App | None = None, **settings: Any) -> App:
    """The application, with a secret that is long enough for JWTs; ``beside`` another one on the same store."""
    site = App(beside=beside, **{"secret": SECRET, **settings})
    if beside is None:
        site.clock.origin_ms = time.time_ns() // 1_000_000  # PyJWT knows no time but the machine's
    return site


class Device:
    """A browser, or a program: keeps its cookies and sends what it has.

    Args:
        app: what it talks to.
        bearer: sent as ``Authorization: Bearer``.
        scheme: what it speaks.
    """

    def __init__(self, app: App, bearer: str | None = None, scheme: str = "https") -> None:
        self.app = app
        self.bearer = bearer
        self.scheme = scheme
        self.cookies: dict[str, str] = {}
        #: The newest ``Set-Cookie`` header, parsed.
        self.given: SimpleCookie = SimpleCookie()

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        **query: str,
    ) -> Reply:
        """Make one request; ``body`` goes as JSON."""
        sent: dict[str, str] = dict(headers or {})
        if self.bearer is not None:
            sent["authorization"] = f"Bearer {self.bearer}"
        if self.cookies:
            sent["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if body is not None:
            sent["content-type"] = "application/json"
        reply = await self.app.ask(
            method,
            path.partition("?")[0],
            query=(urlencode(query) or path.partition("?")[2]).encode(),
            headers=[(name.encode(), value.encode("latin-1")) for name, value in sent.items()],
            body=b"" if body is None else json.dumps(body).encode(),
            auth=False,
            scheme=self.scheme,
        )
        if "set-cookie" in reply.headers:
            self.given = SimpleCookie(reply.headers["set-cookie"])
            self.cookies |= {name: morsel.value for name, morsel in self.given.items()}
        return reply

    async def start(self, **body: Any) -> dict[str, Any]:
        """Start an answer, and have it delivered to its end."""
        reply = await self.ask("POST", "/api/streams", {"prompt": "Why?", **body})
        assert reply.status == 202, reply.body
        started: dict[str, Any] = json.loads(reply.body)
        delivered = await self.app.deliver(json.dumps({"stream": started["id"], "attempt": 1}).encode())
        assert delivered.status == 200, delivered.body
        return started

    async def reads(self, path: str, **query: str) -> int:
        """The status of a GET."""
        return (await self.ask("GET", path, None, headers=None, **query)).status


async def visitor(app: App) -> Device:
    """A browser with a session."""
    device = Device(app)
    assert (await device.ask("POST", "/api/session")).status == 200
    return device


def told(reply: Reply) -> Any:
    """The body of a reply as JSON."""
    return json.loads(reply.body)


def token(app: App, secret: str = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    """A JWT that is good for an hour, with some claims changed; None takes one out."""
    now = app.clock.now_ms() // 1000
    whole = {"sub": "alice", "exp": now + 3_600, **claims}
    kept = {name: value for name, value in whole.items() if value is not None}
    return jwt.encode(kept, secret, algorithm=algorithm)


def unknown(app: App, age_ms: int = 120_000) -> str:
    """An id that could be a stream's and is none."""
    return new_stream_id(app.clock.now_ms() - age_ms)


def count_requests(app: App) -> list[int]:
    """Count what the store is asked from now on: operations per request."""
    counts: list[int] = []
    whole = app.memory.apply

    async def apply(*operations: Any) -> Any:
        counts.append(len(operations))
        return await whole(*operations)

    app.memory.apply = apply  # type: ignore[method-assign]
    return counts
