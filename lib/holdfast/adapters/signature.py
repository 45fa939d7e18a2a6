"""Checks QStash's request signatures with the standard library alone; anything but a valid one is ``BadSignature``."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.errors import HoldfastError

#: What QStash signs is a few hundred bytes plus the URL; more than this is not one of its tokens.
MAX_TOKEN_CHARS = 8_192


class BadSignature(HoldfastError):
    """A request that is not provably from QStash, for this URL, with this body, now. The message says which."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a valid signature says. Times are epoch seconds.

    Attributes:
        subject: the URL that the request was sent to.
        expires: the end of the token's life.
        not_before: its beginning; QStash sends 0.
        issued: when it was made, or None when the token does not say.
        id: unique to this token, or empty.
    """

    subject: str
    expires: float
    not_before: float
    issued: float | None
    id: str


def verify(
    signature: str | None, body: bytes, url: str, *, keys: Sequence[str], now: float, tolerance: float = 10.0
) -> Claims:
    """Check the ``Upstash-Signature`` of a request; the rules are those of QStash's "Verify Signatures" page.

    The signature is checked first, so nothing that a stranger sent is parsed.

    Args:
        signature: the header's value, or None when it is missing.
        body: the request's body, byte for byte.
        url: the URL that QStash was told to call. It is compared exactly: a request signed for another URL fails.
        keys: the current signing key, then the next one; a rotation makes the second valid for a while.
        now: epoch seconds.
        tolerance: seconds by which the two clocks may differ.

    Returns:
        The token's claims.

    Raises:
        BadSignature: the request must be refused. No other error is raised, whatever the arguments hold.
    """
    if not signature:
        raise BadSignature("The Upstash-Signature header is missing.")
    if len(signature) > MAX_TOKEN_CHARS:
        raise BadSignature("The signature is too long to be one of QStash's.")
    header, payload = _authentic(signature, keys)
    if header.get("alg") != "HS256":
        raise BadSignature("The signature's algorithm is not HS256.")
    if payload.get("iss") != "Upstash":
        raise BadSignature("The signature's issuer is not Upstash.")
    if payload.get("sub") != url:
        raise BadSignature("The signature was made for another URL.")
    expires, not_before = _time(payload, "exp"), _time(payload, "nbf")
    if now > expires + tolerance:
        raise BadSignature("The signature has expired.")
    if now < not_before - tolerance:
        raise BadSignature("The signature is not valid yet.")
    digest = payload.get("body")
    if not isinstance(digest, str):
        raise BadSignature("The signature does not cover the body.")
    if not hmac.compare_digest(digest.rstrip("=").encode("utf-8", "replace"), _encoded(hashlib.sha256(body).digest())):
        raise BadSignature("The body is not the one that was signed.")
    issued = _time(payload, "iat") if "iat" in payload else None
    token_id = payload.get("jti")
    return Claims(url, expires, not_before, issued, token_id if isinstance(token_id, str) else "")


def _authentic(signature: str, keys: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The token's header and payload, once one of the keys is shown to have signed them."""
    try:
        token = signature.encode("ascii")
    except UnicodeEncodeError:
        raise BadSignature("The signature is not a token: it has characters outside ASCII.") from None
    parts = token.split(b".")
    if len(parts) != 3:
        raise BadSignature("The signature is not a token: it does not have three parts.")
    signed = parts[0] + b"." + parts[1]
    # An empty key would let anyone sign; every key is tried, so that the time taken does not tell which one fits.
    macs = [hmac.digest(key.encode("utf-8", "replace"), signed, "sha256") for key in keys if key]
    if not macs:
        raise BadSignature("No signing key is configured, so no signature can be valid.")
    if not any([hmac.compare_digest(parts[2], _encoded(mac)) for mac in macs]):  # noqa: C419 - see above
        raise BadSignature("The signature does not match any signing key.")
    return _object(parts[0]), _object(parts[1])


def _object(part: bytes) -> dict[str, Any]:
    try:
        raw = base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))
        value = json.loads(raw)
    except (ValueError, RecursionError):
        raise BadSignature("The signature is not a token: a part of it is not JSON.") from None
    if not isinstance(value, dict):
        raise BadSignature("The signature is not a token: a part of it is not a JSON object.")
    return value


def _time(payload: dict[str, Any], claim: str) -> float:
    value = payload.get(claim)
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            seconds = float(value)
            # Python's JSON has infinities and NaN; a token that expires at NaN would never expire.
            if math.isfinite(seconds):
                return seconds
    except OverflowError:
        pass
    raise BadSignature(f"The signature's {claim} claim is missing or not a time.")


def _encoded(digest: bytes) -> bytes:
    return base64.urlsafe_b64encode(digest).rstrip(b"=")
