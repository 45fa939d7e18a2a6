"""Routes that clients call: start, read, resume, stop (docs/protocol.md, chapter W)."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse

from holdfast import history, sse, tokens
from holdfast.access import Access
from holdfast.answer import Answer
from holdfast.continuing import continued, retold
from holdfast.errors import ApiError, BadCursor, BadRecord, LogGap, Rejected, Unavailable, Vanished
from holdfast.generation import Part
from holdfast.guard import page_policy
from holdfast.handlers import Handlers
from holdfast.records import Cursor, Stop, is_terminal
from holdfast.requests import StartRequest, parse_chat, parse_start
from holdfast.start import Started
from holdfast.status import report
from holdfast.subscribe import Beat, Reading, Sight

_logger = logging.getLogger("holdfast")

#: How long after its end a chat's answer is still replayed by the resume route, in ms (rule W6).
_REPLAY_MS: Final = 15_000
#: How soon a client should come back: after a time limit, after a cut, and after a fault, in ms.
_RETRY_LIMIT_MS: Final = 100
_RETRY_CUT_MS: Final = 1_000
_RETRY_FAULT_MS: Final = 2_000
#: How long somebody who was given a share reads at a stretch, in seconds: then it is looked at again (rule U11).
_SHARE_STRETCH: Final = 30.0
#: Characters of a prompt in the log, where prompts are logged.
_LONGEST_LOGGED: Final = 1_000


class ClientHandlers(Handlers):
    """Starting, reading and stopping answers."""

    # -- starting -----------------------------------------------------------------------------------

    async def start_stream(self, request: Request) -> Response:
        """``POST /api/streams``: start an answer, or join the one that the same request started before."""
        owner = (await self._services.auth.starting(request)).owner
        body = await self._body(request)
        wanted = parse_start(body, owner, request.headers.get("idempotency-key"))
        started = await self._started(request, wanted)
        url = f"/api/streams/{started.stream}"
        links = {"id": started.stream, "url": url, "stop_url": f"{url}/stop", "status_url": f"{url}/status"}
        told = {**links, "read_token": self._read_token(started.stream), "created": started.created}
        return self._services.auth.hand_over(request, JSONResponse(told, 202, {"location": url}))

    async def start_chat(self, request: Request) -> Response:
        """``POST /api/chat``: start as the AI SDK does, and stream the answer in the same response."""
        owner = (await self._services.auth.starting(request)).owner
        body = await self._body(request)
        wanted = parse_chat(body, owner, request.headers.get("idempotency-key"))
        started = await self._started(request, wanted)
        reading = await self._open(request, started.stream, Access(owner))
        return self._services.auth.hand_over(request, self._stream(request, reading))

    # -- reading ------------------------------------------------------------------------------------

    async def read_stream(self, request: Request) -> Response:
        """``GET /api/streams/{id}``: the answer from a cursor on, as server-sent events."""
        # The header wins: an EventSource repeats the query of its first request for ever.
        text = request.headers.get("last-event-id") or request.query_params.get("last_event_id")
        try:
            cursor = Cursor.parse(text) if text else None
        except BadCursor as error:
            raise ApiError(400, "cursor_malformed", str(error)) from error
        stream: str = request.path_params["id"]
        access = Access()
        try:
            access = await self._services.auth.reader(request, stream)
            reading = await self._open(request, stream, access, cursor)
        except (Unavailable, Rejected):
            # A 5xx would end an EventSource for good; an empty body with retry brings it back (rule F6).
            return Response(sse.retry(_RETRY_FAULT_MS), headers=_headers(stream))
        if reading.complete:
            return Response(status_code=204)
        return self._stream(request, reading, access)

    async def resume_chat(self, request: Request) -> Response:
        """``GET /api/chat/{id}/stream``: the live answer of a chat from its beginning, for ``useChat``."""
        owner = await self._services.auth.owner(request)
        if owner is None:
            return Response(status_code=204)  # as for a chat that never was: nobody has a chat
        turn = await self._chat(request, owner).newest_turn()
        last = None if turn is None else await self._services.log.last(turn.stream)
        if turn is None or last is None:
            return Response(status_code=204)
        if is_terminal(last.record) and last.record.at + _REPLAY_MS < self._services.clock.now_ms():
            return Response(status_code=204)
        reading = await self._open(request, turn.stream, Access(owner))
        before = continued(reading.queued)
        return self._stream(request, reading, before=() if before is None else tuple(retold(before["parts"])))

    async def read_chat(self, request: Request) -> Response:
        """``GET /api/chat/{id}``: the conversation as UI messages, and the live stream if there is one."""
        owner = await self._services.auth.owner(request)
        if owner is None:
            raise _unknown_chat()
        chat = self._chat(request, owner)
        log, live = self._services.log, None
        turn = await chat.newest_turn()
        if turn is None:
            raise _unknown_chat()
        entries = await log.read(turn.stream)
        if any(is_terminal(entry.record) for entry in entries):
            await history.repair(log, Answer(entries))
        elif entries:
            live = turn.stream
            await history.enter(log, Answer(entries).queued)
        messages = [item.message for item in await chat.load()]
        return JSONResponse({"id": request.path_params["id"], "messages": messages, "stream": live})

    async def status(self, request: Request) -> Response:
        """``GET /api/streams/{id}/status``: state, counts and timings."""
        stream: str = request.path_params["id"]
        reading = await self._open(request, stream, await self._services.auth.reader(request, stream))
        log = self._services.log
        answer = Answer(await log.read(reading.stream))
        leased = answer.begin is not None and await log.held(reading.stream, answer.begin[0]) is not None
        return JSONResponse(report(reading.stream, answer, leased=leased))

    async def stop(self, request: Request) -> Response:
        """``POST /api/streams/{id}/stop``: end the answer; what was written stays. Idempotent."""
        reading = await self._open(request, request.path_params["id"], await self._services.auth.writer(request))
        log = self._services.log
        stopped = await history.end(log, reading.stream, Stop(at=self._services.clock.now_ms(), by="request"))
        answer = Answer(await log.read(reading.stream))
        return JSONResponse({"id": reading.stream, "stopped": stopped, "state": answer.state(leased=False)})

    async def page(self, _request: Request) -> Response:
        """``GET /``: a plain page to try it with."""
        html = (Path(__file__).parent / "page.html").read_text("utf-8")
        return HTMLResponse(html, headers={"content-security-policy": page_policy(html)})

    # -- helpers ------------------------------------------------------------------------------------

    async def _started(self, request: Request, wanted: StartRequest) -> Started:
        """Start or join, and say so in the log."""
        began = self._services.clock.now_ms()
        started = await self._services.starter(self._origin(request)).start(wanted)
        told: dict[str, Any] = {"stream": started.stream, "joined": not started.created}
        told |= {"chat": wanted.chat_id is not None, "messages": len(wanted.messages)}
        if self._settings.log_prompts:
            text = "".join(part["text"] for part in wanted.newest["parts"] if part["type"] == "text")
            told["prompt"] = text[:_LONGEST_LOGGED]
        _logger.info("start", extra={**told, "took_ms": self._services.clock.now_ms() - began})
        return started

    def _chat(self, request: Request, owner: str) -> history.History:
        seconds = self._settings.chat_retention_seconds
        return history.of_chat(self._services.log, owner, request.path_params["id"], seconds)

    def _read_token(self, stream: str) -> str:
        """Good for as long as the stream can be read: the longest answer and its retention."""
        expires = self._services.clock.now_ms() // 1000 + self._settings.longest_reading_seconds
        return tokens.mint_read(self._settings.secret, stream, expires)

    async def _open(self, request: Request, stream: str, access: Access, cursor: Cursor | None = None) -> Reading:
        return await self._services.subscriber(self._origin(request)).open(stream, access, cursor)

    def _stream(
        self, request: Request, reading: Reading, access: Access | None = None, before: Sequence[Part] = ()
    ) -> Response:
        # The function ends first, with a cursor that resumes, before the platform cuts (rule D6).
        seconds = self._seconds_left(request) - min(3.0, self._settings.max_seconds * 0.1)
        if access is not None and access.token is not None:
            # Nobody reads on for long after a share was revoked, nor after a token's end.
            seconds = min(seconds, access.token.expires - self._services.clock.now_ms() / 1000)
            seconds = min(seconds, _SHARE_STRETCH) if access.share else seconds
        headers = _headers(reading.stream)
        if request.method == "HEAD":
            return Response(headers=headers)
        states = request.query_params.get("state") == "1"
        return StreamingResponse(_events(reading, seconds, before, states=states), headers=headers)


def _unknown_chat() -> ApiError:
    return ApiError(404, "chat_unknown", "There is no such chat of yours, or it was deleted after its retention.")


def _headers(stream: str) -> dict[str, str]:
    return sse.HEADERS | {"x-holdfast-stream": stream}


async def _events(reading: Reading, seconds: float, before: Sequence[Part], *, states: bool) -> AsyncIterator[bytes]:
    # The first byte goes out at once, so that the client knows that it is connected.
    yield sse.HEARTBEAT + sse.retry(_RETRY_CUT_MS)
    frames = reading.frames(seconds)
    try:
        async for frame in frames:
            if isinstance(frame, Beat):
                yield sse.HEARTBEAT
            elif isinstance(frame, Sight):
                if states:
                    yield sse.state(frame.state, frame.attempt)
            elif frame.chunk is None:
                yield sse.done(frame.cursor)
                return
            elif before and frame.chunk["type"] == "start":
                # In one piece, whose id is that of the start: a reader has all of it or nothing.
                yield b"".join([*map(sse.bare, [frame.chunk, *before[:-1]]), sse.event(frame.cursor, before[-1])])
            else:
                yield sse.event(frame.cursor, frame.chunk)
    except (Unavailable, Rejected, Vanished):
        yield sse.retry(_RETRY_FAULT_MS)
    except (LogGap, BadRecord) as error:
        _logger.error("log_unreadable", extra={"stream": reading.stream})
        yield sse.event(reading.cursor, {"type": "error", "errorText": str(error)})
        yield sse.done(reading.cursor)
    else:
        yield sse.retry(_RETRY_LIMIT_MS)
    finally:
        await frames.aclose()
