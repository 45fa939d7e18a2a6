"""How many readers this process serves at a time, in all and of one stream (docs/protocol.md, rule N4)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class Seat:
    """A reader's place; it is to be left once it has been taken."""

    readers: Readers
    stream: str
    left: bool = False

    def leave(self) -> None:
        """Give the place back; more than once is as good as once."""
        if not self.left:
            self.left = True
            self.readers.give_back(self.stream)


@dataclass(slots=True)
class Readers:
    """Counts readers, in memory: a place costs no request to the store.

    Attributes:
        per_stream: readers of one stream, or 0 for no limit.
        in_all: readers of all streams, or 0 for no limit.
    """

    per_stream: int = 0
    in_all: int = 0
    _seats: Counter[str] = field(default_factory=Counter)

    def enter(self, stream: str, *, insist: bool = False) -> Seat | None:
        """Take a place → None where there is none.

        Args:
            stream: what is read.
            insist: take it in any case: for who was told that there is one.
        """
        taken = self.per_stream and self._seats[stream] >= self.per_stream
        if (taken or self.is_full) and not insist:
            return None
        self._seats[stream] += 1
        return Seat(self, stream)

    @property
    def is_full(self) -> bool:
        """Whether nobody can come in, whatever the stream."""
        return bool(self.in_all) and self._seats.total() >= self.in_all

    def give_back(self, stream: str) -> None:
        """One reader less."""
        self._seats[stream] -= 1
        if not self._seats[stream]:
            del self._seats[stream]
