"""A local QStash: ``python -m standins.qstash --port N [--allow-remote] [--seed N] [--fault JSON]``.

The unmodified QStash SDKs publish, schedule and read through it over HTTP; it delivers, signs, tries again and calls
back as the service documents. State is in memory and ends with the process. Queues, URL groups and flow control are
not here, and are refused rather than ignored. The token and the signing keys come from the SDK's own variables,
``QSTASH_TOKEN``, ``QSTASH_CURRENT_SIGNING_KEY`` and ``QSTASH_NEXT_SIGNING_KEY``.
"""

from __future__ import annotations

import argparse
import os
import random
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette

from standins import qstash_control
from standins.faults import Faults
from standins.qstash_api import Api
from standins.qstash_engine import Engine
from standins.qstash_faults import KINDS, QStashFault
from standins.qstash_options import DEFAULT_MAX_RETRIES, MAX_MESSAGE_BYTES, Limits
from standins.qstash_schedules import Schedules
from standins.qstash_signing import SigningKeys
from standins.qstash_transport import Clock, HttpSender, RealClock, Sender
from standins.serving import serve

#: What is used when the variables are not set. Known to all, so worth nothing outside this machine.
LOCAL_TOKEN = "local-qstash-token"  # noqa: S105
LOCAL_CURRENT_KEY = "sig_local_current_0123456789abcdefghij"
LOCAL_NEXT_KEY = "sig_local_next_0123456789abcdefghijklm"


def create_app(
    *,
    token: str = LOCAL_TOKEN,
    keys: SigningKeys | None = None,
    limits: Limits | None = None,
    seed: int | None = None,
    clock: Clock | None = None,
    sender: Sender | None = None,
    faults: Iterable[QStashFault] = (),
) -> Starlette:
    """The stand-in as an ASGI app.

    Args:
        token: what callers of the API must bear; the control API takes none.
        keys: what signs; the local ones by default.
        limits: what may be asked; loopback and five retries by default.
        seed: makes ids repeatable.
        clock: time; the machine's by default.
        sender: calls destinations; HTTP by default.
        faults: what shall go wrong from the start.
    """
    http = HttpSender(MAX_MESSAGE_BYTES) if sender is None else None
    engine = Engine(
        clock=clock or RealClock(),
        sender=sender or http or HttpSender(MAX_MESSAGE_BYTES),
        keys=keys or SigningKeys(LOCAL_CURRENT_KEY, LOCAL_NEXT_KEY),
        rng=random.Random(seed),
        limits=limits or Limits(),
        faults=Faults(KINDS, faults),
    )
    schedules = Schedules(engine)

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await schedules.reset()
            await engine.reset()
            if http is not None:
                await http.close()

    routes = [*qstash_control.routes(engine, schedules), *Api(engine, schedules, token).routes()]
    return Starlette(routes=routes, lifespan=lifespan)


def main() -> None:
    """Read the command line and serve until stopped."""
    parser = argparse.ArgumentParser(prog="standins.qstash", description="A local QStash.")
    parser.add_argument("--port", type=int, required=True, help="0 for any free port")
    parser.add_argument("--allow-remote", action="store_true", help="deliver to other machines too")
    parser.add_argument("--seed", type=int, help="make message ids repeatable")
    parser.add_argument("--max-retries", type=int, default=DEFAULT_MAX_RETRIES, help="the plan's limit of retries")
    KINDS.add_option(parser)
    options = parser.parse_args()
    keys = SigningKeys(
        os.environ.get("QSTASH_CURRENT_SIGNING_KEY") or LOCAL_CURRENT_KEY,
        os.environ.get("QSTASH_NEXT_SIGNING_KEY") or LOCAL_NEXT_KEY,
    )
    app = create_app(
        token=os.environ.get("QSTASH_TOKEN") or LOCAL_TOKEN,
        keys=keys,
        limits=Limits(allow_remote=options.allow_remote, max_retries=options.max_retries),
        seed=options.seed,
        faults=options.faults,
    )
    serve(app, options.port)


if __name__ == "__main__":
    main()
