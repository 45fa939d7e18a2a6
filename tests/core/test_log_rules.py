"""The protocol's rules of log, claim, end, lease and notes, on every store alike (docs/protocol.md, I, A, K, L, E)."""

from __future__ import annotations

import asyncio

import pytest

from holdfast.errors import BadRecord, Superseded, Vanished
from holdfast.log import GRACE_MS, PAGE
from holdfast.operations import Append, Drop, Put, Score
from holdfast.records import FIRST, SEAL, EntryId, Record, encode
from tests.core import stores
from tests.core.samples import STREAM, begin, error, finish, handoff, parts, queued, stop
from tests.core.stores import Store

pytestmark = pytest.mark.asyncio

_TTL = 7_200_000


async def _opened(store: Store) -> None:
    await store.log.open(STREAM, queued(), due_ms=1)


async def _claimed(store: Store, attempt: int = 1, owner: str = "nonce-1") -> None:
    await store.log.claim(STREAM, attempt, begin(owner), _TTL)


async def _records(store: Store) -> list[tuple[str, Record]]:
    return [(str(entry.id), entry.record) for entry in await store.log.read(STREAM)]


async def test_open(store: Store) -> None:
    """Rules A1, I3, X6: the first entry is 0-1; log and index live for the retention and a day."""
    await store.log.open(STREAM, queued(retention_seconds=3_600), due_ms=77)
    assert await _records(store) == [("0-1", queued(retention_seconds=3_600))]
    keys = store.log.keys
    assert await store.keys() == sorted([keys.stream(STREAM), keys.due])
    assert await store.one(Score(keys.due, STREAM)) == 77
    if store.rest is not None:
        assert await store.expires_in(keys.due, 3_600_000 + GRACE_MS)
    assert await store.expires_in(keys.stream(STREAM), 3_600_000 + GRACE_MS)


async def test_open_again_changes_nothing(store: Store) -> None:
    """Rule A1: the first record stands, also when the log has gone on meanwhile."""
    await _opened(store)
    await store.log.open(STREAM, queued(owner="somebody else"), due_ms=1)
    await _claimed(store)
    await store.log.open(STREAM, queued(owner="somebody else"), due_ms=1)
    assert await _records(store) == [("0-1", queued()), ("1-0", begin())]


async def test_appends_in_order(store: Store) -> None:
    """Rule A2: what an attempt appends under its own ids is read back in order, as it was."""
    await _opened(store)
    await _claimed(store)
    written: list[Record] = [parts(0, "Hel", "lo"), parts(2, "日本 😀\n\"'"), finish(parts=3)]
    for seq, record in enumerate(written, 1):
        await store.log.append(STREAM, EntryId(1, seq), record)
    assert [record for _, record in await _records(store)] == [queued(), begin(), *written]
    last = await store.log.last(STREAM)
    assert last is not None
    assert (last.id, last.record) == (EntryId(1, 3), written[-1])


async def test_the_same_append_again_is_one(store: Store) -> None:
    """Rules A3, A4: an append sent again finds its own record and is done."""
    await _opened(store)
    await _claimed(store)
    for _ in range(3):
        await store.log.append(STREAM, EntryId(1, 1), parts(0, "once"))
    assert [id for id, _ in await _records(store)] == ["0-1", "1-0", "1-1"]


async def test_the_same_append_again_is_one_although_others_followed(store: Store) -> None:
    """Rules A3, A4: it had landed also where a later attempt has begun since."""
    await _opened(store)
    await _claimed(store)
    await store.log.append(STREAM, EntryId(1, 1), parts(0, "once"))
    await _claimed(store, 2, "nonce-2")
    await store.log.append(STREAM, EntryId(1, 1), parts(0, "once"))
    assert [id for id, _ in await _records(store)] == ["0-1", "1-0", "1-1", "2-0"]


async def test_another_record_under_the_id_is_superseded(store: Store) -> None:
    """Rule A4: only our own record under the id means that it landed."""
    await _opened(store)
    await _claimed(store)
    await store.log.append(STREAM, EntryId(1, 1), parts(0, "mine"))
    with pytest.raises(Superseded):
        await store.log.append(STREAM, EntryId(1, 1), parts(0, "yours"))


