"""SIGTERM, by which platforms say that a process is about to end, makes its attempts hand off."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import Final

from holdfast.drain import Drain

#: Seconds that the queue's acknowledgements have to leave in, once all is handed off.
_LAST_WORD: Final = 0.5


class DrainOnSigterm:
    """Begins a drain when SIGTERM comes, and then lets whatever handled the signal before have it.

    Args:
        drain: what begins.
    """

    def __init__(self, drain: Drain) -> None:
        self._drain = drain
        self._before: signal.Handlers | signal._HANDLER = None

    def install(self) -> None:
        """Take the signal over. Servers set their own handlers when they start to serve, so this is asked again.

        Outside the main thread, where Python allows no handlers, nothing changes: an attempt that dies there is taken
        over like any other.
        """
        if threading.current_thread() is not threading.main_thread():
            return
        now = signal.getsignal(signal.SIGTERM)
        if not self._is_behind(now):
            self._before = now
            signal.signal(signal.SIGTERM, self._handle)

    def _is_behind(self, handler: object) -> bool:
        """Whether a handler is this one's, or leads to it through those of other services of the process."""
        while isinstance(owner := getattr(handler, "__self__", None), DrainOnSigterm):
            if owner is self:
                return True
            handler = owner._before
        return False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        before = self._before
        if before == signal.SIG_IGN:
            return  # the process lives on
        if callable(before):
            self._drain.begin()
            before(number, frame)
            return
        # What nobody handled ends the process: so it does still, once all is handed off, or at a second signal.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if self._drain.busy:
            self._drain.begin(then=threading.Timer(_LAST_WORD, _end).start)
        else:
            _end()


def _end() -> None:
    """End this process as the signal would have."""
    if os.getpid() == 1:  # which the system protects from signals that it does not handle
        os._exit(128 + signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)
