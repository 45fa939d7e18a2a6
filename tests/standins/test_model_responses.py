"""The Responses API of the stand-in model, over sockets with the unmodified SDK."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from tests.standins.model_client import GO_ON, assistant, calls_of, partial, until_cut, user


@pytest.mark.asyncio
async def test_responses_stream_with_dense_numbers_and_tools(sdk: AsyncOpenAI) -> None:
    """The SDK's own accumulating stream accepts the events; their numbers have no gap."""
    async with sdk.responses.stream(model="m", input="standin: tokens=40 reasoning=8 tool=1\nhi") as stream:
        events = [event async for event in stream]
        final = await stream.get_final_response()
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [item.type for item in final.output] == ["reasoning", "message", "function_call"]
    assert final.usage is not None
    assert final.usage.output_tokens_details.reasoning_tokens == 8


@pytest.mark.asyncio
async def test_a_background_response_goes_on_and_is_resumed(sdk: AsyncOpenAI, model_url: str) -> None:
    """Without its client a background response is written to its end; from any number the rest follows exactly."""
    prompt = "standin: tokens=80 rate=400 fail_after=20\nhi"
    text, last, name = "", -1, ""
    stream = await sdk.responses.create(model="m", input=prompt, background=True, stream=True)
    for event in await until_cut(stream):
        last = event.sequence_number
        if event.type == "response.created":
            name = event.response.id
        elif event.type == "response.output_text.delta":
            text += event.delta
    resumed = await sdk.responses.retrieve(name, stream=True, starting_after=last)
    rest = [event async for event in resumed]
    assert [event.sequence_number for event in rest] == list(range(last + 1, last + 1 + len(rest)))
    text += "".join(event.delta for event in rest if event.type == "response.output_text.delta")
    assert text == calls_of(model_url)[0]["text"]
    assert calls_of(model_url)[0]["tokens_sent"] == 80
    whole = await sdk.responses.retrieve(name)
    assert (whole.status, whole.output_text) == ("completed", text)


@pytest.mark.asyncio
async def test_a_background_response_can_be_cancelled(sdk: AsyncOpenAI, model_url: str) -> None:
    """Cancelling stops the writing; a second time changes nothing; unknown ids are 404."""
    made = await sdk.responses.create(model="m", input="standin: tokens=9000 rate=100\nhi", background=True)
    assert made.status == "queued"
    for _ in range(2):
        assert (await sdk.responses.cancel(made.id)).status == "cancelled"
    assert calls_of(model_url)[0]["status"] == "cancelled"
    with pytest.raises(openai.NotFoundError):
        await sdk.responses.retrieve("resp_unknown")


@pytest.mark.asyncio
async def test_a_response_carries_on_a_partial(sdk: AsyncOpenAI, model_url: str) -> None:
    """The Responses API continues as chat.completions does, and reports the instructions as system message."""
    start = await partial(sdk, "hi", 40)
    items: Any = [user("standin: fail_after=40 times=1\nhi"), assistant(start), user(GO_ON)]
    answer = await sdk.responses.create(model="m", input=items, instructions="Be brief.")
    assert start + answer.output_text == calls_of(model_url)[0]["text"]
    assert calls_of(model_url)[1]["messages"][0] == {"role": "system", "content": "Be brief."}


@pytest.mark.asyncio
async def test_tools_are_called_one_after_another_until_there_are_enough(sdk: AsyncOpenAI) -> None:
    """With ``tool=2`` the second call follows the first one's result, and after both results there is only text."""
    conversation: list[Any] = [user("standin: tokens=5 rate=8000 tool=2\nhi")]
    called = []
    for _ in range(3):
        response = await sdk.responses.create(model="m", input=conversation)
        calls = [item for item in response.output if item.type == "function_call"]
        called.append(len(calls))
        conversation.append(assistant(response.output_text))
        for call in calls:
            known = {"call_id": call.call_id, "name": call.name, "arguments": call.arguments}
            conversation.append({"type": "function_call", **known})
            conversation.append({"type": "function_call_output", "call_id": call.call_id, "output": "Sunny."})
    assert called == [1, 1, 0]
    conversation.append(user("standin: tokens=5 tool=1\nand then?"))
    again = await sdk.responses.create(model="m", input=conversation)
    assert [item.type for item in again.output] == ["message", "function_call"], "a new question has tools of its own"


@pytest.mark.asyncio
async def test_an_instruction_to_carry_on_that_was_followed_is_no_question(sdk: AsyncOpenAI, model_url: str) -> None:
    """An agent that goes on with a tool's result keeps the instruction; the question is still the user's."""
    prompt = "standin: tokens=5 rate=8000 tool=1\nhi"
    result = {"type": "function_call_output", "call_id": "c1", "output": "Sunny."}
    call = {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"}
    asked: list[Any] = [user(prompt), assistant("I shall"), user(GO_ON), assistant(" look."), call, result]
    response = await sdk.responses.create(model="m", input=asked)
    assert [item.type for item in response.output] == ["message"]
    assert calls_of(model_url)[-1]["prompt"] == prompt
