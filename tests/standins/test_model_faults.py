"""What goes wrong with the stand-in model, as prompts and as rules ask for it, over sockets with the SDK."""

from __future__ import annotations

import json
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI

from tests.standins.model_client import (
    GO_ON,
    add,
    ask,
    assistant,
    calls_of,
    cut_answer,
    ended,
    events,
    fired,
    partial,
    reset,
    streamed,
    text_of,
    until_cut,
    user,
)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("options", "error"),
    [
        ("status=401", openai.AuthenticationError),
        ("status=429", openai.RateLimitError),
        ("status=500", openai.InternalServerError),
        ("tokens=many", openai.BadRequestError),
        ("unheard=1", openai.BadRequestError),
    ],
)
async def test_a_prompt_can_ask_for_an_error(sdk: AsyncOpenAI, options: str, error: type[Exception]) -> None:
    """The errors have OpenAI's shape, so that the SDK raises its own."""
    with pytest.raises(error):
        await ask(sdk, user(f"standin: {options}\nhi"))


@pytest.mark.asyncio
async def test_failures_can_be_limited_to_the_first_calls(sdk: AsyncOpenAI) -> None:
    """With ``times=1`` the second call of the same prompt is healthy."""
    prompt = user("standin: status=500 times=1\nhi")
    with pytest.raises(openai.InternalServerError):
        await ask(sdk, prompt)
    assert await ask(sdk, prompt)


@pytest.mark.asyncio
async def test_an_answer_can_end_without_saying_so_and_with_an_error(sdk: AsyncOpenAI, model_url: str) -> None:
    """``cut=clean`` ends without a finish reason; ``error_after`` sends an error in the stream."""
    prompt: Any = [user("standin: cut=clean fail_after=5\nhi")]
    stream = await sdk.chat.completions.create(model="m", messages=prompt, stream=True)
    assert [chunk async for chunk in stream][-1].choices[0].finish_reason is None
    with pytest.raises(openai.APIError, match="internal failure"):
        await ask(sdk, user("standin: error_after=5\nhi"))
    assert [(call["status"], call["tokens_sent"]) for call in calls_of(model_url)] == [("cut", 5), ("failed", 5)]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("more", "error", "retry_after"),
    [
        ({"status": 401}, openai.AuthenticationError, None),
        ({"status": 429, "retry_after": 7}, openai.RateLimitError, "7"),
        ({"status": 429, "quota": True}, openai.RateLimitError, None),
        ({"status": 500}, openai.InternalServerError, None),
        ({}, openai.InternalServerError, None),
    ],
)
@pytest.mark.parametrize("api", ["chat", "responses"])
async def test_a_rule_refuses_calls(
    sdk: AsyncOpenAI, model_url: str, api: str, more: dict[str, Any], error: type[Exception], retry_after: str | None
) -> None:
    """With OpenAI's errors, before anything is billed; the next call is answered."""
    add(model_url, kind="error", **more)
    with pytest.raises(error) as refused:
        await events(sdk, api)
    assert isinstance(refused.value, openai.APIStatusError)
    assert refused.value.response.headers.get("retry-after") == retry_after
    assert await ask(sdk, user("hi"))
    assert [(call["status"], call["tokens_sent"]) for call in calls_of(model_url)] == [
        ("refused", 0),
        ("completed", 120),
    ]
    assert fired(model_url) == {"error": 1}


@pytest.mark.asyncio
@pytest.mark.parametrize("api", ["chat", "responses"])
async def test_a_hang_answers_never(sdk: AsyncOpenAI, model_url: str, api: str) -> None:
    """Not even the headers come, until the client leaves."""
    add(model_url, kind="hang")
    with pytest.raises(openai.APITimeoutError):
        await events(sdk, api, timeout=0.2)
    call = await ended(model_url)
    assert (call["status"], call["tokens_sent"]) == ("disconnected", 0)
    assert fired(model_url) == {"hang": 1}


@pytest.mark.asyncio
async def test_a_stall_is_a_silence_within_the_stream(sdk: AsyncOpenAI, model_url: str) -> None:
    """The tokens before it come, then nothing, until the client leaves."""
    add(model_url, kind="stall", after=12)
    arrived: list[Any] = []

    async def read() -> None:
        async with await streamed(sdk, timeout=0.3) as chunks:
            async for chunk in chunks:
                arrived.append(chunk)  # noqa: PERF401  # a comprehension would lose what came before the silence

    with pytest.raises((openai.APITimeoutError, httpx.ReadTimeout)):
        await read()
    call = await ended(model_url)
    assert (call["status"], call["tokens_sent"]) == ("disconnected", 12)
    assert call["text"].startswith(text_of(arrived))
    assert text_of(arrived)
    assert fired(model_url) == {"stall": 1}


@pytest.mark.asyncio
async def test_a_cut_breaks_the_connection(sdk: AsyncOpenAI, model_url: str) -> None:
    """After so many tokens of what this call has to send, be it the rest of an earlier answer."""
    add(model_url, kind="cut", after=20, count=2)
    said = text_of(await until_cut(await streamed(sdk)))
    said += await cut_answer(sdk, user("hi"), assistant(said), user(GO_ON))
    said += await ask(sdk, user("hi"), assistant(said), user(GO_ON))
    calls = calls_of(model_url)
    assert said == calls[0]["text"]
    assert [call["tokens_sent"] for call in calls] == [20, 20, 80]
    assert fired(model_url) == {"cut": 2}


