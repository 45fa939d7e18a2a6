"""Free ports for servers that take several in a row."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack


def free_block(size: int = 4) -> int:
    """The first of that many free ports in a row on loopback, below the range that systems give out by themselves."""
    for first in random.sample(range(10_000, 30_000, size), 200):
        with ExitStack() as stack:
            try:
                for port in range(first, first + size):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
            return first
    raise AssertionError("no free ports in a row")
