"""The control API of the QStash stand-in under ``/__standin/``: what it was asked, what it did, what shall go wrong."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from standins.qstash_engine import Engine
from standins.qstash_schedules import Schedules


def routes(engine: Engine, schedules: Schedules) -> list[Route]:
    """The control routes; they take no token, since the server listens on loopback only.

    ``GET health``, ``GET stats``, ``GET messages``, ``POST reset`` (messages, schedules, counts, faults, rotated keys),
    ``POST fire?schedule=<id>``, and ``faults`` (see ``standins.faults``).
    """
    control = _Control(engine, schedules)
    return [
        Route("/__standin/health", control.health),
        Route("/__standin/stats", control.stats),
        Route("/__standin/messages", control.messages),
        Route("/__standin/reset", control.reset, methods=["POST"]),
        Route("/__standin/fire", control.fire, methods=["POST"]),
        engine.faults.route(),
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
