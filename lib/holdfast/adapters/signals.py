"""SIGTERM, by which platforms say that a process is about to end, makes its attempts hand off."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType

from holdfast.drain import Drain


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
        if now != self._handle:
            self._before = now
            signal.signal(signal.SIGTERM, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        before = self._before
        if callable(before):
            self._drain.begin()
            before(number, frame)
        elif before == signal.SIG_DFL:
            # What nobody handled ends the process: so it does still, once all is handed off, or at a second signal.
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            self._drain.begin(then=lambda: os.kill(os.getpid(), signal.SIGTERM))
        else:
            self._drain.begin()
