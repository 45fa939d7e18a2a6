"""What the status line says: state, attempt, characters, tokens, reconnects, time."""

from __future__ import annotations

from holdfast._cli.problem import FAILED, STOPPED
from holdfast._cli.screen import printable
from holdfast.client_types import Event, Reconnect
from holdfast.clock import Clock
from holdfast.errors import BadCursor
from holdfast.records import SEAL_ATTEMPT, Cursor


class Progress:
    """Counts what arrives.

    Attributes:
        cursor: of the newest part; empty before the first.
        finished: whether the answer's end was seen.
        code: the exit code that what arrived so far amounts to.
        message: what to tell the user about it; empty if nothing.

    Args:
        clock: time.
    """

    def __init__(self, clock: Clock) -> None:
        self.cursor = ""
        self.finished = False
        self.code = 0
        self.message = ""
        self._clock = clock
        self._began = clock.monotonic()
        self._state = "connecting"
        self._attempt = 0
        self._characters = 0
        self._tokens = 0
        self._reconnects = 0

    def started(self) -> None:
        """The server has taken the start."""
        self._state = "queued"

    def waiting(self, reason: str) -> None:
        """A call is going to be repeated."""
        self._state = f"trying again: {reason}"

    def reconnect(self, event: Reconnect) -> None:
        """Another connection is going to be made."""
        self._reconnects = event.number
        if event.failed:
            self._state = f"reconnecting: {event.reason}"

    def event(self, event: Event) -> None:
        """A part has arrived."""
        self.cursor = event.cursor
        self._characters += len(event.text)
        try:
            attempt = Cursor.parse(event.cursor).entry.attempt
        except BadCursor:
            attempt = 0  # another server's cursors say nothing about attempts
        if attempt < SEAL_ATTEMPT:
            self._attempt = max(self._attempt, attempt)
        match event.kind:
            case "finish":
                self.finished = True
                self._state = "finished"
            case "error":
                self.code, self.message = FAILED, f"The answer failed: {event.chunk.get('errorText', '')}"
            case "abort":
                self.code, self.message = STOPPED, "The answer was stopped."
            case "reasoning-start" | "reasoning-delta":
                self._state = "thinking"
            case _:
                self._state = "answering"
        match event.chunk.get("messageMetadata"):
            case {"usage": {"totalTokens": int(tokens)}}:
                self._tokens = tokens

    def line(self) -> str:
        """The line, without control characters."""
        items = [self._state]
        if self._attempt > 1:
            items.append(f"attempt {self._attempt}")
        if self._characters:
            items.append(f"{self._characters:,} characters")
        if self._tokens:
            items.append(f"{self._tokens:,} tokens")
        if self._reconnects:
            items.append(f"{self._reconnects} reconnect{'s' if self._reconnects > 1 else ''}")
        items.append(f"{self._clock.monotonic() - self._began:.0f} s")
        return printable(" · ".join(items)).replace("\n", " ")
