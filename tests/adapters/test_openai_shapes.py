"""What the OpenAI adapter makes of other providers: recorded shapes, errors, parameters."""

from __future__ import annotations

from typing import Any, Self

import pytest
from openai.types.chat import ChatCompletionChunk

from holdfast.adapters.openai_bodies import parameters
from holdfast.adapters.openai_chat import speak_chat
from holdfast.adapters.openai_errors import failed_midway, retry_after
from holdfast.adapters.openai_parts import Parts
from holdfast.errors import GenerationError
from holdfast.generation import Part
from tests.adapters.collecting import collect


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> ChatCompletionChunk:
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    return ChatCompletionChunk.construct(None, **{"id": "c", "model": "served", "choices": choices, **more})


class Recorded:
    """Stands where the SDK's client stands and plays chunks as a provider sent them."""

    def __init__(self, *chunks: ChatCompletionChunk | Exception) -> None:
        self.chat = self.completions = self
        self._chunks = iter(chunks)

    async def create(self, **_: Any) -> Recorded:
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    def __aiter__(self) -> Recorded:
        return self

    async def __anext__(self) -> ChatCompletionChunk:
        for item in self._chunks:
            if isinstance(item, Exception):
                raise item
            return item
        raise StopAsyncIteration


async def played(*chunks: ChatCompletionChunk | Exception) -> tuple[str, list[Part], GenerationError | None]:
    client: Any = Recorded(*chunks)
    return await collect(speak_chat(client, {}, Parts(1, "m")))


@pytest.mark.asyncio
async def test_openrouter_reasoning_and_refusals_are_understood() -> None:
    """``delta.reasoning`` is reasoning, a refusal is text, and the model is the one that served."""
    text, parts, _ = await played(chunk({"reasoning": "Hm."}), chunk({"refusal": "No."}), chunk({}, "content_filter"))
    assert text == "No."
    assert [part["type"] for part in parts] == ["reasoning-start", "reasoning-delta", "reasoning-end", "finish"]
    assert parts[-1]["finishReason"] == "content-filter"
    assert parts[-1]["messageMetadata"] == {"model": "served"}


@pytest.mark.asyncio
async def test_parallel_tool_calls_are_told_apart_by_index() -> None:
    """Interleaved pieces of two calls join by index; arguments that are no JSON stay as they came."""

    def call(index: int, arguments: str, **function: str) -> dict[str, Any]:
        head = {"id": f"call_{index}"} if function else {}
        return {"index": index, **head, "function": {"arguments": arguments, **function}}

    _, parts, _ = await played(
        chunk({"tool_calls": [call(0, "", name="a"), call(1, '{"x"', name="b")]}),
        chunk({"tool_calls": [call(1, ":1}"), call(0, "oops")]}),
        chunk({}, "tool_calls"),
    )
    available = [part for part in parts if part["type"] == "tool-input-available"]
    assert [(part["toolCallId"], part["toolName"], part["input"]) for part in available] == [
        ("call_0", "a", "oops"),
        ("call_1", "b", {"x": 1}),
    ]


@pytest.mark.asyncio
async def test_what_breaks_after_the_finish_reason_is_no_failure() -> None:
    """The answer is whole once its finish reason came, even if the body breaks off; before, it is not."""
    broken = ValueError("a line that is no JSON")
    _, parts, error = await played(chunk({"content": "Hi"}, "stop"), broken)
    assert error is None
    assert parts[-1]["finishReason"] == "stop"
    _, _, error = await played(chunk({"content": "Hi"}), broken)
    assert error is not None
    assert error.code == "model_interrupted"
    _, _, error = await played(chunk({"content": "Hi"}, "error"))
    assert error is not None
    assert error.code == "model_error"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (429, "model_rate_limited"),
        ("rate_limit_exceeded", "model_rate_limited"),
        (402, "model_quota"),
        (401, "model_auth"),
        ("context_length_exceeded", "model_refused_request"),
        (502, "model_error"),
        (None, "model_error"),
    ],
)
def test_an_error_inside_the_stream_is_told_by_its_code(code: object, expected: str) -> None:
    """OpenRouter reports statuses as numbers inside the stream, OpenAI as words."""
    assert failed_midway(code).code == expected


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read_in_each_of_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    """Milliseconds, seconds and dates are understood; nonsense is no wish."""
    assert retry_after(headers) == seconds


def test_parameters_are_an_allow_list() -> None:
    """Known fields are checked, the rest of the body never reaches the provider."""
    assert parameters({"model": "a/b-1:free", "temperature": 0, "max_tokens": 5, "tools": [1], "top_p": None}) == {
        "model": "a/b-1:free",
        "temperature": 0,
        "max_output_tokens": 5,
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model", "a\nb"),
        ("model", 3),
        ("temperature", True),
        ("temperature", 2.5),
        ("temperature", float("nan")),
        ("top_p", "1"),
        ("max_tokens", 0),
        ("max_output_tokens", 1.5),
        ("reasoning_effort", "huge"),
        ("reasoning_effort", ["low"]),
    ],
)
def test_a_malformed_parameter_is_refused_by_name(name: str, value: object) -> None:
    """The error names the field, and no call is made."""
    with pytest.raises(GenerationError, match=name) as caught:
        parameters({name: value})
    assert caught.value.code == "model_refused_request"


@pytest.mark.asyncio
async def test_a_character_that_comes_in_halves_is_whole() -> None:
    """Servers that cut text by UTF-16 units split an emoji between two chunks; a half without its other is no text."""
    text, _, _ = await played(chunk({"content": "a\ud83c"}), chunk({"content": "\udf0db"}), chunk({}, "stop"))
    assert text == "a🌍b"
    text, _, _ = await played(chunk({"content": "a\ud83c"}), chunk({}, "stop"))
    assert text == "a"
