"""Functions that say who a request is from, as an application would have them."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request

NOT_CALLABLE = 7


def from_header(request: Request) -> str | None:
    """The user whom a header names."""
    return request.headers.get("x-user")


async def later(request: Request) -> str | None:
    """The same, after a while."""
    await asyncio.sleep(1)
    return request.headers.get("x-user")


async def from_body(request: Request) -> str:
    """Wants what is not for it."""
    return (await request.body()).decode()


async def never(_request: Request) -> str:
    """Hangs."""
    await asyncio.sleep(10_000)
    return "nobody"


def failing(_request: Request) -> str:
    """Fails, with a secret in its words."""
    raise RuntimeError("password=hunter2")


def confused(_request: Request) -> Any:
    """Returns what is no owner."""
    return {"user": "alice"}
