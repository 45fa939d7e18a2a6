"""The verbs when the store fails them: every combination of faults, in virtual time (rules A3 to A5, E3, K1)."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

import pytest

from holdfast.adapters.memory import MemoryLog
from holdfast.errors import HoldfastError, Rejected, Superseded, Unavailable, Vanished
from holdfast.keys import Keys
from holdfast.log import Log
from holdfast.operations import Append, Drop, Operation
from holdfast.records import FIRST, SEAL, Entry, EntryId
from tests.clocks import VirtualClock, run, virtual
from tests.core.samples import STREAM, begin, error, finish, parts, queued, stop
from tests.faults import FINE, LOST_REPLY, LOST_REQUEST, THROTTLED, FaultyLog, Outcome, slow

_FAULTS = {"fine": FINE, "request lost": LOST_REQUEST, "reply lost": LOST_REPLY, "throttled": THROTTLED}
_TTL = 7_200_000
_ID = EntryId(1, 1)
_MINE = parts(0, "mine")

type Deed = Callable[[Log], Awaitable[object]]


def _appends(operations: Sequence[Operation]) -> bool:
    return any(isinstance(operation, Append) for operation in operations)


class _Bench:
    """A log behind a faulty store, and the same log as a rival with a good connection sees it."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        store = MemoryLog(self.clock)
        self.rival = Log(store, Keys(), self.clock)
        self.faulty = FaultyLog(store, self.clock)
        self.log = replace(self.rival, port=self.faulty)

    async def begun(self) -> _Bench:
        await self.rival.open(STREAM, queued(), 1)
        await self.rival.claim(STREAM, 1, begin(), _TTL)
        return self

    async def entries(self) -> list[Entry]:
        return await self.rival.read(STREAM)


def _scripts(tries: int) -> list[tuple[str, ...]]:
    return list(itertools.product(_FAULTS, repeat=tries))


@pytest.mark.parametrize("names", _scripts(3), ids=",".join)
def test_an_append_is_exactly_one(names: tuple[str, ...]) -> None:
    """Rules A3, A4: whatever becomes of any three calls, read-backs included, the record stands once."""

    async def scenario() -> None:
        bench = await _Bench().begun()
        bench.faulty.rescript([_FAULTS[name] for name in names])
        await bench.log.append(STREAM, _ID, _MINE)
        await bench.log.append(STREAM, EntryId(1, 2), finish(parts=1))
        assert [(entry.id, entry.record) for entry in await bench.entries()] == [
            (FIRST, queued()),
            (EntryId(1, 0), begin()),
            (_ID, _MINE),
            (EntryId(1, 2), finish(parts=1)),
        ]

    run(scenario())


@pytest.mark.parametrize("names", _scripts(3), ids=",".join)
def test_opening_is_exactly_one(names: tuple[str, ...]) -> None:
    """Rules A1, A3, A4: a log opened through any three faults is there, once, with its index entry and lifetime."""

    async def scenario() -> None:
        bench = _Bench()
        bench.faulty.rescript([_FAULTS[name] for name in names])
        await bench.log.open(STREAM, queued(), 5)
        assert [entry.record for entry in await bench.entries()] == [queued()]
        bench.clock.origin_ms += 2 * 86_400_000 - 10_000
        assert await bench.entries() != []
        bench.clock.origin_ms += 10_000
        assert await bench.entries() == []

    run(scenario())


@pytest.mark.parametrize("names", _scripts(3), ids=",".join)
def test_a_claim_is_exactly_one(names: tuple[str, ...]) -> None:
    """Rules K1, A4: a claim through any three faults is won once, holds its lease, and reads all that stands."""

    async def scenario() -> None:
        bench = await _Bench().begun()
        await bench.rival.append(STREAM, _ID, _MINE)
        bench.faulty.rescript([_FAULTS[name] for name in names])
        entries = await bench.log.claim(STREAM, 2, begin("nonce-2"), _TTL)
        assert entries == await bench.entries()
        assert [entry.id for entry in entries] == [FIRST, EntryId(1, 0), _ID, EntryId(2, 0)]
        assert await bench.rival.held(STREAM, 2) == "nonce-2"

    run(scenario())


