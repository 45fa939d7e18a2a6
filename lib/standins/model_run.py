"""One response of the Responses API as its numbered events, written once and read from any of them."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from typing import Any

from standins.model_calls import Call
from standins.model_http import GARBAGE, sse
from standins.model_pace import CutError, EndedEarlyError, FailedError, Piece, for_ever, speak

_FAILURE = "The model stopped because of an internal failure."


class Run:
    """A response: its state and every event so far.

    Args:
        call: what the model says.
        body: the request.
    """

    def __init__(self, call: Call, body: dict[str, Any]) -> None:
        self.call = call
        self.background = bool(body.get("background"))
        self.streamed = bool(body.get("stream"))
        self.fails = call.plan.error_after >= 0
        self.task: asyncio.Task[None] | None = None
        self._body = body
        self._created = int(time.time())
        self._status = "queued" if self.background else "in_progress"
        self._events: list[bytes] = []
        self._texts: list[int] = []  # tokens of text sent with each event, for a cut of the first connection
        self._output: list[dict[str, Any]] = []
        self._open: dict[str, Any] | None = None
        self._over = False
        self._more = asyncio.Condition()

    def snapshot(self) -> dict[str, Any]:
        """The response object as it stands."""
        done = self._status in {"completed", "incomplete"}
        failed = {"code": "server_error", "message": _FAILURE} if self._status == "failed" else None
        open_item = [self._open] if self._open else []
        return {
            "id": self.call.id,
            "object": "response",
            "created_at": self._created,
            "status": self._status,
            "background": self.background,
            "error": failed,
            "incomplete_details": {"reason": "max_output_tokens"} if self._status == "incomplete" else None,
            "instructions": self._body.get("instructions"),
            "max_output_tokens": self._body.get("max_output_tokens"),
            "metadata": self._body.get("metadata") or {},
            "model": self.call.model,
            "output": [*self._output, *open_item],
            "parallel_tool_calls": True,
            "previous_response_id": self._body.get("previous_response_id"),
            "temperature": self._body.get("temperature", 1.0),
            "top_p": self._body.get("top_p", 1.0),
            "tool_choice": self._body.get("tool_choice", "auto"),
            "tools": self._body.get("tools") or [],
            "usage": self._usage() if done else None,
        }

    async def events_live(self) -> AsyncIterator[bytes]:
        """Write the response, yielding each event as it is made; not for background responses.

        Raises:
            CutError: the call's plan wants the connection cut.
        """
        for event in self._begin():
            yield event
        try:
            async for piece in speak(self.call, faults=not self.background):
                if piece.kind == "garbage":
                    yield GARBAGE
                    continue
                yield b"".join([event for token in piece.tokens for event in self._say(piece, token)])
            yield b"".join(self._finish())
        except EndedEarlyError:
            return
        except FailedError:
            self._status = "failed"
            yield self._event("error", code="server_error", message=_FAILURE, param=None)

    async def finished_alone(self) -> bool:
        """Write the response without a reader of its events; whether it came to its end."""
        try:
            async for _ in self.events_live():
                pass
        except CutError:
            return False
        return self._status in {"completed", "incomplete", "failed"}

    async def write(self) -> None:
        """Write a background response, for whoever follows."""
        try:
            async for _ in self.events_live():
                async with self._more:
                    self._more.notify_all()
        finally:
            self._over = True
            async with self._more:
                self._more.notify_all()

    async def cancel(self) -> None:
        """Stop a background response; what is over stays as it is."""
        if self._over or self.task is None:
            return
        self._status = "cancelled"
        self.call.end("cancelled")
        self.task.cancel()
        await asyncio.wait({self.task})

    async def follow(self, after: int, *, cuts: bool = False) -> AsyncIterator[bytes]:
        """Yield the events after one, those to come included.

        Args:
            after: a sequence number; -1 for all.
            cuts: whether this connection is the one that the plan's failures are about.

        Raises:
            CutError: the call's plan wants the connection cut.
        """
        next_event, tokens = after + 1, 0
        plan, call = self.call.plan, self.call
        while True:
            async with self._more:
                while not self._over and len(self._events) <= next_event:
                    await self._more.wait()
            if next_event >= len(self._events):
                return
            for number in range(next_event, len(self._events)):
                if cuts and (self._texts[number] or tokens == len(call.tokens)):
                    if tokens == plan.garbage_after and not call.garbled:
                        call.garbled = call.struck = True
                        yield GARBAGE
                    if tokens == plan.stall_after:
                        call.struck = True
                        await for_ever()
                    if tokens == plan.fail_after:
                        call.struck = True
                        if plan.cut == "clean":
                            return
                        raise CutError
                tokens += self._texts[number]
                yield self._events[number]
                next_event = number + 1

    def _event(self, kind: str, *, tokens: int = 0, **data: Any) -> bytes:
        event = sse({"type": kind, "sequence_number": len(self._events), **data}, kind)
        self._events.append(event)
        self._texts.append(tokens)
        return event

    def _begin(self) -> list[bytes]:
        events = [self._event("response.created", response=self.snapshot())]
        if self.background:
            events.append(self._event("response.queued", response=self.snapshot()))
            self._status = "in_progress"
        return [*events, self._event("response.in_progress", response=self.snapshot())]

    def _say(self, piece: Piece, token: str) -> list[bytes]:
        events = []
        kind = {"reasoning": "reasoning", "text": "message", "tool": "function_call"}[piece.kind]
        if self._open is None or self._open["type"] != kind:
            events = [*self._close_item(), *self._open_item(kind)]
        item = self._open
        if item is None:
            raise ValueError("an item was just opened")
        where = {"item_id": item["id"], "output_index": len(self._output)}
        if kind == "message":
            item["content"][0]["text"] += token
            name = "response.output_text.delta"
            return [*events, self._event(name, tokens=1, **where, content_index=0, delta=token, logprobs=[])]
        if kind == "reasoning":
            item["summary"][0]["text"] += token
            name = "response.reasoning_summary_text.delta"
            return [*events, self._event(name, **where, summary_index=0, delta=token)]
        item["arguments"] += token
        return [*events, self._event("response.function_call_arguments.delta", **where, delta=token)]

    def _open_item(self, kind: str) -> list[bytes]:
        item: dict[str, Any] = {"type": kind, "status": "in_progress"}
        if kind == "message":
            item |= {"id": f"msg_{secrets.token_hex(16)}", "role": "assistant", "content": []}
        elif kind == "reasoning":
            item |= {"id": f"rs_{secrets.token_hex(16)}", "summary": []}
        else:
            tool = self.call.tool
            if tool is None:
                raise ValueError("a call without a tool has no tool pieces")
            item |= {"id": f"fc_{secrets.token_hex(16)}", "call_id": tool.id, "name": tool.name, "arguments": ""}
        self._open = item
        where = {"item_id": item["id"], "output_index": len(self._output)}
        events = [self._event("response.output_item.added", output_index=len(self._output), item=item)]
        if kind == "message":
            part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
            events.append(self._event("response.content_part.added", **where, content_index=0, part=part))
            item["content"].append(part)
        elif kind == "reasoning":
            part = {"type": "summary_text", "text": ""}
            events.append(self._event("response.reasoning_summary_part.added", **where, summary_index=0, part=part))
            item["summary"].append(part)
        return events

    def _close_item(self) -> list[bytes]:
        if (item := self._open) is None:
            return []
        where = {"item_id": item["id"], "output_index": len(self._output)}
        item["status"] = "completed"
        events = []
        if item["type"] == "message":
            part = item["content"][0]
            text = {"text": part["text"], "logprobs": []}
            events = [
                self._event("response.output_text.done", **where, content_index=0, **text),
                self._event("response.content_part.done", **where, content_index=0, part=part),
            ]
        elif item["type"] == "reasoning":
            part = item["summary"][0]
            events = [
                self._event("response.reasoning_summary_text.done", **where, summary_index=0, text=part["text"]),
                self._event("response.reasoning_summary_part.done", **where, summary_index=0, part=part),
            ]
        else:
            arguments = {"arguments": item["arguments"], "name": item["name"]}
            events = [self._event("response.function_call_arguments.done", **where, **arguments)]
        events.append(self._event("response.output_item.done", output_index=len(self._output), item=item))
        self._output.append(item)
        self._open = None
        return events

    def _finish(self) -> list[bytes]:
        events = self._close_item()
        if not any(item["type"] == "message" for item in self._output) and not self.call.tool:
            # An answer of no tokens still has its message, empty.
            events += [*self._open_item("message"), *self._close_item()]
        self._status = "completed" if self.call.finish == "stop" else "incomplete"
        self.call.end("completed")
        return [*events, self._event(f"response.{self._status}", response=self.snapshot())]

    def _usage(self) -> dict[str, Any]:
        call = self.call
        return {
            "input_tokens": call.prompt_tokens,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": call.completion_tokens,
            "output_tokens_details": {"reasoning_tokens": call.reasoning_sent},
            "total_tokens": call.prompt_tokens + call.completion_tokens,
        }
