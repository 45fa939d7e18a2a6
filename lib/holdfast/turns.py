"""What a turn of a chat asks the model and takes from the history, without I/O (docs/protocol.md, chapter H)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.continuing import brings_results, with_results
from holdfast.errors import ApiError
from holdfast.generation import UIMessage
from holdfast.history import Item
from holdfast.identity import message_id
from holdfast.requests import StartRequest


@dataclass(frozen=True, slots=True)
class Plan:
    """What a start is going to write.

    Attributes:
        stream: the stream that answers.
        messages: the conversation that the model gets.
        turn: the number of the turn, or 0 outside a chat.
        drops: members that the history loses.
        asks: whether the newest message is new to the history.
        brought: what of it the request brought, and not the history: the limit on its size counts this (rule N5).
    """

    stream: str
    messages: list[UIMessage]
    turn: int = 0
    drops: tuple[str, ...] = ()
    asks: bool = False
    brought: Sequence[UIMessage] = ()

    @property
    def answers_as(self) -> str:
        """The id of the answer as a UI message: its own, or that of the message that it goes on with (rule H10)."""
        newest = self.messages[-1]
        return str(newest["id"]) if newest["role"] == "assistant" and "id" in newest else message_id(self.stream)


def check_newest(request: StartRequest) -> None:
    """Refuse a start that has nothing to answer (rules S1, H10).

    Raises:
        ApiError: 422 the newest message is neither a question nor brings results of the client's tools.
    """
    brings = request.trigger == "submit" and brings_results(request.newest)
    if request.newest["role"] != "user" and not brings:
        what = "messages: the newest message must be the user's, or the assistant's with results of your tools."
        raise ApiError(422, "field_invalid", what, extra={"field": "messages"})


def certainly_brought(request: StartRequest) -> Sequence[UIMessage]:
    """What a start brings into its conversation, whatever the history holds."""
    if request.chat_id is None:
        return request.messages
    return [request.newest] if request.trigger == "submit" and request.newest["role"] == "user" else ()


def plan_turn(request: StartRequest, items: list[Item], number: int, stream: str) -> Plan:
    """What a start in a chat writes (rule H1).

    Args:
        request: the start.
        items: the chat's messages as they stand.
        number: the turn that the start has claimed, or is about to.
        stream: the stream that is to answer.

    Raises:
        ApiError: 422 the client sent results of tools that no message of the chat waits for.
    """
    if request.newest["role"] == "assistant" and not items:
        return Plan(stream, request.messages, number, asks=True, brought=request.messages)
    brought: Sequence[UIMessage] = certainly_brought(request)
    if request.newest["role"] == "assistant":
        kept, newest, brought = _before_continued(request, items)
    elif request.trigger == "regenerate":
        kept, newest = _before_answer(request, items), None
        if not kept:  # the store knows nothing of this chat: what the client sent is all there is
            taken = [*request.messages[:-1], _named(request.newest, number)]
            return Plan(stream, taken, number, asks=True, brought=taken)
    else:
        kept, newest = _before_edited(request, items), _named(request.newest, number)
    dropped = {item.turn for item in items[len(kept) :]}
    drops = tuple(
        member
        for turn in range(min(dropped), number)
        for member in (f"{turn}.0", f"{turn}.1")
        if member not in {item.member for item in kept}
    ) if dropped else ()  # fmt: skip
    messages = [item.message for item in kept]
    if newest is None:
        return Plan(stream, messages, number, drops)
    return Plan(stream, [*messages, newest], number, drops, asks=True, brought=brought)


def _named(message: UIMessage, number: int) -> UIMessage:
    """A question with an id of its own, so that it can be edited and answered anew by it."""
    return {"id": f"msg_{number}.0", **message}


def _before_continued(request: StartRequest, items: list[Item]) -> tuple[list[Item], UIMessage, list[UIMessage]]:
    """What stays before a message that goes on, that message with its tools' results, and these alone (rule H10)."""
    for index, item in enumerate(items):
        if item.message["role"] == "assistant" and item.message.get("id") == request.newest.get("id"):
            if whole := with_results(item.message, request.newest):
                results = [
                    {name: part[name] for name in ("output", "errorText") if name in part}
                    for before, part in zip(item.message["parts"], whole["parts"], strict=True)
                    if part is not before
                ]
                return items[:index], whole, [{"role": "assistant", "parts": results}]
            break
    what = "messages: no tool call of this chat waits for the results in the newest message. Load the chat again."
    raise ApiError(422, "field_invalid", what, extra={"field": "messages"})


def _before_edited(request: StartRequest, items: list[Item]) -> list[Item]:
    """What stays when a message is sent: all, or all before the message that it replaces."""
    ids: set[Any] = {request.newest.get("id"), request.target} - {None}
    for index, item in enumerate(items):
        if item.message["role"] == "user" and item.message.get("id") in ids:
            return items[:index]
    return items


def _before_answer(request: StartRequest, items: list[Item]) -> list[Item]:
    """What stays when an answer is made anew: everything up to the question that it answered."""
    wanted: set[Any] = {request.target} if request.target is not None else {request.newest.get("id")}
    end = len(items)
    for index, item in enumerate(items):
        if item.message.get("id") in wanted:
            end = index + 1
            break
    while end and items[end - 1].message["role"] != "user":
        end -= 1
    return items[:end]


def busy(stream: str) -> ApiError:
    """409: the chat's answer that is being written has to end first (rule H3)."""
    return ApiError(
        409,
        "chat_busy",
        f"Another answer of this chat is being written: stream {stream}. Read it, wait for its end, or stop it.",
        extra={"stream": stream},
    )


def deleted() -> ApiError:
    """409: the chat was deleted under a start, which would otherwise answer without the history it counts on."""
    message = "This chat was deleted while the answer was being started. Send the message again to begin a new chat."
    return ApiError(409, "chat_deleted", message)
