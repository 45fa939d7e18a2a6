"""Faults of the stand-in model's whole answers and of its background responses, over sockets."""

from __future__ import annotations

from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI

from tests.standins.model_client import (
    add,
    ended,
    fired,
    user,
)


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", ["stall", "cut", "clean", "garbage", "error_chunk"])
@pytest.mark.parametrize("api", ["chat", "responses"])
async def test_whole_answers_are_struck_too(model_url: str, api: str, kind: str) -> None:
    """A request without a stream gets no answer, a broken one or an error, never a part as if it were the whole."""
    add(model_url, kind=kind)
    path, body = {
        "chat": ("chat/completions", {"model": "m", "messages": [user("hi")]}),
        "responses": ("responses", {"model": "m", "input": "hi"}),
    }[api]
    async with httpx.AsyncClient(headers={"authorization": "Bearer any"}, timeout=0.5) as http:
        try:
            answer = await http.post(f"{model_url}/v1/{path}", json=body)
            got = str(answer.status_code)
            if answer.status_code == 200 and answer.text.startswith("{"):
                got = "whole" if answer.text.endswith("}") else "garbage"
                got = "failed" if '"status":"failed"' in answer.text else got
        except httpx.TransportError as error:
            got = type(error).__name__
    await ended(model_url)
    expected = {"stall": "ReadTimeout", "garbage": "garbage", "error_chunk": "500" if api == "chat" else "failed"}
    assert got == expected.get(kind, "RemoteProtocolError")
    assert fired(model_url) == {kind: 1}


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", ["cut", "clean", "stall", "garbage"])
async def test_a_background_response_outlives_the_faults_of_its_connection(
    sdk: AsyncOpenAI, model_url: str, kind: str
) -> None:
    """The reader is cut off; resumed from the last event that it has, it gets the rest."""
    add(model_url, kind=kind, after=30)
    seen: list[Any] = []

    async def read() -> None:
        events = await sdk.responses.create(model="m", input="hi", background=True, stream=True, timeout=0.5)
        async with events:
            async for event in events:
                seen.append(event)  # a comprehension would lose what came before the fault
        raise EOFError

    with pytest.raises((openai.APIError, httpx.ReadTimeout, ValueError, EOFError)) as stopped:
        await read()
    assert (stopped.type is EOFError) == (kind == "clean")
    assert sum(event.type == "response.output_text.delta" for event in seen) == 30
    last = seen[-1].sequence_number
    seen += [
        event async for event in await sdk.responses.retrieve(seen[0].response.id, stream=True, starting_after=last)
    ]
    assert [event.sequence_number for event in seen] == list(range(len(seen)))
    call = await ended(model_url)
    assert "".join(event.delta for event in seen if event.type == "response.output_text.delta") == call["text"]
    assert (call["status"], fired(model_url)) == ("completed", {kind: 1})


@pytest.mark.asyncio
async def test_a_background_response_can_fail_itself(sdk: AsyncOpenAI, model_url: str) -> None:
    """An error in the stream is the response's own, and counted though nobody reads it."""
    add(model_url, kind="error_chunk", after=5)
    made = await sdk.responses.create(model="m", input="hi", background=True)
    assert (await ended(model_url))["status"] == "failed"
    assert (await sdk.responses.retrieve(made.id)).status == "failed"
    assert fired(model_url) == {"error_chunk": 1}


@pytest.mark.asyncio
async def test_a_background_response_that_ends_before_its_failure_is_not_counted(
    sdk: AsyncOpenAI, model_url: str
) -> None:
    """The rule waits for a longer one."""
    add(model_url, kind="error_chunk", after=121)
    stream = await sdk.responses.create(model="m", input="hi", background=True, stream=True)
    assert [event.type async for event in stream][-1] == "response.completed"
    assert fired(model_url) == {}
