"""QStash's signatures and the two keys behind them, made with pyjwt: the library's own verifier is not asked."""

from __future__ import annotations

import base64
import hashlib
import random
import string
from dataclasses import dataclass, field

import jwt

_ALPHABET = string.ascii_letters + string.digits


def random_id(rng: random.Random, prefix: str, length: int = 28) -> str:
    """An id of QStash's kind, such as ``msg_7kYjw48mhY7kAjqNGcy6cr29RJ6r``."""
    return prefix + "".join(rng.choices(_ALPHABET, k=length))


@dataclass(slots=True)
class SigningKeys:
    """The current and the next signing key, and those that it began with."""

    current: str
    next: str
    _first: tuple[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self._first = (self.current, self.next)

    def rotate(self, rng: random.Random) -> None:
        """The next key becomes the current one, and a new one the next."""
        self.current, self.next = self.next, random_id(rng, "sig_")

    def restore(self) -> None:
        """Undo every rotation."""
        self.current, self.next = self._first

    def sign(self, url: str, body: bytes, *, now: float, token_id: str) -> str:
        """The ``Upstash-Signature`` of a call, as QStash's "Security" page has it; it lives for five minutes.

        Args:
            url: the destination.
            body: what is sent.
            now: epoch seconds.
            token_id: unique to this signature.
        """
        issued = int(now)
        claims = {
            "iss": "Upstash",
            "sub": url,
            "exp": issued + 300,
            # 0 in what QStash sends since September 2024, though the page shows the time of issue.
            "nbf": 0,
            "iat": issued,
            "jti": token_id,
            "body": base64.urlsafe_b64encode(hashlib.sha256(body).digest()).decode(),
        }
        return jwt.encode(claims, self.current, algorithm="HS256")
