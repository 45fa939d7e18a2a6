"""What a store must do with each operation: one suite, on memory, on fakeredis and on a real engine."""

from __future__ import annotations

import asyncio
import json

import pytest

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
    Score,
    Unrank,
)
from holdfast.records import FIRST, SEAL, EntryId
from tests.core.stores import Store

pytestmark = pytest.mark.asyncio

_HOUR = 3_600_000

#: Texts that an encoding, a quoting or a protocol in between might spoil.
_TEXTS = (
    "OK",
    "QUEUED",
    "",
    "null",
    "0",
    "line\nbreak\r\nand\ttab",
    "quotes \" and ' and \\ and \\n",
    "Zoë 日本語 😀 👩‍👩‍👧 \u2028 \ufeff \x00 \x7f",
    "T0s=",
    json.dumps({"v": 1, "r": ["[", "{", '"']}),
)


async def _fill(store: Store, *ids: EntryId) -> None:
    for id in ids:
        await store.one(Append("s", id, f"at {id}", create=True))


async def test_ids_are_ours_and_grow(store: Store) -> None:
    """Rules I1, I2: an entry keeps the id it was given; an equal or smaller one is refused, numerically."""
    await _fill(store, EntryId(0, 1), EntryId(1, 9), EntryId(1, 10), EntryId(2, 0))
    for stale in (EntryId(2, 0), EntryId(1, 11), EntryId(0, 1), EntryId(1, 9)):
        with pytest.raises(Rejected):
            await store.one(Append("s", stale, "stale"))
    entries = await store.one(Range("s", FIRST))
    assert entries == [(id, f"at {id}") for id in (EntryId(0, 1), EntryId(1, 9), EntryId(1, 10), EntryId(2, 0))]


async def test_nothing_follows_the_seal(store: Store) -> None:
    """Rules I4, E3: the reserved id is above every attempt's, and afterwards the log takes nothing."""
    largest = EntryId(SEAL.attempt - 1, 10**12)
    await _fill(store, FIRST, largest, SEAL)
    for late in (SEAL, EntryId(1, 1), EntryId(SEAL.attempt - 1, 10**13)):
        with pytest.raises(Rejected):
            await store.one(Append("s", late, "late"))
    assert await store.one(Last("s")) == (SEAL, f"at {SEAL}")


async def test_an_append_needs_its_log(store: Store) -> None:
    """Rule A5: without ``create`` nothing is made; with it the log begins; then both append."""
    assert await store.one(Append("s", FIRST, "a")) is None
    assert await store.keys() == []
    assert await store.one(Append("s", FIRST, "a", create=True)) is True
    assert await store.one(Append("s", EntryId(1, 0), "b")) is True
    assert await store.one(Append("s", EntryId(1, 1), "c", create=True)) is True
    assert [text for _, text in await store.one(Range("s", FIRST))] == ["a", "b", "c"]


async def test_a_deleted_log_begins_anew_only_by_create(store: Store) -> None:
    """Rule A5: a log that is gone stays gone for its publishers; its old ids do not linger either."""
    await _fill(store, FIRST, EntryId(5, 5))
    assert await store.one(Drop(("s",))) == 1
    assert await store.one(Append("s", EntryId(5, 6), "late")) is None
    assert await store.one(Append("s", FIRST, "new", create=True)) is True


async def test_range(store: Store) -> None:
    """Entries come in order from a start, itself included or not, as many as asked for."""
    await _fill(store, *(ids := [FIRST, EntryId(1, 0), EntryId(1, 9), EntryId(1, 10), EntryId(2, 0), SEAL]))

    async def found(start: EntryId, *, exclusive: bool = False, limit: int | None = None) -> list[EntryId]:
        return [id for id, _ in await store.one(Range("s", start, exclusive, limit))]

    assert await found(FIRST) == ids
    assert await found(EntryId(1, 9)) == ids[2:]
    assert await found(EntryId(1, 9), exclusive=True) == ids[3:]
    assert await found(EntryId(1, 9), limit=2) == ids[2:4]
    assert await found(EntryId(1, 9), exclusive=True, limit=1) == [EntryId(1, 10)]
    assert await found(EntryId(1, 5)) == ids[2:]
    assert await found(EntryId(1, 5), exclusive=True, limit=1) == [EntryId(1, 9)]
    assert await found(SEAL) == [SEAL]
    assert await found(SEAL, exclusive=True) == []
    assert await store.one(Range("missing", FIRST)) == []
    assert await store.one(Range("missing", FIRST, exclusive=True, limit=3)) == []


