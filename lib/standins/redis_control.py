"""The control API under ``/__standin/``: what was asked and billed, faults, a clean slate."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from standins.redis_backend import Backend
from standins.redis_faults import RedisFaults
from standins.redis_rules import Command, RefusedError

_CALLS_KEPT = 1000


class Ledger:
    """Counts what Upstash would bill: each command that the database was asked to run.

    A command of a pipeline or transaction counts as one, MULTI and EXEC count nothing, a subscription counts once. A
    command that the database answers with an error counts. Not counted are commands refused before it (a bad token,
    an unsupported command, a limit) and those of a transaction that was discarded.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Set every counter to zero and forget the calls."""
        self._commands: Counter[str] = Counter()
        self._calls: deque[dict[str, Any]] = deque(maxlen=_CALLS_KEPT)
        self._requests = self._bytes_in = self._bytes_out = 0

    def bill(self, names: Sequence[str]) -> None:
        """Count commands that were run."""
        self._commands.update(names)

    def record(
        self, names: Sequence[str], status: int, bytes_in: int, bytes_out: int, fault: str | None, ms: float
    ) -> None:
        """Note a request.

        Args:
            names: the names of its commands.
            status: the status of its answer, 0 without one.
            bytes_in: the size of its body.
            bytes_out: the size of its answer's body.
            fault: the kind of the fault that hit it.
            ms: milliseconds from its headers to the end of its answer.
        """
        self._requests += 1
        self._bytes_in += bytes_in
        self._bytes_out += bytes_out
        at = time.time_ns() // 1_000_000
        call = {"at": at, "commands": list(names), "status": status, "fault": fault, "ms": round(ms, 3)}
        self._calls.append(call)

    def stats(self) -> dict[str, Any]:
        """The counters."""
        return {
            "commands": dict(self._commands),
            "total": self._commands.total(),
            "requests": self._requests,
            "bytes_in": self._bytes_in,
            "bytes_out": self._bytes_out,
        }

    def calls(self) -> list[dict[str, Any]]:
        """The latest requests, oldest first; ``at`` is the epoch milliseconds of their end."""
        return list(self._calls)


class Control:
    """The control API's routes, which ask for no token."""

    def __init__(self, backend: Backend, ledger: Ledger, faults: RedisFaults) -> None:
        self._backend = backend
        self._ledger = ledger
        self._faults = faults
        self.routes: list[BaseRoute] = [
            Route("/__standin/health", self._health),
            Route("/__standin/stats", self._stats),
            Route("/__standin/calls", self._calls),
            Route("/__standin/reset", self._reset, methods=["POST"]),
            faults.route(),
        ]

    async def _health(self, _: Request) -> Response:
        return await self._having_run([b"PING"])

    async def _reset(self, request: Request) -> Response:
        self._ledger.reset()
        self._faults.reset()
        if request.query_params.get("data") == "1":
            return await self._having_run([b"FLUSHDB"])
        return JSONResponse({"status": "ok"})

    async def _having_run(self, command: Command) -> Response:
        try:
            await self._backend.run([command])
        except RefusedError as error:
            return JSONResponse({"error": error.message}, error.status)
        return JSONResponse({"status": "ok"})

    async def _stats(self, _: Request) -> Response:
        return JSONResponse({**self._ledger.stats(), "fired": self._faults.fired()})

    async def _calls(self, _: Request) -> Response:
        return JSONResponse({"calls": self._ledger.calls()})
