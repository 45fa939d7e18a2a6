"""A stand-in for Upstash Redis: its REST API, limits and refusals over fakeredis or any Redis server."""

from __future__ import annotations

import argparse
import base64
import os
import sys
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from standins.faults import Faults
from standins.redis_backend import Backend
from standins.redis_control import Control, Ledger
from standins.redis_events import Monitors, stream
from standins.redis_exchange import Exchange
from standins.redis_faults import KINDS, RedisFault, RedisFaults, strike
from standins.redis_replies import Failure, Reply, element, resp2, size_of
from standins.redis_requests import Request, admit, parse, read_body
from standins.redis_rules import (
    MAX_REQUEST_BYTES,
    Command,
    RefusedError,
    check,
    name_of,
    request_too_large,
    unavailable,
)
from standins.serving import serve

DEFAULT_TOKEN = "local-redis-token"  # noqa: S105 - opens nothing but a stand-in on loopback
DEFAULT_PORT = 8001

_EVENTS = frozenset({"subscribe", "psubscribe", "monitor"})


class RedisRest:
    """The ASGI application behind every path but the control API's.

    A request goes through five steps: it is admitted and parsed, a fault may take it, its commands run, a fault may
    take its reply, it is answered.
    """

    def __init__(self, backend: Backend, token: str, ledger: Ledger, faults: RedisFaults) -> None:
        self._backend = backend
        self._token = token
        self._ledger = ledger
        self._faults = faults
        self._monitors = Monitors()
        self._served = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        started = time.perf_counter()
        exchange = Exchange(scope, receive, send)
        names: list[str] = []
        bytes_in = 0
        fault = None
        try:
            admit(scope, self._token)
            body = await read_body(receive)
            bytes_in = len(body)
            request = parse(scope, body)
            names = [name_of(command) for command in request.commands]
            # An open stream of events has no reply that could be lost.
            events = request.kind in _EVENTS
            fault = self._faults.take(lambda rule: rule.fits(names) and not (events and rule.applied))
            if fault and not fault.applied and await strike(fault, exchange):
                return
            if events:
                self._ledger.bill(names)
                await stream(exchange, request, self._backend, self._monitors)
                return
            replies = await self._run(request)
            if fault and fault.applied and await strike(fault, exchange):
                return
            await self._answer(exchange, request, replies)
        except RefusedError as error:
            if fault and fault.applied:
                self._faults.missed(fault)
                fault = None
            if not exchange.status:
                await exchange.answer_json(error.status, {"error": error.message})
        finally:
            ms = (time.perf_counter() - started) * 1000
            kind = fault.kind if fault else None
            self._ledger.record(names, exchange.status, bytes_in, exchange.bytes_out, kind, ms)

    async def _run(self, request: Request) -> list[Reply] | Failure:
        if request.kind == "transaction":
            # One command that may not be run discards them all.
            for command in request.commands:
                check(command)
            self._monitors.tell(request.commands)
            replies = await self._backend.transaction(request.commands)
            if isinstance(replies, list):
                self._ledger.bill([name_of(command) for command in request.commands])
                return [_bounded(reply) for reply in replies]
            return replies
        refusals = {index: error for index, command in enumerate(request.commands) if (error := _refusal(command))}
        allowed = [command for index, command in enumerate(request.commands) if index not in refusals]
        self._monitors.tell(allowed)
        answered = await self._backend.run(allowed) if allowed else []
        for command, reply in zip(allowed, answered, strict=True):
            name = name_of(command)
            if not (isinstance(reply, Failure) and reply.message == unavailable(name).message):
                self._ledger.bill([name])
        rest = iter(answered)
        return [refusals.get(index) or _bounded(next(rest)) for index in range(len(request.commands))]

    async def _answer(self, exchange: Exchange, request: Request, replies: list[Reply] | Failure) -> None:
        self._served += 1
        # Opaque, and different with each answer, as the real one is with each write.
        token = base64.b64encode(f"standin:{time.time_ns()}:{self._served}".encode()).decode()
        headers = {"upstash-sync-token": token}
        if isinstance(replies, Failure):
            await exchange.answer_json(400, element(replies, encoded=request.base64), headers)
            return
        status = 400 if request.kind == "single" and isinstance(replies[0], Failure) else 200
        if request.resp2:
            body = b"".join(map(resp2, request.commands, replies))
            await exchange.answer(status, body, "application/octet-stream", headers)
            return
        elements = [element(reply, encoded=request.base64) for reply in replies]
        await exchange.answer_json(status, elements[0] if request.kind == "single" else elements, headers)


def _refusal(command: Command) -> Failure | None:
    try:
        check(command)
    except RefusedError as error:
        return Failure(error.message)
    return None


def _bounded(reply: Reply) -> Reply:
    # The request limit holds for what a command answers, too (users report it of large MGET and HSCAN replies).
    size = size_of(reply)
    return Failure(request_too_large(size).message) if size > MAX_REQUEST_BYTES else reply


def create_app(token: str = DEFAULT_TOKEN, redis_url: str | None = None, faults: Iterable[RedisFault] = ()) -> ASGIApp:
    """The stand-in as an ASGI application.

    Args:
        token: the token that requests must carry.
        redis_url: the Redis server to use; without one the data lives in this process and dies with it.
        faults: what shall go wrong from the start.

    Raises:
        ValueError: the address of the Redis server is malformed.
    """
    backend, ledger, rules = Backend(redis_url), Ledger(), Faults(KINDS, faults)

    @asynccontextmanager
    async def lifespan(_: ASGIApp) -> AsyncIterator[None]:
        yield
        await backend.close()

    return Router(
        Control(backend, ledger, rules).routes,
        redirect_slashes=False,
        # Not a route: a path holds raw arguments, with slashes and newlines that a route's pattern would trip over.
        default=RedisRest(backend, token, ledger, rules),
        lifespan=lifespan,
    )


def main() -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        SystemExit: an argument is wrong or the port is taken.
    """
    parser = argparse.ArgumentParser(prog="standins.redis_rest", description=__doc__)
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="port on loopback, 0 for a free one")
    parser.add_argument("--redis", metavar="URL", help="a redis:// server to use instead of fakeredis in this process")
    parser.add_argument("--token", help="the token asked for (default: UPSTASH_REDIS_REST_TOKEN, or local-redis-token)")
    KINDS.add_option(parser)
    arguments = parser.parse_args()
    token = arguments.token or os.environ.get("UPSTASH_REDIS_REST_TOKEN") or DEFAULT_TOKEN
    try:
        app = create_app(token, arguments.redis, arguments.faults)
    except ValueError as error:
        sys.exit(f"--redis must be a redis:// address: {error}")
    serve(app, arguments.port)


if __name__ == "__main__":
    main()