@pytest.mark.parametrize("record", [parts(1, "late"), finish(), error(), handoff()])
async def test_a_zombie_writes_nothing(store: Store, record: Record) -> None:
    """Rules A4, E2: once attempt 2 has begun attempt 1 can neither write nor end."""
    await _opened(store)
    await _claimed(store)
    await store.log.append(STREAM, EntryId(1, 1), parts(0, "x"))
    await _claimed(store, 2, "nonce-2")
    with pytest.raises(Superseded):
        await store.log.append(STREAM, EntryId(1, 2), record)
    assert [id for id, _ in await _records(store)] == ["0-1", "1-0", "1-1", "2-0"]


async def test_a_vanished_log_stays_gone(store: Store) -> None:
    """Rule A5: append, seal and claim raise, and nothing comes to be but what expires by itself."""
    await _opened(store)
    await _claimed(store)
    await store.port.apply(Drop((store.log.keys.stream(STREAM),)))
    with pytest.raises(Vanished):
        await store.log.append(STREAM, EntryId(1, 1), parts(0, "x"))
    with pytest.raises(Vanished):
        await store.log.seal(STREAM, stop())
    with pytest.raises(Vanished):
        await store.log.claim(STREAM, 2, begin(), _TTL)
    assert await store.log.read(STREAM) == []
    assert await store.log.last(STREAM) is None
    assert store.log.keys.stream(STREAM) not in await store.keys()


async def test_claim(store: Store) -> None:
    """Rules K1, L1: a claim appends begin, takes the lease, prolongs the log and returns all that stands."""
    await _opened(store)
    await _claimed(store)
    await store.log.append(STREAM, EntryId(1, 1), parts(0, "x"))
    entries = await store.log.claim(STREAM, 2, begin("nonce-2", "m2", 3), _TTL)
    assert [(str(entry.id), entry.record) for entry in entries] == [
        ("0-1", queued()),
        ("1-0", begin()),
        ("1-1", parts(0, "x")),
        ("2-0", begin("nonce-2", "m2", 3)),
    ]
    assert await store.log.held(STREAM, 2) == "nonce-2"
    if store.rest is not None:
        assert await store.expires_in(store.log.keys.lease(STREAM, 2), 10_000)
    assert await store.expires_in(store.log.keys.stream(STREAM), _TTL)


@pytest.mark.parametrize("count", [PAGE - 2, PAGE - 1, PAGE, 2 * PAGE + 3])
async def test_a_claim_reads_a_log_of_any_length(store: Store, count: int) -> None:
    """Rule K1: a log of many pages is read whole, each entry once, this claim's own last."""
    await _opened(store)
    await _claimed(store)
    key = store.log.keys.stream(STREAM)
    await store.port.apply(*(Append(key, EntryId(1, n), encode(parts(n - 1, "x"))) for n in range(1, count + 1)))
    entries = await store.log.claim(STREAM, 2, begin("nonce-2"), _TTL)
    ids = [FIRST, EntryId(1, 0), *(EntryId(1, n) for n in range(1, count + 1)), EntryId(2, 0)]
    assert [entry.id for entry in entries] == ids
    assert [entry.id for entry in await store.log.read(STREAM)] == ids


async def test_one_of_many_claimers_wins(store: Store) -> None:
    """Rules K2, L1: of claimers of one attempt one gets it, and the lease holds the winner's nonce."""
    await _opened(store)
    owners = [f"nonce-{n}" for n in range(6)]
    outcomes = await asyncio.gather(
        *(store.log.claim(STREAM, 1, begin(owner), _TTL) for owner in owners), return_exceptions=True
    )
    won = [owner for owner, outcome in zip(owners, outcomes, strict=True) if not isinstance(outcome, BaseException)]
    assert len(won) == 1
    assert sum(isinstance(outcome, Superseded) for outcome in outcomes) == len(owners) - 1
    assert await store.log.held(STREAM, 1) == won[0]
    assert await _records(store) == [("0-1", queued()), ("1-0", begin(won[0]))]