@pytest.mark.parametrize("names", _scripts(3), ids=",".join)
def test_a_seal_is_exactly_one(names: tuple[str, ...]) -> None:
    """Rules E3, A4: a seal through any three faults ends the log once, and knows that it did."""

    async def scenario() -> None:
        bench = await _Bench().begun()
        bench.faulty.rescript([_FAULTS[name] for name in names])
        assert await bench.log.seal(STREAM, stop()) is True
        assert [entry.id for entry in await bench.entries()] == [FIRST, EntryId(1, 0), SEAL]

    run(scenario())


async def _claims(log: Log) -> None:
    await log.claim(STREAM, 2, begin("rival"), _TTL)


async def _seals(log: Log) -> None:
    await log.seal(STREAM, error("reader"))


async def _deletes(log: Log) -> None:
    await log.port.apply(Drop((log.keys.stream(STREAM),)))


_DEEDS: dict[str, Deed] = {"claims": _claims, "seals": _seals, "deletes": _deletes}


@pytest.mark.parametrize("deed", _DEEDS)
@pytest.mark.parametrize("call", [0, 1, 2])
@pytest.mark.parametrize("when", ["before", "after"])
def test_an_append_beside_a_rival_is_told_the_truth(deed: str, call: int, when: str) -> None:
    """Rules A4, A5: success means that the record stands, superseded that it does not, vanished that the log is gone.

    For every combination of three faults, with a rival's deed just before or after any of the calls.
    """
    seen: set[str] = set()

    async def scenario(names: tuple[str, ...]) -> None:
        bench = await _Bench().begun()

        async def meanwhile() -> None:
            await _DEEDS[deed](bench.rival)

        script = [_FAULTS[name] for name in names]
        script[call] = (
            replace(script[call], before=meanwhile) if when == "before" else replace(script[call], after=meanwhile)
        )
        bench.faulty.rescript(script)
        outcome = "landed"
        try:
            await bench.log.append(STREAM, _ID, _MINE)
        except (Superseded, Vanished) as error:
            outcome = type(error).__name__
        # What the script still holds had no call to fall on: the rival then did nothing.
        acted = len(bench.faulty.calls) > call
        mine = [entry for entry in await bench.entries() if entry.id == _ID]
        assert len(mine) == (1 if outcome == "landed" and not (acted and deed == "deletes") else 0)
        if outcome == "Vanished":
            assert deed == "deletes"
        if outcome == "Superseded":
            assert deed != "deletes"
        seen.add(outcome)

    for names in _scripts(3):
        run(scenario(names))
    lost = "Vanished" if deed == "deletes" else "Superseded"
    assert seen == ({lost} if (when, call) == ("before", 0) else {"landed", lost})


@pytest.mark.parametrize("names", _scripts(2), ids=",".join)
def test_two_claimers_with_faults(names: tuple[str, ...]) -> None:
    """Rules K2, A4: against a rival for the same attempt a claimer knows whether the begin is its own."""

    async def scenario(call: int) -> None:
        bench = await _Bench().begun()

        async def rival() -> None:
            with suppress(Superseded):
                await bench.rival.claim(STREAM, 2, begin("rival"), _TTL)

        script = [_FAULTS[name] for name in names]
        script[call] = replace(script[call], before=rival)
        bench.faulty.rescript(script)
        try:
            entries: list[Entry] | None = await bench.log.claim(STREAM, 2, begin("mine"), _TTL)
        except Superseded:
            entries = None
        owner = "rival" if entries is None else "mine"
        assert (await bench.entries())[-1].record == begin(owner)
        assert await bench.rival.held(STREAM, 2) == owner

    for call in (0, 1):
        run(scenario(call))


