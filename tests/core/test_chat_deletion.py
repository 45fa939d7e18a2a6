"""Deleting a chat: one suite, on memory, on fakeredis and on a real engine (rules J3 to J8)."""

from __future__ import annotations

import asyncio

import pytest

from holdfast import chats, history
from holdfast.access import Access
from holdfast.answer import Answer
from holdfast.errors import ApiError, Superseded, Vanished
from holdfast.identity import digest
from holdfast.log import Log
from holdfast.operations import Last, Rank, Ranked
from holdfast.records import EntryId, Parts, Stop, decode
from holdfast.rescue import Rescuer
from holdfast.subscribe import Frame, Patience, Subscriber
from tests.core.chats import RETENTION, Chats, Taken
from tests.core.stores import Store

pytestmark = pytest.mark.asyncio


async def remains(mine: Chats) -> list[str]:
    """What is left under the prefix but for what says that there was something: no key of it holds content."""
    kept = (":turns", ":chats", ":due", ":erasing")
    return [key for key in await mine.store.keys() if not key.endswith(kept) and ":message:" not in key]


async def test_everything_of_a_chat_goes(store: Store) -> None:
    """Rules J3, J6: messages, titles, logs and idempotency keys; what others asked stays."""
    mine = Chats(store)
    started = await mine.start("c", "My secret?", key="k")
    await mine.answer(started.stream, "The secret answer.")
    await mine.log.turn_away(started.stream, "m1", 1, 60_000)
    await mine.turn("c", "Once more the secret.", "It is secret.")
    await mine.turn("other", "Stay.", "I stay.")
    assert await mine.holds("secret")
    assert await mine.erase("c")
    assert await mine.holds("secret") == []
    assert await mine.texts("c") == []
    assert await mine.texts("other") == ["Stay.", "I stay."]
    listed, _ = await chats.page(mine.log, "me", 9)
    assert [chat.id for chat in listed] == ["other"]
    assert await mine.erase("other")
    # The leases end by themselves.
    assert [key for key in await remains(mine) if ":lease:" not in key] == []


async def test_what_never_was_and_what_is_gone_already(store: Store) -> None:
    """Rule J8: deleting again is as good as the first time; an unknown chat, and another owner's, is none."""
    mine, yours = Chats(store), Chats(store, "you")
    assert not await mine.erase("c")
    assert await store.keys() == []
    await mine.turn("c", "Why?")
    assert not await yours.erase("c")
    assert await mine.texts("c") == ["Why?", "Because."]
    assert [await mine.erase("c") for _ in range(3)] == [True] * 3
    assert await mine.of("c").newest_turn() is None


async def test_a_deleted_chat_begins_anew(store: Store) -> None:
    """Rule J4: a later start knows nothing of what was, and is listed, read and deleted like any other."""
    mine = Chats(store)
    await mine.turn("c", "The old question.", "The old answer.")
    for number in range(3):
        await mine.erase("c")
        started = await mine.turn("c", f"New {number}?", f"New {number}.")
        answer = Answer(await mine.log.read(started.stream))
        assert [message["parts"][0]["text"] for message in answer.queued.messages] == [f"New {number}?"]
        await mine.turn("c", "More?", "More.")
        assert await mine.texts("c") == [f"New {number}?", f"New {number}.", "More?", "More."]
        listed, _ = await chats.page(mine.log, "me", 9)
        assert [(chat.id, chat.title) for chat in listed] == [("c", f"New {number}?")]


async def test_a_late_settler_writes_nothing_into_a_deleted_chat(store: Store) -> None:
    """Rule J5: a publisher that has its end in the log, and the answer in memory, settles after the deletion."""
    mine = Chats(store)
    started = await mine.turn("c", "My secret?", "Secret.")
    late = Answer(await mine.log.read(started.stream))
    await mine.erase("c")
    for begun_anew in (False, True):
        if begun_anew:
            await mine.turn("c", "New?", "New.")
        await history.settle(mine.log, late)
        await history.repair(mine.log, late)
        await history.enter(mine.log, late.queued)
        assert await mine.holds("ecret") == []
        assert await mine.texts("c") == (["New?", "New."] if begun_anew else [])
        listed, _ = await chats.page(mine.log, "me", 9)
        assert [chat.title for chat in listed] == (["New?"] if begun_anew else [])


async def test_a_live_answer_is_stopped_first(store: Store) -> None:
    """Rules J6, J7, X4: its reader gets the end, its publisher is refused, and then the log is gone."""
    mine = Chats(store)
    started = await mine.start("c", "Why?")
    await mine.answer(started.stream, "half", end=False)
    rescuer = Rescuer(mine.log, Taken())
    reading = await Subscriber(mine.log, rescuer, Patience(), RETENTION * 1000).open(started.stream, Access("me"))

    async def read() -> list[str | None]:
        frames = [frame async for frame in reading.frames(60) if isinstance(frame, Frame)]
        return [None if frame.chunk is None else frame.chunk["type"] for frame in frames]

    reader = asyncio.create_task(read())
    await asyncio.sleep(0)
    deleting = asyncio.create_task(mine.erase("c"))
    chunks = await reader
    tail = await store.one(Last(mine.log.keys.stream(started.stream)))
    assert isinstance(decode(tail[1]), Stop)
    with pytest.raises(Superseded):
        await _append(mine.log, started.stream)
    assert chunks == ["start", "text-start", "text-delta", "abort", None]
    assert await deleting
    with pytest.raises(Vanished):
        await _append(mine.log, started.stream)
    with pytest.raises(ApiError) as refused:
        await Subscriber(mine.log, rescuer, Patience(unknown=0), RETENTION * 1000).open(started.stream, Access("me"))
    assert refused.value.status == 404


async def _append(log: Log, stream: str) -> None:
    more = Parts(at=0, pos=3, parts=[{"type": "text-delta", "id": "t", "delta": "more"}])
    await log.append(stream, EntryId(1, 2), more)


async def test_a_deleted_answer_gives_its_place_back(store: Store) -> None:
    """Rules J6 and N2: only its own, and at once: nobody waits for what would pass for a start under way."""
    mine = Chats(store)
    started = await mine.start("c", "Why?")
    places = mine.log.keys.live(digest("me"))
    now = store.clock.now_ms()
    await mine.log.run(Rank(places, started.stream, now), Rank(places, "another", now))
    await mine.erase("c")
    assert await store.one(Ranked(places)) == [("another", now)]


async def test_a_key_of_a_deleted_answer_begins_a_new_one(store: Store) -> None:
    """Rule J6: never the old stream again, into which an old publisher could still write."""
    mine = Chats(store)
    first = await mine.start("c", "Why?", key="k")
    await mine.answer(first.stream, "Because.")
    await mine.erase("c")
    again = await mine.start("c", "Why?", key="k")
    assert again.created
    assert again.stream != first.stream


async def test_marks_end_before_the_floor(store: Store) -> None:
    """Rule J5: else the messages of a new chat, counted from 1 again, would find their places taken."""
    mine = Chats(store)
    await mine.turn("c", "Why?")
    await mine.erase("c")
    name = mine.of("c").chat
    assert await store.expires_in(mine.log.keys.message(name, "1.1"), 43_200_000)


async def test_the_floor_outlives_the_marks(store: Store) -> None:
    """Rules J5, X6: it stays as long as a chat that goes on."""
    mine = Chats(store)
    await mine.turn("c", "Why?")
    await mine.erase("c")
    assert await store.expires_in(mine.log.keys.turns(mine.of("c").chat), mine.of("c").ttl_ms)
