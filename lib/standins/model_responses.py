"""The Responses API of the stand-in model: streamed, whole, in the background, resumed and cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from standins.model_calls import Book
from standins.model_chat import limit_of, refuse, text_of
from standins.model_continue import Message
from standins.model_http import GARBAGE_BODY, EventStream, RefusalError, Severed, body_of, while_connected
from standins.model_plan import BadRequestError
from standins.model_run import Run


class Runs:
    """The responses that can be asked for by id, and the tasks that write the background ones."""

    def __init__(self) -> None:
        self.by_id: dict[str, Run] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, run: Run, on_end: Callable[[], None]) -> None:
        """Have a response written by a task of its own, which calls ``on_end`` last."""
        run.task = asyncio.get_running_loop().create_task(run.write())
        self._tasks.add(run.task)
        run.task.add_done_callback(self._tasks.discard)
        run.task.add_done_callback(lambda _: on_end())

    def get(self, run_id: str) -> Run:
        """A response by its id.

        Raises:
            RefusalError: there is none, or it was not to be stored.
        """
        run = self.by_id.get(run_id)
        if run is None:
            raise RefusalError(404, f"Response with id '{run_id}' not found.")
        return run

    def close(self) -> None:
        """Stop every background response and forget all."""
        for task in self._tasks:
            task.cancel()
        self.by_id.clear()


async def create(request: Request) -> Response:
    """``POST /v1/responses``."""
    body = await body_of(request)
    runs: Runs = request.app.state.runs
    book: Book = request.app.state.book
    run = _open(book, runs, body)
    call = run.call
    if (refused := await refuse(call, request)) is not None:
        return refused
    if body.get("store", True) is not False:
        runs.by_id[call.id] = run
    elif run.background:
        raise RefusalError(400, "Background responses must be stored.")
    if not run.background:
        if run.streamed:
            return EventStream(_alone(run), lambda: call.end("disconnected"), lambda: book.settle(call))
        try:
            done = await while_connected(run.finished_alone(), request.receive, lambda: call.end("disconnected"))
        finally:
            book.settle(call)
        if call.garbled:
            return Response(GARBAGE_BODY, media_type="application/json")
        return JSONResponse(run.snapshot()) if done else Severed()
    runs.start(run, lambda: book.settle(call) if run.fails else None)
    # A failure of the response itself is settled with its end, any other fault with this connection's.
    if run.streamed:
        return EventStream(run.follow(-1, cuts=True), lambda: None, lambda: None if run.fails else book.settle(call))
    if not run.fails:
        book.settle(call)
    return JSONResponse(run.snapshot())


async def retrieve(request: Request) -> Response:
    """``GET /v1/responses/{id}``: the state, or the events after ``starting_after``."""
    run = request.app.state.runs.get(request.path_params["id"])
    query, plan = request.query_params, run.call.plan
    if plan.forgotten:
        raise RefusalError(404, f"Response with id '{run.call.id}' not found.")
    if query.get("stream", "").lower() != "true":
        return JSONResponse(run.snapshot())
    if plan.unstreamed:
        raise RefusalError(400, "This response can no longer be streamed.")
    if not (run.background and run.streamed):
        raise RefusalError(
            400, "Only a response that was created with background=true and stream=true can be streamed."
        )
    after = query.get("starting_after", "-1")
    if after != "-1" and not after.isdecimal():
        raise RefusalError(400, "Invalid 'starting_after': a sequence number is expected.")
    return EventStream(run.follow(int(after)), lambda: None, lambda: None)


async def cancel(request: Request) -> Response:
    """``POST /v1/responses/{id}/cancel``; idempotent."""
    run = request.app.state.runs.get(request.path_params["id"])
    if not run.background:
        raise RefusalError(400, "Only a response that was created with background=true can be cancelled.")
    await run.cancel()
    return JSONResponse(run.snapshot())


async def _alone(run: Run) -> AsyncIterator[bytes]:
    """Write a response as its one reader takes it: without the reader nothing is written."""
    async for event in run.events_live():
        yield event


def _open(book: Book, runs: Runs, body: dict[str, Any]) -> Run:
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise RefusalError(400, "Missing required parameter: 'model'.")
    raw = _raw_messages(runs, body)
    plain = [_plain(index, item) for index, item in enumerate(raw)]
    tools = tuple(tool["name"] for tool in body.get("tools") or () if isinstance(tool, dict) and "name" in tool)
    try:
        call = book.open("responses", model, raw, plain, limit=limit_of(body, "max_output_tokens"), tools=tools)
    except BadRequestError as error:
        raise RefusalError(400, str(error)) from None
    return Run(call, body)


def _raw_messages(runs: Runs, body: dict[str, Any]) -> list[Any]:
    given = body.get("input")
    if isinstance(given, str) and given:
        given = [{"role": "user", "content": given}]
    if not isinstance(given, list) or not given:
        raise RefusalError(400, "Missing required parameter: 'input'.")
    earlier: list[Any] = []
    if previous := body.get("previous_response_id"):
        run = runs.get(str(previous))
        earlier = [message for message in run.call.messages if message.get("role") != "system"]
        earlier.append({"role": "assistant", "content": run.call.sent})
    instructions = body.get("instructions")
    system = [{"role": "system", "content": instructions}] if isinstance(instructions, str) and instructions else []
    return [*system, *earlier, *given]


def _plain(index: int, item: Any) -> Message:
    if isinstance(item, dict):
        if isinstance(item.get("role"), str):
            return Message(item["role"], text_of(item.get("content")))
        if item.get("type") == "function_call_output":
            return Message("tool", text_of(item.get("output")))
        if item.get("type") in {"function_call", "reasoning"}:
            return Message("call", str(item.get("arguments") or ""))
    raise RefusalError(400, f"Invalid 'input[{index}]': a message or a function call is expected.")
