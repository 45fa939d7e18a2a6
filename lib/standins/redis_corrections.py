"""Where fakeredis answers otherwise than Redis: each difference found by running both, and what Redis says."""

from __future__ import annotations

import re

from standins.redis_replies import Failure, Reply
from standins.redis_rules import Command, name_of

_LARGEST_ID = b"18446744073709551615-18446744073709551615"
_EXPIRE = re.compile(r"ERR invalid expire time in (\w+)")
_WITH_SCORES = ("ZDIFF", "ZINTER", "ZRANDMEMBER", "ZRANGE", "ZRANGEBYSCORE", "ZREVRANGE", "ZREVRANGEBYSCORE", "ZUNION")
_SCORED_PAIRS = frozenset((*_WITH_SCORES, "ZPOPMAX", "ZPOPMIN"))


def corrected(command: Command, reply: Reply) -> Reply:
    """What Redis would have answered where fakeredis answered ``reply``.

    Not corrected, since no command tells it afterwards: XRANGE with COUNT 0 of a missing key is nil here, and an
    empty array in Redis. XSETID, OBJECT and JSON.* are not there at all.
    """
    name = name_of(command)
    if isinstance(reply, Failure):
        return _error(name, reply)
    match name:
        case "XRANGE" | "XREVRANGE":
            return _range(name, command, reply)
        case "XREAD" | "XREADGROUP":
            return None if reply == [] else reply
        case "XPENDING":
            return _pending(command, reply)
        case "ZSCORE" | "ZINCRBY" | "ZADD":
            return _shortest(reply)
        case "ZMSCORE" if isinstance(reply, list):
            return [_shortest(item) for item in reply]
        case _ if name in _SCORED_PAIRS:
            return _pairs(name, command, reply)
    return reply


def _error(name: str, failure: Failure) -> Failure:
    if match := _EXPIRE.fullmatch(failure.message):
        return Failure(f"ERR invalid expire time in '{match[1]}' command")
    if "Wrong number of args calling" in failure.message:
        return Failure(f"ERR wrong number of arguments for '{name.lower()}' command")
    return Failure(failure.message.removeprefix("ERR ")) if failure.message.startswith("ERR BUSYGROUP") else failure


def _range(name: str, command: Command, reply: Reply) -> Reply:
    start, end = command[2:4] if name == "XRANGE" else command[3:1:-1]
    if start == b"(" + _LARGEST_ID:
        return Failure("ERR invalid start ID for the interval")
    if end == b"(0-0":
        return Failure("ERR invalid end ID for the interval")
    counted = len(command) == 6 and command[4].upper() == b"COUNT" and int(command[5]) <= 0
    return None if counted and reply == [] else reply


def _pending(command: Command, reply: Reply) -> Reply:
    # In the summary the count of each consumer is a string.
    if len(command) == 3 and isinstance(reply, list) and isinstance(reply[3], list):
        consumers: list[Reply] = [
            [row[0], b"%d" % row[1]] for row in reply[3] if isinstance(row, list) and isinstance(row[1], int)
        ]
        return [*reply[:3], consumers]
    return reply


def _pairs(name: str, command: Command, reply: Reply) -> Reply:
    scored = name.startswith("ZPOP") or b"WITHSCORES" in (argument.upper() for argument in command[2:])
    if not scored or not isinstance(reply, list):
        return reply
    return [_shortest(item) if index % 2 else item for index, item in enumerate(reply)]


def _shortest(reply: Reply) -> Reply:
    # fakeredis prints 17 digits (0.10000000000000001), Redis the shortest text that reads back as the same number.
    if isinstance(reply, bytes) and b"." in reply and len(reply.strip(b"-0.")) >= 16:
        shortest = repr(float(reply))
        return reply if "e" in shortest else shortest.encode()
    return reply
