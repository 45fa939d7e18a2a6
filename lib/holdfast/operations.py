"""What a store can be asked, as data, and the port that carries it out: streams, values, ranked sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from holdfast.records import EntryId

#: A stored entry as the store gives it: its id and its record as text.
type RawEntry = tuple[EntryId, str]


@dataclass(frozen=True, slots=True)
class Append:
    """Add an entry under our own id → True, or None where the log does not exist and ``create`` is off.

    An id that is not greater than the newest one is refused, with ``Rejected`` for the whole request.
    """

    key: str
    id: EntryId
    record: str
    create: bool = False


@dataclass(frozen=True, slots=True)
class Range:
    """Entries in order, from ``start`` (itself excluded with ``exclusive``), at most ``limit`` → list of RawEntry."""

    key: str
    start: EntryId
    exclusive: bool = False
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Last:
    """The newest entry → RawEntry, or None where there is none."""

    key: str


@dataclass(frozen=True, slots=True)
class Put:
    """Set a value with a lifetime in milliseconds → whether it was set (``absent``: only if there was none)."""

    key: str
    value: str
    ttl_ms: int
    when: Literal["always", "absent"] = "always"


@dataclass(frozen=True, slots=True)
class Get:
    """A value → text or None."""

    key: str


@dataclass(frozen=True, slots=True)
class GetMany:
    """Several values, at least one → list of text or None."""

    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Drop:
    """Delete keys of any kind, at least one → how many there were."""

    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Keep:
    """Give a key of any kind a new lifetime in milliseconds → whether it exists."""

    key: str
    ttl_ms: int


@dataclass(frozen=True, slots=True)
class Rank:
    """Put a member into a ranked set under a score; with ``greater`` an existing score only grows → None."""

    key: str
    member: str
    score: int
    greater: bool = False


@dataclass(frozen=True, slots=True)
class Unrank:
    """Take members, at least one, out of a ranked set → how many there were."""

    key: str
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ranked:
    """Members by score, then by name, up to score ``high``, at most ``limit`` → list of (member, score).

    With ``descending`` the order is turned round, so that ``limit`` keeps the highest scores.
    """

    key: str
    high: int | None = None
    limit: int | None = None
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Crop:
    """Keep the ``most`` members with the highest scores in a ranked set, at least one → how many others there were."""

    key: str
    most: int


@dataclass(frozen=True, slots=True)
class Newest:
    """The member with the highest score → (member, score) or None."""

    key: str


@dataclass(frozen=True, slots=True)
class Score:
    """A member's score → int or None."""

    key: str
    member: str


type Operation = (
    Append | Range | Last | Put | Get | GetMany | Drop | Keep | Rank | Unrank | Ranked | Crop | Newest | Score
)


class StreamLog(Protocol):
    """The store: a Redis over REST, or memory. One call is one request, one round trip and atomic."""

    async def apply(self, *operations: Operation) -> Sequence[Any]:
        """Carry out operations in order, all against the same state, seen by nobody in between.

        Args:
            operations: at least one; a read in one call with a write sees the newest state (no replica).

        Returns:
            Each operation's result, as its docstring says.

        Raises:
            Unavailable: no usable reply; the operations may have been carried out or not.
            Rejected: the store refused one of them; the others may have been carried out.
        """
