"""The store over the Upstash Redis REST API: one request a call, every call bounded, foreign errors mapped here."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Literal, assert_never

import httpx
from upstash_redis.asyncio import Redis
from upstash_redis.errors import UpstashError

from holdfast.adapters.calls import Calls
from holdfast.errors import Rejected, Unavailable
from holdfast.operations import (
    Append,
    Crop,
    Drop,
    Get,
    GetMany,
    Keep,
    Last,
    Newest,
    Operation,
    Put,
    Range,
    Rank,
    Ranked,
    RawEntry,
    Score,
    Unrank,
)
from holdfast.records import EntryId

type _Command = list[str | int]

#: The one field of every entry: its record as JSON.
_FIELD = "r"


class UpstashLog:
    """A ``StreamLog`` on Upstash Redis.

    Args:
        url: ``UPSTASH_REDIS_REST_URL``.
        token: ``UPSTASH_REDIS_REST_TOKEN``.
        timeout: seconds for one request; the SDK by itself would wait for ever.
    """

    def __init__(self, url: str, token: str, *, timeout: float = 5.0) -> None:
        self._url = url
        self._token = token
        self._timeout = timeout
        self._client: Redis | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._calls = Calls()

    async def apply(self, *operations: Operation) -> Sequence[Any]:
        """Carry out operations; see ``StreamLog.apply``. Several go as one ``/multi-exec``."""
        commands = [_command(operation) for operation in operations]
        client = self._connected()
        try:
            results = await self._calls.wait(_send(client, commands), self._timeout)
            return [_result(operation, result) for operation, result in zip(operations, results, strict=True)]
        except UpstashError as error:
            raise Rejected("Redis refused a command.") from error
        except (httpx.HTTPError, TimeoutError) as error:
            raise Unavailable("Redis did not answer.") from error
        except (ValueError, AttributeError, TypeError, KeyError, AssertionError, IndexError) as error:
            # What the SDK raises for an HTML page, and for an error in place of a transaction's results.
            raise Unavailable("Redis answered with something that is not a result.") from error

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._calls.close()
            await self._client.close()
            self._client = self._loop = None

    def _connected(self) -> Redis:
        # A client belongs to the event loop of its first use; on another one its connections are dead.
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            self._loop = loop
            # The SDK's own retry waits 3 s; ours stand where the ids make them safe (log.py).
            self._client = Redis(self._url, self._token, rest_retries=0, allow_telemetry=False)
            # The SDK has no setting for it, and a call whose caller has left must end by itself.
            self._client._http._client.timeout = httpx.Timeout(self._timeout)
            self._calls = Calls()
        return self._client


async def _send(client: Redis, commands: Sequence[_Command]) -> Sequence[Any]:
    if len(commands) == 1:
        return [await client.execute(commands[0])]
    transaction = client.multi()
    for command in commands:
        transaction.execute(command)
    return await transaction.exec()


def _command(op: Operation) -> _Command:  # noqa: C901 - a table of commands
    match op:
        case Append(key, id, record, create):
            return ["XADD", key, *([] if create else ["NOMKSTREAM"]), str(id), _FIELD, record]
        case Range(key, start, exclusive, limit):
            return ["XRANGE", key, f"({start}" if exclusive else str(start), "+", *_limited("COUNT", limit)]
        case Last(key):
            return ["XREVRANGE", key, "+", "-", "COUNT", 1]
        case Put(key, value, ttl_ms, when):
            return ["SET", key, value, "PX", ttl_ms, *(["NX"] if when == "absent" else [])]
        case Get(key):
            return ["GET", key]
        case GetMany(keys):
            return ["MGET", *keys]
        case Drop(keys):
            return ["DEL", *keys]
        case Keep(key, ttl_ms):
            return ["PEXPIRE", key, ttl_ms]
        case Rank(key, member, score, greater):
            return ["ZADD", key, *(["GT"] if greater else []), score, member]
        case Unrank(key, members):
            return ["ZREM", key, *members]
        case Ranked(key, high, limit, descending):
            top = "+inf" if high is None else high
            span = ["ZREVRANGEBYSCORE", key, top, "-inf"] if descending else ["ZRANGEBYSCORE", key, "-inf", top]
            return [*span, "WITHSCORES", *_limited("LIMIT", limit)]
        case Crop(key, most):
            return ["ZREMRANGEBYRANK", key, 0, -most - 1]
        case Newest(key):
            return ["ZREVRANGE", key, 0, 0, "WITHSCORES"]
        case Score(key, member):
            return ["ZSCORE", key, member]
    assert_never(op)


def _limited(word: Literal["COUNT", "LIMIT"], limit: int | None) -> _Command:
    if limit is None:
        return []
    return [word, limit] if word == "COUNT" else [word, 0, limit]


def _result(op: Operation, raw: Any) -> Any:
    match op:
        case Append():
            return None if raw is None else True
        case Range():
            return [_entry(item) for item in raw or ()]
        case Last():
            return _entry(raw[0]) if raw else None
        case Put() | Keep():
            return bool(raw)
        case Rank():
            return None
        case Ranked():
            return _scored(raw)
        case Newest():
            return next(iter(_scored(raw)), None)
        case Score():
            return None if raw is None else int(raw)
        case _:
            return raw


def _entry(raw: Any) -> RawEntry:
    id, values = raw
    stored = dict(zip(values[::2], values[1::2], strict=True))
    # An entry without our field is a stranger's: its record fails to decode, with a clear error.
    return EntryId.parse(id), stored.get(_FIELD, "")


def _scored(raw: Any) -> list[tuple[str, int]]:
    if raw and not isinstance(raw[0], list | tuple):
        raw = list(zip(raw[::2], raw[1::2], strict=True))
    return [(member, int(float(score))) for member, score in raw or ()]
