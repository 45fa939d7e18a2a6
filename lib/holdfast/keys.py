"""Names of everything in the store (docs/protocol.md, rule X2)."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.records import EntryId


@dataclass(frozen=True, slots=True)
class Keys:
    """Names of every key, under one prefix (docs/protocol.md, chapter X)."""

    prefix: str = "holdfast"

    def stream(self, stream: str) -> str:
        return f"{self.prefix}:stream:{stream}"

    def lease(self, stream: str, attempt: int) -> str:
        return f"{self.prefix}:lease:{stream}:{attempt}"

    def away(self, stream: str) -> str:
        return f"{self.prefix}:away:{stream}"

    def lost(self, stream: str, tail: EntryId) -> str:
        """Since when nobody writes behind this entry."""
        return f"{self.prefix}:lost:{stream}:{tail}"

    def asked(self, stream: str, attempt: int, half_minute: int) -> str:
        """That a rescue was asked for in this half minute."""
        return f"{self.prefix}:asked:{stream}:{attempt}:{half_minute}"

    def idempotency(self, digest: str) -> str:
        return f"{self.prefix}:idem:{digest}"

    def shares(self, stream: str) -> str:
        """The generation of a stream's shares, once one was revoked with all others."""
        return f"{self.prefix}:shares:{stream}"

    def unshared(self, stream: str, share: str) -> str:
        """That one share is revoked."""
        return f"{self.prefix}:unshared:{stream}:{share}"

    def link(self, digest: str) -> str:
        """Who the device that knows this code will be."""
        return f"{self.prefix}:link:{digest}"

    def claimed(self, digest: str) -> str:
        """That a code was used."""
        return f"{self.prefix}:claimed:{digest}"

    def turns(self, chat: str) -> str:
        return f"{self.prefix}:chat:{chat}:turns"

    def turn(self, chat: str, turn: int) -> str:
        return f"{self.prefix}:chat:{chat}:turn:{turn}"

    def history(self, chat: str) -> str:
        return f"{self.prefix}:chat:{chat}:history"

    def message(self, chat: str, member: str) -> str:
        return f"{self.prefix}:chat:{chat}:message:{member}"

    def owned(self, owner: str) -> str:
        """An owner's chats by the time of their newest turn."""
        return f"{self.prefix}:owner:{owner}:chats"

    @property
    def due(self) -> str:
        """Streams by the time at which cleanup should look at them next."""
        return f"{self.prefix}:due"

    @property
    def nothing(self) -> str:
        """A key that never exists."""
        return f"{self.prefix}:nothing"

    @property
    def chats(self) -> str:
        """Chats by the time at which they expire."""
        return f"{self.prefix}:chats"

    @property
    def erasing(self) -> str:
        """Chats that are being deleted, by the time at which cleanup should see to what is left of them."""
        return f"{self.prefix}:erasing"
