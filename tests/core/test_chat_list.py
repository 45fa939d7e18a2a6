"""An owner's list of chats: one suite, on memory, on fakeredis and on a real engine (rules J1, J2)."""

from __future__ import annotations

import pytest

from holdfast import chats, history
from holdfast.chats import Listed
from holdfast.history import DROPPED, MOST_LISTED
from holdfast.identity import digest
from holdfast.operations import Drop, Keep, Put, Rank, Ranked, Unrank
from holdfast.records import Stop
from tests.clocks import VirtualClock
from tests.core.chats import CHAT_RETENTION, Chats
from tests.core.stores import Store
from tests.faults import FaultyLog

pytestmark = pytest.mark.asyncio

_KEY = f"t:owner:{digest('me')}:chats"
_TTL = 2 * CHAT_RETENTION * 1000 + 86_400_000


async def listed(mine: Chats, limit: int = 50, before: int | None = None) -> list[Listed]:
    """A page, of which nothing must be left."""
    found, more = await chats.page(mine.log, mine.owner, limit, before)
    assert not more
    return found


async def later(clock: VirtualClock, ms: int = 1_000) -> int:
    """Let the wall clock go on, and say what it shows then."""
    clock.origin_ms += ms
    return clock.now_ms()


async def test_the_newest_comes_first_with_its_title_and_live_answer(store: Store) -> None:
    """Rules J1, J2: by the time of the newest turn; a live answer is named, one that is over is not."""
    mine = Chats(store)
    await mine.turn("old", "What is a hitch?")
    middle_at = await later(store.clock)
    live = await mine.start("middle", "And a bend?")
    await mine.answer(live.stream, "half", end=False)
    newest_at = await later(store.clock)
    await mine.turn("old", "And a splice?")
    old, middle = await listed(mine)
    assert (old.id, old.title, old.stream) == ("old", "What is a hitch?", None)
    assert (middle.id, middle.title, middle.stream) == ("middle", "And a bend?", live.stream)
    assert middle_at <= middle.updated_at < newest_at <= old.updated_at <= store.clock.now_ms()
    await history.end(mine.log, live.stream, Stop(at=newest_at, by="request"))
    assert [chat.stream for chat in await listed(mine)] == [None, None]


async def test_nobody_sees_anothers_chats(store: Store) -> None:
    """The list is the owner's own, also where two owners' chats have one id."""
    mine, yours = Chats(store), Chats(store, "you")
    await mine.turn("c", "My secret.")
    assert await listed(yours) == []
    await yours.turn("c", "Yours.")
    assert [chat.title for chat in await listed(mine)] == ["My secret."]
    assert [chat.title for chat in await listed(yours)] == ["Yours."]


async def test_pages_follow_each_other_without_a_gap_or_a_repetition(store: Store) -> None:
    """Rule J2: each page begins before the last time of the one before, also where several chats share a time."""
    mine = Chats(store)
    for number, time in enumerate((11, 11, 11, 12, 13, 13, 14)):
        await mine.start(f"c{number}", "Why?")
        await store.one(Rank(_KEY, f"c{number}", time))
    for limit in (1, 2, 3, 4, 7, 100):
        seen: list[Listed] = []
        more, before = True, None
        while more:
            page, more = await chats.page(mine.log, "me", limit, before)
            assert page
            before = page[-1].updated_at
            seen += page
        assert sorted(chat.id for chat in seen) == [f"c{number}" for number in range(7)]
        assert [chat.updated_at for chat in seen] == sorted((chat.updated_at for chat in seen), reverse=True)


async def test_a_page_takes_three_requests(store: Store) -> None:
    """Rule J2: however many chats it holds."""
    mine = Chats(store)
    for number in range(8):
        await mine.turn(f"c{number}", "Why?")
    port = FaultyLog(store.port, store.clock)
    mine.log = Chats(Store(port, store.clock, store.rest)).log
    assert len(await listed(mine)) == 8
    assert len(port.calls) == 3


async def test_a_chat_that_is_gone_is_neither_listed_nor_kept(store: Store) -> None:
    """Rule J2: what the store deleted by itself leaves the list with the next look, and a page of such is passed by."""
    mine = Chats(store)
    await mine.turn("stays", "Why?")
    for number in range(5):
        await later(store.clock)
        await mine.turn(f"gone{number}", "Why?")
        name = mine.of(f"gone{number}").chat
        await store.one(Drop((mine.log.keys.turns(name), mine.log.keys.history(name))))
    page, more = await chats.page(mine.log, "me", 2)
    assert ([chat.id for chat in page], more) == (["stays"], False)
    assert [member for member, _ in await store.one(Ranked(_KEY))] == ["stays"]


