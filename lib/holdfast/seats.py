"""A streaming response that takes a reader's place, and what is said where there is none (docs/protocol.md, N4)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Final

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from holdfast.errors import ApiError
from holdfast.readers import Seat

#: Seconds after which a reader without a place should come back, perhaps to another process.
RETRY_SECONDS: Final = 5


class ReadersFull(ApiError):
    """429: this process has as many readers as it serves, in all or of this stream.

    Args:
        before: a sentence in front of what to do.
    """

    def __init__(self, before: str = "") -> None:
        what = f"Too many readers at once. {before} Try again in {RETRY_SECONDS} seconds.".replace("  ", " ")
        super().__init__(429, "limit_readers", what, retry_after=RETRY_SECONDS)


class SeatedResponse(StreamingResponse):
    """Gives its place back when it is over, however it ends: also where its reader left before the first byte.

    Args:
        seat: the place.
        content: the body.
        headers: of the response.
    """

    def __init__(self, seat: Seat, content: AsyncIterator[bytes], headers: Mapping[str, str]) -> None:
        super().__init__(content, headers=headers)
        self._seat = seat

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._seat.leave()
