"""A deletion beside a start, a settler and another deletion, in whatever order the store sees them (J3 to J6)."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from holdfast import chats, erasure, history
from holdfast.answer import Answer
from holdfast.errors import ApiError, Vanished
from holdfast.identity import message_id
from holdfast.log import Log
from holdfast.records import Stop
from holdfast.requests import StartRequest
from holdfast.start import Started
from tests.clocks import run, virtual
from tests.faults import FINE, LOST_REPLY, LOST_REQUEST, Outcome
from tests.publishing.chat_client import Chat
from tests.publishing.schedules import Caller, Gate, orders, play
from tests.publishing.stage import CHAT_RETENTION, said

_SECRET = "secret"


def contents(chat: Chat, text: str = _SECRET) -> list[str]:
    """The keys that hold a text."""
    return [key for key in sorted(chat.stage.memory.keys()) if text in repr(chat.stage.memory._get(key))]


def deleting(chat: Chat) -> Caller:
    """Deletes the chat."""

    async def delete(gate: Gate) -> bool:
        return await erasure.erase(history.of_chat(_log(chat, gate), "me", "c", CHAT_RETENTION))

    return delete


def starting(chat: Chat, *messages: dict[str, Any]) -> Caller:
    """Sends another message in the chat."""

    async def start(gate: Gate) -> Started:
        request = StartRequest("me", list(messages), chat_id="c")
        return await replace(chat.stage.starter(), log=_log(chat, gate)).start(request)

    return start


def settling(chat: Chat, answer: Answer) -> Caller:
    """Brings an ended answer into the history."""

    async def settle(gate: Gate) -> None:
        await history.settle(_log(chat, gate), answer)

    return settle


def _log(chat: Chat, gate: Gate) -> Log:
    return replace(chat.stage.calm, port=gate)


async def check(chat: Chat, outcome: object) -> str:
    """What must hold after a deletion and a start, in whatever order the store saw them → which came first."""
    assert contents(chat) == []
    assert isinstance(outcome, Started | ApiError), outcome
    standing = await history.of_chat(chat.stage.calm, "me", "c", CHAT_RETENTION).newest_turn()
    listed, _ = await chats.page(chat.stage.calm, "me", 9)
    if isinstance(outcome, Started) and outcome.created and chat.stage.has_log(outcome.stream):
        # After the deletion: a chat of its own, whole.
        assert standing is not None
        assert standing.stream == outcome.stream
        assert await chat.asked(outcome) == ["new"]
        assert await chat.items() == ["new"]
        assert [(each.id, each.title, each.stream) for each in listed] == [("c", "new", outcome.stream)]
        await chat.publish(outcome, "fresh")
        assert await chat.items() == ["new", "fresh"]
        return "after"
    # Before it or beside it: gone, whole.
    assert contents(chat, "new") == []
    assert (standing, listed, await chat.items()) == (None, [], [])
    if isinstance(outcome, ApiError):
        assert (outcome.status, outcome.code) == (409, "chat_deleted")
        return "beside"
    return "before"


type Scene = Callable[[Sequence[int]], Coroutine[Any, Any, list[int]]]


def in_every_order(scene: Scene) -> None:
    """Play a scene of two callers in one order after the other.

    Args:
        scene: plays in an order, checks what came of it, and returns how many requests each caller made.
    """
    alone = [run(scene([caller] * 100))[caller] for caller in (0, 1)]
    for order in orders(alone):
        run(scene(order))


@pytest.mark.parametrize("before", ["nothing", "an answer", "a live answer"])
def test_a_start_beside_a_deletion(before: str) -> None:
    """Rules J3, J4: in every order the start is deleted with the chat, refused, or begins a chat of its own."""
    seen: set[str] = set()

    async def scene(order: Sequence[int]) -> list[int]:
        chat = Chat()
        messages = [said("new")]
        if before == "an answer":
            await chat.turn("secret", "q1", "a secret answer")
        elif before == "a live answer":  # which the start stops
            live = await chat.send(said("secret", "q1"))
            messages = [said("a secret", message_id(live.stream), "assistant"), said("new")]
        outcomes, requests = await play(chat.stage.memory, [starting(chat, *messages), deleting(chat)], order)
        if before == "nothing" and outcomes[1] is False:
            assert await chat.items() == ["new"]  # there was nothing to delete yet
            seen.add("unknown")
        else:
            assert outcomes[1] is True
            seen.add(await check(chat, outcomes[0]))
        return requests

    in_every_order(scene)
    assert seen == {"before", "beside", "unknown" if before == "nothing" else "after"}


def test_two_starts_beside_a_deletion() -> None:
    """Rule J3: in every order no turn is left that was begun with the old history, however many came up meanwhile."""

    async def scene(order: Sequence[int]) -> list[int]:
        chat = Chat()
        await chat.turn("secret", "q1", "a secret answer")

        async def two(gate: Gate) -> object:
            with suppress(ApiError, Vanished):
                first = await starting(chat, said("plain"))(gate)
                assert isinstance(first, Started)
                end = Stop(at=chat.stage.clock.now_ms(), by="request")
                await history.end(_log(chat, gate), first.stream, end)
            return await starting(chat, said("new"))(gate)

        outcomes, requests = await play(chat.stage.memory, [two, deleting(chat)], order)
        assert contents(chat) == []
        assert await chat.items() in ([], ["new"], ["plain", "new"])
        if isinstance(outcomes[0], Started) and chat.stage.has_log(outcomes[0].stream):
            assert await chat.asked(outcomes[0]) == await chat.items()
        return requests

    in_every_order(scene)


def test_a_settler_beside_a_deletion_and_a_new_start() -> None:
    """Rule J5: in every order nothing of the old answer is left, and a chat that is begun anew is whole."""

    async def scene(order: Sequence[int]) -> list[int]:
        chat = Chat()
        started = await chat.turn("secret", "q1", "a secret answer")
        late = await chat.stage.answer(started.stream)

        async def delete_and_begin(gate: Gate) -> object:
            await deleting(chat)(gate)
            return await starting(chat, said("new"))(gate)

        outcomes, requests = await play(chat.stage.memory, [delete_and_begin, settling(chat, late)], order)
        assert await check(chat, outcomes[0]) == "after"
        return requests

    in_every_order(scene)


def test_two_deletions_at_once() -> None:
    """Rule J6: in every order both succeed, and nothing is left half done."""

    async def scene(order: Sequence[int]) -> list[int]:
        chat = Chat()
        await chat.turn("secret", "q1", "a secret answer")
        outcomes, requests = await play(chat.stage.memory, [deleting(chat), deleting(chat)], order)
        assert outcomes == [True, True]
        assert contents(chat) == []
        assert chat.stage.keys.erasing not in set(chat.stage.memory.keys())
        assert await check(chat, await chat.send(said("new"))) == "after"
        return requests

    in_every_order(scene)


@pytest.mark.parametrize("again", ["cleanup", "deletion"])
@pytest.mark.parametrize("applied", [False, True])
@pytest.mark.parametrize("live", [False, True])
def test_a_deletion_that_dies_anywhere_is_finished(again: str, applied: bool, live: bool) -> None:
    """Rule J6: after whichever of its requests; by cleanup a minute later, or by the same request at once."""

    async def scene(calls: int) -> bool:
        chat = Chat()
        await chat.turn("secret 1", "q1", "a secret answer")
        last = await chat.send(said("secret 2", "q2"), key="k")
        if not live:
            await chat.publish(last, "another secret answer")
        died = await _die(chat, calls, applied=applied)
        if died and again == "cleanup" and (calls > 1 or (calls == 1 and applied)):  # its floor stands
            await chat.stage.clock.sleep(61)
            await chat.stage.cleaner().run(60)
            assert contents(chat) == []
        assert await erasure.erase(history.of_chat(chat.stage.calm, "me", "c", CHAT_RETENTION))
        assert contents(chat) == []
        assert await check(chat, await chat.send(said("new"))) == "after"
        return died

    calls = 0
    while run(scene(calls)):
        calls += 1
    assert calls >= 8


async def _die(chat: Chat, calls: int, *, applied: bool) -> bool:
    """Delete, and die with one request after so many others → whether there was such a request."""

    class Deadly:
        def __init__(self) -> None:
            self.left = calls

        async def apply(self, *operations: object) -> object:
            self.left -= 1
            if self.left < 0:
                if applied:
                    await chat.stage.memory.apply(*operations)  # type: ignore[arg-type]
                raise KeyboardInterrupt
            return await chat.stage.memory.apply(*operations)  # type: ignore[arg-type]

    log = replace(chat.stage.calm, port=Deadly())  # type: ignore[arg-type]
    try:
        await erasure.erase(history.of_chat(log, "me", "c", CHAT_RETENTION))
    except KeyboardInterrupt:
        return True
    return False


@pytest.mark.parametrize("fault", [LOST_REPLY, LOST_REQUEST], ids=["reply", "request"])
@virtual
async def test_a_deletion_goes_on_over_lost_requests_and_replies(fault: Outcome) -> None:
    """Rule J6: every other request or reply is lost, and the deletion is done all the same."""
    chat = Chat()
    await chat.turn("secret", "q1", "a secret answer")
    await chat.send(said("secret 2", "q2"))
    chat.stage.port.rescript([fault, FINE] * 40)
    assert await erasure.erase(history.of_chat(chat.stage.log, "me", "c", CHAT_RETENTION))
    assert contents(chat) == []
