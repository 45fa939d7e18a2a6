"""The OpenAI generator against the stand-in model, over sockets."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Literal, cast

import httpx
import pytest

from holdfast.adapters.openai import Continuation, openai_generator
from holdfast.generation import GenerationRequest, Part
from tests.adapters.collecting import collect
from tests.standins.model_client import calls_of, ended

type Api = Literal["chat", "responses", "background"]

BOTH = pytest.mark.parametrize("api", ["chat", "responses"])
EVERY = pytest.mark.parametrize("api", ["chat", "responses", "background"])


def question(text: str, **more: Any) -> GenerationRequest:
    return GenerationRequest([{"id": "m1", "role": "user", "parts": [{"type": "text", "text": text}]}], **more)


def items_of(
    url: str, api: Api, request: GenerationRequest, *, api_key: str = "key", **options: Any
) -> AsyncGenerator[str | Part]:
    generate = openai_generator(api=api, api_key=api_key, base_url=f"{url}/v1", model="m", **options)
    return cast("AsyncGenerator[str | Part]", generate(request))


@EVERY
@pytest.mark.asyncio
async def test_an_answer_is_strings_and_a_finish_with_usage(url: str, api: Api) -> None:
    """Text comes as strings, and finish comes last with the tokens that the provider counted."""
    text, parts, error = await collect(items_of(url, api, question("hi"), system="Be brief."))
    call = calls_of(url)[0]
    assert error is None
    assert text == call["text"]
    assert [part["type"] for part in parts] == ["finish"]
    assert parts[0]["finishReason"] == "stop"
    usage = parts[0]["messageMetadata"]["usage"]
    assert usage["outputTokens"] == 120
    assert usage["totalTokens"] == usage["inputTokens"] + 120
    assert parts[0]["messageMetadata"]["model"] == "m"
    assert call["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]


@EVERY
@pytest.mark.asyncio
async def test_reasoning_and_tools_are_chunks(url: str, api: Api) -> None:
    """Reasoning opens and closes before the text; a tool call streams its input and ends with it whole."""
    prompt = "standin: tokens=10 reasoning=5 tool=1\nhi"
    _, parts, error = await collect(items_of(url, api, question(prompt, attempt=3)))
    assert error is None
    kinds = [part["type"] for part in parts]
    assert kinds[0] == "reasoning-start"
    assert kinds[1:6] == ["reasoning-delta"] * 5
    assert kinds[6:8] == ["reasoning-end", "tool-input-start"]
    assert kinds[-2:] == ["tool-input-available", "finish"]
    assert {part["id"] for part in parts[:7]} == {"r3-1"}
    streamed = "".join(part["inputTextDelta"] for part in parts if part["type"] == "tool-input-delta")
    assert json.loads(streamed) == parts[-2]["input"]
    assert parts[-2]["toolName"] == "get_weather"
    assert len({part["toolCallId"] for part in parts[7:-1]}) == 1
    assert parts[-1]["finishReason"] == "tool-calls"
    assert parts[-1]["messageMetadata"]["usage"]["reasoningTokens"] == 5


@EVERY
@pytest.mark.asyncio
async def test_a_length_limit_finishes_with_length(url: str, api: Api) -> None:
    """max_tokens from the request's body reaches either API, and the finish says why it ended."""
    text, parts, _ = await collect(items_of(url, api, question("hi", extra={"max_tokens": 7, "temperature": 0.5})))
    assert parts[-1]["finishReason"] == "length"
    assert text == calls_of(url)[0]["text"]


@BOTH
@pytest.mark.asyncio
async def test_an_interrupted_answer_is_continued_to_its_end(url: str, api: Api) -> None:
    """Cut twice, each call goes on from what stands, and the pieces are the first call's text."""
    said, errors = "", []
    for attempt in (1, 2, 3):
        request = question("standin: fail_after=50\nhi", partial=said, attempt=attempt)
        text, parts, error = await collect(items_of(url, api, request))
        said += text
        errors.append(error and (error.code, error.retry))
    assert errors == [("model_interrupted", True)] * 2 + [None]
    assert said == calls_of(url)[0]["text"]
    # White space at the end of a partial is said again: it is not sent.
    sent = [call["tokens_sent"] for call in calls_of(url)]
    assert sent[:2] == [50, 50]
    assert 20 <= sent[2] <= 22
    assert [call["prompt"] for call in calls_of(url)] == ["standin: fail_after=50\nhi"] * 3
    assert parts[-1]["type"] == "finish"


@EVERY
@pytest.mark.asyncio
async def test_a_continuation_of_a_whole_answer_is_its_end(url: str, api: Api) -> None:
    """Where only the finish was lost the continuation is empty, which finishes the answer."""
    whole, _, _ = await collect(items_of(url, api, question("hi")))
    text, parts, error = await collect(items_of(url, api, question("hi", partial=whole)))
    assert (text, error) == ("", None)
    assert parts[-1]["finishReason"] == "stop"


