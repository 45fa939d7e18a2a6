"""Readers of several kinds. Each is cut, or goes away by itself, at random, and comes back as its kind does."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import httpx

from holdfast.client import follow
from tests.chaos.plan import HUNG_SECONDS
from tests.chaos.sightings import DONE, Body, Broken, Sighting, shown

#: Milliseconds before a stock EventSource comes back, unless it was told otherwise.
_EVENT_SOURCE_MS = 3000
_SSE = "text/event-stream"


@dataclass(frozen=True, slots=True)
class Scene:
    """What readers need.

    Attributes:
        http: for requests.
        bad: the address behind a bad network.
        good: the public address.
    """

    http: httpx.AsyncClient
    bad: str
    good: str


async def attend(sighting: Sighting, work: Awaitable[None]) -> Sighting:
    """Let a reader read until its end, or until it has waited beyond its bound."""
    task = asyncio.ensure_future(work)
    while not task.done():
        await asyncio.wait({task}, timeout=1)
        if time.time() - sighting.moved > HUNG_SECONDS:
            sighting.hung = True
            task.cancel()
            await asyncio.wait({task})
    if not task.cancelled() and (error := task.exception()) is not None:
        sighting.failure = f"{type(error).__name__}: {error}"
    return sighting


async def raw(scene: Scene, stream: str, sighting: Sighting, rng: random.Random) -> None:
    """Speaks HTTP: goes away in the middle of a byte stream, and comes back with ``Last-Event-ID``."""
    url = f"{scene.bad}/api/streams/{stream}"
    while not sighting.over:
        # How many events it stays for: a few at first, or until its network is cut.
        stays = rng.choice((1, 3, 9, 27, 10_000))
        headers = {"last-event-id": sighting.cursor} if sighting.cursor else {}
        try:
            async with aclosing(_events(scene, url, headers, sighting)) as bodies:
                async for _ in bodies:
                    stays -= 1
                    if stays <= 0:
                        break
        except httpx.TransportError:
            await asyncio.sleep(0.1)
        else:
            await asyncio.sleep(rng.choice((0.0, 0.05, 0.5)))
    sighting.end()


async def event_source(scene: Scene, stream: str, sighting: Sighting, rng: random.Random) -> None:
    """As a browser's EventSource: waits as it is told, and any status but 200 and 204 ends it for good."""
    url = f"{scene.bad}/api/streams/{stream}"
    if rng.random() < 0.5:
        url += "?state=1"
    retry_ms = _EVENT_SOURCE_MS
    while not sighting.over:
        headers = {"last-event-id": sighting.cursor} if sighting.cursor else {}
        body = Body()
        try:
            async with aclosing(_events(scene, url, headers, sighting, body)) as events:
                async for _ in events:
                    pass
        except httpx.TransportError:
            pass
        retry_ms = body.retry_ms or retry_ms
        if not sighting.over:
            await asyncio.sleep(retry_ms / 1000)
    sighting.end()


async def late(scene: Scene, stream: str, sighting: Sighting, rng: random.Random) -> None:
    """Comes some time later, reads from the beginning over a good network, and loses it by the processes alone."""
    await asyncio.sleep(rng.uniform(0.5, 15))
    sighting.began = time.time()
    url = f"{scene.good}/api/streams/{stream}"
    while not sighting.over:
        headers = {"last-event-id": sighting.cursor} if sighting.cursor else {}
        try:
            async with aclosing(_events(scene, url, headers, sighting)) as events:
                async for _ in events:
                    pass
        except httpx.TransportError:
            await asyncio.sleep(0.1)
    sighting.end()


