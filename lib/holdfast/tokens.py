"""Tokens that let their holders read one stream: read tokens and shares (docs/protocol.md, rules U9 to U11)."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from holdfast.identity import created_ms
from holdfast.signing import is_signed, sign

#: What tokens begin with, by which they are known among other credentials, and by scanners for leaked secrets.
_READ: Final = "hfr_"
_SHARE: Final = "hfs_"
#: The generation of shares of a stream of which none was ever revoked.
FIRST_GENERATION: Final = "0"
_FORM: Final = re.compile(
    r"(?P<kind>hf[rs]_)(?P<expires>[0-9]{1,12})\.(?P<generation>[A-Za-z0-9_-]{1,11})\.(?P<id>[A-Za-z0-9_-]{1,11})"
    r"\.(?P<signature>[A-Za-z0-9_-]{43})",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Token:
    """What a valid token says.

    Attributes:
        shared: whether it is a share, which can be revoked; else a read token, which the starter has.
        expires: epoch seconds.
        generation: which of the stream's generations of shares it belongs to.
        id: tells it from other shares.
    """

    shared: bool
    expires: int
    generation: str
    id: str


def mint_read(secret: str, stream: str, expires: int) -> str:
    """A token with which whoever started a stream reads it from anywhere.

    Args:
        secret: ``HOLDFAST_SECRET``.
        stream: the stream's id.
        expires: epoch seconds.
    """
    return _mint(secret, _READ, stream, expires, FIRST_GENERATION, "0")


def mint_share(secret: str, stream: str, expires: int, generation: str) -> str:
    """A token that is given to others, and can be revoked.

    Args:
        secret, stream, expires: as for ``mint_read``.
        generation: the stream's present generation of shares; all of one generation are revoked together.
    """
    return _mint(secret, _SHARE, stream, expires, generation, new_id())


def new_id() -> str:
    """11 characters that nobody has used: for shares and for their generations."""
    return secrets.token_urlsafe(8)


def is_token(text: str) -> bool:
    """Whether a credential is meant as one of these tokens, valid or not."""
    return text.startswith((_READ, _SHARE))


def read(token: str, accepted: Sequence[str], stream: str, now: float) -> Token | None:
    """What a token says, or None unless it was minted for this stream and has not expired.

    Args:
        token: what a client sent.
        accepted: the secrets that may have signed it.
        stream: the stream's id, as a client sent it.
        now: epoch seconds.
    """
    match = _FORM.fullmatch(token)
    if match is None or created_ms(stream) is None:
        return None
    kind, expires, generation, id, signature = match.groups()
    if not is_signed(signature, accepted, kind, stream, expires, generation, id) or now >= int(expires):
        return None
    return Token(kind == _SHARE, int(expires), generation, id)


def _mint(secret: str, kind: str, stream: str, expires: int, generation: str, id: str) -> str:
    signature = sign(secret, kind, stream, str(expires), generation, id)
    return f"{kind}{expires}.{generation}.{id}.{signature}"
