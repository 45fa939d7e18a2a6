"""Shares of a stream: given, revoked, and looked at when they are used (docs/protocol.md, rules U10, U11)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from holdfast import tokens
from holdfast.keys import Keys
from holdfast.log import GRACE_MS, Log
from holdfast.operations import Get, GetMany, Keep, Put
from holdfast.tokens import FIRST_GENERATION, Token


@dataclass(frozen=True, slots=True)
class Shares:
    """The shares of one deployment's streams.

    Attributes:
        log: the store and its names.
        secret: ``HOLDFAST_SECRET``.
        longest_seconds: the longest life of a share.
    """

    log: Log
    secret: str
    longest_seconds: int

    @property
    def _lives_ms(self) -> int:
        # What says that a share is revoked must outlive every share that it speaks of.
        return self.longest_seconds * 1000 + GRACE_MS

    async def give(self, stream: str, expires: int) -> str:
        """A new share of a stream.

        Args:
            stream: the stream's id.
            expires: epoch seconds, no later than ``longest_seconds`` from now.
        """
        key = self.log.keys.shares(stream)
        # A write beside the read has the primary answer: a share must not be given out of a generation that is gone.
        generation, _ = await self.log.run(Get(key), Keep(key, self._lives_ms))
        return tokens.mint_share(self.secret, stream, expires, generation or FIRST_GENERATION)

    async def revoke(self, stream: str, share: Token) -> None:
        """Revoke one share."""
        await self.log.run(Put(self.log.keys.unshared(stream, share.id), "1", self._lives_ms))

    async def revoke_all(self, stream: str) -> None:
        """Revoke every share of a stream that was given so far: what is given from now on is of a new generation."""
        await self.log.run(Put(self.log.keys.shares(stream), tokens.new_id(), self._lives_ms))


def look(keys: Keys, stream: str, share: Token) -> GetMany:
    """What to ask the store, beside the log, before a share is honoured."""
    return GetMany((keys.shares(stream), keys.unshared(stream, share.id)))


def is_revoked(share: Token, found: Sequence[str | None]) -> bool:
    """Whether a share is revoked, by what ``look`` found."""
    generation, mark = found
    return mark is not None or (generation or FIRST_GENERATION) != share.generation
