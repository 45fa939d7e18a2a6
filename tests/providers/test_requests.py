"""Each provider's request as it is sent, against the shape that the provider documents."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any, cast

import httpx2
import openai
import pytest

from holdfast.adapters.openai import Continuation, openai_generator
from holdfast.adapters.openai_continue import CONTINUE_INSTRUCTION, Strategy, strategy_for
from holdfast.generation import GenerationRequest, Part
from standins.model_continue import asks_to_continue
from tests.adapters.collecting import collect
from tests.adapters.telling import asked

ASKED = {"role": "user", "content": "Why?"}
SAID = {"role": "assistant", "content": "Because"}
GO_ON = {"role": "user", "content": CONTINUE_INSTRUCTION}
USAGE = {"stream_options": {"include_usage": True}}

CHAT = (
    'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":%s}]}\n\n'
)
RESPONSE = {
    "id": "resp_1", "object": "response", "created_at": 1, "model": "m", "status": "completed", "output": [],
    "parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "error": None, "incomplete_details": None,
    "instructions": None, "metadata": {}, "temperature": 1, "top_p": 1,
}  # fmt: skip


def event(number: int, kind: str, **data: Any) -> str:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, 'sequence_number': number, **data})}\n\n"


class Wire:
    """What the SDK sent, and an answer to it.

    Attributes:
        requests: every request, oldest first.
    """

    def __init__(self) -> None:
        self.requests: list[httpx2.Request] = []

    async def answer(self, request: httpx2.Request) -> httpx2.Response:
        """Take a request as a provider does."""
        self.requests.append(request)
        if request.url.path.endswith("/chat/completions"):
            end = CHAT.replace("%s}", '{},"finish_reason":"stop"}')
            text = CHAT % '{"role":"assistant","content":" it is so."}' + end + "data: [DONE]\n\n"
        elif request.method == "GET" and request.url.params.get("stream") != "true":
            return httpx2.Response(200, json=RESPONSE)
        else:
            text = event(7, "response.created", response=RESPONSE | {"status": "queued"})
            text += event(8, "response.completed", response=RESPONSE)
        return httpx2.Response(200, text=text, headers={"content-type": "text/event-stream"})


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    """In place of the network, below the SDK."""
    wire = Wire()

    def client(**options: Any) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(transport=httpx2.MockTransport(wire.answer), timeout=options["timeout"])

    monkeypatch.setattr(openai, "DefaultAsyncHttpxClient", client)
    return wire


async def sent(wire: Wire, request: GenerationRequest, **options: Any) -> tuple[str, dict[str, Any]]:
    """The address and the body of the one request that an answer takes."""
    generate = openai_generator(api_key="key", **options)
    _, parts, error = await collect(cast("AsyncIterator[str | Part]", generate(request)))
    assert error is None
    assert parts[-1]["type"] == "finish"
    (made,) = wire.requests
    assert made.headers["authorization"] == "Bearer key"
    assert "idempotency-key" not in made.headers
    return str(made.url), json.loads(made.content or "{}")


OPENROUTER, MISTRAL = "https://openrouter.ai/api/v1", "https://api.mistral.ai/v1"
DEEPSEEK, ANTHROPIC = "https://api.deepseek.com", "https://api.anthropic.com/v1"
#: base URL, model, how to go on, the messages of a continuation, and what else is in its body.
CONTINUED: list[tuple[str, str, Continuation, list[dict[str, Any]], dict[str, Any]]] = [
    ("", "gpt-5-mini", "auto", [ASKED, SAID, GO_ON], USAGE),
    (OPENROUTER, "openai/gpt-5", "auto", [ASKED, SAID, GO_ON], USAGE),
    (OPENROUTER, "anthropic/claude-opus-4.6", "auto", [ASKED, SAID, GO_ON], USAGE),
    (OPENROUTER, "anthropic/claude-sonnet-4.5", "auto", [ASKED, SAID], USAGE),
    (OPENROUTER, "qwen/qwen3-max", "auto", [ASKED, SAID], USAGE),
    (ANTHROPIC, "claude-sonnet-4-5-20250929", "auto", [ASKED, SAID], USAGE),
    (ANTHROPIC, "claude-opus-4-6", "auto", [ASKED, SAID, GO_ON], USAGE),
    (MISTRAL, "mistral-large-latest", "auto", [ASKED, SAID | {"prefix": True}], {}),
    (f"{DEEPSEEK}/beta", "deepseek-chat", "auto", [ASKED, SAID | {"prefix": True}], USAGE),
    (f"{DEEPSEEK}/v1", "deepseek-chat", "auto", [ASKED, SAID, GO_ON], USAGE),
    (
        "http://vllm.internal:8000/v1", "Qwen/Qwen3-8B", "continue_final_message", [ASKED, SAID],
        USAGE | {"continue_final_message": True, "add_generation_prompt": False},
    ),
    ("http://vllm.internal:8000/v1", "Qwen/Qwen3-8B", "auto", [ASKED, SAID, GO_ON], USAGE),
    ("http://ollama.internal/v1", "llama3", "prefill", [ASKED, SAID], USAGE),
    (OPENROUTER, "deepseek/deepseek-chat", "prefix", [ASKED, SAID | {"prefix": True}], USAGE),
    (MISTRAL, "mistral-large-latest", "instruct", [ASKED, SAID, GO_ON], {}),
]  # fmt: skip


@pytest.mark.asyncio
@pytest.mark.parametrize(("base_url", "model", "continuation", "messages", "more"), CONTINUED)
async def test_a_continuation_is_asked_for_as_the_provider_documents(
    wire: Wire, base_url: str, model: str, continuation: Continuation, messages: list[Any], more: dict[str, Any]
) -> None:
    """The partial goes without the white space at its end, which a prefill must not have."""
    request = GenerationRequest(asked("Why?"), partial="Because \n", attempt=2)
    options = {"base_url": base_url, "model": model, "continuation": continuation}
    url, body = await sent(wire, request, api="chat", **options)
    assert url == f"{base_url or 'https://api.openai.com/v1'}/chat/completions"
    assert body == {"model": model, "messages": messages, "stream": True, **more}


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("base_url", "limit"),
    [("", "max_completion_tokens"), (OPENROUTER, "max_tokens"), (MISTRAL, "max_tokens"), (DEEPSEEK, "max_tokens")],
)
async def test_a_first_call_is_an_ordinary_request(wire: Wire, base_url: str, limit: str) -> None:
    """Nothing of a continuation is in it, and the limit goes by the provider's own name."""
    request = GenerationRequest(asked("Why?"), extra={"max_tokens": 50, "temperature": 0.3, "reasoning_effort": "low"})
    _, body = await sent(wire, request, api="chat", base_url=base_url, model="m", system="Be brief.")
    system = {"role": "system", "content": "Be brief."}
    usage = {} if base_url == MISTRAL else USAGE
    chosen = {"temperature": 0.3, "reasoning_effort": "low", limit: 50}
    assert body == {"model": "m", "messages": [system, ASKED], "stream": True, **chosen, **usage}