async def test_the_same_claim_again_is_one(store: Store) -> None:
    """Rules A3, K1: a claimer whose reply was lost claims again, is known by its nonce, and reads what stands."""
    await _opened(store)
    first = await store.log.claim(STREAM, 1, begin(), _TTL)
    assert await store.log.claim(STREAM, 1, begin(), _TTL) == first
    assert await store.log.held(STREAM, 1) == "nonce-1"


async def test_a_sealed_log_cannot_be_claimed(store: Store) -> None:
    """Rules E3, E4, K3: a stop before the first attempt leaves nothing to claim."""
    await _opened(store)
    assert await store.log.seal(STREAM, stop()) is True
    with pytest.raises(Superseded):
        await _claimed(store)
    assert await _records(store) == [("0-1", queued()), (str(SEAL), stop())]


async def test_a_claim_finds_the_end(store: Store) -> None:
    """Rule K3: a claim after the publisher's own end succeeds and shows that end."""
    await _opened(store)
    await _claimed(store)
    await store.log.append(STREAM, EntryId(1, 1), finish())
    entries = await store.log.claim(STREAM, 2, begin("nonce-2"), _TTL)
    assert [str(entry.id) for entry in entries] == ["0-1", "1-0", "1-1", "2-0"]


async def test_seal(store: Store) -> None:
    """Rule E3: a seal ends a live attempt; the second seal, of whatever kind, changes nothing."""
    await _opened(store)
    await _claimed(store)
    await store.log.append(STREAM, EntryId(1, 1), parts(0, "x"))
    assert await store.log.seal(STREAM, error("reader")) is True
    assert await store.log.seal(STREAM, stop()) is False
    with pytest.raises(Superseded):
        await store.log.append(STREAM, EntryId(1, 2), finish())
    assert (await _records(store))[-1] == (str(SEAL), error("reader"))


@pytest.mark.parametrize("end", [finish(), error()])
async def test_an_ended_log_is_not_sealed(store: Store, end: Record) -> None:
    """Rule E3: what its publisher ended stays as it was ended."""
    await _opened(store)
    await _claimed(store)
    await store.log.append(STREAM, EntryId(1, 1), end)
    assert await store.log.seal(STREAM, stop()) is False
    assert (await _records(store))[-1] == ("1-1", end)


async def test_of_many_seals_one_ends(store: Store) -> None:
    """Rule E3: stop, callback and cleanup at once leave one terminal record."""
    await _opened(store)
    seals = (stop(), error("callback"), error("cleanup"), error("reader"))
    outcomes = await asyncio.gather(*(store.log.seal(STREAM, record) for record in seals))
    assert sorted(outcomes) == [False, False, False, True]
    assert (await _records(store))[1:] == [(str(SEAL), seals[outcomes.index(True)])]


async def test_renew(store: Store) -> None:
    """Rules L1, L2: a renewal prolongs lease and log, and tells the newest entry's id."""
    await _opened(store)
    await _claimed(store)
    assert await store.log.renew(STREAM, 1, "nonce-1", 2 * _TTL) == EntryId(1, 0)
    await _claimed(store, 2, "nonce-2")
    assert await store.log.renew(STREAM, 1, "nonce-1", 2 * _TTL) == EntryId(2, 0)
    assert await store.log.held(STREAM, 2) == "nonce-2"
    await store.log.seal(STREAM, stop())
    assert await store.log.renew(STREAM, 2, "nonce-2", 2 * _TTL) == SEAL
    if store.rest is not None:
        assert await store.expires_in(store.log.keys.lease(STREAM, 2), 10_000)
    assert await store.expires_in(store.log.keys.stream(STREAM), 2 * _TTL)


async def test_renewing_nothing(store: Store) -> None:
    """Rule A5: a renewal of a log that is gone says so and does not bring it back."""
    assert await store.log.renew(STREAM, 1, "nonce-1", _TTL) is None
    assert await store.log.read(STREAM) == []


