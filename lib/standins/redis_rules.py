"""What Upstash refuses before a command reaches the database: unsupported commands and things that are too large."""

from __future__ import annotations

#: One command: its name and arguments as bytes, as the Redis protocol carries them.
type Command = list[bytes]

MAX_REQUEST_BYTES = 10 * 1024 * 1024
MAX_KEY_BYTES = 32 * 1024
MAX_MEMBER_BYTES = 32 * 1024


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Over REST there is no connection that could hold a state or wait, so the first four groups have no meaning
# (Upstash documentation, "REST - Redis API Compatibility"); and a managed database is not its users' to administer.
_CONNECTION = _names("ASKING AUTH CLIENT CLUSTER HELLO QUIT READONLY READWRITE RESET SELECT")
_TRANSACTION = _names("DISCARD EXEC MULTI UNWATCH WATCH")
_BLOCKING = _names("BLMOVE BLMPOP BLPOP BRPOP BRPOPLPUSH BZMPOP BZPOPMAX BZPOPMIN WAIT WAITAOF")
_SUBSCRIBING = _names("MONITOR PSUBSCRIBE PUNSUBSCRIBE SSUBSCRIBE SUBSCRIBE SUNSUBSCRIBE UNSUBSCRIBE")
_ADMIN = _names(
    "BGREWRITEAOF BGSAVE CONFIG DEBUG FAILOVER LATENCY MIGRATE MODULE MOVE PFDEBUG PSYNC REPLCONF REPLICAOF "
    "ROLE SAVE SHUTDOWN SLAVEOF SLOWLOG SWAPDB SYNC"
)
_UNAVAILABLE = _CONNECTION | _TRANSACTION | _BLOCKING | _SUBSCRIBING | _ADMIN

# Where a command's keys are; of any other command the first argument is the key.
_WITHOUT_KEYS = _names(
    "ACL COMMAND DBSIZE ECHO FLUSHALL FLUSHDB FUNCTION INFO KEYS LASTSAVE LOLWUT MEMORY PING PUBLISH PUBSUB "
    "RANDOMKEY SCAN SCRIPT SPUBLISH TIME"
)
_ALL_KEYS = _names(
    "DEL EXISTS MGET PFCOUNT PFMERGE SDIFF SDIFFSTORE SINTER SINTERSTORE SUNION SUNIONSTORE TOUCH UNLINK"
)
_TWO_KEYS = _names("COPY GEOSEARCHSTORE LCS LMOVE RENAME RENAMENX RPOPLPUSH SMOVE ZRANGESTORE")
_SECOND_IS_KEY = _names("OBJECT XGROUP XINFO")
_COUNTED_FIRST = _names("LMPOP SINTERCARD ZDIFF ZINTER ZINTERCARD ZMPOP ZUNION")
_COUNTED_SECOND = _names("EVAL EVALSHA EVALSHA_RO EVAL_RO FCALL FCALL_RO ZDIFFSTORE ZINTERSTORE ZUNIONSTORE")

_ZADD_OPTIONS = frozenset((b"NX", b"XX", b"GT", b"LT", b"CH", b"INCR"))


class RefusedError(Exception):
    """A request, or one command of it, that never reaches the database.

    Args:
        message: the error's text as Upstash words it.
        status: the HTTP status if the whole request is refused.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


def name_of(command: Command) -> str:
    """The command's name in upper case, as the counters show it."""
    return command[0].decode("utf-8", "replace").upper()


def check(command: Command) -> None:
    """Refuse what Upstash's REST API does not run.

    Raises:
        RefusedError: the command is unsupported or blocking, or a key or member is over its limit.
    """
    name = name_of(command)
    if name in _UNAVAILABLE and not _is_client_setinfo(name, command):
        raise unavailable(name)
    if name in {"XREAD", "XREADGROUP"} and _blocks(name, command):
        raise RefusedError(f"ERR the BLOCK option of '{name}' is not supported over REST")
    for key in _keys(name, command):
        _limit("key", key, MAX_KEY_BYTES)
    for member in _members(name, command):
        _limit("set member", member, MAX_MEMBER_BYTES)


def unavailable(name: str) -> RefusedError:
    """Upstash's one answer to a command that it does not have and to one that it does not allow."""
    return RefusedError(f"ERR Command is not available: '{name}'")


def request_too_large(size: int) -> RefusedError:
    """Upstash's answer to a request, or a command's reply, over its request limit."""
    return RefusedError(f"ERR max request size exceeded. Limit: {MAX_REQUEST_BYTES} bytes, Actual: {size} bytes")


def _limit(what: str, value: bytes, limit: int) -> None:
    if len(value) > limit:
        raise RefusedError(f"ERR max {what} size exceeded. Limit: {limit} bytes, Actual: {len(value)} bytes")


def _is_client_setinfo(name: str, command: Command) -> bool:
    # The SDKs offer it; it changes nothing that a later request could see.
    return name == "CLIENT" and len(command) > 1 and command[1].upper() == b"SETINFO"


def _blocks(name: str, command: Command) -> bool:
    # The group and the consumer come before the options and may have any name, BLOCK included.
    rest = command[4:] if name == "XREADGROUP" else command[1:]
    for argument in rest:
        if argument.upper() == b"STREAMS":
            return False
        if argument.upper() == b"BLOCK":
            return True
    return False


def _keys(name: str, command: Command) -> Command:
    arguments = command[1:]
    if name in _ALL_KEYS:
        return arguments
    if name in {"MSET", "MSETNX"}:
        return arguments[::2]
    if name in _TWO_KEYS:
        return arguments[:2]
    if name == "BITOP":
        return arguments[1:]
    if name in _SECOND_IS_KEY:
        return arguments[1:2]
    if name in _COUNTED_FIRST:
        return _counted(arguments)
    if name in _COUNTED_SECOND:
        destination = [] if name.startswith(("EVAL", "FCALL")) else arguments[:1]
        return destination + _counted(arguments[1:])
    if name in {"XREAD", "XREADGROUP"}:
        return _stream_keys(arguments)
    return [] if name in _WITHOUT_KEYS else arguments[:1]


def _counted(arguments: Command) -> Command:
    count = int(arguments[0]) if arguments and arguments[0].isdigit() else 0
    return arguments[1 : 1 + count]


def _stream_keys(arguments: Command) -> Command:
    for index, argument in enumerate(arguments):
        if argument.upper() == b"STREAMS":
            rest = arguments[index + 1 :]
            return rest[: len(rest) // 2]
    return []


def _members(name: str, command: Command) -> Command:
    arguments = command[2:]
    if name == "SADD":
        return arguments
    if name in {"ZINCRBY", "SMOVE"}:
        return arguments[1:2]
    if name in {"ZADD", "GEOADD"}:
        while arguments and arguments[0].upper() in _ZADD_OPTIONS:
            arguments = arguments[1:]
        return arguments[1::2] if name == "ZADD" else arguments[2::3]
    return []
