"""The commands about answers: ask, tail, stop, status."""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from argparse import Namespace
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any

import httpx

from holdfast._cli import api, kept
from holdfast._cli.identity import Identity
from holdfast._cli.problem import FAILED, GAVE_UP, USAGE, Problem
from holdfast._cli.progress import Progress
from holdfast._cli.screen import Screen, printable
from holdfast._cli.table import table
from holdfast.client import FollowError, FollowGaveUp, follow
from holdfast.client_reader import DIRECT
from holdfast.clock import SystemClock

_DEFAULT_URL = "http://127.0.0.1:8000"
#: Seconds between two drawings of the status line, whose clock goes on while nothing happens.
_TICK = 0.25
#: A server that restarts is back within this time.
_CALL_PATIENCE = 20.0


def ask(args: Namespace, env: Mapping[str, str]) -> Coroutine[Any, Any, int]:
    """Start an answer and follow it to its end."""
    # Read outside the event loop, where Ctrl-C still ends a read from the keyboard.
    return _ask(args, env, _prompt(args.prompt))


async def _ask(args: Namespace, env: Mapping[str, str], prompt: str) -> int:
    base = _base(args, env)
    identity = Identity(args, env, base)
    body = {"prompt": prompt, "chat_id": args.chat, "model": args.model}
    body = {name: value for name, value in body.items() if value is not None}
    clock = SystemClock()
    async with _answering(args, env) as (screen, progress, client):

        def keep(response: httpx.Response) -> None:
            try:
                identity.keep(response)
            except OSError as error:
                screen.hide()
                print(f"holdfast: the session cannot be kept ({error.strerror}): no later stop.", file=sys.stderr)

        try:
            patience = min(_CALL_PATIENCE, args.give_up)
            if identity.needs_session:
                shown = identity.headers(base)
                await api.begin(client, base, shown, keep, patience=patience, clock=clock, waiting=progress.waiting)
            stream = await api.start(
                client,
                base,
                body,
                str(uuid.uuid4()),
                identity.headers(base),
                patience=patience,
                clock=clock,
                waiting=progress.waiting,
            )
        except asyncio.CancelledError:
            screen.hide()
            print("Interrupted before the server said that it has begun.", file=sys.stderr)
            raise
        progress.started()
        try:
            kept.keep(kept.state_file(env), stream)
        except OSError as error:
            screen.hide()
            print(f"holdfast: {stream.id} cannot be remembered ({error.strerror}).", file=sys.stderr)
        return await _follow(args, stream, identity, None, screen, progress, client)


async def tail(args: Namespace, env: Mapping[str, str]) -> int:
    """Follow an answer that was started before."""
    stream, identity = _wanted(args, env)
    async with _answering(args, env) as (screen, progress, client):
        return await _follow(args, stream, identity, args.cursor, screen, progress, client)


async def stop(args: Namespace, env: Mapping[str, str]) -> int:
    """Stop an answer; what was written stays."""
    stream, identity = _wanted(args, env)
    async with httpx.AsyncClient(mounts=DIRECT) as client:
        shown = identity.headers(stream.base)
        reply = await api.stop(client, stream, shown, patience=_CALL_PATIENCE, clock=SystemClock())
    state = printable(str(reply.get("state", "unknown")))
    print(f"{stream.id} was stopped." if reply.get("stopped") else f"{stream.id} had ended before: {state}.")
    return 0


async def status(args: Namespace, env: Mapping[str, str]) -> int:
    """Show an answer's state."""
    stream, identity = _wanted(args, env)
    async with httpx.AsyncClient(mounts=DIRECT) as client:
        shown = stream.headers or identity.headers(stream.base)
        reply = await api.status(client, stream, shown, patience=_CALL_PATIENCE, clock=SystemClock())
    print(json.dumps(reply, indent=2, ensure_ascii=False) if args.json else table({"id": stream.id} | reply))
    return 0


def _prompt(given: str) -> str:
    try:
        # Bytes that are no UTF-8 arrive in an argument as lone surrogates, which no JSON may hold.
        prompt = sys.stdin.buffer.read().decode() if given == "-" else given.encode().decode()
    except UnicodeError:
        raise Problem("The prompt is not valid UTF-8.", USAGE) from None
    if not prompt.strip():
        raise Problem("The prompt is empty.", USAGE)
    return prompt


def _wanted(args: Namespace, env: Mapping[str, str]) -> tuple[kept.Kept, Identity]:
    base = _base(args, env)
    stream = kept.find(kept.load(kept.state_file(env)), args.id, base=base, chosen=args.url is not None)
    return stream, Identity(args, env, base)


def _base(args: Namespace, env: Mapping[str, str]) -> str:
    return api.checked_base(args.url or env.get("HOLDFAST_URL") or _DEFAULT_URL)


@asynccontextmanager
async def _answering(
    args: Namespace, env: Mapping[str, str]
) -> AsyncIterator[tuple[Screen, Progress, httpx.AsyncClient]]:
    """A screen whose status line stays alive, and the connections."""
    screen = Screen(sys.stdout, sys.stderr, env, quiet=args.quiet)
    progress = Progress(SystemClock())

    async def tick() -> None:
        while True:
            screen.status(progress.line())
            await asyncio.sleep(_TICK)

    with screen:
        ticking = asyncio.create_task(tick()) if screen.live else None
        try:
            async with httpx.AsyncClient(mounts=DIRECT) as client:
                yield screen, progress, client
        finally:
            if ticking is not None:
                ticking.cancel()
                with suppress(asyncio.CancelledError):
                    await ticking


async def _follow(
    args: Namespace,
    stream: kept.Kept,
    identity: Identity,
    cursor: str | None,
    screen: Screen,
    progress: Progress,
    client: httpx.AsyncClient,
) -> int:
    """Write an answer as it comes; returns the exit code."""
    events = follow(
        stream.url,
        cursor=cursor,
        headers=stream.headers or identity.headers(stream.base),
        give_up_seconds=args.give_up,
        on_reconnect=progress.reconnect,
        client=client,
    )
    try:
        async with aclosing(events):
            async for event in events:
                progress.event(event)
                if args.json:
                    screen.write(json.dumps({"cursor": event.cursor, "chunk": event.chunk}, ensure_ascii=False) + "\n")
                else:
                    screen.write(event.text)
                screen.status(progress.line())
        code, message = progress.code, progress.message
    except asyncio.CancelledError:
        _end(args, screen, complete=False)
        print(_still_running(stream, progress), file=sys.stderr)
        raise
    except FollowError as error:
        code, message = GAVE_UP if isinstance(error, FollowGaveUp) else FAILED, str(error)
        if code == GAVE_UP:
            message = f"{message}\n{_still_running(stream, progress)}"
    except BrokenPipeError:
        screen.hide()
        raise
    _end(args, screen, complete=progress.finished)
    if message:
        print(f"holdfast: {printable(message)}", file=sys.stderr)
    return code


def _end(args: Namespace, screen: Screen, *, complete: bool) -> None:
    if not args.json:
        screen.end_line(always=complete)
    screen.hide()


def _still_running(stream: kept.Kept, progress: Progress) -> str:
    after = f" --from {progress.cursor}" if progress.cursor else ""
    return (
        f"The answer goes on without you. Watch it: holdfast tail {stream.id}{after}\n"
        f"Stop it: holdfast stop {stream.id}"
    )
