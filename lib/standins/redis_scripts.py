"""What Upstash understands at the head of a script and the engines behind this stand-in do not."""

from __future__ import annotations

from standins.redis_rules import Command, name_of

_SCRIPTED = frozenset({"EVAL", "EVAL_RO"})
#: Upstash's own flag: the script locks its keys and not the whole database. Redis refuses a flag that it does not know.
_OWN_FLAG = b"allow-key-locking"


def runnable(command: Command, *, fake: bool) -> Command:
    """A command as the engine takes it: scripts without the part of their first line that is not for it.

    The line stays, so that errors name the right ones. Not done for EVALSHA and SCRIPT LOAD, whose digest the caller
    has made from the whole text.

    Args:
        command: what was asked for.
        fake: whether the engine is fakeredis, whose Lua knows no such line at all; Redis knows its other flags.
    """
    if name_of(command) not in _SCRIPTED or len(command) < 2 or not command[1].startswith(b"#!lua"):
        return command
    head, newline, rest = command[1].partition(b"\n")
    if fake:
        head = b""
    else:
        words = [word for word in head.split(b" ") if word]
        flags = [flag for word in words if word.startswith(b"flags=") for flag in word[6:].split(b",")]
        kept = [flag for flag in flags if flag != _OWN_FLAG]
        words = [word for word in words if not word.startswith(b"flags=")]
        head = b" ".join([*words, b"flags=" + b",".join(kept)] if kept else words)
    return [command[0], head + newline + rest, *command[2:]]
