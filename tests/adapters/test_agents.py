"""Generators over agent frameworks: what the agent is given of an interrupted answer, and what readers get of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2
import openai
import pytest

from holdfast.adapters.agents import Agent, continues, conversation
from holdfast.adapters.messages import NO_RESULT, chat_messages
from holdfast.adapters.openai_continue import CONTINUE_INSTRUCTION
from holdfast.errors import GenerationError
from holdfast.generation import GenerationRequest, Part, text_of
from holdfast.testing import check_generator

ASKED = {"role": "user", "parts": [{"type": "text", "text": "How is the weather?"}]}
RAN = {"type": "tool-look", "toolCallId": "c1", "state": "output-available", "input": {"at": "Oslo"}, "output": "Snow."}
RUNS = {"type": "tool-look", "toolCallId": "c2", "state": "input-available", "input": {"at": "Rome"}}


def text(said: str, state: str = "done") -> dict[str, Any]:
    return {"type": "text", "text": said, "state": state}


def thought(said: str, state: str = "done") -> dict[str, Any]:
    return {"type": "reasoning", "text": said, "state": state}


def interrupted(*parts: dict[str, Any]) -> GenerationRequest:
    """The request of a call that finds these parts of an answer."""
    return GenerationRequest([ASKED], parts=list(parts), partial=text_of({"parts": list(parts)}), visible=bool(parts))


def saying(*items: str | Part) -> Agent:
    """An agent that says this."""

    @continues
    async def generate(_: GenerationRequest) -> AsyncIterator[str | Part]:
        for item in items:
            yield item

    return generate


async def said(agent: Agent, request: GenerationRequest) -> list[str | Part]:
    return [item async for item in agent(request)]


def test_an_answer_that_begins_is_asked_for_with_the_conversation_alone() -> None:
    """Nothing stands yet, so the agent is given what the user asked, and an id that frameworks insist on."""
    assert conversation(GenerationRequest([ASKED])) == [{"id": "message-0", **ASKED}]
    assert conversation(GenerationRequest([{**ASKED, "id": "mine"}]))[0]["id"] == "mine"


def test_what_stands_is_given_with_its_tools_results_and_a_wish_to_go_on() -> None:
    """The tool that ran is there with its result, and the text after it, without white space, before the wish."""
    found = chat_messages(conversation(interrupted(text("Let me look."), RAN, text("In Oslo it ", "streaming"))))
    assert [(message["role"], message["content"]) for message in found] == [
        ("user", "How is the weather?"),
        ("assistant", "Let me look."),
        ("tool", "Snow."),
        ("assistant", "In Oslo it"),
        ("user", CONTINUE_INSTRUCTION),
    ]
    assert json.loads(found[1]["tool_calls"][0]["function"]["arguments"]) == {"at": "Oslo"}


def test_after_a_result_without_text_the_agent_is_not_asked_to_go_on() -> None:
    """The result of a tool is what the model answers by itself; there is no text that it could go on from."""
    found = chat_messages(conversation(interrupted(text("Let me look."), RAN)))
    assert [message["role"] for message in found] == ["user", "assistant", "tool"]


@pytest.mark.asyncio
async def test_a_tool_that_was_running_is_answered_for_readers_and_for_the_agent() -> None:
    """An interruption while a tool ran leaves a call without a result: both are told that there is none."""
    request = interrupted(RAN, RUNS)
    assert await said(saying("Well."), request) == [
        {"type": "tool-output-error", "toolCallId": "c2", "errorText": NO_RESULT},
        "Well.",
    ]
    found = chat_messages(conversation(request))
    assert [message["role"] for message in found] == ["user", "assistant", "tool", "tool"]
    assert NO_RESULT in found[3]["content"]


@pytest.mark.asyncio
@pytest.mark.parametrize("as_chunks", [False, True], ids=["strings", "chunks"])
async def test_what_the_model_repeats_of_the_text_is_dropped(as_chunks: bool) -> None:
    """A continuation that says the last sentence again, in pieces, reaches readers from where it is new."""
    partial, again = "It is cold. Tomorrow it will snow in the", ["Tomorrow it will", " snow in the", " hills."]
    items: list[str | Part] = list(again)
    if as_chunks:
        items = [{"type": "text-delta", "id": "t", "delta": delta} for delta in again]
        items = [{"type": "text-start", "id": "t"}, *items, {"type": "text-end", "id": "t"}]
    found = await said(saying(*items), interrupted(text(partial, "streaming")))
    new = [item if isinstance(item, str) else item.get("delta", "") for item in found]
    assert "".join(new) == " hills."


@pytest.mark.asyncio
async def test_text_that_was_held_back_comes_before_what_ends_it() -> None:
    """What might have been a repeat and was none is said before the tool call that follows it."""
    call = {"type": "tool-input-available", "toolCallId": "c3", "toolName": "look", "input": {}}
    found = await said(saying("Tomorrow it", call), interrupted(text("Tomorrow it will snow in the", "streaming")))
    assert found == ["Tomorrow it", call]


@pytest.mark.asyncio
async def test_text_that_was_held_back_comes_at_the_end() -> None:
    """The same where nothing follows it."""
    found = await said(saying("Tomorrow it"), interrupted(text("Tomorrow it will snow in the", "streaming")))
    assert found == ["Tomorrow it"]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("stands", "shown"),
    [
        ([], True),
        ([thought("It may", "streaming")], False),
        ([thought("It may snow."), text("It will", "streaming")], False),
        ([text("It will", "streaming")], False),
        ([thought("Look."), text("Let me look."), RAN], True),
        ([thought("Look."), RAN, thought("Sn", "streaming")], False),
    ],
)
async def test_reasoning_of_the_interrupted_step_is_not_shown_again(stands: list[Part], shown: bool) -> None:
    """The step that was cut goes on under its own beginning; the steps after it have theirs, reasoning included."""
    think: Part = {"type": "reasoning-delta", "id": "r", "delta": "Perhaps."}
    step: Part = {"type": "start-step"}
    call: Part = {"type": "tool-input-available", "toolCallId": "c9", "toolName": "look", "input": {}}
    found = await said(saying(step, think, "Yes: snow.", call, step, think), interrupted(*stands))
    # Of the steps' beginnings and thoughts all, or those of the second step alone.
    assert [item for item in found if item in (step, think)] == [step, think] * (2 if shown else 1)
    assert found[-2:] == [step, think]


@pytest.mark.asyncio
async def test_an_agent_that_uses_both_continues_properly() -> None:
    """Interrupted anywhere, with text, reasoning and a tool on the way, the answer is that of one call."""
    ran: list[str] = []

    @continues
    async def generate(request: GenerationRequest) -> AsyncIterator[str | Part]:
        # What any framework does: it looks at the messages and goes on with what they lack.
        given = chat_messages(conversation(request))
        wish = given[-1]["content"] == CONTINUE_INSTRUCTION
        tail = given[-2]["content"] if wish else ""
        if not any(message["role"] == "tool" for message in given):
            yield {"type": "reasoning-delta", "id": "r", "delta": "Only a look will tell."}
            for word in "I shall look out of the window.".removeprefix(tail).split(" "):
                yield f"{word} " if word != "window." else word
            call = f"call-{len(ran)}"
            ran.append(call)
            yield {
                "type": "tool-input-available",
                "toolCallId": call,
                "toolName": "look",
                "input": {"number": len(ran)},
            }
            yield {"type": "tool-output-available", "toolCallId": call, "output": "Snow."}
            tail = ""
        for word in "There is deep snow on every roof in town.".removeprefix(tail).split(" "):
            yield f"{word} " if word != "town." else word

    (await check_generator(generate, prompt="How is the weather?", expect="sound", interruptions=40)).raise_if_bad()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("status", "code", "retry"),
    [(500, "model_unreachable", True), (429, "model_rate_limited", True), (401, "model_auth", False)],
)
@pytest.mark.parametrize("wrapped", [False, True], ids=["bare", "wrapped"])
async def test_errors_of_the_sdk_are_those_of_the_readme(status: int, code: str, retry: bool, wrapped: bool) -> None:
    """A provider's refusal has its own code and is repeated where that may help, also inside a framework's error."""
    sent = httpx2.Request("POST", "http://127.0.0.1/v1/responses", content=b'{"model": "gpt-7"}')
    refusal = openai.APIStatusError("no", response=httpx2.Response(status, request=sent), body=None)

    def fail() -> None:
        try:
            raise refusal
        except openai.APIStatusError as error:
            if not wrapped:
                raise
            raise RuntimeError("the framework's own words") from error

    with pytest.raises(GenerationError) as caught:
        await said(_failing(fail), interrupted())
    assert (caught.value.code, caught.value.retry) == (code, retry)


@pytest.mark.asyncio
async def test_an_unknown_model_is_named() -> None:
    """The one who runs the agent learns which model it asked for."""
    sent = httpx2.Request("POST", "http://127.0.0.1/v1/responses", content=b'{"model": "gpt-7"}')

    def fail() -> None:
        raise openai.NotFoundError("no", response=httpx2.Response(404, request=sent), body=None)

    with pytest.raises(GenerationError, match=r"gpt-7"):
        await said(_failing(fail), interrupted())


@pytest.mark.asyncio
async def test_other_exceptions_stay_as_they_are() -> None:
    """A mistake in the generator is no failure of the provider; Holdfast reports it as generator_failed."""

    def fail() -> None:
        raise KeyError("city")

    with pytest.raises(KeyError):
        await said(_failing(fail), interrupted())


def _failing(fail: Callable[[], None]) -> Agent:
    @continues
    async def generate(_: GenerationRequest) -> AsyncIterator[str | Part]:
        fail()
        yield "never"

    return generate


@pytest.mark.asyncio
async def test_the_agent_is_closed_with_its_reader() -> None:
    """A generator that is closed in the middle closes the agent's, so that the provider stops writing."""
    closed = False

    @continues
    async def generate(_: GenerationRequest) -> AsyncIterator[str | Part]:
        nonlocal closed
        try:
            yield "One."
            yield "Two."
        finally:
            closed = True

    answer = generate(interrupted())
    assert await anext(answer) == "One."
    await answer.aclose()
    assert closed
