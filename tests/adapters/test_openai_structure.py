"""An interrupted answer that has more than text: reasoning comes once, cut tools begin anew, finished ones stay."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from holdfast.adapters.messages import NO_RESULT, chat_messages, standing
from holdfast.adapters.openai import Api, openai_generator
from holdfast.adapters.openai_continue import CONTINUE_INSTRUCTION
from holdfast.adapters.openai_parts import Parts
from holdfast.errors import GenerationError
from holdfast.generation import GenerationRequest, Generator, Part
from tests.adapters.collecting import collect
from tests.adapters.telling import Telling, asked
from tests.standins.model_client import calls_of

EVERY = pytest.mark.parametrize("api", ["chat", "responses", "background"])


def generator(url: str, api: Api) -> Generator:
    return openai_generator(api=api, api_key="key", base_url=f"{url}/v1", model="m")


async def answer(url: str, api: Api, request: GenerationRequest) -> tuple[str, list[Part], GenerationError | None]:
    return await collect(cast("AsyncIterator[str | Part]", generator(url, api)(request)))


def tool(state: str, **more: Any) -> dict[str, Any]:
    return {"type": "tool-weather", "toolCallId": "c1", "state": state, "input": {"city": "Lagos"}, **more}


RAN = tool("output-available", output="sunny")
CUT = {**tool("output-error", errorText="The call was interrupted."), "input": None}


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


@EVERY
@pytest.mark.asyncio
@pytest.mark.parametrize("cut", [3, 9, 15])
async def test_reasoning_is_not_repeated(url: str, api: Api, cut: int) -> None:
    """Cut while it thinks or while it speaks, an answer shows no second train of thought, and no text moves apart."""
    telling = Telling(generator(url, api), "standin: tokens=12 reasoning=6\nhi")
    assert not await telling.call(cut)
    stood = [part["text"] for part in telling.parts if part["type"] == "reasoning"]
    telling.checkpoint = None
    assert await telling.call()
    assert [part["text"] for part in telling.parts if part["type"] == "reasoning"] == stood
    assert [part["type"] for part in telling.parts] == ["reasoning", "text"]
    assert calls_of(url)[-1]["reasoning_sent"] == 6
    assert telling.text == calls_of(url)[-1]["text"]


@EVERY
@pytest.mark.asyncio
async def test_reasoning_that_nobody_saw_is_shown(url: str, api: Api) -> None:
    """A call that was cut before anything was visible hides nothing from the next one."""
    _, parts, _ = await answer(url, api, GenerationRequest(asked("standin: tokens=5 reasoning=6\nhi"), attempt=2))
    assert "reasoning-delta" in {part["type"] for part in parts}


@EVERY
@pytest.mark.asyncio
async def test_a_tool_call_that_was_cut_begins_anew(url: str, api: Api) -> None:
    """The next call's tool call has an id of its own and whole arguments; what was cut is closed."""
    telling = Telling(generator(url, api), "standin: tokens=5 tool=1\nhi")
    assert not await telling.call(9)
    assert telling.parts[-1]["state"] == "input-streaming"
    telling.checkpoint = None
    assert await telling.call()
    states = [(part["state"], part["input"]) for part in telling.parts if part["type"].startswith("tool-")]
    assert states[0] == ("output-error", None)
    assert [state for state, _ in states] == ["output-error", "input-available"]
    assert set(states[1][1]) == {"city", "days", "unit"}
    assert telling.text == calls_of(url)[0]["text"]


@EVERY
@pytest.mark.asyncio
async def test_a_tool_that_ran_is_told_and_not_asked_for_again(url: str, api: Api) -> None:
    """The model gets the call and its result before the partial that follows them, whatever was cut beside them."""
    parts = [text("Let me see."), CUT, RAN, {"type": "reasoning", "text": "Hm."}, text("It is so far ")]
    request = GenerationRequest(asked("hi"), partial="Let me see.It is so far ", parts=parts, attempt=2)
    _, _, error = await answer(url, api, request)
    assert error is None
    (call,) = calls_of(url)
    sent = call["messages"]
    instruction = {"role": "user", "content": CONTINUE_INSTRUCTION}
    tail = [{"role": "assistant", "content": "It is so far"}, instruction]
    if api == "chat":
        function = {"name": "weather", "arguments": '{"city":"Lagos"}'}
        made = [{"id": "c1", "type": "function", "function": function}]
        assert sent[1:] == [
            {"role": "assistant", "content": "Let me see.", "tool_calls": made},
            {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
            *tail,
        ]
    else:
        assert sent[1:] == [
            {"role": "assistant", "content": "Let me see."},
            {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": '{"city":"Lagos"}'},
            {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
            *tail,
        ]


@EVERY
@pytest.mark.asyncio
async def test_calls_that_wait_for_their_results_end_the_answer(url: str, api: Api) -> None:
    """Where the model has called its tools and only the finish was lost, it is not asked again."""
    parts = [text("Let me see."), tool("input-available")]
    request = GenerationRequest(asked("hi"), partial="Let me see.", parts=parts, attempt=2)
    said, chunks, error = await answer(url, api, request)
    assert (said, error) == ("", None)
    assert [(chunk["type"], chunk["finishReason"]) for chunk in chunks] == [("finish", "tool-calls")]
    assert calls_of(url) == []


@EVERY
@pytest.mark.asyncio
@pytest.mark.parametrize(("limit", "least"), [(100, 90), (30, 20), (5, 1)])
async def test_a_limit_is_shared_between_the_calls_of_an_answer(url: str, api: Api, limit: int, least: int) -> None:
    """A continuation gets what is left, at a token for four characters of the partial, but never less than is taken."""
    request = GenerationRequest(asked("hi"), partial="x" * 38, extra={"max_tokens": limit})
    _, chunks, error = await answer(url, api, request)
    assert error is None
    # The Responses API takes no limit below 16 tokens; what was asked for is never raised.
    expected = least if api == "chat" else min(limit, max(least, 16))
    assert chunks[-1]["messageMetadata"]["usage"]["outputTokens"] == expected
    assert chunks[-1]["finishReason"] == "length"


def test_ids_of_tool_calls_never_meet() -> None:
    """An id that stands already, or twice in one call, or none at all, becomes one of its own."""
    parts = Parts(3, "m", used=frozenset({"functions.x:0"}))
    ids = [
        part["toolCallId"]
        for index, given in enumerate(["functions.x:0", "a", "a", "", ""])
        for part in parts.tool(index, call_id=given, name="x")
    ]
    assert len(set(ids)) == 5
    assert ids[1] == "a"
    assert ids[0].startswith("functions.x:0-")
    assert ids[3].startswith("call-3-3-")


def test_what_stands_tells_what_was_cut_from_what_is_whole() -> None:
    """Calls whose input is whole are known; one that was cut is neither told to the model nor waited for."""
    stands = standing([text("A"), CUT, {**RAN, "toolCallId": "c2"}, tool("input-streaming", toolCallId="c3")], "A")
    assert stands.tools == {"c1", "c2", "c3"}
    assert stands.whole == {"c2"}
    assert (stands.tail, stands.waits) == ("", False)
    assert chat_messages(stands.before)[0]["tool_calls"][0]["id"] == "c2"
    assert standing([tool("input-available"), text("So.")], "So.").waits is False
    assert NO_RESULT not in str(chat_messages([{"role": "assistant", "parts": [CUT, text("So.")]}]))