async def following(scene: Scene, stream: str, sighting: Sighting, rng: random.Random) -> None:
    """The library's client; it is left and begun anew under its cursor as well."""
    url = f"{scene.bad}/api/streams/{stream}"
    while not sighting.over:
        stays = rng.choice((5, 20, 10_000))
        sighting.connections += 1
        cursor = sighting.cursor or None
        async with aclosing(follow(url, cursor=cursor, client=scene.http, give_up_seconds=HUNG_SECONDS)) as events:
            async for event in events:
                sighting.see((event.cursor, shown(event.chunk)))
                stays -= 1
                if stays <= 0:
                    break
            else:
                # The client keeps the end to itself.
                sighting.see(("", DONE))
    sighting.end()


async def chatting(
    scene: Scene, chat: str, body: dict[str, Any], sighting: Sighting, rng: random.Random, named: Callable[[str], None]
) -> None:
    """As stock ``useChat``: starts and reads in one request; after a cut the page loads the history and resumes.

    Args:
        scene: what it needs.
        chat: the chat's id.
        body: what it posts.
        sighting: what it sees.
        rng: its choices.
        named: told the stream's id as soon as it is known.
    """
    posted: dict[str, Any] = {"method": "POST", "url": f"{scene.bad}/api/chat", "json": body}
    resumed: dict[str, Any] = {"method": "GET", "url": f"{scene.bad}/api/chat/{chat}/stream"}
    known = False
    while not sighting.over and sighting.history is None:
        if sighting.frames:
            sighting.partial.append(sighting.frames)
            sighting.frames = []
        sighting.connections += 1
        try:
            async with scene.http.stream(**(resumed if known else posted)) as reply:
                if reply.status_code == 200 and _SSE in reply.headers.get("content-type", ""):
                    known = True
                    named(reply.headers["x-holdfast-stream"])
                    await _shown(reply, sighting, stays=rng.choice((2, 30, 10_000)))
                elif reply.status_code == 204 and known:
                    await _in_history(scene, chat, sighting)
                elif reply.status_code in {429, 503}:  # an honest "not now"
                    await asyncio.sleep(float(reply.headers.get("retry-after", "1")))
                else:
                    raise Broken(f"{reply.status_code} {(await reply.aread())[:200]!r} (known: {known})")
        except httpx.TransportError:
            await asyncio.sleep(0.1)
    sighting.end()


async def _shown(reply: httpx.Response, sighting: Sighting, stays: int) -> None:
    """Read a response that shows the answer from its beginning, for so many events."""
    body = Body()
    async for block in reply.aiter_raw():
        for frame in body.feed(block):
            sighting.see(frame)
            stays -= 1
        if stays <= 0 or sighting.over:
            return


async def _in_history(scene: Scene, chat: str, sighting: Sighting) -> None:
    """Note the answer if it has come into the history."""
    reply = await scene.http.get(f"{scene.good}/api/chat/{chat}")
    loaded: dict[str, Any] = reply.json() if reply.status_code == 200 else {"stream": "?", "messages": []}
    if loaded["stream"] is None:
        sighting.history = "".join(
            part.get("text", "")
            for message in loaded["messages"]
            if message["role"] == "assistant"
            for part in message["parts"]
            if part["type"] == "text"
        )
    else:
        await asyncio.sleep(0.3)


async def _events(
    scene: Scene, url: str, headers: dict[str, str], sighting: Sighting, body: Body | None = None
) -> AsyncGenerator[None]:
    """One connection; yields after each event. At the end the sighting is over.

    Raises:
        Broken: the status or a byte is not as it should be.
    """
    body = body or Body()
    sighting.connections += 1
    async with scene.http.stream("GET", url, headers=headers) as reply:
        if reply.status_code == 204:
            if not sighting.frames:
                raise Broken("204 for a reader that has nothing")
            sighting.see(("", DONE))
            return
        if reply.status_code != 200 or _SSE not in reply.headers.get("content-type", ""):
            raise Broken(f"{reply.status_code} under {headers}: {(await reply.aread())[:200]!r}")
        try:
            async for block in reply.aiter_raw():
                for frame in body.feed(block):
                    sighting.see(frame)
                    yield
                    if sighting.over:
                        return
            body.end()
        finally:
            sighting.states += body.states
