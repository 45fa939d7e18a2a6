"""How the tests use the stand-in model: questions, and what its control API tells of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI

GO_ON = "Your answer was interrupted. Continue exactly where it stopped."


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


async def ask(sdk: AsyncOpenAI, *messages: dict[str, Any]) -> str:
    given: Any = messages
    async with await sdk.chat.completions.create(model="m", messages=given, stream=True) as stream:
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


async def partial(sdk: AsyncOpenAI, content: str, tokens: int) -> str:
    """Ask, and lose the connection after so many tokens: what arrived."""
    return await cut_answer(sdk, user(f"standin: fail_after={tokens} times=1\n{content}"))


async def cut_answer(sdk: AsyncOpenAI, *messages: dict[str, Any]) -> str:
    """Ask for an answer that will be cut: the text that arrived."""
    given: Any = messages
    stream = await sdk.chat.completions.create(model="m", messages=given, stream=True)
    return "".join([chunk.choices[0].delta.content or "" for chunk in await until_cut(stream)])


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(text: str, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": text, **more}


def add(model_url: str, **fault: Any) -> None:
    """Have something go wrong."""
    httpx.post(f"{model_url}/__standin/faults", json=fault, trust_env=False).raise_for_status()


def fired(model_url: str) -> dict[str, int]:
    """How often faults struck."""
    counts: dict[str, int] = httpx.get(f"{model_url}/__standin/stats", trust_env=False).json()["fired"]
    return counts


def reset(model_url: str) -> None:
    """Have everything forgotten."""
    httpx.post(f"{model_url}/__standin/reset", trust_env=False).raise_for_status()


async def streamed(sdk: AsyncOpenAI, api: str = "chat", **more: Any) -> Any:
    """The stream of an answer, by either API."""
    if api == "responses":
        return await sdk.responses.create(model="m", input="hi", stream=True, **more)
    given: Any = [user("hi")]
    return await sdk.chat.completions.create(model="m", messages=given, stream=True, **more)


async def events(sdk: AsyncOpenAI, api: str, **more: Any) -> list[Any]:
    """Everything that the stream of an answer brings."""
    async with await streamed(sdk, api, **more) as stream:
        return [event async for event in stream]


def text_of(chunks: list[Any]) -> str:
    """The text of a chat's chunks."""
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
