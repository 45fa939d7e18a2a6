"""The database's replies, and their two forms in an answer: JSON (plain or base64) and the Redis protocol."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from standins.redis_rules import Command, name_of


@dataclass(frozen=True, slots=True)
class Failure:
    """An error that is the outcome of one command, e.g. ``WRONGTYPE Operation against …``."""

    message: str


#: What a command answered: a string, an integer, nil, an array of these, or an error.
type Reply = bytes | int | Failure | list[Reply] | None

# Commands whose string replies are statuses, not data.
_STATUS_COMMANDS = frozenset(
    {"CLIENT", "FLUSHALL", "FLUSHDB", "FUNCTION", "HMSET", "JSON.MERGE", "JSON.MSET", "JSON.SET", "LSET", "LTRIM"}
    | {"MSET", "PFMERGE", "PSETEX", "RENAME", "RESTORE", "SCRIPT", "SET", "SETEX", "TYPE", "XGROUP", "XSETID"}
)


def element(reply: Reply, *, encoded: bool) -> dict[str, Any]:
    """One command's outcome as ``{"result"}`` or ``{"error"}``.

    Args:
        reply: what the database answered.
        encoded: put every string but ``OK`` in base64; otherwise what is not UTF-8 is replaced.
    """
    if isinstance(reply, Failure):
        return {"error": reply.message}
    return {"result": _plain(reply, encoded)}


def _plain(reply: Reply, encoded: bool) -> Any:
    match reply:
        case bytes():
            if encoded and reply != b"OK":
                return base64.b64encode(reply).decode()
            return reply.decode("utf-8", "replace")
        case list():
            return [_plain(item, encoded) for item in reply]
        case Failure():
            return _plain(reply.message.encode(), encoded)
        case _:
            return reply


def resp2(command: Command, reply: Reply) -> bytes:
    """One command's outcome in the Redis protocol, version 2.

    The client library tells no status from a string, so which one it is goes by the command's name.
    """
    if isinstance(reply, bytes) and _is_status(command):
        return b"+%b\r\n" % reply
    return _resp2(reply)


def _is_status(command: Command) -> bool:
    name = name_of(command)
    if name == "SET":
        return b"GET" not in (option.upper() for option in command[3:])
    return name in _STATUS_COMMANDS or (name == "PING" and len(command) == 1)


def _resp2(reply: Reply) -> bytes:
    match reply:
        case None:
            return b"$-1\r\n"
        case bytes():
            return b"$%d\r\n%b\r\n" % (len(reply), reply)
        case int():
            return b":%d\r\n" % reply
        case Failure():
            return b"-%b\r\n" % reply.message.replace("\r", " ").replace("\n", " ").encode()
        case list():
            return b"*%d\r\n%b" % (len(reply), b"".join(map(_resp2, reply)))


def size_of(reply: Reply) -> int:
    """How many bytes of strings a reply holds."""
    match reply:
        case bytes():
            return len(reply)
        case list():
            return sum(map(size_of, reply))
        case _:
            return 0