async def test_last(store: Store) -> None:
    """The newest entry, or None."""
    assert await store.one(Last("s")) is None
    await _fill(store, FIRST, EntryId(1, 9), EntryId(1, 10))
    assert await store.one(Last("s")) == (EntryId(1, 10), "at 1-10")


@pytest.mark.parametrize("text", _TEXTS)
async def test_texts_come_back_as_they_went(store: Store, text: str) -> None:
    """Records and values are stored to the character, whatever they hold."""
    await store.one(Append("s", FIRST, text, create=True))
    await store.one(Put("k", text, _HOUR))
    assert await store.port.apply(Last("s"), Range("s", FIRST), Get("k"), GetMany(("k",))) == [
        (FIRST, text),
        [(FIRST, text)],
        text,
        [text],
    ]
    assert await store.one(Get("k")) == text


async def test_a_megabyte_record(store: Store) -> None:
    """One record of a megabyte goes in and comes out."""
    text = ("0123456789abcdé" * 70_000)[:1_000_000]
    await store.one(Append("s", FIRST, text, create=True))
    assert await store.one(Last("s")) == (FIRST, text)


async def test_put(store: Store) -> None:
    """A value is replaced, with a new lifetime; ``absent`` leaves one that is there untouched."""
    assert await store.one(Put("k", "a", _HOUR)) is True
    assert await store.one(Put("k", "b", 2 * _HOUR)) is True
    assert await store.one(Put("k", "c", 9 * _HOUR, "absent")) is False
    assert await store.one(Get("k")) == "b"
    assert await store.expires_in("k", 2 * _HOUR)


async def test_put_absent_after_the_lifetime(store: Store) -> None:
    """What has expired is absent: a lease can be taken again."""
    assert await store.one(Put("k", "a", _HOUR, "absent")) is True
    await store.expired("k")
    assert await store.one(Put("k", "b", _HOUR, "absent")) is True
    assert await store.one(Get("k")) == "b"
    assert await store.expires_in("k", _HOUR)


async def test_get_and_get_many(store: Store) -> None:
    """Missing values are None, each in its place."""
    await store.port.apply(Put("a", "1", _HOUR), Put("c", "3", _HOUR))
    assert await store.one(Get("b")) is None
    assert await store.one(GetMany(("a", "b", "c", "a"))) == ["1", None, "3", "1"]
    assert await store.one(GetMany(("b",))) == [None]


async def test_drop(store: Store) -> None:
    """Keys of every kind are deleted and counted; missing ones are not."""
    await store.port.apply(Put("a", "1", _HOUR), Rank("z", "m", 1), Append("s", FIRST, "x", create=True))
    assert await store.one(Drop(("a", "z", "s", "nothing"))) == 3
    assert await store.one(Drop(("a", "nothing"))) == 0
    assert await store.keys() == []


async def test_keep(store: Store) -> None:
    """Every kind of key gets a new lifetime; a missing one gets none and does not come to be."""
    await store.port.apply(Put("a", "1", _HOUR), Rank("z", "m", 1), Append("s", FIRST, "x", create=True))
    assert await store.one(Keep("missing", _HOUR)) is False
    assert await store.port.apply(*(Keep(key, 5 * _HOUR) for key in ("a", "z", "s"))) == [True, True, True]
    assert await store.keys() == ["a", "s", "z"]
    assert await store.expires_in("s", 5 * _HOUR)


