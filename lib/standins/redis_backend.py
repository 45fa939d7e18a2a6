"""The database behind the REST API: fakeredis in this process, or any Redis server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any

import redis.asyncio
from fakeredis import FakeAsyncRedis, FakeServer
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from standins.redis_corrections import corrected
from standins.redis_replies import Failure, Reply
from standins.redis_rules import Command, RefusedError, name_of, unavailable
from standins.redis_scripts import runnable

_MAX_CONNECTIONS = 4096  # one for each request under way and each subscriber; a stand-in has no reason to queue


class UnreachableError(RefusedError):
    """The database does not answer; whether it ran the commands is not known."""

    def __init__(self) -> None:
        super().__init__("ERR the database is unreachable", 503)


class Backend:
    """Runs commands and hands back their raw replies, without the client library's conversions and retries."""

    def __init__(self, url: str | None = None) -> None:
        """Open nothing yet.

        Args:
            url: a ``redis://``, ``rediss://`` or ``unix://`` address; without one the data lives in this process.

        Raises:
            ValueError: the address is malformed.
        """
        self._fake = url is None
        if url is None:
            self._client: redis.asyncio.Redis = FakeAsyncRedis(
                server=FakeServer(version=(7, 2)), protocol=2, max_connections=_MAX_CONNECTIONS
            )
        else:
            # A retry would run a command twice behind the caller's back.
            self._client = redis.asyncio.Redis.from_url(
                url, protocol=2, max_connections=_MAX_CONNECTIONS, socket_timeout=None, retry=Retry(NoBackoff(), 0)
            )

    async def close(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    async def run(self, commands: Sequence[Command]) -> list[Reply]:
        """Run commands in order; others may come in between.

        Raises:
            UnreachableError: the database could not be asked.
        """
        replies: list[Reply] = []
        async with self._connection() as connection:
            for command in commands:
                if replies:
                    # fakeredis never waits: without this a pipeline would look atomic, which it is not.
                    await asyncio.sleep(0)
                replies.append(self._settled(command, await _ask(connection, runnable(command, fake=self._fake))))
        return replies

    async def transaction(self, commands: Sequence[Command]) -> list[Reply] | Failure:
        """Run commands as one MULTI/EXEC, with nothing in between.

        Returns:
            The reply of each command, or the reason why the whole was discarded.

        Raises:
            UnreachableError: the database could not be asked.
        """
        async with self._connection() as connection:
            framed = [[b"MULTI"], *(runnable(command, fake=self._fake) for command in commands), [b"EXEC"]]
            # One write: fakeredis runs it without a pause, and a lost connection cannot leave half a transaction.
            await connection.send_packed_command(connection.pack_commands(framed))
            answers = [await _read(connection) for _ in framed]
        outcome = answers[-1]
        if isinstance(outcome, list):
            return [self._settled(command, reply) for command, reply in zip(commands, outcome, strict=True)]
        reasons = (
            self._settled(command, answer)
            for command, answer in zip(commands, answers[1:-1], strict=True)
            if isinstance(answer, Failure)
        )
        first = next(reasons, outcome)
        return first if isinstance(first, Failure) else Failure("EXECABORT Transaction discarded")

    async def subscribe(self, command: Command) -> AsyncGenerator[list[bytes]]:
        """Subscribe, and yield what the database says: ``[b"subscribe", channel, count]``, ``[b"message", …]``.

        Args:
            command: SUBSCRIBE or PSUBSCRIBE with its channels.

        Raises:
            UnreachableError: the connection to the database was lost.
        """
        async with self._connection() as connection:
            try:
                await connection.send_packed_command(connection.pack_command(*command))
                while True:
                    said = await _read(connection, disconnect_on_error=False)
                    if isinstance(said, list):
                        yield [item if isinstance(item, bytes) else str(item).encode() for item in said]
            finally:
                # A connection that listened cannot be trusted to have nothing more to say, so it is not kept; and
                # fakeredis forgets a subscriber by UNSUBSCRIBE alone, not by its connection's end.
                undone = b"PUNSUBSCRIBE" if name_of(command) == "PSUBSCRIBE" else b"UNSUBSCRIBE"
                with contextlib.suppress(RedisError, OSError):
                    await connection.send_packed_command(connection.pack_command(undone))
                await connection.disconnect()

    def _settled(self, command: Command, reply: Reply) -> Reply:
        if isinstance(reply, Failure) and reply.message.startswith("ERR unknown command"):
            return Failure(unavailable(name_of(command)).message)
        return corrected(command, reply) if self._fake else reply

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        # The connection itself, because the client above it turns replies into Python's types by command name.
        pool: Any = self._client.connection_pool
        try:
            connection = await pool.get_connection()
        except (RedisError, OSError) as error:
            raise UnreachableError from error
        try:
            yield connection
        except (RedisError, OSError) as error:
            await connection.disconnect()
            raise UnreachableError from error
        except BaseException:
            # Cancelled between a command and its reply: that reply must not meet the next request.
            await connection.disconnect()
            raise
        finally:
            await pool.release(connection)


async def _ask(connection: Any, command: Command) -> Reply:
    await connection.send_packed_command(connection.pack_command(*command))
    return await _read(connection)


async def _read(connection: Any, *, disconnect_on_error: bool = True) -> Reply:
    try:
        value = await connection.read_response(disable_decoding=True, disconnect_on_error=disconnect_on_error)
        return _reply(value)
    except ResponseError as error:
        return _reply(error)


def _reply(value: Any) -> Reply:
    if isinstance(value, list):
        return [_reply(item) for item in value]
    if isinstance(value, ResponseError):
        # The client library takes the code off the text of the errors that it knows.
        return Failure(f"{value.status_code} {value}" if value.status_code else str(value))
    return value  # type: ignore[no-any-return]
