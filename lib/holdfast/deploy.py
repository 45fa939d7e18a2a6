"""How a deployed function comes to life: environment → settings → services → app, and its Lambda handler."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from starlette.types import ASGIApp

from holdfast.errors import SettingsError
from holdfast.guard import Contained
from holdfast.logs import configure
from holdfast.services import Services, build, load_generator
from holdfast.settings import Settings
from holdfast.web import application

type LambdaHandler = Callable[[Any, Any], Any]

_logger = logging.getLogger("holdfast")


def function(env: Mapping[str, str], roles: Iterable[str]) -> tuple[ASGIApp, LambdaHandler]:
    """An entry point's app and Lambda handler.

    Args:
        env: the environment.
        roles: which functions it serves: start, subscribe, publish, cleanup.

    Raises:
        SettingsError: a setting is missing or malformed; the process must not serve.
    """
    served = frozenset(roles)
    settings = Settings.from_env(env, served)
    if not settings.public_url and "AWS_LAMBDA_FUNCTION_NAME" not in env:
        raise SettingsError(
            "HOLDFAST_PUBLIC_URL is not set. Set it to the address at which QStash reaches this deployment."
        )
    configure(settings.log_level)
    services = build(settings)
    if "publish" in served:
        services.sigterm.install()
        if settings.generator:
            load_generator(settings)  # a name that leads nowhere should stop the start, not the first answer
    app: ASGIApp = application(services, served)
    if not settings.tracebacks:
        app = Contained(app)
    return app, _lambda_handler(app, services)


def _lambda_handler(app: ASGIApp, services: Services) -> LambdaHandler:
    made: list[LambdaHandler] = []

    def handler(event: Any, context: Any) -> Any:
        """AWS Lambda's entry: HTTP events go to the app, scheduled ones to cleanup."""
        if isinstance(event, dict) and event.get("source") == "aws.events":
            return _scheduled(services, context)
        if not made:
            from mangum import Mangum

            made.append(Mangum(cast("Any", app), lifespan="off"))  # its type wants a coroutine function
        return made[0](event, context)

    return handler


def _scheduled(services: Services, context: Any) -> dict[str, int | bool]:
    """One cleanup, for EventBridge, which sends no HTTP and which nobody else can call."""
    seconds = context.get_remaining_time_in_millis() / 1000 * 0.8
    loop = _loop()
    counts = loop.run_until_complete(services.cleaner(services.settings.public_url).run(seconds))
    _logger.info("cleanup", extra=counts.as_json())
    return json.loads(json.dumps(counts.as_json()))  # type: ignore[no-any-return]


def _loop() -> asyncio.AbstractEventLoop:
    """The loop that lives as long as the function's process, the one that Mangum uses as well."""
    try:
        return asyncio.get_event_loop()
    except RuntimeError:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        return loop


def entry(env: Mapping[str, str], roles: Iterable[str]) -> tuple[ASGIApp, LambdaHandler]:
    """``function``, for the modules under ``functions/``: a bad setting ends the process with one clear line."""
    try:
        return function(env, roles)
    except SettingsError as error:
        sys.exit(f"Holdfast cannot start: {error}")
