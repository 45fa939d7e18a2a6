"""Starts within their limits, over them, and again within them (docs/protocol.md, chapter N)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from holdfast.errors import ApiError, Unavailable
from holdfast.gate import Gate
from holdfast.operations import Append, Enter, Operation, Rank
from holdfast.requests import StartRequest
from holdfast.start import Started
from tests.clocks import virtual
from tests.faults import LOST_REPLY, LOST_REQUEST, slow
from tests.limits.guarded import GIVE_UP, Guarded
from tests.publishing.stage import Script, die, said

# -- starts per minute --------------------------------------------------------------------------------


@virtual
async def test_an_owner_starts_so_many_and_then_waits() -> None:
    """Rule N1: three pass, the fourth is 429 with the time after which it passes; another owner is not concerned."""
    stage = Guarded(owner_starts=3)
    for _ in range(3):
        await stage.start()
    error = await stage.refused()
    assert (error.status, error.code, error.retry_after) == (429, "limit_starts_owner", 20)
    assert "20 seconds" in error.message
    assert len(stage.queue.messages) == 3
    await stage.start("you")
    await asyncio.sleep(20)
    await stage.start()
    assert (await stage.refused()).code == "limit_starts_owner"


@virtual
async def test_an_address_starts_so_many_whoever_asks() -> None:
    """Rule N1: an owner is made with every request that brings none, so the address counts by itself."""
    stage = Guarded(owner_starts=2, address_starts=3)
    for owner in ("o1", "o2", "o3"):
        await stage.start(owner)
    error = await stage.refused("o4")
    assert (error.status, error.code, error.retry_after) == (429, "limit_starts_address", 20)
    await stage.start("o4", "b")
    await asyncio.sleep(20)
    await stage.start("o5")


@virtual
async def test_who_hammers_does_not_use_up_what_the_neighbours_have() -> None:
    """Rule N1: the owner is asked first, and what is refused there takes nothing of the address."""
    stage = Guarded(owner_starts=1, address_starts=3)
    await stage.start()
    for _ in range(10):
        assert (await stage.refused()).code == "limit_starts_owner"
    await stage.start("you")
    await stage.start("they")


@virtual
async def test_a_refused_start_leaves_nothing_behind() -> None:
    """Rules W5 and N1: no key, no claim, no log, no message; later it is a start like any other."""
    stage = Guarded(owner_starts=1, live_answers=10)
    await stage.start()
    before = stage.memory.keys()
    await stage.refused(key="k", chat_id="c")
    assert (stage.memory.keys(), len(stage.queue.messages)) == (before, 1)
    await asyncio.sleep(60)
    assert (await stage.start(key="k", chat_id="c")).created


@virtual
async def test_what_is_wrong_costs_no_start() -> None:
    """Rules S1 and N5: a request that is refused for what it says is not counted."""
    stage = Guarded(owner_starts=1, prompt_chars=10)
    assert (await stage.refused(messages=[said("Hi", role="assistant")])).status == 422
    assert (await stage.refused(messages=[said("x" * 11)])).code == "prompt_too_large"
    await stage.start()


@pytest.mark.parametrize("limit", [{"owner_starts": 1}, {"live_answers": 1}], ids=["rate", "live"])
@virtual
async def test_a_repeat_of_what_was_let_in_joins_it_though_the_limit_is_reached(limit: dict[str, int]) -> None:
    """Rule N3: the reply to a start was lost; by its key, or by its turn in the chat, it finds its answer."""
    for same in ({"key": "k"}, {"chat_id": "c"}, {"key": "k", "chat_id": "c"}):
        stage = Guarded(**limit)
        first = await stage.start(**same)
        assert (await stage.refused()).status == 429
        assert await stage.start(**same) == Started(first.stream, created=False)
        assert len(stage.queue.messages) == 1


@virtual
async def test_a_reused_key_is_told_over_the_limit_as_well() -> None:
    """Rule S2 comes before rule N1: another body under the same key is 422, and never the first one's answer."""
    stage = Guarded(owner_starts=1)
    await stage.start(key="k")
    assert (await stage.refused(key="k", messages=[said("How?")])).code == "idempotency_key_reused"


@virtual
async def test_another_answer_to_an_old_question_is_a_start() -> None:
    """Rule N3: over the limit a regeneration joins its live turn, but after its end it does not get the old answer."""
    stage = Guarded(owner_starts=1)
    again = {"chat_id": "c", "trigger": "regenerate"}
    first = await stage.start(**again)
    assert (await stage.start(**again)).stream == first.stream
    await stage.end(first.stream)
    assert (await stage.refused(**again)).code == "limit_starts_owner"


