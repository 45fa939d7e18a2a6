"""The store in memory: for tests, for trying a generator, and as the plainest statement of what a store must do."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from holdfast.clock import Clock, SystemClock
from holdfast.errors import Rejected
from holdfast.operations import (
    Append,
    Crop,
    Drop,
    Get,
    GetMany,
    Keep,
    Last,
    Newest,
    Operation,
    Put,
    Range,
    Rank,
    Ranked,
    RawEntry,
    Score,
    Unrank,
)
from holdfast.records import EntryId


@dataclass(slots=True)
class _Stream:
    ids: list[EntryId] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def slice(self, low: int, high: int | None) -> list[RawEntry]:
        return list(zip(self.ids[low:high], self.texts[low:high], strict=True))


class MemoryLog:
    """A ``StreamLog`` in this process.

    Args:
        clock: what lifetimes are measured against.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._data: dict[str, Any] = {}
        self._expires: dict[str, int] = {}

    async def apply(self, *operations: Operation) -> Sequence[Any]:
        """Carry out operations; see ``StreamLog.apply``. Never waits, so it is atomic under asyncio."""
        results = []
        refused = False
        for operation in operations:
            try:
                results.append(self._one(operation))
            except Rejected:
                refused = True  # as in a Redis transaction the operations after it still run
        if refused:
            raise Rejected("An append was refused: its id is not greater than the newest one.")
        return results

    def keys(self) -> list[str]:
        """Every key that is alive, sorted."""
        return sorted(key for key in list(self._data) if self._get(key) is not None)

    def _get(self, key: str) -> Any:
        if self._expires.get(key, 1 << 62) <= self._clock.now_ms():
            self._data.pop(key, None)
            self._expires.pop(key, None)
        return self._data.get(key)

    def _one(self, op: Operation) -> Any:  # noqa: C901 - one branch an operation reads better than a table of methods
        match op:
            case Append():
                return self._append(op)
            case Range():
                return self._range(op)
            case Last(key):
                stream = self._get(key)
                return (stream.ids[-1], stream.texts[-1]) if stream else None
            case Put(key, value, ttl_ms, when):
                if when == "absent" and self._get(key) is not None:
                    return False
                self._data[key] = value
                self._expires[key] = self._clock.now_ms() + ttl_ms
                return True
            case Get(key):
                return self._get(key)
            case GetMany(keys):
                return [self._get(key) for key in keys]
            case Drop(keys):
                return sum(self._drop(key) for key in keys)
            case Keep(key, ttl_ms):
                if self._get(key) is None:
                    return False
                self._expires[key] = self._clock.now_ms() + ttl_ms
                return True
            case Rank() | Unrank() | Ranked() | Crop() | Newest() | Score():
                return self._ranked(op)

    def _append(self, op: Append) -> bool | None:
        stream = self._get(op.key)
        if stream is None:
            if not op.create:
                return None
            stream = self._data[op.key] = _Stream()
        if stream.ids and op.id <= stream.ids[-1]:
            raise Rejected
        stream.ids.append(op.id)
        stream.texts.append(op.record)
        return True

    def _range(self, op: Range) -> list[RawEntry]:
        stream = self._get(op.key)
        if stream is None:
            return []
        low = (bisect_right if op.exclusive else bisect_left)(stream.ids, op.start)
        return stream.slice(low, None if op.limit is None else low + op.limit)  # type: ignore[no-any-return]

    def _drop(self, key: str) -> bool:
        existed = self._get(key) is not None
        self._data.pop(key, None)
        self._expires.pop(key, None)
        return existed

    def _ranked(self, op: Rank | Unrank | Ranked | Crop | Newest | Score) -> Any:
        members: dict[str, int] = self._get(op.key) or {}
        match op:
            case Rank(key, member, score, greater):
                if greater:
                    score = max(score, members.get(member, score))
                self._data[key] = members | {member: score}
                return None
            case Unrank(key, gone):
                left = {member: score for member, score in members.items() if member not in gone}
                if left:
                    self._data[key] = left
                else:
                    self._drop(key)  # a Redis set without members is no key
                return len(members) - len(left)
            case Crop(key, most):
                lowest = sorted(members, key=lambda member: (members[member], member))[:-most]
                return self._ranked(Unrank(key, tuple(lowest)))
            case Ranked(_, high, limit, descending):
                ordered = sorted(members.items(), key=lambda item: (item[1], item[0]), reverse=descending)
                return [item for item in ordered if high is None or item[1] <= high][:limit]
            case Newest():
                return max(members.items(), key=lambda item: (item[1], item[0]), default=None)
            case Score(_, member):
                return members.get(member)
