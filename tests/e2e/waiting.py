"""Waiting for what can be observed, with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable

#: Seconds after which something that must happen has not happened; a slow machine needs a fraction of it.
LIMIT = 40.0


def until[T](look: Callable[[], T], what: str, seconds: float = LIMIT) -> T:
    """Look again and again until there is something true to see, and return it.

    Args:
        look: asks for it.
        what: what is waited for, for the failure's message.
        seconds: the deadline.
    """
    end = time.monotonic() + seconds
    while not (seen := look()):
        if time.monotonic() > end:
            raise AssertionError(f"after {seconds:g} s there is still no: {what}")
        time.sleep(0.02)
    return seen
