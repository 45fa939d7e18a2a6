"""What is done for an answer that nobody writes any more (docs/protocol.md, chapter Q)."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from holdfast import history
from holdfast.errors import Rejected, Unavailable, Vanished
from holdfast.log import Log
from holdfast.operations import Get, Last
from holdfast.queue import Queue
from holdfast.records import Entry, Error

_logger = logging.getLogger("holdfast")


@dataclass(frozen=True, slots=True)
class Rescuer:
    """Sees to stalled streams on behalf of readers and cleanup.

    Attributes:
        log: the verbs.
        queue: asks for rescue deliveries.
        stall: seconds of silence after which the lease is looked at, and looked at again.
        give_up: seconds without lease and without news after which the log is sealed.
    """

    log: Log
    queue: Queue
    stall: float = 4.0
    give_up: float = 120.0

    def watch(self, stream: str) -> Watch:
        """Begin to watch one stream."""
        return Watch(self, stream)

    async def rescue(self, stream: str, attempt: int) -> None:
        """Ask for another delivery: one for everybody who asks within half a minute (rule Q1).

        Raises:
            Unavailable, Rejected: the queue did not take it.
        """
        half_minute = self.log.clock.now_ms() // 30_000
        await self.queue.enqueue(stream, attempt + 1, dedup=f"{stream}.r{attempt}.{half_minute}")

    async def seal(self, stream: str, by: str) -> bool:
        """The last resort: end an answer that cannot be rescued (rule Q2) → whether this call ended it."""
        message = "The answer was interrupted and could not be taken up again. What was written is kept; ask again."
        error = Error(at=self.log.clock.now_ms(), code="abandoned", message=message, by=by)
        return await history.end(self.log, stream, error)


class Watch:
    """One reader's eye on one stream, for as long as the reader is there."""

    def __init__(self, rescuer: Rescuer, stream: str) -> None:
        self._rescuer = rescuer
        self._stream = stream
        self._looked = self._alive = rescuer.log.clock.monotonic()

    async def look(self, seen: Entry | None, *, silent: float) -> None:
        """See to the stream if it has been silent for too long.

        Args:
            seen: the newest entry that the reader knows, if any.
            silent: seconds since something new came.

        Raises:
            Vanished: the log does not exist any more.
            Unavailable, Rejected: the store did not answer.
        """
        rescuer, now = self._rescuer, self._rescuer.log.clock.monotonic()
        self._alive = max(self._alive, now - silent)
        if silent < rescuer.stall or now - self._looked < rescuer.stall:
            return
        self._looked = now
        attempt = 0 if seen is None else seen.id.attempt
        keys = rescuer.log.keys
        last, lease = await rescuer.log.run(Last(keys.stream(self._stream)), Get(keys.lease(self._stream, attempt)))
        if last is None:
            raise Vanished(self._stream)
        if lease is not None or (seen is not None and last[0] != seen.id):
            self._alive = now
            return
        if now - self._alive >= rescuer.give_up:
            await rescuer.seal(self._stream, "reader")
            return
        try:
            await rescuer.rescue(self._stream, attempt)
        except (Unavailable, Rejected):
            # The next look asks again; what must not happen is that asking costs the reader its connection.
            _logger.warning("rescue_not_enqueued", extra={"stream": self._stream})