@BOTH
@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("options", "code", "retry"),
    [
        ("status=401", "model_auth", False),
        ("status=403", "model_auth", False),
        ("status=402", "model_quota", False),
        ("status=429 quota=1", "model_quota", False),
        ("status=404", "model_not_found", False),
        ("status=400", "model_refused_request", False),
        ("status=422", "model_refused_request", False),
        ("status=429", "model_rate_limited", True),
        ("status=500", "model_unreachable", True),
        ("status=503", "model_unreachable", True),
        ("fail_after=5", "model_interrupted", True),
        ("fail_after=5 cut=clean", "model_interrupted", True),
        ("error_after=5", "model_error", True),
    ],
)
async def test_each_failure_says_which_and_whether_to_retry(
    url: str, api: Api, options: str, code: str, retry: bool
) -> None:
    """Codes are stable; the SDK retries nothing by itself, and no foreign text is in the message."""
    _, parts, error = await collect(items_of(url, api, question(f"standin: {options}\nhi")))
    assert error is not None
    assert (error.code, error.retry) == (code, retry)
    assert error.retry_after == (1.0 if code == "model_rate_limited" else None)
    assert parts == []
    assert len(calls_of(url)) == 1
    assert not any(word in error.message for word in ("key'", "127.0.0.1", "internal failure", "Error code"))
    assert error.__context__ is None or error.__suppress_context__


@EVERY
@pytest.mark.asyncio
async def test_a_wrong_key_and_an_unreachable_server(url: str, api: Api) -> None:
    """A wrong key is not worth a retry and is never shown; a closed port is worth one."""
    _, _, error = await collect(items_of(url, api, question("hi"), api_key="sk-secret"))
    assert error is not None
    assert (error.code, error.retry) == ("model_auth", False)
    assert "sk-secret" not in error.message
    _, _, error = await collect(items_of("http://user:pass@127.0.0.1:1", api, question("hi")))
    assert error is not None
    assert (error.code, error.retry) == ("model_unreachable", True)
    assert "pass" not in error.message


@BOTH
@pytest.mark.asyncio
async def test_a_silent_model_times_out(url: str, api: Api) -> None:
    """A model that says nothing for the timeout is given up, and the provider sees it."""
    _, _, error = await collect(items_of(url, api, question("standin: ttft=60000\nhi"), timeout=0.3))
    assert error is not None
    assert error.retry
    assert (await ended(url))["status"] == "disconnected"


@BOTH
@pytest.mark.asyncio
async def test_closing_the_generator_stops_the_model(url: str, api: Api) -> None:
    """Whoever stops reading and closes the generator stops the provider's bill."""
    async with aclosing(items_of(url, api, question("standin: tokens=20000 rate=100\nhi"))) as items:
        async for _ in items:
            break
    call = await ended(url)
    assert call["status"] == "disconnected"
    assert 0 < call["tokens_sent"] < 500


@BOTH
@pytest.mark.asyncio
@pytest.mark.parametrize("options", ["tokens=20000 rate=100", "ttft=60000"])
async def test_cancelling_stops_the_model(url: str, api: Api, options: str) -> None:
    """A cancelled task closes the connection, also while the model is silent."""

    async def read() -> None:
        await collect(items_of(url, api, question(f"standin: {options}\nhi")))

    task = asyncio.create_task(read())
    async with asyncio.timeout(5), httpx.AsyncClient() as http:
        while True:
            if (await http.get(f"{url}/__standin/calls")).json()["calls"]:
                break
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await ended(url))["status"] == "disconnected"


@pytest.mark.asyncio
@pytest.mark.parametrize("continuation", ["prefill", "prefix", "continue_final_message"])
async def test_a_refused_prefill_becomes_an_instruction(url: str, continuation: Continuation) -> None:
    """A model that refuses to complete its own message is asked to go on instead."""
    start, _, _ = await collect(items_of(url, "chat", question("standin: fail_after=50 times=1\nhi")))
    request = question("standin: status=400 times=1\nhi again", partial=start)
    rest, parts, error = await collect(items_of(url, "chat", request, continuation=continuation))
    assert error is None
    assert parts[-1]["finishReason"] == "stop"
    assert start + rest == calls_of(url)[0]["text"]
    assert [call["messages"][-1]["role"] for call in calls_of(url)[1:]] == ["assistant", "user"]


def test_importing_the_adapter_imports_no_sdk() -> None:
    """The SDK loads when it is first used, so that the other functions start quickly."""
    code = "import sys, holdfast.adapters.openai; sys.exit('openai' in sys.modules or 'pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": "lib"}, check=False).returncode == 0
