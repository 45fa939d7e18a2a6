"""Where a command writes: the answer to stdout and, on a terminal, a live status line to stderr."""

from __future__ import annotations

import os
import re
import signal
import stat
from collections.abc import Mapping
from types import FrameType
from typing import Self, TextIO

# What a model writes must not steer the terminal: control characters but tab and newline are shown as a mark.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_FEWEST_ROWS = 4


def printable(text: str) -> str:
    """Text from elsewhere as it may go to a terminal."""
    return _CONTROL.sub("\ufffd", text.replace("\r\n", "\n"))


class Screen:
    """Answer and status line.

    Where the answer goes to the same terminal, the status line has the bottom row for itself: the rows above
    become the scrolling region (DECSTBM), so the answer's own wrapping needs no arithmetic. With the answer in a
    file it is an ordinary line; in a pipe there is none.

    Args:
        out: for the answer.
        err: for everything else.
        env: the environment; ``TERM=dumb`` has no status line.
        quiet: no status line.
    """

    def __init__(self, out: TextIO, err: TextIO, env: Mapping[str, str], *, quiet: bool = False) -> None:
        self._out = out
        self._err = err
        self._raw = not out.isatty()
        # Whatever reads a pipe may write to the same terminal, where a status line would run into its text.
        self.live = not quiet and err.isatty() and env.get("TERM", "dumb") != "dumb" and not _is_pipe(out)
        self._region = self.live and not self._raw
        self._rows, self._columns = 0, 80
        self._line = ""
        self._open = False
        self._resized = False
        self._wrote = False
        self._handlers: list[tuple[signal.Signals, object]] = []

    def __enter__(self) -> Self:
        self._show()
        if self.live and hasattr(signal, "SIGWINCH"):
            for number, handler in ((signal.SIGWINCH, self._on_resize), (signal.SIGTSTP, self._on_suspend)):
                self._handlers.append((number, signal.signal(number, handler)))
        return self

    def __exit__(self, *_: object) -> None:
        self.hide()
        for number, handler in self._handlers:
            signal.signal(number, handler)  # type: ignore[arg-type] # what signal.signal returned

    def write(self, text: str) -> None:
        """Add to the answer; exact where it does not go to a terminal."""
        if text:
            self._out.write(text if self._raw else printable(text))
            self._out.flush()
            self._wrote = True

    def end_line(self, *, always: bool) -> None:
        """End the answer with a newline: always, or only if there was any text."""
        if always or self._wrote:
            self.write("\n")

    def status(self, line: str) -> None:
        """Set the status line."""
        self._line = line
        if self._resized and self._open:
            self._resized = False
            self.hide()
            self._show()
        self._draw()

    def hide(self) -> None:
        """Erase the status line and give the terminal back."""
        if not self._open:
            return
        self._open = False
        if self._region:
            # Setting the region moves the cursor: it is saved before (ESC 7) and restored after (ESC 8).
            self._put(f"\x1b7\x1b[{self._rows};1H\x1b[2K\x1b[r\x1b8")
        else:
            self._wipe()

    def _show(self) -> None:
        if not self.live:
            return
        try:
            self._columns, self._rows = os.get_terminal_size(self._err.fileno())
        except OSError:
            self.live = False
            return
        if self._region:
            if self._rows < _FEWEST_ROWS:
                self.live = False
                return
            # Down and up again keeps the column, and scrolls where the cursor stood on the bottom row.
            self._put(f"\x1bD\x1b[1A\x1b7\x1b[1;{self._rows - 1}r\x1b8")
        self._open = True

    def _draw(self) -> None:
        if not self._open or not self._line:
            return
        line = self._line[: max(1, self._columns - 1)]
        if self._region:
            self._put(f"\x1b7\x1b[{self._rows};1H\x1b[2K\x1b[2m{line}\x1b[22m\x1b8")
        else:
            self._put(f"\r\x1b[2K{line}")

    def _wipe(self) -> None:
        self._put("\r\x1b[2K")

    def _put(self, text: str) -> None:
        # Straight to the descriptor, so that a signal handler may do it in the middle of a buffered write.
        os.write(self._err.fileno(), text.encode())

    def _on_suspend(self, _signal: int, _frame: FrameType | None) -> None:
        # The shell that takes over must find its terminal whole.
        self.hide()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._show()

    def _on_resize(self, _signal: int, _frame: FrameType | None) -> None:
        # Only a mark: the handler may run in the middle of a write.
        self._resized = True


def _is_pipe(out: TextIO) -> bool:
    try:
        return not out.isatty() and not stat.S_ISREG(os.fstat(out.fileno()).st_mode)
    except (OSError, ValueError):
        return True  # no file at all: somebody reads it in this process
