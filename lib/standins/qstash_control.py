"""The control API of the QStash stand-in under ``/__standin/``: what it was asked, what it did, what shall go wrong."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from standins.qstash_engine import Engine, Faults
from standins.qstash_options import Refused
from standins.qstash_schedules import Schedules


def routes(engine: Engine, schedules: Schedules) -> list[Route]:
    """The control routes; they take no token, since the server listens on loopback only.

    ``GET health``, ``GET stats``, ``GET messages``, ``POST reset`` (messages, schedules, counts, faults, rotated keys),
    ``POST fire?schedule=<id>``, and ``faults``: GET reads them, POST sets those that it names, DELETE ends all.
    """
    control = _Control(engine, schedules)
    return [
        Route("/__standin/health", control.health),
        Route("/__standin/stats", control.stats),
        Route("/__standin/messages", control.messages),
        Route("/__standin/reset", control.reset, methods=["POST"]),
        Route("/__standin/fire", control.fire, methods=["POST"]),
        Route("/__standin/faults", control.faults, methods=["GET", "POST", "DELETE"]),
    ]


@dataclass(frozen=True, slots=True)
class _Control:
    engine: Engine
    schedules: Schedules

    async def health(self, _: Request) -> Response:
        return JSONResponse({"ok": True})

    async def stats(self, _: Request) -> Response:
        more = {"schedules": len(self.schedules.all), "dlq": len(self.engine.dlq)}
        return JSONResponse(self.engine.stats() | more)

    async def messages(self, _: Request) -> Response:
        return JSONResponse({"messages": [message.watched() for message in self.engine.messages.values()]})

    async def reset(self, _: Request) -> Response:
        await self.schedules.reset()
        await self.engine.reset()
        return JSONResponse({"ok": True})

    async def fire(self, request: Request) -> Response:
        schedule = self.schedules.all.get(request.query_params.get("schedule", ""))
        if schedule is None:
            return JSONResponse({"error": "no such schedule"}, 404)
        return JSONResponse({"messageId": self.schedules.fire(schedule)})

    async def faults(self, request: Request) -> Response:
        if request.method == "DELETE":
            self.engine.faults = Faults()
        elif request.method == "POST":
            try:
                self.engine.faults = _faults(self.engine.faults, await request.body())
            except Refused as refused:
                return JSONResponse({"error": refused.error}, refused.status)
        return JSONResponse(asdict(self.engine.faults))


def _faults(standing: Faults, body: bytes) -> Faults:
    """The standing faults with those of the request in their place."""
    try:
        asked: Any = json.loads(body)
    except ValueError:
        raise Refused(400, "the body is not JSON") from None
    known = asdict(standing)
    if not isinstance(asked, dict) or not asked.keys() <= known.keys():
        raise Refused(400, f"faults are a JSON object with some of: {', '.join(known)}")
    twice, skew = asked.get("twice", standing.twice), asked.get("skew_seconds", standing.skew_seconds)
    if type(twice) is not int or twice < 0:
        raise Refused(400, "twice must be a whole number, how many of the next tries it concerns")
    if type(skew) not in {int, float} or not math.isfinite(skew):
        raise Refused(400, "skew_seconds must be a number")
    return Faults(twice, float(skew))
