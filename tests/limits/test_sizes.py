"""How large a request may be, and how much of a chat the model is given (docs/protocol.md, rules N5 and H7)."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.limits import Limits
from tests.clocks import virtual
from tests.limits.guarded import Guarded
from tests.publishing.stage import Script, said

#: A tool of the client's that the model called.
CALL = {"type": "tool-input-available", "toolCallId": "c1", "toolName": "where", "input": {}}


def ran(output: object, id: str | None = "a") -> dict[str, Any]:
    """An assistant's message with the result of that tool."""
    part = {"type": "tool-where", "toolCallId": "c1", "state": "output-available", "input": {}, "output": output}
    return {"id": id, "role": "assistant", "parts": [part]}


async def called(stage: Guarded, question: str = "Where?") -> str:
    """A turn of the chat that ends with the tool's call → the id of its message."""
    stage.stream = (await stage.start(chat_id="c", messages=[said(question, id="q")])).stream
    await stage.publish(Script([CALL]))
    return (await stage.answer()).queued.message_id


@virtual
async def test_a_prompt_is_so_long_and_no_longer() -> None:
    """Rule N5: 413 for one character too many, of all messages without a chat, of the newest one in a chat."""
    stage = Guarded(prompt_chars=10)
    whole = [said("12345"), said("12345", role="assistant"), said("1234567890")]
    await stage.start(messages=whole[-1:])
    error = await stage.refused(messages=[said("12345678901")])
    assert (error.status, error.code, error.retry_after) == (413, "prompt_too_large", None)
    assert (await stage.refused(messages=whole)).code == "prompt_too_large"
    await stage.start(messages=whole, chat_id="c")
    await stage.start(messages=[said("☃" * 10)])


@virtual
async def test_the_model_is_given_so_many_messages_of_a_chat() -> None:
    """Rule H7: the newest ones, the question among them, from a question on; the store keeps them all."""
    stage = Guarded(history_messages=4)
    for number in range(4):
        stage.stream = (await stage.start(chat_id="c", messages=[said(f"q{number}", id=f"q{number}")])).stream
        await stage.publish(Script([f"a{number}"]), f"m{number}")
    given = [message["parts"][0]["text"] for message in (await stage.answer()).queued.messages]
    assert given == ["q2", "a2", "q3"]


def test_the_model_is_given_so_many_bytes_of_a_chat() -> None:
    """Rule H7: older messages are left out where they do not fit; the question always goes."""
    messages = [said("x" * 1000), said("y" * 1000, role="assistant"), said("z" * 1000)]
    assert Limits(history_bytes=3_300).trimmed(messages) == messages
    assert Limits(history_bytes=3_000).trimmed(messages) == messages[2:]
    assert Limits(history_bytes=10).trimmed(messages) == messages[2:]
    assert Limits(history_messages=1).trimmed(messages) == messages[2:]
    assert Limits(history_messages=3).trimmed(messages) == messages


# -- going on with the results of the client's tools


def test_the_answer_that_is_gone_on_with_keeps_its_question() -> None:
    """Rules H7 and H10: where nothing fits, the newest question and what follows it are given; a question is first."""
    old = [said("o" * 1000), said("p" * 1000, role="assistant")]
    asked = [said("q" * 1000), ran("x" * 1000)]
    for limits in (Limits(history_messages=1), Limits(history_bytes=10), Limits(history_bytes=1_500)):
        assert limits.trimmed([*old, *asked]) == asked
        assert limits.trimmed(asked) == asked
    assert Limits(history_messages=3).trimmed([*old, *asked]) == asked
    assert Limits(history_messages=4).trimmed([*old, *asked]) == [*old, *asked]


def test_answers_without_any_question_are_trimmed_too() -> None:
    """Rule H7: a client may send an unknown chat that holds the assistant's messages alone."""
    answers = [ran("x"), ran("y"), ran("z")]
    assert Limits(history_messages=1).trimmed(answers) == answers[2:]
    assert Limits(history_messages=2).trimmed(answers) == answers[1:]


