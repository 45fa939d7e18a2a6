"""UI messages as OpenAI's messages."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.adapters.messages import NO_RESULT, chat_messages, response_input
from holdfast.errors import GenerationError

PNG = "data:image/png;base64,iVBORw0KGgo="
PDF = "data:application/pdf;base64,JVBERi0="


def message(role: str, *parts: dict[str, Any]) -> dict[str, Any]:
    return {"id": "m", "role": role, "parts": list(parts)}


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def file(url: str, media: str, **more: str) -> dict[str, Any]:
    return {"type": "file", "url": url, "mediaType": media, **more}


def tool(state: str, **more: Any) -> dict[str, Any]:
    return {"type": "tool-weather", "toolCallId": "c1", "state": state, "input": {"city": "Zürich"}, **more}


def test_text_joins_and_empty_messages_vanish() -> None:
    """Text parts of one message are one text; what has nothing to say is left out."""
    conversation = [
        message("user", text("Hi "), text("there")),
        message("assistant"),
        message("assistant", {"type": "reasoning", "text": "Hm."}, text("Yes?")),
    ]
    expected = [{"role": "user", "content": "Hi there"}, {"role": "assistant", "content": "Yes?"}]
    assert chat_messages(conversation, "Be kind.") == [{"role": "system", "content": "Be kind."}, *expected]
    assert response_input(conversation) == expected


def test_files_become_content_parts() -> None:
    """Images go as URLs, text inline, other files by name, each in the shape of its API."""
    asked = message(
        "user",
        text("What is this?"),
        file(PNG, "image/png"),
        file(PDF, "application/pdf", filename="a.pdf"),
        file("data:text/plain;base64,w6k=", "text/plain"),
        file("data:text/plain,a%20b", "text/plain"),
    )
    assert chat_messages([asked])[0]["content"] == [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": PNG}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": PDF}},
        {"type": "text", "text": "é"},
        {"type": "text", "text": "a b"},
    ]
    assert response_input([asked])[0]["content"] == [
        {"type": "input_text", "text": "What is this?"},
        {"type": "input_image", "image_url": PNG, "detail": "auto"},
        {"type": "input_file", "filename": "a.pdf", "file_data": PDF},
        {"type": "input_text", "text": "é"},
        {"type": "input_text", "text": "a b"},
    ]


def test_audio_goes_as_its_bytes() -> None:
    """chat.completions wants the base64 of audio without its URL."""
    sound = message("user", file("data:audio/mpeg;base64,AAAA", "audio/mpeg"))
    assert chat_messages([sound])[0]["content"] == [
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}}
    ]


@pytest.mark.parametrize(
    "part",
    [
        file("https://example.com/a.pdf", "application/pdf"),
        file("ftp://example.com/a.png", "image/png"),
        file("data:text/plain;base64,/w==", "text/plain"),
        file("data:text/plain;base64,?", "text/plain"),
        file(PNG, ""),
        {"type": "file"},
    ],
)
def test_a_file_that_cannot_be_given_is_refused(part: dict[str, Any]) -> None:
    """The error says which file, and that trying again is no use."""
    with pytest.raises(GenerationError, match="attachment") as caught:
        chat_messages([message("user", part)])
    assert (caught.value.code, caught.value.retry) == ("model_refused_request", False)


@pytest.mark.parametrize(
    ("part", "result"),
    [
        (tool("output-available", output={"c": 3}), '{"c":3}'),
        (tool("output-available", output="sunny"), "sunny"),
        (tool("output-error", errorText="no network"), "Error: no network"),
        (tool("input-available"), NO_RESULT),
        ({**tool("output-available", output="sunny"), "type": "dynamic-tool", "toolName": "weather"}, "sunny"),
    ],
)
def test_a_tool_call_comes_with_its_result(part: dict[str, Any], result: str) -> None:
    """Each call is followed by a result before the text that came of it: the APIs refuse anything else."""
    answer = message("assistant", {"type": "step-start"}, text("Let me see."), part, text("It is so."))
    arguments = '{"city":"Zürich"}'
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": arguments}}
    assert chat_messages([answer]) == [
        {"role": "assistant", "content": "Let me see.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": result},
        {"role": "assistant", "content": "It is so."},
    ]
    assert response_input([answer]) == [
        {"role": "assistant", "content": "Let me see."},
        {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": arguments},
        {"type": "function_call_output", "call_id": "c1", "output": result},
        {"role": "assistant", "content": "It is so."},
    ]


@pytest.mark.parametrize("part", [tool("input-streaming"), tool("output-available", output=1, providerExecuted=True)])
def test_a_call_that_is_not_ours_to_report_is_left_out(part: dict[str, Any]) -> None:
    """A call whose input never became whole, or that the provider ran itself, is not repeated to the model."""
    assert chat_messages([message("assistant", part, text("Well."))]) == [{"role": "assistant", "content": "Well."}]