@virtual
async def test_a_start_that_is_refused_can_still_repair_one_that_died() -> None:
    """Rules S3 and N3: a repeat over the limit enqueues what was opened and never enqueued."""
    stage = Guarded(owner_starts=1)

    class Deadly:
        async def enqueue(self, stream: str, attempt: int, *, dedup: str) -> None:
            raise KeyboardInterrupt(stream, attempt, dedup)

    with pytest.raises(KeyboardInterrupt):
        await replace(stage.starter(), queue=Deadly()).start(StartRequest("me", [said("Why?")], key="k"), "a")
    started = await stage.start(key="k")
    assert stage.queue.messages == [(started.stream, 1, f"{started.stream}.1")]


# -- live answers -------------------------------------------------------------------------------------


@virtual
async def test_so_many_answers_are_live_and_no_more() -> None:
    """Rule N2: two are, the third is 429 with a time; another owner is not concerned; the end of one makes room."""
    stage = Guarded(live_answers=2)
    first, _ = await stage.start(), await stage.start()
    error = await stage.refused()
    assert (error.status, error.code, error.retry_after is not None) == (429, "limit_live", True)
    await stage.start("you")
    await stage.end(first.stream)
    await stage.start()
    assert (await stage.refused()).code == "limit_live"


@virtual
async def test_the_last_place_is_given_away_once() -> None:
    """Rule N2: of twenty starts at once three pass; when two of them end, of twenty more exactly two."""
    stage = Guarded(live_answers=3)
    stage.port.rescript([], then=slow(0.01))
    for free in (3, 2):
        outcomes = await asyncio.gather(*(stage.start() for _ in range(20)), return_exceptions=True)
        started = [outcome for outcome in outcomes if isinstance(outcome, Started)]
        assert len(started) == free
        assert all(isinstance(each, Started) or getattr(each, "code", "") == "limit_live" for each in outcomes)
        for each in started[:2]:
            await stage.end(each.stream)


@virtual
async def test_one_answer_takes_one_place() -> None:
    """Rule N2: however often its start is sent, at once or later, whatever of its replies is lost."""
    stage = Guarded(live_answers=2)
    stage.port._when = lambda operations: isinstance(operations[0], Enter)
    stage.port.rescript([LOST_REPLY, LOST_REQUEST, LOST_REPLY])
    started = await asyncio.gather(*(stage.start(key="k") for _ in range(2)))
    assert len({each.stream for each in started}) == 1
    await stage.start(key="k")
    assert await stage.places() == [started[0].stream]
    assert (await stage.start()).created
    assert (await stage.refused()).code == "limit_live"


@virtual
async def test_a_repeat_after_the_end_takes_no_place() -> None:
    """Rules S2 and N2: whoever joins an answer that is over has every place for others."""
    stage = Guarded(live_answers=1)
    for key in ("k", "l"):
        started = await stage.start(key=key)
        await stage.end(started.stream)
    assert not (await stage.start(key="k")).created
    assert await stage.places() == []
    await stage.start()


@virtual
async def test_a_place_that_cannot_be_kept_costs_nobody_the_answer() -> None:
    """Rule N2: the store fails when all is done but the count: the answer was begun, and the client is told so."""
    stage = Guarded(live_answers=2)
    stage.port._when = _opens
    stage.port.rescript([], then=LOST_REQUEST)
    starting = asyncio.create_task(stage.start(key="k"))
    await asyncio.sleep(0.01)
    starting.cancel()
    await asyncio.wait({starting})
    stage.port._when = lambda operations: isinstance(operations[0], Rank)
    assert (await stage.start(key="k")).created
    assert len(stage.queue.messages) == 1


@pytest.mark.parametrize("chat", [None, "c"])
@virtual
async def test_a_start_that_fails_gives_its_place_back(chat: str | None) -> None:
    """Rules S4 and N2: the queue is down for as many starts as there are places; then one passes."""
    stage = Guarded(live_answers=1)
    stage.queue.fault = Unavailable("down")
    for _ in range(3):
        assert (await stage.refused(chat_id=chat)).code == "not_started"
        assert await stage.places() == []
    stage.queue.fault = None
    await stage.start(chat_id=chat)


@virtual
async def test_a_busy_chat_takes_no_places() -> None:
    """Rules H3 and N2: whoever asks again and again in a live chat gets 409 each time, and has the other places."""
    stage = Guarded(live_answers=2)
    live = await stage.start(chat_id="c")
    for text in "abcd":
        assert (await stage.refused(chat_id="c", messages=[said(text)])).code == "chat_busy"
    assert await stage.places() == [live.stream]
    await stage.start()


@virtual
async def test_a_start_that_died_holds_its_place_for_ten_seconds() -> None:
    """Rule N2: a place without a log may be of a start under way; after ten seconds it is of one that died."""
    stage = Guarded(live_answers=1)
    stage.port._when = _opens
    stage.port.rescript([], then=LOST_REQUEST)
    starting = asyncio.create_task(stage.start())
    await asyncio.sleep(0.01)
    starting.cancel()
    await asyncio.wait({starting})
    stage.port.rescript([])
    await asyncio.sleep(9.9)
    assert (await stage.refused()).code == "limit_live"
    await asyncio.sleep(0.1)
    await stage.start()


