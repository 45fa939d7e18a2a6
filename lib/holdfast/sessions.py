"""Sessions of browsers: who they are stands, signed, in a cookie, and nowhere else (docs/protocol.md, rules U3, U4)."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from holdfast.signing import is_signed, sign

_PURPOSE: Final = "session"
_FORM: Final = re.compile(
    r"v1\.(?P<id>[A-Za-z0-9_-]{22})\.(?P<expires>[0-9]{1,12})\.(?P<signature>[A-Za-z0-9_-]{43})", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Session:
    """A session as its cookie tells it.

    Attributes:
        id: 128 random bits.
        expires: epoch seconds.
    """

    id: str
    expires: int

    @property
    def owner(self) -> str:
        """The owner of what is started in this session."""
        return f"session:{self.id}"


def new_session(expires: int) -> Session:
    """A session that nobody has had.

    Args:
        expires: epoch seconds.
    """
    return Session(secrets.token_urlsafe(16), expires)


def of_owner(owner: str, expires: int) -> Session | None:
    """The session of an owner, for another device; None where the owner is no session's."""
    kind, _, id = owner.partition(":")
    return Session(id, expires) if kind == "session" and id else None


def write(session: Session, secret: str) -> str:
    """The cookie's value.

    Args:
        session: the session.
        secret: ``HOLDFAST_SECRET``.
    """
    return f"v1.{session.id}.{session.expires}.{sign(secret, _PURPOSE, session.id, str(session.expires))}"


def read(value: str, accepted: Sequence[str], now: float) -> Session | None:
    """The session of a cookie's value, or None if it was not signed here or has expired.

    Args:
        value: what a client sent.
        accepted: the secrets that may have signed it.
        now: epoch seconds.
    """
    match = _FORM.fullmatch(value)
    if match is None or not is_signed(match["signature"], accepted, _PURPOSE, match["id"], match["expires"]):
        return None
    session = Session(match["id"], int(match["expires"]))
    return session if now < session.expires else None
