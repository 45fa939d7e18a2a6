"""The following client: reads an answer to its end over any number of connections, each part once."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any

import httpx

from holdfast.client_reader import DIRECT, Bounds, Reader
from holdfast.client_types import (
    AnswerFailed,
    AnswerIncomplete,
    AnswerStopped,
    Event,
    FollowError,
    FollowGaveUp,
    FollowRefused,
    Reconnect,
    StreamExpired,
    StreamNotFound,
)
from holdfast.clock import Clock, SystemClock

__all__ = [
    "AnswerFailed",
    "AnswerIncomplete",
    "AnswerStopped",
    "Event",
    "FollowError",
    "FollowGaveUp",
    "FollowRefused",
    "Reconnect",
    "StreamExpired",
    "StreamNotFound",
    "final_text",
    "follow",
]


async def follow(
    url: str,
    *,
    cursor: str | None = None,
    token: str | None = None,
    headers: Mapping[str, str] | None = None,
    deadline_seconds: float | None = None,
    idle_seconds: float = 45.0,
    give_up_seconds: float = 180.0,
    on_reconnect: Callable[[Reconnect], None] | None = None,
    client: httpx.AsyncClient | None = None,
    clock: Clock | None = None,
) -> AsyncGenerator[Event]:
    """Yield the parts of an answer, in order and each once, until the answer ends.

    Clean ends, cut connections, refused connections and 5xx are survived by connecting again from the last
    part. The end is the server's ``[DONE]``, or 204 for a cursor that stands at the end already. Leave the loop
    early inside ``contextlib.aclosing(follow(…))``, so that the connection closes at once.

    Args:
        url: the stream's URL, as the start gave it.
        cursor: where to go on from; None reads from the beginning.
        token: what lets this reader read: the start's ``read_token``, a share, or an API key; sent as
            ``Authorization: Bearer``, which stands in no log.
        headers: sent with every request, e.g. ``{"Cookie": "…"}``.
        deadline_seconds: bound for the whole call; None for no bound of its own.
        idle_seconds: a connection that is silent for this long, heartbeats included, counts as dead.
        give_up_seconds: bound for the time without any sign of life: a part, or a heartbeat.
        on_reconnect: called before each wait for another connection.
        client: an ``httpx.AsyncClient`` to use and leave open; by default one is made and closed.
        clock: time, for tests.

    Raises:
        StreamNotFound: 404.
        StreamExpired: 410.
        FollowRefused: any other refusal that asking again cannot change.
        FollowGaveUp: a bound was reached; its ``cursor`` says where to go on.
    """
    bounds = Bounds(deadline_seconds, idle_seconds, give_up_seconds)
    used = client or httpx.AsyncClient(mounts=DIRECT)
    try:
        shown = {**(headers or {}), **({} if token is None else {"Authorization": f"Bearer {token}"})}
        reader = Reader(used, url, cursor, shown, bounds, on_reconnect, clock or SystemClock())
        async with aclosing(reader.events()) as events:
            async for event in events:
                yield event
    finally:
        if client is None:
            await used.aclose()


async def final_text(url: str, **options: Any) -> str:
    """Wait for an answer's end and return its whole visible text.

    Args:
        url: the stream's URL.
        options: as for ``follow``; with a ``cursor`` the text after it.

    Raises:
        AnswerFailed: the answer ended with an error part; the partial text is in ``text``.
        AnswerStopped: it was stopped; the partial text is in ``text``.
        FollowError: as for ``follow``.
    """
    pieces: list[str] = []
    async with aclosing(follow(url, **options)) as events:
        async for event in events:
            if event.kind == "error":
                raise AnswerFailed(str(event.chunk.get("errorText", "")), "".join(pieces))
            if event.kind == "abort":
                raise AnswerStopped("The answer was stopped.", "".join(pieces))
            pieces.append(event.text)
    return "".join(pieces)
