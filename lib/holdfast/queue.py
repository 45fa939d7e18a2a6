"""The queue port: deliveries to the publish function, at least once, in no order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Delivery:
    """One try of the queue to have a stream published.

    Attributes:
        stream: the stream's id.
        attempt: the attempt that the message was enqueued for, from 1; an answer may be further already.
        message_id: the queue's id of the message, the same for each of its tries.
        retried: how many tries of this message came before, from 0.
    """

    stream: str
    attempt: int
    message_id: str
    retried: int


class Queue(Protocol):
    """Asks for a delivery. Implemented over QStash; in tests by a scripted queue."""

    async def enqueue(self, stream: str, attempt: int, *, dedup: str) -> None:
        """Have the publish function called with ``{"stream", "attempt"}``, soon and until it answers 2xx.

        Args:
            stream: the stream's id.
            attempt: the attempt that the delivery is meant to begin.
            dedup: messages with the same value within the queue's window are one message.

        Raises:
            Unavailable: the queue could not be reached, or its answer was lost: it may have the message.
            Rejected: the queue refused the message (wrong token, too large, over quota).
        """
