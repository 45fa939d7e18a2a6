"""An exact parser of server-sent events, without I/O: bytes split anywhere go in, messages come out.

It follows "Interpreting an event stream" of the HTML standard, section 9.2.6:
https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from holdfast.errors import HoldfastError

# No byte of a multi-byte UTF-8 character equals CR or LF, so lines are found before anything is decoded.
_END_OF_LINE = re.compile(rb"\r\n?|\n")
_BOM = b"\xef\xbb\xbf"


class TooLong(HoldfastError):
    """One event is larger than the decoder may hold."""


@dataclass(frozen=True, slots=True)
class Message:
    """One dispatched event.

    Attributes:
        data: the ``data`` lines, joined by newlines.
        event: the event's name, ``message`` unless the server gave one.
        last_id: the last event id seen up to and including this event; empty if there was none.
        own_id: whether this event itself carried an ``id`` line.
    """

    data: str
    event: str
    last_id: str
    own_id: bool


class EventStream:
    """Decoder of one response body.

    Attributes:
        last_id: id of the last *dispatched* event; an event that was cut off does not count.
        retry_ms: the newest ``retry`` of the server in milliseconds, or None.
        comments: how many comment lines (heartbeats) were read.

    Args:
        last_id: the id that the body resumes from.
        max_bytes: what one event may hold before ``TooLong`` is raised.
    """

    def __init__(self, last_id: str = "", *, max_bytes: int = 16_000_000) -> None:
        self.last_id = last_id
        self.retry_ms: int | None = None
        self.comments = 0
        self._max_bytes = max_bytes
        self._rest = b""
        self._first_line = True
        self._skip_newline = False
        self._data: list[str] = []
        self._held = 0
        self._event = ""
        self._id = last_id
        self._own_id = False

    def feed(self, chunk: bytes) -> list[Message]:
        """Take the next bytes of the body.

        Args:
            chunk: any number of bytes; a line, a character or a CR LF pair may be split between two calls.

        Returns:
            The events that these bytes complete, in order. What the body's end leaves incomplete is never
            returned, as the standard demands.

        Raises:
            TooLong: one event exceeds ``max_bytes``.
        """
        if not chunk:
            return []  # nothing is known yet about what follows a CR
        if self._skip_newline:
            # The CR that ended the last chunk has ended its line already.
            chunk = chunk.removeprefix(b"\n")
        text = self._rest + chunk
        # What was left over holds no end of line: look only at what is new.
        position, start = len(self._rest), 0
        messages: list[Message] = []
        while found := _END_OF_LINE.search(text, position):
            if message := self._line(text[start : found.start()]):
                messages.append(message)
            start = position = found.end()
        self._skip_newline = text.endswith(b"\r") and start == len(text)
        self._rest = text[start:]
        if self._held + len(self._rest) > self._max_bytes:
            raise TooLong(f"An event is longer than {self._max_bytes} bytes.")
        return messages

    def _line(self, raw: bytes) -> Message | None:
        if self._first_line:
            self._first_line = False
            raw = raw.removeprefix(_BOM)
        if not raw:
            return self._dispatch()
        if raw.startswith(b":"):
            self.comments += 1
            return None
        name, _, value = raw.decode("utf-8", "replace").partition(":")
        self._field(name, value.removeprefix(" "))
        return None

    def _field(self, name: str, value: str) -> None:
        match name:
            case "data":
                self._held += len(value)
                if self._held > self._max_bytes:
                    raise TooLong(f"An event is longer than {self._max_bytes} bytes.")
                self._data.append(value)
            case "id" if "\0" not in value:
                self._id, self._own_id = value, True
            case "event":
                self._event = value
            case "retry" if value.isascii() and value.isdigit():
                # The bound keeps a nonsense number from raising in int(); nobody waits longer than a day anyway.
                self.retry_ms = int(value[:9])
            case _:
                pass  # the standard: any other field is ignored

    def _dispatch(self) -> Message | None:
        self.last_id = self._id
        message = Message("\n".join(self._data), self._event or "message", self._id, self._own_id)
        dispatched = bool(self._data)
        self._data, self._held, self._event, self._own_id = [], 0, "", False
        return message if dispatched else None
