"""What holds for every test."""

from __future__ import annotations

import signal

# A shell without job control starts what runs in the background with SIGINT ignored, and so would every process that
# a test starts: its Ctrl-C would then reach nobody.
signal.signal(signal.SIGINT, signal.default_int_handler)
