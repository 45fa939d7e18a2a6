"""The stand-in model, over sockets with the unmodified SDK."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI

from tests.processes import served
from tests.standins.model_client import GO_ON, ask, assistant, calls_of, cut_answer, ended, partial, user


@pytest.mark.asyncio
async def test_two_calls_with_one_question_get_two_texts(sdk: AsyncOpenAI, model_url: str) -> None:
    """As a real model the stand-in answers differently each time, and reports what it said."""
    first, second = await ask(sdk, user("hi")), await ask(sdk, user("hi"))
    assert first != second
    assert [(call["text"], call["tokens_sent"], call["status"]) for call in calls_of(model_url)] == [
        (first, 120, "completed"),
        (second, 120, "completed"),
    ]


@pytest.mark.asyncio
async def test_usage_comes_in_a_last_chunk_without_choices(sdk: AsyncOpenAI) -> None:
    """The usage counts the tokens of text and reasoning that were sent."""
    prompt: Any = [user("standin: tokens=30 reasoning=12\nhi")]
    options: Any = {"include_usage": True}
    stream = await sdk.chat.completions.create(model="m", messages=prompt, stream=True, stream_options=options)
    chunks = [chunk async for chunk in stream]
    assert [bool(chunk.choices) for chunk in chunks] == [True] * (len(chunks) - 1) + [False]
    assert chunks[-2].choices[0].finish_reason == "stop"
    usage = chunks[-1].usage
    assert usage is not None
    assert usage.completion_tokens == 42
    assert usage.completion_tokens_details is not None
    assert usage.completion_tokens_details.reasoning_tokens == 12
    assert usage.total_tokens == usage.prompt_tokens + 42
    thoughts = [chunk.choices[0].delta for chunk in chunks[:-1]]
    assert sum(hasattr(delta, "reasoning_content") for delta in thoughts) == 12


@pytest.mark.asyncio
@pytest.mark.parametrize("form", ["prefill", "prefix", "instructed", "system", "embedded", "tagged"])
async def test_a_request_with_the_partial_gets_exactly_the_rest(sdk: AsyncOpenAI, model_url: str, form: str) -> None:
    """Each way of handing over a partial leads to the rest of the first call's text."""
    start = await partial(sdk, "hi", 40)
    whole = calls_of(model_url)[0]["text"]
    assert len(start) > 60
    assert whole.startswith(start)
    question = user("standin: fail_after=40 times=1\nhi")
    rest = await ask(
        sdk,
        *{
            "prefill": [question, assistant(start)],
            "prefix": [question, assistant(start, prefix=True)],
            "instructed": [question, assistant(start), user(GO_ON)],
            "system": [question, assistant(start), {"role": "system", "content": GO_ON}],
            "embedded": [question, user(f"{GO_ON} This is what you wrote:\n\n{start}")],
            "tagged": [question, user(f"{GO_ON}\n<partial>\n{start}\n</partial>\nGo on from there.")],
        }[form],
    )
    assert start + rest == whole
    call = calls_of(model_url)[1]
    assert call["continues"] == calls_of(model_url)[0]["id"]
    assert call["text"] == whole
    assert call["prompt"] == question["content"]
    assert call["tokens_sent"] == 80


@pytest.mark.asyncio
async def test_a_continuation_can_be_continued(sdk: AsyncOpenAI, model_url: str) -> None:
    """Cut three times, the pieces join to the first call's text, each call naming the one before."""
    question, said = user("standin: fail_after=35\nhi"), ""
    for _ in range(3):
        handed = [assistant(said), user(GO_ON)] if said else []
        said += await cut_answer(sdk, question, *handed)
    said += await ask(sdk, question, assistant(said), user(GO_ON))
    calls = calls_of(model_url)
    assert said == calls[0]["text"]
    assert [call["continues"] for call in calls] == [None, *(call["id"] for call in calls[:3])]
    assert [call["tokens_sent"] for call in calls] == [35, 35, 35, 15]


@pytest.mark.asyncio
async def test_a_second_turn_is_not_a_continuation(sdk: AsyncOpenAI, model_url: str) -> None:
    """After a complete or a stopped answer an ordinary question gets a new text."""
    first = await ask(sdk, user("hi"))
    second = await ask(sdk, user("hi"), assistant(first), user("And how does it end?"))
    stopped = await partial(sdk, "more", 30)
    third = await ask(sdk, user("more"), assistant(stopped), user("How can a download continue where it left off?"))
    assert len({first, second, third}) == 3
    assert [call["continues"] for call in calls_of(model_url)] == [None] * 4
    assert not first.endswith(second)


@pytest.mark.asyncio
async def test_a_leaving_client_stops_the_call(sdk: AsyncOpenAI, model_url: str) -> None:
    """When the reader disconnects the model stops, and says how far it was."""
    prompt: Any = [user("standin: tokens=5000 rate=100\nhi")]
    stream = await sdk.chat.completions.create(model="m", messages=prompt, stream=True)
    async with stream:
        async for _ in stream:
            break
    call = await ended(model_url)
    assert call["status"] == "disconnected"
    assert 0 < call["tokens_sent"] < 2500


@pytest.mark.asyncio
async def test_a_client_that_leaves_before_the_first_token_stops_the_call(sdk: AsyncOpenAI, model_url: str) -> None:
    """A reader that leaves while the model is silent is noticed at once, whole answers included."""
    prompt: Any = [user("standin: ttft=60000\nhi")]
    with pytest.raises(openai.APITimeoutError):
        await sdk.chat.completions.create(model="m", messages=prompt, timeout=0.2)
    assert (await ended(model_url))["status"] == "disconnected"
    assert calls_of(model_url)[0]["tokens_sent"] == 0


@pytest.mark.asyncio
@pytest.mark.parametrize(("tokens", "rate"), [(40, 50), (1500, 2000)])
async def test_the_pace_does_not_drift(sdk: AsyncOpenAI, tokens: int, rate: int) -> None:
    """An answer never comes faster than its rate, and delays do not add up."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    await ask(sdk, user(f"standin: tokens={tokens} rate={rate}\nhi"))
    took = loop.time() - start
    assert (tokens - 1) / rate <= took < tokens / rate * 3 + 1


@pytest.mark.asyncio
async def test_a_length_limit_is_the_end(sdk: AsyncOpenAI, model_url: str) -> None:
    """An answer that reaches max_tokens says ``length``, and its text is what was sent."""
    prompt: Any = [user("hi")]
    answer = await sdk.chat.completions.create(model="m", messages=prompt, max_tokens=9)
    assert answer.choices[0].finish_reason == "length"
    assert calls_of(model_url)[0]["text"] == answer.choices[0].message.content
    assert calls_of(model_url)[0]["tokens_sent"] == 9


def test_a_set_key_is_the_only_one() -> None:
    """With STANDIN_MODEL_KEY another key is refused in OpenAI's shape, and models can be listed with it."""
    with served("standins.model", env={"STANDIN_MODEL_KEY": "right"}) as process:
        refused = httpx.get(f"{process.url}/v1/models", headers={"authorization": "Bearer wrong"})
        assert refused.status_code == 401
        assert refused.json()["error"]["code"] == "invalid_api_key"
        listed = httpx.get(f"{process.url}/v1/models", headers={"authorization": "Bearer right"})
        assert listed.json()["object"] == "list"
        assert httpx.get(f"{process.url}/__standin/stats").json()["refused"] == {"401": 1}
        assert httpx.get(f"{process.url}/__standin/health").json() == {"ok": True}
