"""What the keys of a chat hold: claims of turns, and messages (docs/protocol.md, chapter H)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeGuard

from holdfast.errors import BadRecord
from holdfast.generation import UIMessage
from holdfast.stored import read_json


@dataclass(frozen=True, slots=True)
class Turn:
    """A claimed turn: which stream answers, and what tells the turn from another one."""

    number: int
    stream: str
    identity: str


def parse_turn(number: int, stored: Any) -> Turn:
    """A stored claim of a turn.

    Raises:
        BadRecord: it is none.
    """
    match read_json(stored):
        case {"stream": str(stream), "identity": str(identity)}:
            return Turn(number, stream, identity)
    raise BadRecord("The chat holds a turn that is malformed.")


def parse_place(stored: str) -> tuple[str, str] | None:
    """The owner's digest and the chat's id in a stored claim of a turn; None where it is no claim or lacks them."""
    try:
        match read_json(stored):
            case {"owner": str(owner), "chat": str(chat)}:
                return owner, chat
    except BadRecord:
        pass
    return None


def parse_message(stored: str) -> UIMessage:
    """A stored message.

    Raises:
        BadRecord: it is none.
    """
    message = read_json(stored)
    if is_message(message):
        return message
    raise BadRecord("The chat holds a message that is malformed.")


def is_message(value: object) -> TypeGuard[UIMessage]:
    """Whether something that was stored has the shape of a UI message."""
    return (
        isinstance(value, dict)
        and isinstance(value.get("role"), str)
        and isinstance(value.get("id", ""), str)
        and isinstance(value.get("parts"), list)
        and all(isinstance(part, dict) and isinstance(part.get("type"), str) for part in value["parts"])
    )
