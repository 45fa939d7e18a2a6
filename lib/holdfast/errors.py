"""What can go wrong, as types: each error says who must act and carries no secret and no foreign text."""

from __future__ import annotations


class HoldfastError(Exception):
    """Root of every error that the library raises on purpose."""


class Unavailable(HoldfastError):
    """A service could not be reached or its reply was lost: the outcome is unknown, asking again may help.

    Raised by adapters. Safe to retry only where the operation is idempotent, as every log
    operation is (docs/protocol.md, rule A3).
    """


class IdentityUnavailable(Unavailable):
    """Who is asking cannot be found out now: the hook or the provider of keys did not answer."""


class Rejected(HoldfastError):
    """The store executed the request and said no. Which rule it broke is found by reading, not from its text."""


class Superseded(HoldfastError):
    """An append was refused because a later attempt has begun or the log was sealed (rule A4)."""


class Vanished(HoldfastError):
    """The log does not exist any more; nothing may be written to it (rule A5)."""


class BadRecord(HoldfastError):
    """An entry of the log cannot be read: written by a stranger, or by a newer version (rule R3)."""


class BadCursor(HoldfastError):
    """A cursor that is not of the form ``<attempt>-<seq>[.<k>]`` (rule C2)."""


class LogGap(HoldfastError):
    """An entry that must exist is missing and stayed missing (rule D5)."""


class SettingsError(HoldfastError):
    """A setting is missing or malformed. The message names the variable and the remedy."""


class GenerationError(HoldfastError):
    """A generator could not go on.

    Args:
        code: short and stable, for programs: ``model_auth``, ``model_rate_limited``, …
        message: for the reader of the answer; says what to do and contains no secret.
        retry: whether asking again, with the partial answer, can help.
        retry_after: seconds that the provider asked to wait, if it did.
    """

    def __init__(self, code: str, message: str, *, retry: bool = False, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry = retry
        self.retry_after = retry_after


class ApiError(HoldfastError):
    """An answer of the HTTP contract that is not a success.

    Args:
        status: the HTTP status.
        code: stable, for programs.
        message: says what to do.
        retry_after: seconds, sent as ``Retry-After``.
        extra: further fields beside code and message, e.g. the live stream of a busy chat.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        retry_after: int | None = None,
        extra: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after = retry_after
        self.extra = extra or {}
