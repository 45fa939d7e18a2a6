"""A background response that was just asked for when its call is cancelled: it is never written for nobody."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from holdfast.adapters.messages import standing
from holdfast.adapters.openai_background import Background
from holdfast.adapters.openai_parts import Parts
from holdfast.generation import GenerationRequest
from tests.adapters.telling import asked


class Slow:
    """Stands where the SDK's client stands; it has taken a request and does not answer before it is told to.

    Attributes:
        asked: set when the request is there.
        answer: set by the test to have it answered.
        cancelled: ids of the responses that were cancelled.
    """

    def __init__(self) -> None:
        self.responses = self
        self.asked = asyncio.Event()
        self.answer = asyncio.Event()
        self.cancelled: list[str] = []
        self.closed = False

    async def create(self, **body: Any) -> Slow:
        assert (body["background"], body["store"], body["stream"]) == (True, True, True)
        self.asked.set()
        await self.answer.wait()
        return self

    async def __anext__(self) -> SimpleNamespace:
        response = SimpleNamespace(id="resp_1")
        return SimpleNamespace(type="response.created", sequence_number=0, response=response)

    async def close(self) -> None:
        self.closed = True

    async def cancel(self, response: str) -> None:
        self.cancelled.append(response)


def begin(client: Any, request: GenerationRequest) -> asyncio.Task[object]:
    """A call under way, as a task that waits for what it yields first."""
    call = Background(
        client,
        request,
        parts=lambda quiet, carried: Parts(1, "m", quiet=quiet, carried=carried),
        standing=standing([], ""),
        body=lambda: {"model": "m"},
        pause=1,
    )
    return asyncio.ensure_future(anext(call.speak()))


@pytest.mark.asyncio
@pytest.mark.parametrize("reason", ["handoff", "stop", "lost", ""])
async def test_a_response_that_nobody_knows_yet_is_kept_or_cancelled(reason: str) -> None:
    """On a hand-off its id is saved for the next call; otherwise nobody would ever come for it, and it is cancelled."""
    client, saved = Slow(), list[Any]()
    request = GenerationRequest(asked("hi"), save=saved.append)
    call = begin(client, request)
    await client.asked.wait()
    request.reason = reason
    call.cancel()
    await asyncio.sleep(0)
    assert not call.done()
    client.answer.set()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert client.closed
    assert client.cancelled == ([] if reason == "handoff" else ["resp_1"])
    assert [checkpoint["response"] for checkpoint in saved] == (["resp_1"] if reason == "handoff" else [])


@pytest.mark.asyncio
async def test_a_provider_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cancelled call ends within its time, whatever the provider does."""
    monkeypatch.setattr("holdfast.adapters.openai_background._LAST_WORD", 0.01)
    client = Slow()
    call = begin(client, GenerationRequest(asked("hi"), reason="stop"))
    await client.asked.wait()
    call.cancel()
    async with asyncio.timeout(5):
        with pytest.raises(asyncio.CancelledError):
            await call
    assert client.cancelled == []
