"""A second device: a code that makes another browser the same owner, once and soon (docs/protocol.md, rule U12)."""

from __future__ import annotations

import hashlib
import secrets
from typing import Final

from holdfast.log import Log
from holdfast.operations import Get, Put

#: How long a code is good, in seconds.
LINK_SECONDS: Final = 300


async def offer(log: Log, owner: str) -> str:
    """A code of 128 random bits for another device; the store has only its digest.

    Args:
        log: the store and its names.
        owner: who the other device will be.
    """
    code = secrets.token_urlsafe(16)
    await log.run(Put(log.keys.link(_digest(code)), owner, LINK_SECONDS * 1000))
    return code


async def claim(log: Log, code: str) -> str | None:
    """Use a code up → the owner it stands for, or None if it was used, has expired or never was.

    Of two claims at once one gets the owner; a claim whose reply was lost is the same claim when it is sent again.
    """
    name = _digest(code)
    (offered,) = await log.run(Get(log.keys.link(name)))
    if offered is None:
        return None  # nothing is written for a code that never was
    nonce = secrets.token_hex(8)
    taken = log.keys.claimed(name)
    # Longer than the code itself lives: a code must not be good again because its mark has gone.
    _, by, owner = await log.run(
        Put(taken, nonce, 2 * LINK_SECONDS * 1000, "absent"), Get(taken), Get(log.keys.link(name))
    )
    return owner if by == nonce else None


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode("utf-8", "replace")).hexdigest()[:32]
