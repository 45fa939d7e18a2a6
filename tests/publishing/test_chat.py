"""Conversations: turns, edits, regenerations, and whose history wins (chapter H)."""

from __future__ import annotations

import asyncio

from holdfast.errors import ApiError
from holdfast.identity import message_id
from holdfast.records import Stop
from holdfast.requests import StartRequest
from holdfast.start import Started
from tests.clocks import virtual
from tests.faults import slow
from tests.publishing.chat_client import Chat
from tests.publishing.stage import said


@virtual
async def test_the_second_turn_sees_the_first_answer() -> None:
    """H: the server's history is the truth, and only the newest message is taken from the request."""
    chat = Chat()
    await chat.turn("Why?", "q1", "Because.")
    second = await chat.send(said("a lie", "x"), said("another", "y", "assistant"), said("And then?", "q2"))
    generate = await chat.publish(second, "Then.")
    assert [message["content"] for message in generate.requests[0].text_messages()] == ["Why?", "Because.", "And then?"]
    assert await chat.items() == ["Why?", "Because.", "And then?", "Then."]


@virtual
async def test_the_question_is_in_the_history_before_its_answer() -> None:
    """Rule H4: start brings it in."""
    chat = Chat()
    await chat.send(said("Why?", "q1"))
    assert await chat.items() == ["Why?"]


@virtual
async def test_the_same_turn_joins_the_live_answer_and_the_ended_one() -> None:
    """Rule H3: the same message is one turn, however often it is sent."""
    chat = Chat()
    first = await chat.send(said("Why?", "q1"))
    again = await chat.send(said("Why?", "q1"))
    assert (again.stream, again.created) == (first.stream, False)
    await chat.publish(first, "Because.")
    assert (await chat.send(said("Why?", "q1"))).stream == first.stream
    assert len(chat.stage.queue.messages) == 1


@virtual
async def test_the_same_words_without_an_id_may_be_asked_again() -> None:
    """Rule H3: what has no id is told apart by nothing but time."""
    chat = Chat()
    first = await chat.turn("Again!", None, "1")
    second = await chat.turn("Again!", None, "2")
    assert first.stream != second.stream
    assert await chat.items() == ["Again!", "1", "Again!", "2"]


@virtual
async def test_another_start_in_a_live_chat_is_refused_by_name() -> None:
    """Rules H3, W5: 409 names the live stream, and nothing is written."""
    chat = Chat()
    live = await chat.send(said("Why?", "q1"))
    before = chat.stage.memory.keys()
    error = await chat.refused(said("How?", "q2"), key="k")
    assert (error.status, error.extra["stream"]) == (409, live.stream)
    assert live.stream in error.message
    assert chat.stage.memory.keys() == before
    assert (await chat.stage.starter().start(StartRequest("me", [said("How?")], chat_id="other"))).created
    assert (await chat.stage.starter().start(StartRequest("you", [said("How?")], chat_id="c"))).created


@virtual
async def test_an_edit_removes_what_came_after() -> None:
    """Rule H1: the same id with another text truncates the history from there."""
    chat = Chat()
    for number in range(1, 4):
        await chat.turn(f"q{number}", f"id{number}", f"a{number}")
    edited = await chat.send(said("q2, better", "id2"))
    assert await chat.asked(edited) == ["q1", "a1", "q2, better"]
    await chat.publish(edited, "a2, better")
    assert await chat.items() == ["q1", "a1", "q2, better", "a2, better"]


@virtual
async def test_a_message_that_names_another_one_replaces_it() -> None:
    """Rule H1: ``messageId`` names what is edited, whatever id the new message has."""
    chat = Chat()
    await chat.turn("q1", "id1", "a1")
    edited = await chat.send(said("q1, better", "new"), target="id1")
    assert await chat.asked(edited) == ["q1, better"]


@virtual
async def test_a_regeneration_drops_the_answer_and_begins_a_new_one() -> None:
    """Rules H1, H3: after the end it is a new turn for the same question."""
    chat = Chat()
    first = await chat.turn("q1", "id1", "a1")
    second = await chat.send(said("q1", "id1"), trigger="regenerate", target=message_id(first.stream))
    assert second.created
    assert await chat.asked(second) == ["q1"]
    await chat.publish(second, "a1, again")
    assert await chat.items() == ["q1", "a1, again"]
    third = await chat.send(said("q1", "id1"), trigger="regenerate")
    assert third.stream not in {first.stream, second.stream}
    await chat.publish(third, "a1, once more")
    assert await chat.items() == ["q1", "a1, once more"]


@virtual
async def test_a_regeneration_in_the_middle_drops_what_follows() -> None:
    """Rule H1: the answer and everything after it."""
    chat = Chat()
    first = await chat.turn("q1", "id1", "a1")
    await chat.turn("q2", "id2", "a2")
    again = await chat.send(said("q1", "id1"), trigger="regenerate", target=message_id(first.stream))
    await chat.publish(again, "b1")
    assert await chat.items() == ["q1", "b1"]


@virtual
async def test_a_regeneration_joins_the_live_answer() -> None:
    """Rule H3: twice the button, one answer; also of the answer that is being made anew."""
    chat = Chat()
    first = await chat.send(said("q1", "id1"))
    joined = await chat.send(said("q1", "id1"), trigger="regenerate", target=message_id(first.stream))
    assert (joined.stream, joined.created) == (first.stream, False)
    await chat.publish(first, "a1")
    again = await chat.send(said("q1", "id1"), trigger="regenerate")
    twice = await chat.send(said("q1", "id1"), trigger="regenerate")
    assert (twice.stream, twice.created) == (again.stream, False)


@virtual
async def test_a_list_with_the_live_partial_stops_it_and_goes_on() -> None:
    """Rule H3: its reader has the partial answer and moved on; it stays in the history."""
    chat = Chat()
    first = await chat.send(said("q1", "id1"))
    publishing = asyncio.create_task(chat.publish(first, "half", 100, " never"))
    await asyncio.sleep(1)
    second = await chat.send(said("q1", "id1"), said("half", message_id(first.stream), "assistant"), said("q2", "id2"))
    end = (await chat.stage.answer(first.stream)).end
    assert end is not None
    assert isinstance(end[1], Stop)
    assert end[1].by == "next"
    assert await chat.asked(second) == ["q1", "half", "q2"]
    assert (await publishing).cancelled == 1


@virtual
async def test_ten_same_starts_at_once_are_one_answer() -> None:
    """Rule H2: one turn is claimed once, by whoever comes first."""
    chat = Chat()
    chat.stage.port.rescript([], then=slow(0.01))
    started = await asyncio.gather(*(chat.send(said("q1", "id1")) for _ in range(10)))
    assert len({one.stream for one in started}) == 1
    assert len(chat.stage.queue.messages) == 1
    assert await chat.items() == ["q1"]


@virtual
async def test_of_ten_different_starts_at_once_nine_are_refused() -> None:
    """Rules H2, H3: one is taken, the others are told which one."""
    chat = Chat()
    chat.stage.port.rescript([], then=slow(0.01))
    results = await asyncio.gather(*(chat.send(said(f"q{n}", f"id{n}")) for n in range(10)), return_exceptions=True)
    (taken,) = [result for result in results if isinstance(result, Started)]
    refused = [result for result in results if isinstance(result, ApiError)]
    assert [(error.status, error.extra["stream"]) for error in refused] == [(409, taken.stream)] * 9
    assert len(chat.stage.queue.messages) == 1
