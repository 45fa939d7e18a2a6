"""An OpenAI-compatible model as a process of its own: ``python -m standins.model --port N [--fault JSON]``.

Environment: ``STANDIN_MODEL_TOKENS`` (300), ``STANDIN_MODEL_RATE`` in tokens per second (40),
``STANDIN_MODEL_TTFT_MS`` (150), ``STANDIN_MODEL_SEED`` (same questions, same texts),
``STANDIN_MODEL_KEY`` (the one API key that is accepted; any is otherwise). The keys of a prompt's first
line ``standin: tokens=2000 rate=50`` are those of ``standins.model_plan.Plan``.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from standins import model_responses
from standins.faults import Faults
from standins.model_calls import Book
from standins.model_chat import complete
from standins.model_faults import KINDS, ModelFault
from standins.model_http import Meter, RefusalError, answer_refusal, quiet_cuts
from standins.model_plan import BadRequestError, Plan
from standins.model_responses import Runs
from standins.serving import serve

_MODELS = ("gpt-5-mini", "gpt-5", "standin-model")


def build(env: Mapping[str, str], faults: Iterable[ModelFault] = ()) -> ASGIApp:
    """The application.

    Args:
        env: where the defaults come from.
        faults: what shall go wrong from the start.

    Raises:
        BadRequestError: a variable is malformed; the text names it.
    """
    book = Book(Plan.from_env(env), env.get("STANDIN_MODEL_SEED", ""), Faults(KINDS, faults))
    runs, meters = Runs(), list[Meter]()

    def meter(app: ASGIApp) -> Meter:
        meters.append(Meter(app, env.get("STANDIN_MODEL_KEY", "")))
        return meters[-1]

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        runs.close()

    app = Starlette(
        routes=[
            Route("/v1/chat/completions", complete, methods=["POST"]),
            Route("/v1/responses", model_responses.create, methods=["POST"]),
            Route("/v1/responses/{id}", model_responses.retrieve, methods=["GET"]),
            Route("/v1/responses/{id}/cancel", model_responses.cancel, methods=["POST"]),
            Route("/v1/models", _models),
            Route("/__standin/health", _health),
            Route("/__standin/calls", _calls),
            Route("/__standin/stats", _stats),
            Route("/__standin/reset", _reset, methods=["POST"]),
            book.faults.route(),
        ],
        middleware=[Middleware(meter)],
        exception_handlers={RefusalError: answer_refusal},
        lifespan=lifespan,
    )
    app.state.book, app.state.runs, app.state.meters = book, runs, meters
    return app


async def _models(_: Request) -> Response:
    data = [{"id": name, "object": "model", "created": 1_760_000_000, "owned_by": "standin"} for name in _MODELS]
    return JSONResponse({"object": "list", "data": data})


async def _health(_: Request) -> Response:
    return JSONResponse({"ok": True})


async def _calls(request: Request) -> Response:
    return JSONResponse({"calls": [call.report() for call in request.app.state.book.calls]})


async def _stats(request: Request) -> Response:
    calls = request.app.state.book.calls
    meter: Meter = request.app.state.meters[0]
    return JSONResponse(
        {
            "requests": dict(meter.requests),
            "bytes_in": dict(meter.bytes_in),
            "bytes_out": dict(meter.bytes_out),
            "refused": dict(meter.refused),
            "fired": request.app.state.book.faults.fired(),
            "calls": dict(Counter(call.status for call in calls)),
            "tokens": {
                "prompt": sum(call.prompt_tokens for call in calls if call.status != "refused"),
                "completion": sum(call.completion_tokens for call in calls),
                "reasoning": sum(call.reasoning_sent for call in calls),
            },
        }
    )


async def _reset(request: Request) -> Response:
    state = request.app.state
    state.runs.close()
    state.book.reset()
    state.meters[0].reset()
    return JSONResponse({"ok": True})


def main() -> None:
    """Serve the model until it is told to stop."""
    parser = argparse.ArgumentParser(prog="standins.model", description="An OpenAI-compatible model on loopback.")
    parser.add_argument("--port", type=int, required=True, help="port to listen on; 0 for any free one")
    KINDS.add_option(parser)
    options = parser.parse_args()
    quiet_cuts()
    try:
        app = build(os.environ, options.faults)
    except BadRequestError as error:
        sys.exit(str(error))
    serve(app, options.port)


if __name__ == "__main__":
    main()
