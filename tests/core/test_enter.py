"""A ranked set that takes so many members and no more, on memory, on fakeredis and on a real engine."""

from __future__ import annotations

import asyncio

import pytest

from holdfast.operations import Enter, Keep, Rank, Ranked
from tests.core.stores import Store

pytestmark = pytest.mark.asyncio

_HOUR = 3_600_000


def enter(member: str, score: int = 5, *, below: int = 0, gone: tuple[str, ...] = ()) -> Enter:
    """Come into a set of at most three."""
    return Enter("places", member, score, 3, below, gone, _HOUR)


async def members(store: Store) -> list[str]:
    """Who is in."""
    return [member for member, _ in await store.one(Ranked("places"))]


async def test_a_full_set_takes_nobody(store: Store) -> None:
    """The last place is given away once; then the answer names who has the places, and nothing changes."""
    for member in ("a", "b", "c"):
        assert await store.one(enter(member)) is None
    assert await store.one(enter("d")) == [("a", 5), ("b", 5), ("c", 5)]
    assert await members(store) == ["a", "b", "c"]


async def test_who_is_in_stays_in(store: Store) -> None:
    """A request that is repeated, since its reply was lost, takes no second place and is not refused."""
    for member in ("a", "a", "b", "c", "a"):
        assert await store.one(enter(member)) is None
    assert await members(store) == ["a", "b", "c"]


async def test_the_aged_and_the_gone_make_room(store: Store) -> None:
    """What has a score up to the bound is out, and so are those that are named, whether they are in or not."""
    await store.port.apply(Rank("places", "old", 1), Rank("places", "edge", 2), Rank("places", "new", 3))
    await store.port.apply(Keep("places", _HOUR))
    assert await store.one(enter("a", below=1)) is None
    assert await members(store) == ["edge", "new", "a"]
    assert await store.one(enter("b", below=1)) == [("edge", 2), ("new", 3), ("a", 5)]
    assert await store.one(enter("b", below=1, gone=("new", "nobody"))) is None
    assert await members(store) == ["edge", "a", "b"]
    assert await store.one(enter("c", below=2)) is None


async def test_the_set_has_a_lifetime(store: Store) -> None:
    """The store deletes it when nobody came in for so long."""
    await store.one(enter("a"))
    assert await store.expires_in("places", _HOUR)


async def test_of_many_at_once_as_many_as_there_are_places_come_in(store: Store) -> None:
    """However many try at the same time, none of them counts twice and none slips past the limit."""
    outcomes = await asyncio.gather(*(store.one(enter(f"m{number}")) for number in range(12)))
    assert sum(outcome is None for outcome in outcomes) == 3
    assert len(await members(store)) == 3
