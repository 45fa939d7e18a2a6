"""The speed of the stand-in model: every token has a due time, so that delays never add up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from typing import Literal

from standins.model_calls import Call
from standins.model_plan import Plan


class CutError(Exception):
    """The connection is to be cut now, in mid-answer."""


class EndedEarlyError(Exception):
    """The answer is to end now, with a complete body but without saying that it is finished."""


class FailedError(Exception):
    """The model fails now and says so in the stream."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Tokens that are due: of the reasoning, of the text, or of a tool call's arguments; garbage has none."""

    kind: Literal["reasoning", "text", "tool", "garbage"]
    tokens: list[str]

    @property
    def text(self) -> str:
        return "".join(self.tokens)


async def speak(call: Call, *, faults: bool = True) -> AsyncGenerator[Piece]:
    """Yield what a call says, when it is due, and count it as sent.

    Args:
        call: the call; its counters and, on a failure, its status are kept up to date.
        faults: whether connection faults (all but an error in the stream) happen here; background answers have no
            connection.

    Raises:
        CutError, EndedEarlyError, FailedError: as the call's plan wants it.
    """
    plan, loop = call.plan, asyncio.get_running_loop()
    if not faults:
        plan = replace(plan, fail_after=-1, cut="", stall_after=-1, garbage_after=-1)
    start = loop.time() + plan.ttft / 1000
    spoken = 0
    texts = {"reasoning": call.reasoning, "text": call.tokens, "tool": call.tool.arguments if call.tool else []}
    stops = {n for n in (plan.fail_after, plan.error_after, plan.stall_after, plan.garbage_after) if n >= 0}
    for kind, tokens in (("reasoning", texts["reasoning"]), ("text", texts["text"]), ("tool", texts["tool"])):
        done = 0
        while True:
            if kind == "text" and done in stops:
                await _break_off(call, plan, done)
                call.garbled = call.struck = True
                yield Piece("garbage", [])
            if done == len(tokens):
                break
            await _sleep_until(start + spoken / plan.rate)
            due = int((loop.time() - start) * plan.rate) + 1 - spoken
            upto = min([len(tokens), done + max(due, 1), *(n for n in stops if kind == "text" and n > done)])
            piece = Piece(kind, tokens[done:upto])  # type: ignore[arg-type]  # the literals of the tuple above
            spoken, done = spoken + upto - done, upto
            _count(call, piece)
            yield piece
    if plan.cut == "clean":
        call.end("cut")
        raise EndedEarlyError


async def _break_off(call: Call, plan: Plan, done: int) -> None:
    """Fail as the plan wants after so many tokens; garbage alone lets the answer go on."""
    if done == plan.error_after:
        call.struck = True
        call.end("failed")
        raise FailedError
    if done == plan.stall_after:
        call.struck = True
        await for_ever()
    if done == plan.fail_after:
        call.struck = True
        call.end("cut")
        raise EndedEarlyError if plan.cut == "clean" else CutError


async def for_ever() -> None:
    """Return never; whoever waits is cancelled when the client leaves."""
    await asyncio.Event().wait()


def _count(call: Call, piece: Piece) -> None:
    # Counted before it is handed over: a client can only have what has been counted.
    if piece.kind == "text":
        call.tokens_sent += len(piece.tokens)
        call.chars_sent += len(piece.text)
    elif piece.kind == "reasoning":
        call.reasoning_sent += len(piece.tokens)
    else:
        call.tool_sent += len(piece.tokens)


async def _sleep_until(due: float) -> None:
    # Also when the time has passed: others, such as the watch for a disconnect, must get their turn.
    await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