@virtual
async def test_a_repeated_start_takes_the_place_of_the_one_that_died() -> None:
    """Rules S3 and N2: the stream that is opened at last has the place, under its own id."""
    stage = Guarded(live_answers=1)
    stage.port._when = _opens
    stage.port.rescript([], then=LOST_REQUEST)
    starting = asyncio.create_task(stage.start(key="k"))
    await asyncio.sleep(0.01)
    starting.cancel()
    await asyncio.wait({starting})
    stage.port.rescript([])
    await asyncio.sleep(10)
    started = await stage.start(key="k")
    assert await stage.places() == [started.stream]
    await asyncio.sleep(11)
    assert (await stage.refused()).code == "limit_live"


@virtual
async def test_an_answer_that_is_finished_makes_room() -> None:
    """Rule N2: an end by its publisher is one as well; nobody has to tell the limit."""
    stage = Guarded(live_answers=1)
    stage.stream = (await stage.start()).stream
    await stage.publish(Script(["done"]))
    await stage.start()


@virtual
async def test_a_silent_model_holds_its_place() -> None:
    """Rule N2: an answer whose publisher is alive is live, however long its model says nothing."""
    stage = Guarded(live_answers=1)
    stage.stream = (await stage.start()).stream
    publishing = asyncio.create_task(stage.publish(Script([GIVE_UP * 3, "done"])))
    await asyncio.sleep(GIVE_UP * 2)
    assert (await stage.refused()).code == "limit_live"
    await publishing
    await stage.start()


@virtual
async def test_an_answer_that_nobody_writes_does_not_count_for_ever() -> None:
    """Rule N2: its publisher died and nobody reads it; without lease and news for two minutes, its place is free."""
    stage = Guarded(live_answers=1)
    stage.stream = (await stage.start()).stream
    await die(stage, Script(["half", 60, "never"]), 30)
    await asyncio.sleep(GIVE_UP - 31)
    assert (await stage.refused()).code == "limit_live"
    await asyncio.sleep(2)
    await stage.start()


@virtual
async def test_a_claim_behind_the_end_does_not_bring_an_answer_back_to_life() -> None:
    """Rules E1 and N2: the first end counts, whatever a claim that was under way has left behind it."""
    stage = Guarded(live_answers=1)
    stage.stream = (await stage.start()).stream
    await stage.publish(Script(["done"]))
    await stage.claim("m2")
    await stage.start()


@virtual
async def test_more_live_answers_than_are_looked_at_at_once() -> None:
    """Rule N2: the one that has ended is found wherever it stands."""
    stage = Guarded(live_answers=25)
    started = [await stage.start() for _ in range(25)]
    assert (await stage.refused()).code == "limit_live"
    await stage.end(started[-1].stream)
    await stage.start()
    assert (await stage.refused()).code == "limit_live"


# -- the store ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [{"owner_starts": 1}, {"address_starts": 1}, {"live_answers": 1}], ids=str)
@virtual
async def test_a_store_that_is_down_lets_nobody_in(limit: dict[str, int]) -> None:
    """Rule N6: 503 and nothing enqueued, whichever limit cannot be looked at; and within a bounded time."""
    stage = Guarded(**limit)

    class Down:
        async def take(self, key: str, per_minute: int) -> float | None:
            await asyncio.sleep(3)
            raise Unavailable(f"{key} {per_minute}")

    gate = Gate(stage.log, Down(), stage.limits, GIVE_UP)
    stage.port._when = lambda operations: isinstance(operations[0], Enter)
    stage.port.rescript([], then=LOST_REQUEST)
    began = stage.clock.monotonic()
    with pytest.raises(ApiError) as caught:
        await replace(stage.starter(), gate=gate).start(StartRequest("me", [said("Why?")]), "a")
    assert (caught.value.status, caught.value.code) == (503, "store_unavailable")
    assert (stage.queue.messages, stage.memory.keys()) == ([], [])
    assert stage.clock.monotonic() - began <= 6


@virtual
async def test_a_store_that_fails_once_costs_nobody_the_start() -> None:
    """Rule N6: what is asked again and answered is an answer."""
    stage = Guarded(owner_starts=2, live_answers=2)
    failed: list[str] = []
    inner = stage.rates

    class Shaky:
        async def take(self, key: str, per_minute: int) -> float | None:
            if not failed:
                failed.append(key)
                raise Unavailable("once")
            return await inner.take(key, per_minute)

    gate = Gate(stage.log, Shaky(), stage.limits, GIVE_UP)
    stage.port.rescript([LOST_REPLY])
    started = await replace(stage.starter(), gate=gate).start(StartRequest("me", [said("Why?")]), "a")
    assert (started.created, len(failed)) == (True, 1)


def _opens(operations: Sequence[Operation]) -> bool:
    """Whether a call of the store opens a log."""
    return isinstance(operations[0], Append) and operations[0].create
