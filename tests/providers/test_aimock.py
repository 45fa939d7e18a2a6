"""The adapter against a provider that nobody here wrote: @copilotkit/aimock, over sockets."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.adapters.openai import Api, Continuation, openai_generator
from holdfast.generation import Generator
from tests.adapters.telling import Telling

NODE = Path(__file__).parent / "node"
TEXT = (
    "## Why tides come twice\n\n"
    "The moon pulls the water of the oceans \u2013 and the earth itself 🌍 \u2013 towards it.\n\n"
    "| Where | Height |\n|---|---|\n| Zürich | 0 m |\n| 東京 | 2 m |\n\n```python\ndef tide(hour: int) -> float:\n"
    "    return 2.0 * cos(hour / 6.2)\n```\n\nThat is all."
)
BOTH = pytest.mark.parametrize("api", ["chat", "responses"])


@pytest.fixture(scope="module")
def aimock() -> Iterator[str]:
    """The server's address."""
    executable, npm = shutil.which("node"), shutil.which("npm")
    assert executable, "Node 20 or newer is needed on the path"
    assert npm, "npm is needed on the path"
    if not (NODE / "node_modules" / "@copilotkit" / "aimock").is_dir():
        subprocess.run([npm, "ci", "--no-audit", "--no-fund"], cwd=NODE, check=True, capture_output=True, timeout=120)
    process = subprocess.Popen(
        [executable, "serve.mjs", TEXT], cwd=NODE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith("listening on "), line
        yield line.removeprefix("listening on ").strip()
    finally:
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def generator(url: str, api: Api, path: str = "/v1", **options: Any) -> Generator:
    return openai_generator(api=api, api_key="key", base_url=f"{url}{path}", model="gpt-5-mini", poll=0.01, **options)


@BOTH
@pytest.mark.asyncio
async def test_an_answer_arrives_whole(aimock: str, api: Api) -> None:
    """Text to the character, and the tokens that the provider counts."""
    telling = Telling(generator(aimock, api), "Why?")
    assert await telling.call()
    assert telling.text == TEXT
    finish: Any = telling.items[-1]
    assert finish["finishReason"] == "stop"
    usage = finish["messageMetadata"]["usage"]
    # It counts nothing where it speaks the Responses API.
    assert (usage["outputTokens"] > 0) is (api == "chat")


@BOTH
@pytest.mark.asyncio
@pytest.mark.parametrize("fault", ["cut", "drop"])
async def test_an_answer_that_breaks_off_is_continued(aimock: str, api: Api, fault: str) -> None:
    """A stream that ends early and a connection that is lost are told as such, and the next call goes on."""
    telling = Telling(generator(aimock, api), f"{fault}: why?")
    assert not await telling.call()
    assert telling.error is not None
    assert (telling.error.code, telling.error.retry) == ("model_interrupted", True)
    assert 0 < len(telling.text) < len(TEXT)
    assert await telling.call()
    assert telling.text == TEXT


@pytest.mark.asyncio
@pytest.mark.parametrize("continuation", ["prefill", "prefix", "continue_final_message", "instruct"])
@pytest.mark.parametrize("prompt", ["Why?", "repeat: why?"])
async def test_every_way_of_going_on_is_seamless(aimock: str, continuation: Continuation, prompt: str) -> None:
    """Cut at every one of its pieces, in each way, and also where the model repeats some words, the text is one."""
    generate = generator(aimock, "chat", continuation=continuation)
    for cut in range(2, 26, 3):
        telling = Telling(generate, prompt)
        assert not await telling.call(cut)
        assert await telling.call()
        assert telling.text == TEXT


@BOTH
@pytest.mark.asyncio
async def test_reasoning_and_tools_are_understood(aimock: str, api: Api) -> None:
    """Its reasoning and its tool calls become the parts that they are."""
    telling = Telling(generator(aimock, api), "think: why?")
    assert await telling.call()
    assert [(part["type"], part["text"]) for part in telling.parts] == [
        ("reasoning", "Let me see. It is so."),
        ("text", TEXT),
    ]
    telling = Telling(generator(aimock, api), "weather: why?")
    assert await telling.call()
    assert telling.parts[-1]["input"] == {"city": "Zürich", "days": 3}
    finish: Any = telling.items[-1]
    assert finish["finishReason"] == "tool-calls"


@BOTH
@pytest.mark.asyncio
async def test_a_refusal_says_when_to_come_back(aimock: str, api: Api) -> None:
    """Its 429 is a limit on the rate, with the seconds that it asks to wait."""
    telling = Telling(generator(aimock, api), "limit: why?")
    assert not await telling.call()
    assert telling.error is not None
    assert (telling.error.code, telling.error.retry_after) == ("model_rate_limited", 3.0)


@pytest.mark.asyncio
async def test_openrouters_comments_are_passed_over(aimock: str) -> None:
    """What keeps OpenRouter's connections alive is no part of the answer."""
    telling = Telling(generator(aimock, "chat", "/api/v1"), "quiet: why?")
    assert await telling.call()
    assert telling.text == TEXT


@pytest.mark.asyncio
async def test_a_server_that_cannot_resume_is_continued(aimock: str) -> None:
    """Without numbers of events and without a way to come back, a background response goes on by instruction."""
    telling = Telling(generator(aimock, "background"), "Why?")
    assert not await telling.call(9)
    assert telling.checkpoint["sequence"] is None
    assert await telling.call()
    assert telling.text == TEXT
    assert telling.exact == [False, False]