@pytest.mark.asyncio
@pytest.mark.parametrize(("after", "sent"), [(15, 15), (None, 120)])
async def test_a_clean_end_lacks_the_finish(sdk: AsyncOpenAI, model_url: str, after: int | None, sent: int) -> None:
    """The body is complete, the answer is not said to be; null stands for all of the text."""
    add(model_url, kind="clean", after=after)
    chunks = await events(sdk, "chat")
    assert {chunk.choices[0].finish_reason for chunk in chunks} == {None}
    call = calls_of(model_url)[0]
    assert call["tokens_sent"] == sent
    assert (text_of(chunks) == call["text"]) == (after is None)
    assert fired(model_url) == {"clean": 1}


@pytest.mark.asyncio
async def test_an_error_chunk_comes_in_the_stream(sdk: AsyncOpenAI, model_url: str) -> None:
    """Of a chat the SDK raises it, of a response it is an event, after the tokens that came before."""
    add(model_url, kind="error_chunk", after=6, count=2)
    with pytest.raises(openai.APIError, match="internal failure"):
        await events(sdk, "chat")
    assert [event.type for event in await events(sdk, "responses")][-2:] == ["response.output_text.delta", "error"]
    assert [(call["status"], call["tokens_sent"]) for call in calls_of(model_url)] == [("failed", 6)] * 2
    assert fired(model_url) == {"error_chunk": 2}


@pytest.mark.asyncio
async def test_an_empty_answer_finishes_without_text(sdk: AsyncOpenAI, model_url: str) -> None:
    """Of either API, and of a continuation, whose own answer stays what it was."""
    said = await partial(sdk, "hi", 40)
    add(model_url, kind="empty", count=3)
    chunks = await events(sdk, "chat")
    assert ([chunk.choices[0].finish_reason for chunk in chunks], text_of(chunks)) == ([None, "stop"], "")
    assert (await sdk.responses.create(model="m", input="hi")).output_text == ""
    question = user("standin: fail_after=40 times=1\nhi")
    assert await ask(sdk, question, assistant(said), user(GO_ON)) == ""
    said += await ask(sdk, question, assistant(said), user(GO_ON))
    calls = calls_of(model_url)
    assert said == calls[0]["text"] == calls[3]["text"]
    assert [(call["status"], call["tokens_sent"]) for call in calls[1:4]] == [("completed", 0)] * 3
    assert fired(model_url) == {"empty": 3}


@pytest.mark.asyncio
@pytest.mark.parametrize("api", ["chat", "responses"])
async def test_garbage_is_a_chunk_that_is_no_json(sdk: AsyncOpenAI, model_url: str, api: str) -> None:
    """The SDK trips over it; what surrounds it is the whole answer."""
    add(model_url, kind="garbage", after=9, count=2)
    with pytest.raises(ValueError, match="Unterminated string"):
        await events(sdk, api)
    body = {"model": "m", "messages": [user("hi")], "stream": True}
    async with httpx.AsyncClient(headers={"authorization": "Bearer any"}) as http:
        answer = await http.post(f"{model_url}/v1/chat/completions", json=body)
    sent = [event.removeprefix("data: ") for event in answer.text.split("\n\n") if event]
    broken = [event for event in sent[:-1] if not event.endswith("}")]
    assert len(broken) == 1
    chunks = [json.loads(event) for event in sent[:-1] if event not in broken]
    said = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
    assert said == calls_of(model_url)[1]["text"]
    assert sent[-1] == "[DONE]"
    assert fired(model_url) == {"garbage": 2}


@pytest.mark.asyncio
async def test_an_answer_that_ends_before_is_not_struck(sdk: AsyncOpenAI, model_url: str) -> None:
    """Nor counted: the rule waits for a longer one."""
    add(model_url, kind="cut", after=50)
    assert await ask(sdk, user("standin: tokens=20\nhi"))
    assert fired(model_url) == {}
    await until_cut(await streamed(sdk))
    assert fired(model_url) == {"cut": 1}


@pytest.mark.asyncio
async def test_rules_choose_their_calls(sdk: AsyncOpenAI, model_url: str) -> None:
    """By the API, by a piece of the newest question, and by rate, the same for the same seed."""
    add(model_url, kind="error", api="responses", name="responses")
    add(model_url, kind="error", prompt="bad", count=None, name="bad")
    assert await ask(sdk, user("bad"), assistant("Well."), user("good"))
    with pytest.raises(openai.InternalServerError):
        await ask(sdk, user("a bad one"))
    with pytest.raises(openai.InternalServerError):
        await sdk.responses.create(model="m", input="good")
    assert fired(model_url) == {"responses": 1, "bad": 1}

    async def struck() -> list[bool]:
        reset(model_url)
        add(model_url, kind="empty", rate=0.5, seed=3, count=None)
        return [not await ask(sdk, user("standin: tokens=2\nhi")) for _ in range(20)]

    first = await struck()
    assert 3 < sum(first) < 17
    assert await struck() == first
    assert fired(model_url) == {"empty": sum(first)}