async def test_an_append_keeps_the_lifetime(store: Store) -> None:
    """Appending to a log, and ranking in a set, leave its lifetime as it was."""
    await store.port.apply(Append("s", FIRST, "x", create=True), Keep("s", _HOUR), Rank("z", "m", 1), Keep("z", _HOUR))
    await store.port.apply(Append("s", EntryId(1, 0), "y"), Rank("z", "n", 2), Rank("z", "m", 3))
    if store.rest is not None:
        assert await store.expires_in("z", _HOUR)
    assert await store.expires_in("s", _HOUR)


async def test_rank(store: Store) -> None:
    """A score is set anew; with ``greater`` it only grows, and a new member is taken at any score."""
    assert await store.one(Rank("z", "m", 5)) is None
    assert await store.one(Rank("z", "m", 3)) is None
    assert await store.one(Score("z", "m")) == 3
    await store.one(Rank("z", "m", 2, greater=True))
    assert await store.one(Score("z", "m")) == 3
    await store.one(Rank("z", "m", 8, greater=True))
    assert await store.one(Score("z", "m")) == 8
    await store.one(Rank("z", "new", -4, greater=True))
    assert await store.one(Score("z", "new")) == -4


async def test_ranked(store: Store) -> None:
    """Members come by score, then by name, up to a score, as many as asked for."""
    for member, score in (("b", 2), ("a", 2), ("B", 2), ("é", 2), ("c", 1), ("10", 3), ("9", 3)):
        await store.one(Rank("z", member, score))
    ordered = [("c", 1), ("B", 2), ("a", 2), ("b", 2), ("é", 2), ("10", 3), ("9", 3)]
    assert await store.one(Ranked("z")) == ordered
    assert await store.one(Ranked("z", high=2)) == ordered[:5]
    assert await store.one(Ranked("z", high=2, limit=2)) == ordered[:2]
    assert await store.one(Ranked("z", limit=6)) == ordered[:6]
    assert await store.one(Ranked("z", high=0)) == []
    assert await store.one(Ranked("missing", high=9, limit=9)) == []


async def test_ranked_from_the_top(store: Store) -> None:
    """In descending order members come by score, then by name, from the highest on, and a limit keeps the highest."""
    for member, score in (("b", 2), ("a", 2), ("B", 2), ("é", 2), ("c", 1), ("10", 3), ("9", 3)):
        await store.one(Rank("z", member, score))
    ordered = [("9", 3), ("10", 3), ("é", 2), ("b", 2), ("a", 2), ("B", 2), ("c", 1)]
    assert await store.one(Ranked("z", descending=True)) == ordered
    assert await store.one(Ranked("z", high=2, descending=True)) == ordered[2:]
    assert await store.one(Ranked("z", high=2, limit=3, descending=True)) == ordered[2:5]
    assert await store.one(Ranked("z", high=0, limit=3, descending=True)) == []


async def test_crop(store: Store) -> None:
    """The highest scores stay, of equal ones the last names; cropping what is small enough changes nothing."""
    for member, score in (("b", 2), ("a", 2), ("c", 1), ("d", 3)):
        await store.one(Rank("z", member, score))
    assert await store.one(Crop("z", 4)) == 0
    assert await store.one(Crop("z", 2)) == 2
    assert await store.one(Ranked("z")) == [("b", 2), ("d", 3)]
    assert await store.one(Crop("missing", 1)) == 0
    assert await store.keys() == ["z"]


async def test_scores_are_exact(store: Store) -> None:
    """Epoch milliseconds and turns come back as the numbers they were."""
    for score in (0, 1, 1_700_000_000_123, 9_999_999_999_999, 2**53 - 1):
        await store.one(Rank("z", "m", score))
        assert await store.port.apply(Score("z", "m"), Ranked("z"), Newest("z")) == [
            score,
            [("m", score)],
            ("m", score),
        ]