@pytest.mark.asyncio
async def test_a_response_that_only_this_call_reads_is_not_stored(wire: Wire) -> None:
    """The Responses API gets the system message as instructions, and the partial with the request to go on."""
    request = GenerationRequest(asked("Why?"), partial="Because ", extra={"max_tokens": 50, "reasoning_effort": "low"})
    url, body = await sent(wire, request, api="responses", model="gpt-5", system="Be brief.")
    assert url == "https://api.openai.com/v1/responses"
    assert body == {
        "model": "gpt-5",
        "input": [ASKED, SAID, GO_ON],
        "instructions": "Be brief.",
        "reasoning": {"effort": "low"},
        "max_output_tokens": 48,
        "store": False,
        "stream": True,
    }


@pytest.mark.asyncio
async def test_a_background_response_is_stored(wire: Wire) -> None:
    """It is asked for with background, store and stream, as its documentation wants it."""
    saved: list[Any] = []
    request = GenerationRequest(asked("Why?"), save=saved.append)
    url, body = await sent(wire, request, api="background", model="gpt-5")
    assert url == "https://api.openai.com/v1/responses"
    expected = {"model": "gpt-5", "input": [ASKED], "background": True, "store": True, "stream": True}
    assert body == expected
    assert [(checkpoint["response"], checkpoint["sequence"]) for checkpoint in saved] == [("resp_1", 7)]


@pytest.mark.asyncio
async def test_a_background_response_is_resumed_behind_its_last_event(wire: Wire) -> None:
    """The stream is asked for from the event after the one that the checkpoint names; nothing is asked anew."""
    checkpoint = {"response": "resp_1", "sequence": 5, "text": 0, "visible": 0, "base": 0, "thought": 0, "seam": 0}
    request = GenerationRequest(asked("Why?"), checkpoint=checkpoint, current=True)
    url, body = await sent(wire, request, api="background", model="gpt-5")
    assert url == "https://api.openai.com/v1/responses/resp_1?starting_after=5&stream=true"
    assert (wire.requests[0].method, body) == ("GET", {})
    assert request.exact


@pytest.mark.parametrize(
    ("base_url", "model", "expected"),
    [
        ("https://notopenrouter.ai/api/v1", "mistralai/mistral-large", Strategy.INSTRUCT),
        ("https://eu.openrouter.ai/api/v1", "mistralai/mistral-large", Strategy.PREFILL),
        (OPENROUTER, "anthropic/claude-3.5-sonnet", Strategy.PREFILL),
        (OPENROUTER, "anthropic/claude-3-7-sonnet-20250219", Strategy.PREFILL),
        (OPENROUTER, "anthropic/claude-haiku-5", Strategy.INSTRUCT),
        (OPENROUTER, "anthropic/claude-latest", Strategy.INSTRUCT),
        (ANTHROPIC, "claude-sonnet-4-20250514", Strategy.PREFILL),
        (ANTHROPIC, "claude-opus-4-10", Strategy.INSTRUCT),
        (ANTHROPIC, "claude-2.1", Strategy.PREFILL),
        ("http://127.0.0.1:8003/v1", "claude-2.1", Strategy.INSTRUCT),
    ],
)
def test_a_model_is_known_by_its_version_and_not_by_its_date(base_url: str, model: str, expected: Strategy) -> None:
    """Claude refuses a prefill from 4.6 on; a version that a name does not tell is taken as a new one."""
    assert strategy_for(base_url, model) is expected


def test_the_instruction_is_understood() -> None:
    """The model stand-in, which knows an instruction from a question, takes it as one."""
    assert asks_to_continue(CONTINUE_INSTRUCTION)
