"""Who may read a stream: its owner, whoever holds a token of it, and nobody else (docs/protocol.md, chapter U)."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.errors import BadRecord
from holdfast.records import Entry, Queued
from holdfast.stored import read_json
from holdfast.tokens import Token


@dataclass(frozen=True, slots=True)
class Access:
    """What somebody who asks for a stream has shown.

    Attributes:
        owner: who they are, or None.
        token: a valid token of this very stream, or None. A share may have been revoked: the store knows.
    """

    owner: str | None = None
    token: Token | None = None

    @property
    def is_nobody(self) -> bool:
        """Whether no stream could be theirs, so that none need be looked for."""
        return self.owner is None and self.token is None

    @property
    def share(self) -> Token | None:
        """The share that stands or falls with what the store says, if that is what was shown."""
        return self.token if self.token is not None and self.token.shared else None

    def opens(self, owner: str | None, *, revoked: bool) -> bool:
        """Whether a stream is theirs to read.

        Args:
            owner: the stream's.
            revoked: whether the share that was shown is revoked.
        """
        if self.token is not None:
            return not (self.token.shared and revoked)
        return owner is not None and owner == self.owner


def owner_of(first: Entry) -> str | None:
    """The owner that a log's first entry names; None if it is none."""
    return first.record.owner if isinstance(first.record, Queued) else None


def owner_in(text: str) -> str | None:
    """The owner in a first record that this version cannot read, so that its owner, and nobody else, is told so."""
    try:
        match read_json(text):
            case {"t": "queued", "owner": str(owner)}:
                return owner
    except BadRecord:
        pass
    return None