async def test_newest(store: Store) -> None:
    """The member with the highest score, by name among equals, or None."""
    assert await store.one(Newest("z")) is None
    for member, score in (("x", 9), ("a", 10), ("b", 10), ("y", 1)):
        await store.one(Rank("z", member, score))
    assert await store.one(Newest("z")) == ("b", 10)


async def test_score_of_nobody(store: Store) -> None:
    """A missing member, and a missing set, have no score."""
    await store.one(Rank("z", "m", 0))
    assert await store.port.apply(Score("z", "n"), Score("missing", "m"), Score("z", "m")) == [None, None, 0]


async def test_unrank(store: Store) -> None:
    """Members are taken out and counted; the last one takes the key along."""
    for member in ("a", "b", "c"):
        await store.one(Rank("z", member, 1))
    assert await store.one(Unrank("z", ("a", "nobody", "b"))) == 2
    assert await store.one(Ranked("z")) == [("c", 1)]
    assert await store.one(Unrank("z", ("c",))) == 1
    assert await store.one(Unrank("missing", ("c",))) == 0
    assert await store.keys() == []


async def test_one_call_sees_its_own_writes_in_order(store: Store) -> None:
    """Operations of one call are carried out in order against one state."""
    assert await store.port.apply(
        Get("k"),
        Put("k", "a", _HOUR),
        Get("k"),
        Put("k", "b", _HOUR, "absent"),
        Append("s", FIRST, "x", create=True),
        Last("s"),
        Range("s", FIRST, limit=1),
        Drop(("k",)),
        Get("k"),
        Rank("z", "m", 4),
        Newest("z"),
    ) == [None, True, "a", False, True, (FIRST, "x"), [(FIRST, "x")], 1, None, None, ("m", 4)]


@pytest.mark.parametrize("place", ["first", "between", "last"])
async def test_the_rest_of_a_refused_call_is_carried_out(store: Store, place: str) -> None:
    """A refused append refuses the call as a whole, and the operations around it still run, as in Redis."""
    await _fill(store, FIRST, EntryId(1, 0))
    refused: Operation = Append("s", EntryId(1, 0), "again")
    a, b = Put("a", "1", _HOUR), Put("b", "2", _HOUR)
    call = {"first": (refused, a, b), "between": (a, refused, b), "last": (a, b, refused)}[place]
    with pytest.raises(Rejected):
        await store.port.apply(*call)
    assert await store.one(GetMany(("a", "b"))) == ["1", "2"]
    assert await store.one(Last("s")) == (EntryId(1, 0), "at 1-0")


async def test_a_headless_append_does_not_hold_up_its_call(store: Store) -> None:
    """An append without a log is None in its place, and the rest has its results."""
    assert await store.port.apply(Append("s", EntryId(1, 0), "x"), Put("k", "v", _HOUR), Last("s")) == [
        None,
        True,
        None,
    ]


async def test_calls_are_atomic(store: Store) -> None:
    """Nobody sees the half of a call, and of many who claim one id exactly one gets it."""
    await _fill(store, FIRST)
    pairs = [store.port.apply(Put("a", str(n), _HOUR), Put("b", str(n), _HOUR)) for n in range(12)]
    looks = [store.port.apply(GetMany(("a", "b"))) for _ in range(12)]
    claims = [store.port.apply(Append("s", EntryId(1, 0), f"claimer {n}"), Last("s")) for n in range(12)]
    outcomes = await asyncio.gather(*pairs, *looks, *claims, return_exceptions=True)
    for look in outcomes[12:24]:
        assert not isinstance(look, BaseException)
        ((a, b),) = look
        assert a == b
    won = [outcome for outcome in outcomes[24:] if not isinstance(outcome, BaseException)]
    assert len(won) == 1
    assert await store.one(Range("s", EntryId(1, 0))) == [won[0][1]]
    assert all(isinstance(lost, Rejected) for lost in outcomes[24:] if isinstance(lost, BaseException))
