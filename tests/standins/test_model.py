"""The stand-in model, over sockets with the unmodified SDK."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from typing import Any

import httpx
import openai
import pytest
import pytest_asyncio
from openai import AsyncOpenAI

from tests.processes import served

FAST = {"STANDIN_MODEL_TOKENS": "120", "STANDIN_MODEL_RATE": "3000", "STANDIN_MODEL_TTFT_MS": "0"}
GO_ON = "Your answer was interrupted. Continue exactly where it stopped."


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with served("standins.model", env=FAST) as process:
        yield process.url


@pytest.fixture
def url(server: str) -> str:
    httpx.post(f"{server}/__standin/reset").raise_for_status()
    return server


@pytest_asyncio.fixture
async def client(url: str) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(api_key="any", base_url=f"{url}/v1", max_retries=0) as made:
        yield made


def calls_of(url: str) -> list[dict[str, Any]]:
    calls: list[dict[str, Any]] = httpx.get(f"{url}/__standin/calls").json()["calls"]
    return calls


async def ended(url: str, index: int = -1) -> dict[str, Any]:
    """The call, once it is not running any more."""
    async with asyncio.timeout(10), httpx.AsyncClient() as http:
        while True:
            call: dict[str, Any] = (await http.get(f"{url}/__standin/calls")).json()["calls"][index]
            if call["status"] != "running":
                return call
            await asyncio.sleep(0.01)


async def ask(client: AsyncOpenAI, *messages: dict[str, Any]) -> str:
    given: Any = messages
    async with await client.chat.completions.create(model="m", messages=given, stream=True) as stream:
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])


async def until_cut[T](stream: AsyncIterable[T]) -> list[T]:
    """What arrives before the connection is cut, which it must be."""
    arrived: list[T] = []

    async def read() -> None:
        async for item in stream:
            arrived.append(item)  # noqa: PERF401  # a comprehension would lose what came before the cut

    with pytest.raises(openai.APIConnectionError):
        await read()
    return arrived


async def partial(client: AsyncOpenAI, content: str, tokens: int) -> str:
    """Ask, and lose the connection after so many tokens: what arrived."""
    return await cut_answer(client, user(f"standin: fail_after={tokens} times=1\n{content}"))


async def cut_answer(client: AsyncOpenAI, *messages: dict[str, Any]) -> str:
    """Ask for an answer that will be cut: the text that arrived."""
    given: Any = messages
    stream = await client.chat.completions.create(model="m", messages=given, stream=True)
    return "".join([chunk.choices[0].delta.content or "" for chunk in await until_cut(stream)])


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(text: str, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": text, **more}


@pytest.mark.asyncio
async def test_two_calls_with_one_question_get_two_texts(client: AsyncOpenAI, url: str) -> None:
    """As a real model the stand-in answers differently each time, and reports what it said."""
    first, second = await ask(client, user("hi")), await ask(client, user("hi"))
    assert first != second
    assert [(call["text"], call["tokens_sent"], call["status"]) for call in calls_of(url)] == [
        (first, 120, "completed"),
        (second, 120, "completed"),
    ]


@pytest.mark.asyncio
async def test_usage_comes_in_a_last_chunk_without_choices(client: AsyncOpenAI) -> None:
    """The usage counts the tokens of text and reasoning that were sent."""
    prompt: Any = [user("standin: tokens=30 reasoning=12\nhi")]
    options: Any = {"include_usage": True}
    stream = await client.chat.completions.create(model="m", messages=prompt, stream=True, stream_options=options)
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
async def test_a_request_with_the_partial_gets_exactly_the_rest(client: AsyncOpenAI, url: str, form: str) -> None:
    """Each way of handing over a partial leads to the rest of the first call's text."""
    start = await partial(client, "hi", 40)
    whole = calls_of(url)[0]["text"]
    assert len(start) > 60
    assert whole.startswith(start)
    question = user("standin: fail_after=40 times=1\nhi")
    rest = await ask(
        client,
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
    call = calls_of(url)[1]
    assert call["continues"] == calls_of(url)[0]["id"]
    assert call["text"] == whole
    assert call["prompt"] == question["content"]
    assert call["tokens_sent"] == 80


@pytest.mark.asyncio
async def test_a_continuation_can_be_continued(client: AsyncOpenAI, url: str) -> None:
    """Cut three times, the pieces join to the first call's text, each call naming the one before."""
    question, said = user("standin: fail_after=35\nhi"), ""
    for _ in range(3):
        handed = [assistant(said), user(GO_ON)] if said else []
        said += await cut_answer(client, question, *handed)
    said += await ask(client, question, assistant(said), user(GO_ON))
    calls = calls_of(url)
    assert said == calls[0]["text"]
    assert [call["continues"] for call in calls] == [None, *(call["id"] for call in calls[:3])]
    assert [call["tokens_sent"] for call in calls] == [35, 35, 35, 15]


@pytest.mark.asyncio
async def test_a_second_turn_is_not_a_continuation(client: AsyncOpenAI, url: str) -> None:
    """After a complete or a stopped answer an ordinary question gets a new text."""
    first = await ask(client, user("hi"))
    second = await ask(client, user("hi"), assistant(first), user("And how does it end?"))
    stopped = await partial(client, "more", 30)
    third = await ask(client, user("more"), assistant(stopped), user("How can a download continue where it left off?"))
    assert len({first, second, third}) == 3
    assert [call["continues"] for call in calls_of(url)] == [None] * 4
    assert not first.endswith(second)


@pytest.mark.asyncio
async def test_a_leaving_client_stops_the_call(client: AsyncOpenAI, url: str) -> None:
    """When the reader disconnects the model stops, and says how far it was."""
    prompt: Any = [user("standin: tokens=5000 rate=100\nhi")]
    stream = await client.chat.completions.create(model="m", messages=prompt, stream=True)
    async with stream:
        async for _ in stream:
            break
    call = await ended(url)
    assert call["status"] == "disconnected"
    assert 0 < call["tokens_sent"] < 2500


@pytest.mark.asyncio
async def test_a_client_that_leaves_before_the_first_token_stops_the_call(client: AsyncOpenAI, url: str) -> None:
    """A reader that leaves while the model is silent is noticed at once, whole answers included."""
    prompt: Any = [user("standin: ttft=60000\nhi")]
    with pytest.raises(openai.APITimeoutError):
        await client.chat.completions.create(model="m", messages=prompt, timeout=0.2)
    assert (await ended(url))["status"] == "disconnected"
    assert calls_of(url)[0]["tokens_sent"] == 0


@pytest.mark.asyncio
@pytest.mark.parametrize(("tokens", "rate"), [(40, 50), (1500, 2000)])
async def test_the_pace_does_not_drift(client: AsyncOpenAI, tokens: int, rate: int) -> None:
    """An answer never comes faster than its rate, and delays do not add up."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    await ask(client, user(f"standin: tokens={tokens} rate={rate}\nhi"))
    took = loop.time() - start
    assert (tokens - 1) / rate <= took < tokens / rate * 3 + 1


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
async def test_a_prompt_can_ask_for_an_error(client: AsyncOpenAI, options: str, error: type[Exception]) -> None:
    """The errors have OpenAI's shape, so that the SDK raises its own."""
    with pytest.raises(error):
        await ask(client, user(f"standin: {options}\nhi"))


@pytest.mark.asyncio
async def test_failures_can_be_limited_to_the_first_calls(client: AsyncOpenAI) -> None:
    """With ``times=1`` the second call of the same prompt is healthy."""
    prompt = user("standin: status=500 times=1\nhi")
    with pytest.raises(openai.InternalServerError):
        await ask(client, prompt)
    assert await ask(client, prompt)


@pytest.mark.asyncio
async def test_an_answer_can_end_without_saying_so_and_with_an_error(client: AsyncOpenAI, url: str) -> None:
    """``cut=clean`` ends without a finish reason; ``error_after`` sends an error in the stream."""
    prompt: Any = [user("standin: cut=clean fail_after=5\nhi")]
    stream = await client.chat.completions.create(model="m", messages=prompt, stream=True)
    assert [chunk async for chunk in stream][-1].choices[0].finish_reason is None
    with pytest.raises(openai.APIError, match="internal failure"):
        await ask(client, user("standin: error_after=5\nhi"))
    assert [(call["status"], call["tokens_sent"]) for call in calls_of(url)] == [("cut", 5), ("failed", 5)]


@pytest.mark.asyncio
async def test_a_length_limit_is_the_end(client: AsyncOpenAI, url: str) -> None:
    """An answer that reaches max_tokens says ``length``, and its text is what was sent."""
    prompt: Any = [user("hi")]
    answer = await client.chat.completions.create(model="m", messages=prompt, max_tokens=9)
    assert answer.choices[0].finish_reason == "length"
    assert calls_of(url)[0]["text"] == answer.choices[0].message.content
    assert calls_of(url)[0]["tokens_sent"] == 9


@pytest.mark.asyncio
async def test_responses_stream_with_dense_numbers_and_tools(client: AsyncOpenAI) -> None:
    """The SDK's own accumulating stream accepts the events; their numbers have no gap."""
    async with client.responses.stream(model="m", input="standin: tokens=40 reasoning=8 tool=1\nhi") as stream:
        events = [event async for event in stream]
        final = await stream.get_final_response()
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [item.type for item in final.output] == ["reasoning", "message", "function_call"]
    assert final.usage is not None
    assert final.usage.output_tokens_details.reasoning_tokens == 8


@pytest.mark.asyncio
async def test_a_background_response_goes_on_and_is_resumed(client: AsyncOpenAI, url: str) -> None:
    """Without its client a background response is written to its end; from any number the rest follows exactly."""
    prompt = "standin: tokens=80 rate=400 fail_after=20\nhi"
    text, last, name = "", -1, ""
    stream = await client.responses.create(model="m", input=prompt, background=True, stream=True)
    for event in await until_cut(stream):
        last = event.sequence_number
        if event.type == "response.created":
            name = event.response.id
        elif event.type == "response.output_text.delta":
            text += event.delta
    resumed = await client.responses.retrieve(name, stream=True, starting_after=last)
    rest = [event async for event in resumed]
    assert [event.sequence_number for event in rest] == list(range(last + 1, last + 1 + len(rest)))
    text += "".join(event.delta for event in rest if event.type == "response.output_text.delta")
    assert text == calls_of(url)[0]["text"]
    assert calls_of(url)[0]["tokens_sent"] == 80
    whole = await client.responses.retrieve(name)
    assert (whole.status, whole.output_text) == ("completed", text)


@pytest.mark.asyncio
async def test_a_background_response_can_be_cancelled(client: AsyncOpenAI, url: str) -> None:
    """Cancelling stops the writing; a second time changes nothing; unknown ids are 404."""
    made = await client.responses.create(model="m", input="standin: tokens=9000 rate=100\nhi", background=True)
    assert made.status == "queued"
    for _ in range(2):
        assert (await client.responses.cancel(made.id)).status == "cancelled"
    assert calls_of(url)[0]["status"] == "cancelled"
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve("resp_unknown")


@pytest.mark.asyncio
async def test_a_response_carries_on_a_partial(client: AsyncOpenAI, url: str) -> None:
    """The Responses API continues as chat.completions does, and reports the instructions as system message."""
    start = await partial(client, "hi", 40)
    items: Any = [user("standin: fail_after=40 times=1\nhi"), assistant(start), user(GO_ON)]
    answer = await client.responses.create(model="m", input=items, instructions="Be brief.")
    assert start + answer.output_text == calls_of(url)[0]["text"]
    assert calls_of(url)[1]["messages"][0] == {"role": "system", "content": "Be brief."}


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