async def test_leases_end_by_themselves_and_by_release(store: Store) -> None:
    """Rules L1, O3: a lease is held until it is released or its time is over; releasing again is harmless."""
    await _opened(store)
    await _claimed(store)
    await store.log.release(STREAM, 1)
    assert await store.log.held(STREAM, 1) is None
    await store.log.release(STREAM, 1)
    await _claimed(store, 2, "nonce-2")
    assert await store.log.held(STREAM, 1) is None
    assert await store.log.held(STREAM, 2) == "nonce-2"
    await store.expired(store.log.keys.lease(STREAM, 2))
    assert await store.log.held(STREAM, 2) is None


async def test_a_loser_does_not_take_the_lease(store: Store) -> None:
    """Rules K1, K2: the refused claim's lease is not taken from the winner, whose claim was before."""
    await _opened(store)
    await _claimed(store, 1, "winner")
    with pytest.raises(Superseded):
        await _claimed(store, 1, "loser")
    assert await store.log.held(STREAM, 1) == "winner"


async def test_notes_only_grow(store: Store) -> None:
    """Rule L5: a note is per message, keeps the highest try, and lives as long as it is told."""
    log = store.log
    assert await log.turned_away(STREAM, "m1") is None
    await log.turn_away(STREAM, "m1", 2, _TTL)
    await log.turn_away(STREAM, "m1", 0, _TTL)
    await log.turn_away(STREAM, "m2", 0, _TTL)
    assert await log.turned_away(STREAM, "m1") == 2
    assert await log.turned_away(STREAM, "m2") == 0
    await log.turn_away(STREAM, "m1", 3, _TTL)
    assert await log.turned_away(STREAM, "m1") == 3
    assert await log.turned_away(STREAM, "m3") is None
    assert await store.expires_in(log.keys.away(STREAM), _TTL)


async def test_streams_do_not_touch_each_other(store: Store) -> None:
    """A seal, a lease and a note belong to one stream."""
    other = STREAM[:-1] + ("A" if STREAM[-1] != "A" else "B")
    await _opened(store)
    await store.log.open(other, queued(), due_ms=1)
    await store.log.claim(other, 1, begin("other"), _TTL)
    await store.log.seal(other, stop())
    await store.log.turn_away(other, "m1", 1, _TTL)
    await _claimed(store)
    assert await store.log.held(STREAM, 1) == "nonce-1"
    assert await store.log.turned_away(STREAM, "m1") is None


async def test_a_strangers_entry_is_refused_clearly(store: Store) -> None:
    """Rule R3: a record that is not ours is an error, never skipped."""
    await _opened(store)
    await store.port.apply(Append(store.log.keys.stream(STREAM), EntryId(1, 0), "hello"))
    with pytest.raises(BadRecord):
        await store.log.read(STREAM)
    with pytest.raises(BadRecord):
        await store.log.last(STREAM)


@pytest.mark.parametrize("server", [kind for kind in stores.KINDS if kind != "memory"], indirect=True)
async def test_entries_that_redis_holds_for_others(store: Store) -> None:
    """Rule R3: an entry without our field, or with an id that is not ours, is refused as a record is."""
    assert store.rest is not None
    key = store.log.keys.stream(STREAM)
    store.rest.do("XADD", key, "0-1", "other", "field")
    with pytest.raises(BadRecord):
        await store.log.read(STREAM)
    store.rest.do("DEL", key)
    store.rest.do("XADD", key, "18446744073709551615-1", "r", encode(queued()))
    with pytest.raises(BadRecord):
        await store.log.last(STREAM)


async def test_nothing_is_a_key(store: Store) -> None:
    """The key that sends a read to the primary never comes to be."""
    await _opened(store)
    await _claimed(store)
    await store.log.append(STREAM, EntryId(1, 1), parts(0, "x"))
    await store.log.append(STREAM, EntryId(1, 1), parts(0, "x"))  # a read-back
    await store.port.apply(Put("t:other", "x", _TTL))
    assert store.log.keys.nothing not in await store.keys()