@virtual
async def test_a_free_id_is_tried_again() -> None:
    """Rule A4: a store that refuses for a reason of its own does not end the attempt."""
    bench = await _Bench().begun()
    bench.faulty.rescript([THROTTLED, FINE, THROTTLED, FINE, FINE])
    await bench.log.append(STREAM, _ID, _MINE)
    assert (await bench.entries())[-1].id == _ID
    assert [_appends(call) for call in bench.faulty.calls] == [True, False, True, False, True]


@virtual
async def test_a_read_back_asks_the_primary() -> None:
    """Rule A4: the reading that classifies a refusal goes with a write, so that no replica answers it."""
    bench = await _Bench().begun()
    await _claims(bench.rival)
    with pytest.raises(Superseded):
        await bench.log.append(STREAM, _ID, _MINE)
    (_, read_back) = bench.faulty.calls
    assert any(isinstance(operation, Drop) for operation in read_back)


@pytest.mark.parametrize(
    ("outcome", "error"), [(LOST_REQUEST, Unavailable), (LOST_REPLY, Unavailable), (THROTTLED, Rejected)]
)
@pytest.mark.parametrize("patience", [0.5, 3.0, 7.0])
def test_patience_ends(outcome: Outcome, error: type[HoldfastError], patience: float) -> None:
    """A verb asks again until its patience is over, not longer, with growing pauses, and then says so."""

    async def scenario() -> None:
        bench = await _Bench().begun()
        bench.faulty.rescript([], then=outcome)
        began = bench.clock.monotonic()
        with pytest.raises(error):
            await bench.log.patient(patience).append(STREAM, _ID, _MINE)
        taken = bench.clock.monotonic() - began
        assert patience / 2 < taken <= patience + 0.05
        assert 3 <= len(bench.faulty.calls) <= 6 + patience * 2

    run(scenario())


@virtual
async def test_a_slow_store_is_waited_for() -> None:
    """A request that takes a while is one request."""
    bench = await _Bench().begun()
    bench.faulty.rescript([slow(1.0)])
    await bench.log.append(STREAM, _ID, _MINE)
    assert bench.clock.monotonic() == 1.0
    assert len(bench.faulty.calls) == 1


@virtual
async def test_a_late_reply_of_a_superseded_append_counts() -> None:
    """Rule A3: an append that landed before the take-over landed, however late its reply is lost."""
    bench = await _Bench().begun()

    async def rival() -> None:
        await _claims(bench.rival)
        await bench.rival.append(STREAM, EntryId(2, 1), parts(1, "theirs"))

    bench.faulty.rescript([Outcome(raises=Unavailable, late=1.0, after=rival)])
    await bench.log.append(STREAM, _ID, _MINE)
    assert [entry.id for entry in await bench.entries()] == [
        FIRST,
        EntryId(1, 0),
        _ID,
        EntryId(2, 0),
        EntryId(2, 1),
    ]


@virtual
async def test_a_seal_that_comes_second_says_so() -> None:
    """Rule E3: of two seals the one that lost knows it, also when its own request was lost in between."""
    for script in ([FINE, FINE], [FINE, LOST_REQUEST]):
        bench = await _Bench().begun()
        bench.faulty.rescript([script[0], replace(script[1], before=partial(_seals, bench.rival))])
        assert await bench.log.seal(STREAM, stop()) is False
        assert (await bench.entries())[-1].record == error("reader")


@virtual
async def test_a_seal_behind_the_publishers_end_ends_nothing() -> None:
    """Rules E1, E3: where the publisher ends in between the look and the seal, the seal did not end the log."""
    bench = await _Bench().begun()

    async def publisher() -> None:
        await bench.rival.append(STREAM, _ID, finish())

    bench.faulty.rescript([FINE, Outcome(before=publisher)])
    assert await bench.log.seal(STREAM, stop()) is False
