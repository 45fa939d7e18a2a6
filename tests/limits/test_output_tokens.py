"""How many tokens a provider is asked for at most, whatever the client asks for (rule N5)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any, Literal, cast

import httpx2
import openai
import pytest

from holdfast.adapters.openai import openai_generator
from holdfast.generation import GenerationRequest, Part
from tests.adapters.collecting import collect

OPENAI, OTHER = "", "http://model.internal/v1"
FIELDS = [
    ("chat", OPENAI, "max_completion_tokens"),
    ("chat", OTHER, "max_tokens"),
    ("responses", OPENAI, "max_output_tokens"),
    ("background", OPENAI, "max_output_tokens"),
]


@pytest.mark.asyncio
@pytest.mark.parametrize(("api", "url", "field"), FIELDS)
@pytest.mark.parametrize(
    ("most", "extra", "sent"),
    [
        (500, {}, 500),
        (500, {"max_tokens": 501}, 500),
        (500, {"max_output_tokens": 10**9}, 500),
        (500, {"max_tokens": 20}, 20),
        (500, {"max_output_tokens": 500}, 500),
        (0, {"max_tokens": 10**6}, 10**6),
        (0, {}, None),
    ],
)
async def test_the_limit_is_sent(
    monkeypatch: pytest.MonkeyPatch,
    api: Literal["chat", "responses", "background"],
    url: str,
    field: str,
    most: int,
    extra: dict[str, Any],
    sent: int | None,
) -> None:
    """Under the name that each API has for it; what a client asks for counts only below it; 0 is the client's own."""
    bodies: list[dict[str, Any]] = []

    async def answer(request: httpx2.Request) -> httpx2.Response:
        bodies.append(json.loads(request.content))
        return httpx2.Response(400, json={"error": {"message": "no", "code": None}})

    def client(**options: Any) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(transport=httpx2.MockTransport(answer), timeout=options["timeout"])

    monkeypatch.setattr(openai, "DefaultAsyncHttpxClient", client)
    generate = openai_generator(api=api, api_key="k", base_url=url, model="m", max_output_tokens=most)
    message = {"id": "m", "role": "user", "parts": [{"type": "text", "text": "Why?"}]}
    said = cast("AsyncIterator[str | Part]", generate(GenerationRequest([message], extra=extra)))
    _, _, error = await collect(said)
    assert error is not None
    assert bodies
    names = {"max_tokens", "max_completion_tokens", "max_output_tokens"}
    assert {name: bodies[0][name] for name in names & bodies[0].keys()} == ({} if sent is None else {field: sent})
