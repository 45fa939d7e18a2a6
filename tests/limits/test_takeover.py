"""Starts of a chat whose live answer has the last place, and starts that break (docs/protocol.md, chapter N)."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.errors import Unavailable
from holdfast.identity import message_id
from holdfast.limits import Limits
from holdfast.operations import Enter
from holdfast.records import Stop
from holdfast.start import Started
from tests.clocks import virtual
from tests.faults import LOST_REPLY
from tests.limits.guarded import Guarded
from tests.publishing.stage import said

QUESTION = said("Why?", id="q1")


def next_after(stream: str) -> dict[str, Any]:
    """The start of a client that shows a part of a live answer and asks on."""
    return {"chat_id": "c", "messages": [QUESTION, said("Be", message_id(stream), "assistant"), said("And?", id="q2")]}


@pytest.mark.parametrize("limit", [{"owner_starts": 1}, {"live_answers": 1}], ids=["rate", "live"])
@pytest.mark.parametrize("named", [False, True])
@virtual
async def test_another_answer_in_place_of_the_live_one_joins_it(limit: dict[str, int], named: bool) -> None:
    """Rules H3 and N3: nothing more would be live, so nothing is refused."""
    stage = Guarded(**limit)
    first = await stage.start(chat_id="c", messages=[QUESTION])
    again: dict[str, Any] = {"chat_id": "c", "trigger": "regenerate", "messages": [QUESTION]}
    target = message_id(first.stream) if named else None
    assert await stage.start(**again, target=target) == Started(first.stream, created=False)
    assert len(stage.queue.messages) == 1
    assert (await stage.refused(**again, target="another")).status == 429


@virtual
async def test_who_moved_on_gets_the_place_of_the_answer_left_behind() -> None:
    """Rules H3 and N3: the live answer ends, its place goes to the next one, and no other one is free then."""
    stage = Guarded(live_answers=2)
    other, first = await stage.start(), await stage.start(chat_id="c", messages=[QUESTION])
    started = await stage.start(**next_after(first.stream))
    assert started.created
    end = (await stage.entries(first.stream))[-1].record
    assert isinstance(end, Stop)
    assert end.by == "next"
    assert set(await stage.places()) == {other.stream, started.stream}
    assert (await stage.refused()).code == "limit_live"
    assert (await stage.start(**next_after(first.stream))).stream == started.stream


@virtual
async def test_a_lost_reply_does_not_cost_who_moved_on_the_place() -> None:
    """Rule N2: a place that is taken over is taken once, whichever replies are lost."""
    stage = Guarded(live_answers=1)
    first = await stage.start(chat_id="c", messages=[QUESTION])
    stage.port._when = lambda operations: isinstance(operations[0], Enter)
    stage.port.rescript([LOST_REPLY, LOST_REPLY, LOST_REPLY])
    started = await stage.start(**next_after(first.stream))
    assert await stage.places() == [started.stream]


@virtual
async def test_who_has_no_start_left_does_not_end_the_live_answer() -> None:
    """Rule N1: moving on is a start; one that is refused changes nothing."""
    stage = Guarded(owner_starts=1, live_answers=1)
    first = await stage.start(chat_id="c", messages=[QUESTION])
    assert (await stage.refused(**next_after(first.stream))).code == "limit_starts_owner"
    assert [type(entry.record).__name__ for entry in await stage.entries(first.stream)] == ["Queued"]


@virtual
async def test_another_chat_s_start_ends_nothing() -> None:
    """Rule N2: only the live answer that the request itself leaves behind makes room for it."""
    stage = Guarded(live_answers=1)
    first = await stage.start(chat_id="c", messages=[QUESTION])
    elsewhere = {**next_after(first.stream), "chat_id": "d"}
    assert (await stage.refused(**elsewhere)).code == "limit_live"
    assert (await stage.refused(chat_id="c", messages=[said("And?")])).code == "limit_live"
    assert await stage.places() == [first.stream]
    assert len(await stage.entries(first.stream)) == 1


@virtual
async def test_a_start_that_breaks_leaves_neither_place_nor_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules S2 and N2: whatever an error in the start itself is, nothing of it bars the next one."""
    stage = Guarded(live_answers=1)

    def breaks(self: Limits, messages: object) -> None:
        raise ZeroDivisionError(self, messages)

    with monkeypatch.context() as patched:
        patched.setattr(Limits, "trimmed", breaks)
        with pytest.raises(ZeroDivisionError):
            await stage.start(key="k", chat_id="c")
    assert await stage.places() == []
    assert stage.memory.keys() == []
    assert (await stage.start(key="k", messages=[said("Something else?")])).created


@virtual
async def test_a_store_that_fails_under_way_leaves_the_place_and_keeps_the_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rules S3 and N2: the turn may be claimed already, and the same key goes on with the same stream."""
    stage = Guarded(live_answers=1)

    def fails(self: Limits, messages: object) -> None:
        raise Unavailable(f"{self} {messages}")

    with monkeypatch.context() as patched:
        patched.setattr(Limits, "trimmed", fails)
        assert (await stage.refused(key="k", chat_id="c")).code == "store_unavailable"
    assert await stage.places() == []
    started = await stage.start(key="k", chat_id="c")
    assert started.created
    assert await stage.places() == [started.stream]
