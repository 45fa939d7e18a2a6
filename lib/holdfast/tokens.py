"""Read tokens: signed, bound to one stream, and of use for a while (docs/protocol.md, rule W7)."""

from __future__ import annotations

import base64
import hashlib
import hmac


def mint(secret: str, stream: str, expires: int) -> str:
    """A token that lets its holder read one stream.

    Args:
        secret: ``HOLDFAST_SECRET``.
        stream: the stream's id.
        expires: epoch seconds.
    """
    return f"{expires}.{_mac(secret, stream, expires)}"


def is_valid(token: str, secret: str, stream: str, now: float) -> bool:
    """Whether a token was minted for this stream and has not expired; anything malformed is not.

    Args:
        token: what a client sent.
        secret: ``HOLDFAST_SECRET``.
        stream: the stream's id.
        now: epoch seconds.
    """
    text, _, mac = token.partition(".")
    if not text.isascii() or not text.isdigit() or len(text) > 12:
        return False
    expires = int(text)
    # The time is looked at last, so that a forged token cannot be told from an expired one by how long it takes.
    return hmac.compare_digest(mac.encode("utf-8", "replace"), _mac(secret, stream, expires).encode()) and now < expires


def _mac(secret: str, stream: str, expires: int) -> str:
    message = f"holdfast read {stream} {expires}".encode()
    digest = hmac.digest(secret.encode(), message, hashlib.sha256)
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