@pytest.mark.parametrize("limits", [{"history_messages": 1}, {"history_bytes": 1_000}], ids=str)
@virtual
async def test_a_tool_s_result_is_taken_however_little_history_is_given(limits: dict[str, int]) -> None:
    """Rule H10: under the tightest limits the model is given the question, and its answer with the result."""
    stage = Guarded(**limits)
    id = await called(stage, "Where? " + "q" * 900)
    stage.stream = (await stage.start(chat_id="c", messages=[ran("Rome", id)])).stream
    given = (await stage.answer()).queued.messages
    assert [message["role"] for message in given] == ["user", "assistant"]
    assert given[1]["parts"][-1]["output"] == "Rome"


# -- what counts

#: Each is eleven characters or more of something that the model is given.
LONG: dict[str, list[dict[str, Any]]] = {
    "text": [said("x" * 11)],
    "texts": [{"role": "user", "parts": [{"type": "text", "text": "123456"}] * 2}],
    "a text file": [
        {"role": "user", "parts": [{"type": "file", "mediaType": "Text/plain", "url": "data:text/plain," + "x" * 200}]}
    ],
    "an output": [said("q"), ran("x" * 200), said("r")],
    "an output's names": [said("q"), ran({"x" * 200: 1}), said("r")],
    "reasoning": [said("q"), {"role": "assistant", "parts": [{"type": "reasoning", "text": "x" * 200}]}, said("r")],
}


@pytest.mark.parametrize("name", LONG)
@virtual
async def test_everything_that_the_model_reads_counts(name: str) -> None:
    """Rule N5: texts, text files, reasoning, and what tools came to."""
    stage = Guarded(prompt_chars=200 if "text" not in name or "file" in name else 10)
    assert (await stage.refused(messages=LONG[name])).code == "prompt_too_large"


@virtual
async def test_a_picture_counts_nothing() -> None:
    """Rule N5: what is no text has no length in characters; the body's size bounds it."""
    stage = Guarded(prompt_chars=100)
    picture = {"type": "file", "mediaType": "image/png", "url": "data:image/png;base64," + "A" * 10_000}
    await stage.start(messages=[{"role": "user", "parts": [{"type": "text", "text": "What is this?"}, picture]}])


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": [said("x" * 101, id="a"), said("hi", id="b")], "trigger": "regenerate"},
        {"messages": [said("x" * 101, id="a"), ran("y", "b")]},
        {"messages": [said("q", id="a"), ran("y" * 101, "b")]},
    ],
    ids=["another answer", "before results", "results"],
)
@virtual
async def test_of_an_unknown_chat_all_that_is_taken_counts(fields: dict[str, Any]) -> None:
    """Rule N5: where the store knows nothing of a chat, what the client sent is the conversation; no trace is left."""
    stage = Guarded(prompt_chars=100, live_answers=1)
    before = stage.memory.keys()
    assert (await stage.refused(chat_id="c", key="k", **fields)).code == "prompt_too_large"
    assert (await stage.places(), stage.queue.messages) == ([], [])
    assert stage.memory.keys() == before
    await stage.start(chat_id="c", key="k", messages=[said("short")])


@virtual
async def test_of_a_known_chat_the_results_count_alone() -> None:
    """Rules N5 and H10: what is not taken from the request costs nothing, what is taken does."""
    stage = Guarded(prompt_chars=100)
    id = await called(stage)
    unread = said("x" * 1_000, id="q")
    assert (await stage.refused(chat_id="c", messages=[unread, ran("y" * 101, id)])).code == "prompt_too_large"
    assert (await stage.start(chat_id="c", messages=[unread, ran("y" * 50, id)])).created


@virtual
async def test_another_answer_of_a_known_chat_brings_nothing() -> None:
    """Rule N5: a regeneration takes nothing from the request, however much of the chat the client repeats."""
    stage = Guarded(prompt_chars=10)
    stage.stream = (await stage.start(chat_id="c", messages=[said("Why?", id="q")])).stream
    await stage.publish(Script(["Because."]))
    again = [said("x" * 100, id="o"), said("Why?", id="q")]
    assert (await stage.start(chat_id="c", messages=again, trigger="regenerate")).created
