"""The real application over a store in memory, called without a server, with errors that nobody handled shown."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, override
from urllib.parse import quote

from starlette.types import ASGIApp

from holdfast.adapters.memory import MemoryLog
from holdfast.generation import Generator
from holdfast.identity import new_stream_id
from holdfast.operations import Operation
from holdfast.services import Services
from holdfast.settings import ROLES, Settings
from holdfast.web import application
from tests.clocks import VirtualClock
from tests.owner import API_KEY, AUTH, OWNER
from tests.publishing.stage import RememberingQueue, Script

ORIGIN: Final = "https://answers.example"
KEY: Final = "sig_of_the_tests_0123456789"
CRON_SECRET: Final = "secret-of-the-schedule"
SETTINGS: Final = Settings(
    redis_url="https://redis.example",
    redis_token="token",
    qstash_token="token",
    qstash_current_signing_key=KEY,
    qstash_next_signing_key="sig_of_the_tests_next_0123456789",
    public_url=ORIGIN,
    cron_secret=CRON_SECRET,
    api_keys=((OWNER.partition(":")[2], API_KEY),),
    secret="secret-of-the-tests",
    key_prefix="t",
    max_seconds=30.0,
    max_body_bytes=20_000,
)


def changed(**settings: Any) -> Settings:
    """The settings of the tests, with some changed."""
    return Settings(**{name: getattr(SETTINGS, name) for name in Settings.__slots__} | settings)


@dataclass(frozen=True, slots=True)
class Reply:
    """What the application answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The error's code, if it is one."""
        return str(json.loads(self.body)["error"]["code"])


class Store(MemoryLog):
    """A store in memory that can be made to fail.

    Attributes:
        fault: raised instead of doing anything.
        watch: told of everything that is asked.
    """

    fault: Exception | None = None
    watch: Callable[[object], None] = staticmethod(lambda _: None)

    @override
    async def apply(self, *operations: Operation) -> Sequence[Any]:
        """As ``MemoryLog.apply``."""
        self.watch(operations)
        if self.fault is not None:
            raise self.fault
        return await super().apply(*operations)


class App:
    """The application, its store, its queue and virtual time. Made inside a running loop.

    Args:
        generate: the generator; one that says a word, by default.
        beside: another application, whose store and time it shares.
        made: the application, in place of one over this store and queue.
        settings: what differs from ``SETTINGS``.

    Attributes:
        replies: every answer so far, also of a request that ended in an exception.
    """

    def __init__(
        self,
        generate: Generator | None = None,
        beside: App | None = None,
        made: ASGIApp | None = None,
        **settings: Any,
    ) -> None:
        self.clock: VirtualClock = beside.clock if beside else VirtualClock()
        self.memory: Store = beside.memory if beside else Store(self.clock)
        self.queue = RememberingQueue()
        self.replies: list[Reply] = []
        self.generate = generate or Script(["A word."])
        self.services = Services(
            changed(**settings), self.memory, lambda _: self.queue, lambda: self.generate, self.clock
        )
        # Starlette gives the answer of the handler of last resort, and then raises the error again: it fails the test.
        self._app = made or application(self.services, ROLES)

    def stream_id(self, age_ms: int = 120_000) -> str:
        """An id of a stream that could be, too old for a replica to be waited for."""
        return new_stream_id(self.clock.now_ms() - age_ms)

    async def ask(
        self,
        method: str,
        path: str,
        *,
        query: bytes = b"",
        headers: Iterable[tuple[bytes, bytes]] = (),
        body: bytes = b"",
        host: bytes = b"answers.example",
        scheme: str = "https",
        auth: bool = True,
        typed: bool = True,
        told: Callable[[], None] = lambda: None,
        pieces: AsyncIterator[bytes] | None = None,
        scope: Mapping[str, Any] | None = None,
    ) -> Reply:
        """Make one request and read the whole answer; an exception that no handler knows is raised here.

        Args:
            method, path, query, headers, body: of the request.
            host: its ``Host`` header.
            scheme: what the caller speaks.
            auth: whether it is shown to be the tests' own, unless the headers show something else.
            typed: whether a body without a content type is given JSON's, as every client of the API does.
            told: called with each piece of the answer that comes.
            pieces: the body as it comes in, in place of ``body``.
            scope: what a platform adds to the request.
        """
        headers = list(headers)
        if auth and b"authorization" not in [name.lower() for name, _ in headers]:
            headers.append((b"authorization", AUTH["authorization"].encode()))
        if typed and body and not any(name == b"content-type" for name, _ in headers):
            headers.append((b"content-type", b"application/json"))
        whole = {
            **(scope or {}),
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": scheme,
            "path": path,
            "raw_path": quote(path).encode(),
            "root_path": "",
            "query_string": query,
            "headers": [(b"host", host), *headers],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 443),
        }
        asked = False
        sent: list[Mapping[str, Any]] = []

        async def receive() -> dict[str, Any]:
            nonlocal asked
            if pieces is not None and not asked:
                piece = await anext(pieces, None)
                asked = piece is None
                return {"type": "http.request", "body": piece or b"", "more_body": not asked}
            if asked:
                await self.clock.sleep(86_400)
                return {"type": "http.disconnect"}
            asked = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Mapping[str, Any]) -> None:
            sent.append(message)
            told()

        try:
            await self._app(whole, receive, send)
        finally:
            if sent:
                content = b"".join(message.get("body", b"") for message in sent[1:])
                named = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in sent[0]["headers"]}
                self.replies.append(Reply(sent[0]["status"], named, content))
        return self.replies[-1]

    async def deliver(
        self, body: bytes, path: str = "/api/publish", retried: bytes = b"0", message: bytes = b"m1"
    ) -> Reply:
        """Call a route of the queue's with a valid signature."""
        signature = sign(body, f"{ORIGIN}{path}", self.clock.now_ms() // 1000)
        headers = [
            (b"upstash-signature", signature),
            (b"upstash-message-id", message),
            (b"upstash-retried", retried),
        ]
        return await self.ask("POST", path, headers=headers, body=body)

    async def clean(self) -> Reply:
        """Call cleanup."""
        return await self.ask("GET", "/api/cleanup", headers=[(b"authorization", f"Bearer {CRON_SECRET}".encode())])


def sign(body: bytes, url: str, now: int, payload: bytes | None = None, header: bytes | None = None) -> bytes:
    """A token signed with the right key.

    Args:
        body: of the request.
        url: of the request.
        now: epoch seconds.
        payload: in place of the claims that QStash would make.
        header: in place of the token's header.
    """
    digest = base64.urlsafe_b64encode(hashlib.sha256(body).digest()).decode()
    claims = {"iss": "Upstash", "sub": url, "exp": now + 300, "nbf": 0, "iat": now, "jti": "jwt_1", "body": digest}
    parts = [header or b'{"alg":"HS256","typ":"JWT"}', json.dumps(claims).encode() if payload is None else payload]
    signed = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    mac = hmac.digest(KEY.encode(), signed, "sha256")
    return signed + b"." + base64.urlsafe_b64encode(mac).rstrip(b"=")
