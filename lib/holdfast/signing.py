"""Signatures of what is handed to clients and comes back: sessions and tokens (docs/protocol.md, rule U5)."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence


def sign(secret: str, purpose: str, *fields: str) -> str:
    """A signature that nobody without the secret can make, as 43 characters of URL-safe base64.

    Args:
        secret: ``HOLDFAST_SECRET``.
        purpose: what is signed, so that a signature of one kind is never good for another.
        fields: what it says; without newlines, which stand between the fields.
    """
    digest = hmac.digest(secret.encode(), _message(purpose, fields), hashlib.sha256)
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def is_signed(signature: str, secrets: Sequence[str], purpose: str, *fields: str) -> bool:
    """Whether one of the secrets made this signature; the time taken tells nothing.

    Args:
        signature: what a client sent.
        secrets: ``HOLDFAST_SECRET``, and the one that is accepted beside it while it is changed.
        purpose, fields: as for ``sign``.
    """
    given = signature.encode("utf-8", "replace")
    # Every secret is tried, so that the time does not tell which one fits.
    return any([hmac.compare_digest(given, sign(secret, purpose, *fields).encode()) for secret in secrets])  # noqa: C419


def _message(purpose: str, fields: Sequence[str]) -> bytes:
    if any("\n" in field for field in fields):
        raise ValueError("A signed field has a newline.")
    # No JWT signed with the same secret can be this text: what is signed there has neither blanks nor newlines.
    return "\n".join(("holdfast", purpose, *fields)).encode()
