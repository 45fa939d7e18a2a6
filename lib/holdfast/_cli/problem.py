"""The command's own failures, with the exit codes that are documented in ``holdfast --help``."""

from __future__ import annotations

from holdfast.errors import HoldfastError

FAILED = 1
USAGE = 2
STOPPED = 3
GAVE_UP = 4
INTERRUPTED = 130
BROKEN_PIPE = 141
TERMINATED = 143


class Problem(HoldfastError):
    """Something the user has to be told; the command ends with ``code``.

    Args:
        message: what happened and what to do.
        code: the exit code.
    """

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.code = code