async def test_the_list_is_bounded(store: Store) -> None:
    """Rule J1: a new chat beyond the bound takes the place of the oldest."""
    mine = Chats(store)
    for number in range(0, MOST_LISTED, 250):
        await store.port.apply(*(Rank(_KEY, f"filler{n}", n) for n in range(number, number + 250)))
    await mine.start("new", "Why?")
    ranked = await store.one(Ranked(_KEY))
    assert len(ranked) == MOST_LISTED
    assert (ranked[0][0], ranked[-1][0]) == ("filler1", "new")


async def test_the_list_and_titles_live_as_long_as_chats(store: Store) -> None:
    """Rule X6: every key has the lifetime of a chat's messages."""
    mine = Chats(store)
    await mine.start("c", "Why?")
    assert await store.expires_in(mine.log.keys.message(mine.of("c").chat, "1.t"), _TTL)


async def test_the_list_has_a_lifetime(store: Store) -> None:
    """Rule X6: it ends by itself when no chat of it goes on."""
    mine = Chats(store)
    await mine.start("c", "Why?")
    assert await store.expires_in(_KEY, _TTL)


async def test_a_chat_going_on_in_another_period_keeps_its_title(store: Store) -> None:
    """Rule H6: the title is renewed with the messages."""
    mine = Chats(store)
    await mine.turn("c", "Why?")
    key = mine.log.keys.message(mine.of("c").chat, "1.t")
    await store.one(Keep(key, CHAT_RETENTION * 1_000 + 60_000))
    await later(store.clock, CHAT_RETENTION * 1_000)
    await mine.start("c", "And then?")
    assert await store.expires_in(key, _TTL)


async def test_the_title_follows_an_edit_of_the_first_question(store: Store) -> None:
    """Rule J2: it is that of the question that the chat begins with now; the old one is nowhere any more."""
    mine = Chats(store)
    request = [{"type": "text", "text": "Why is it blue?"}]
    first = await mine.start("c", request)
    await mine.answer(first.stream, "Because.")
    edited = await mine.start("c", "Why is it green?", target="msg_1.0")
    assert [chat.title for chat in await listed(mine)] == ["Why is it green?"]
    await mine.answer(edited.stream, "So.")
    assert not [key for key in await mine.holds("blue") if ":stream:" not in key]


@pytest.mark.parametrize("lost", ["dropped", "marked"])
async def test_a_title_that_is_missing_is_made_from_the_question(store: Store, lost: str) -> None:
    """Rule J2: a chat whose title nobody stored has one all the same."""
    mine = Chats(store)
    await mine.turn("c", "Why is it blue?")
    key = mine.log.keys.message(mine.of("c").chat, "1.t")
    await store.one(Drop((key,)) if lost == "dropped" else Put(key, DROPPED, 60_000))
    assert [chat.title for chat in await listed(mine)] == ["Why is it blue?"]


async def test_megabytes_of_a_question_are_not_read_for_its_title(store: Store) -> None:
    """Rule J2: three chats that begin with large files are listed by three small replies."""
    mine = Chats(store)
    image = {"type": "file", "mediaType": "image/png", "url": "data:image/png;base64," + "A" * 1_000_000}
    for number in range(3):
        started = await mine.start(f"c{number}", [image, {"type": "text", "text": f"What is in picture {number}?"}])
        await mine.answer(started.stream, "A cat.")
    read: list[int] = []

    class Weighing:
        async def apply(self, *operations: object) -> object:
            results = await store.port.apply(*operations)  # type: ignore[arg-type]
            read.append(len(str(results)))
            return results

    mine.log = Chats(Store(Weighing(), store.clock, store.rest)).log  # type: ignore[arg-type]
    assert {chat.title for chat in await listed(mine)} == {f"What is in picture {n}?" for n in range(3)}
    assert sum(read) < 10_000


async def test_a_settler_brings_the_entry_that_a_start_could_not_write(store: Store) -> None:
    """Rules J1, H5: the start died before it wrote its question; the answer's end brings question and entry."""
    mine = Chats(store)
    started = await mine.start("c", "Why?")
    name = mine.of("c").chat
    await store.port.apply(
        Unrank(_KEY, ("c",)), Drop((mine.log.keys.message(name, "1.0"), mine.log.keys.message(name, "1.t")))
    )
    assert await listed(mine) == []
    await mine.answer(started.stream, "Because.")
    assert [chat.title for chat in await listed(mine)] == ["Why?"]
