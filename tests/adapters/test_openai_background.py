"""Background responses: resumed from any event, exactly, and cancelled when the answer is stopped."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.adapters.openai import openai_generator
from holdfast.adapters.openai_place import Place
from holdfast.generation import Generator
from tests.adapters.telling import Telling
from tests.standins.model_client import calls_of, ended, reset

RICH = "standin: tokens=14 rate=8000 reasoning=4 tool=1"


def background(url: str, **options: Any) -> Generator:
    return openai_generator(api="background", api_key="key", base_url=f"{url}/v1", model="m", poll=0.01, **options)


def response_of(url: str, call: dict[str, Any]) -> dict[str, Any]:
    """A response as the provider keeps it."""
    headers = {"authorization": "Bearer key"}
    found: dict[str, Any] = httpx.get(f"{url}/v1/responses/{call['id']}", headers=headers).raise_for_status().json()
    return found


def check_whole(url: str, telling: Telling) -> None:
    """The answer is the one response: its text and reasoning to the character, its tool call once."""
    (call,) = calls_of(url)
    assert telling.text == call["text"]
    output = {item["type"]: item for item in response_of(url, call)["output"]}
    reasoning = "".join(part["text"] for part in telling.parts if part["type"] == "reasoning")
    assert reasoning == (output["reasoning"]["summary"][0]["text"] if "reasoning" in output else "")
    tools = [part for part in telling.parts if part["type"].startswith("tool-")]
    whole = [part for part in tools if part["state"] == "input-available"]
    assert [part["input"] for part in whole] == (
        [json.loads(output["function_call"]["arguments"])] if "function_call" in output else []
    )
    # What else there is of tools are beginnings, closed as such, under ids of their own.
    assert all(part["state"] == "output-error" and part["input"] is None for part in tools if part not in whole)
    assert len({part["toolCallId"] for part in tools}) == len(tools)


@pytest.mark.asyncio
@pytest.mark.parametrize("saved", [True, False])
async def test_an_answer_cut_at_any_event_is_resumed_exactly(url: str, saved: bool) -> None:
    """Killed behind each thing that it yields, with its checkpoint saved or not, a response is told to the end once."""
    generate, cut = background(url), 1
    while True:
        reset(url)
        telling = Telling(generate, f"{RICH}\nhi")
        if await telling.call(cut, saved=saved):
            break
        assert await telling.call()
        assert telling.exact == [False, True]
        finish: Any = telling.items[-1]
        assert finish["messageMetadata"]["usage"]["reasoningTokens"] == 4
        assert finish["finishReason"] == "tool-calls"
        check_whole(url, telling)
        cut += 1
    assert cut > 20


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cuts=st.lists(st.integers(1, 12), min_size=2, max_size=6), streamed=st.lists(st.booleans(), min_size=6, max_size=6)
)
def test_any_number_of_cuts_leaves_one_exact_text(url: str, cuts: list[int], streamed: list[bool]) -> None:
    """Whether each call streams the rest or can only look at the response, the text stays that of the first call."""

    generate = background(url)

    async def tell() -> None:
        reset(url)
        telling = Telling(generate, f"{RICH}\nhi")
        for cut, stream in zip(cuts, streamed, strict=False):
            if not stream and telling.checkpoint is not None:
                # As if the provider had stopped to number events for those who come back.
                telling.checkpoint = telling.checkpoint | {"sequence": None}
            if await telling.call(cut):
                break
        else:
            assert await telling.call()
        check_text(url, telling)

    asyncio.run(tell())


def check_text(url: str, telling: Telling) -> None:
    (call,) = calls_of(url)
    assert telling.text == call["text"]
    whole = [part for part in telling.parts if part["type"].startswith("tool-") and part["state"] == "input-available"]
    assert len(whole) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize("cut", [1, 2, 7, 30, 58])
async def test_a_response_that_streams_no_more_is_looked_at_until_it_is_over(url: str, cut: int) -> None:
    """Refused a stream, the call shows what is new at every look, and the text is exact to the character."""
    prompt = "standin: tokens=60 rate=400 unstreamed=1\nhi"
    telling = Telling(background(url), prompt)
    assert not await telling.call(cut)
    assert await telling.call()
    check_whole(url, telling)
    assert telling.exact == [False, True]
    assert len(telling.items) > 1


@pytest.mark.asyncio
async def test_looks_that_are_cut_short_repeat_nothing(url: str) -> None:
    """What a look showed is known to the next call, which has a checkpoint from before it."""
    telling = Telling(background(url), "standin: tokens=200 rate=400 unstreamed=1\nhi")
    assert not await telling.call(5)
    assert not await telling.call(2)
    assert not await telling.call(1, saved=False)
    assert await telling.call()
    check_whole(url, telling)


@pytest.mark.asyncio
@pytest.mark.parametrize("failure", ["forgotten=1", "error_after=20 times=1", "forgotten=1 unstreamed=1"])
async def test_a_response_that_is_gone_is_continued_by_instruction(url: str, failure: str) -> None:
    """Forgotten or failed, it is left for a new response that goes on from the partial, and says it is not exact."""
    telling = Telling(background(url), f"standin: tokens=60 {failure}\nhi")
    assert not await telling.call(15)
    assert await telling.call() or await telling.call()
    first, second = calls_of(url)
    assert telling.text == first["text"]
    assert second["continues"] == first["id"]
    assert telling.exact[-1] is False
    assert telling.checkpoint["response"] == second["id"]


@pytest.mark.asyncio
@pytest.mark.parametrize("cut", [1, 2, 9])
async def test_a_new_response_is_resumed_as_well(url: str, cut: int) -> None:
    """A continuation by instruction is itself resumed exactly, though it began by repeating the end of the partial."""
    telling = Telling(background(url), "standin: tokens=90 forgotten=1 times=1 repeat=45\nhi")
    assert not await telling.call(40)
    assert not await telling.call(cut)
    assert await telling.call()
    first, second = calls_of(url)
    assert second["continues"] == first["id"]
    assert telling.text == first["text"]
    assert telling.exact == [False, False, True]


@pytest.mark.asyncio
async def test_a_failure_of_the_response_is_told_and_not_resumed(url: str) -> None:
    """A response that fails is worth another call, which asks for a new one at once."""
    telling = Telling(background(url), "standin: tokens=60 error_after=20 times=1\nhi")
    assert not await telling.call()
    assert telling.error is not None
    assert (telling.error.code, telling.error.retry) == ("model_error", True)
    assert telling.checkpoint == {}
    assert await telling.call()
    assert telling.text == calls_of(url)[0]["text"]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "checkpoint",
    [
        None,
        {},
        {"response": ""},
        {"response": "resp_x", "sequence": -1, "text": 0, "visible": 0, "base": 0, "seam": 0},
        {"response": "resp_x", "sequence": 3, "text": 9, "visible": 9, "base": 0, "seam": 0},
        {"response": "resp_x", "sequence": 3, "text": 0, "visible": 0, "base": 0, "seam": 0},
        ["resp_x", 3],
    ],
)
async def test_a_checkpoint_that_means_nothing_here_begins_a_new_response(url: str, checkpoint: object) -> None:
    """A checkpoint of another generator, of another answer, or of a response that nobody knows does no harm."""
    telling = Telling(background(url), "hi")
    telling.checkpoint = checkpoint
    assert await telling.call()
    assert telling.text == calls_of(url)[0]["text"]
    assert telling.exact == [False]


@pytest.mark.asyncio
async def test_text_that_is_not_the_responses_is_not_skipped(url: str) -> None:
    """Where the answer says something else than the response, that is stopped, and a new one is asked to go on."""
    telling = Telling(background(url), "standin: tokens=4000 rate=100\nhi")
    assert not await telling.call(8)
    telling.note([{"type": "text-start", "id": "x"}, {"type": "text-delta", "id": "x", "delta": "Something else."}])
    stood = telling.text
    assert not await telling.call(3)
    assert telling.text.startswith(stood)
    assert telling.exact == [False, False]
    first, second = calls_of(url)
    assert first["status"] == "cancelled"
    assert second["messages"][-2] == {"role": "assistant", "content": stood}


@pytest.mark.asyncio
@pytest.mark.parametrize("resumed", [False, True])
async def test_a_stop_cancels_the_response(url: str, resumed: bool) -> None:
    """Stopped in mid-answer, in the first call or a later one, the provider stops writing and billing."""
    telling = Telling(background(url), "standin: tokens=4000 rate=100\nhi")
    if resumed:
        assert not await telling.call(3)
    assert not await telling.call(3, reason="stop")
    (call,) = calls_of(url)
    assert call["status"] == "cancelled"
    assert call["tokens_sent"] < 400


@pytest.mark.asyncio
@pytest.mark.parametrize("prompt", ["standin: tokens=4000 rate=100\nhi", "standin: ttft=60000\nhi"])
async def test_a_cancelled_call_that_was_stopped_cancels_the_response(url: str, prompt: str) -> None:
    """The same when the call's task is cancelled while the model is silent, or in mid-answer."""
    telling = Telling(background(url), prompt)
    await telling.cancel("stop")
    (call,) = calls_of(url)
    assert call["status"] == "cancelled"


@pytest.mark.asyncio
@pytest.mark.parametrize("reason", ["handoff", "lost", ""])
async def test_a_response_goes_on_without_its_reader(url: str, reason: str) -> None:
    """Handed off, superseded or killed, the response is written on for whoever comes back."""
    telling = Telling(background(url), "standin: tokens=60 rate=300\nhi")
    assert not await telling.call(3, reason=reason)
    assert (await ended(url))["status"] == "completed"
    assert await telling.call()
    check_whole(url, telling)


@pytest.mark.asyncio
async def test_a_model_that_thinks_for_long_is_not_given_up(url: str) -> None:
    """A silent stream is no failure where the provider says that the response is in progress."""
    telling = Telling(background(url, timeout=0.2), "standin: tokens=20 ttft=700\nhi")
    assert await telling.call()
    check_whole(url, telling)


@pytest.mark.asyncio
async def test_a_model_that_thinks_shows_that_it_is_at_work(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without anything visible, checkpoints are saved from time to time: an attempt that saw it think had progress."""
    monkeypatch.setattr("holdfast.adapters.openai_resume._ALIVE", 0.0)
    telling = Telling(background(url, timeout=0.1), "standin: tokens=1 ttft=600\nhi")
    assert await telling.call()
    assert telling.saves > 4
    check_whole(url, telling)


@pytest.mark.asyncio
async def test_a_resumption_that_the_provider_takes_shows_life_at_once(url: str) -> None:
    """However short the calls are in which a model thinks, each saves a checkpoint: none of them was idle."""
    telling = Telling(background(url), "standin: ttft=60000\nhi")
    await telling.cancel("handoff")
    for _ in range(3):
        await telling.cancel("handoff")  # as soon as something is saved, or it fails
    assert telling.exact == [False, True, True, True]
    (call,) = calls_of(url)
    assert call["status"] == "running"
    await telling.cancel("stop")


def test_what_a_look_shows_does_not_move_the_checkpoint() -> None:
    """It has no event's number: the next call streams from the last event, and knows what stands behind it."""
    place = Place.begin("resp_1", SimpleNamespace(sequence_number=0), "", "", quiet=False)
    assert list(place.feed("Because ")) == ["Because "]
    place.sequence = 4
    saved = dict(place.saved())
    place.freeze()
    assert list(place.catch_up("Because it is so.")) == ["it is so."]
    assert place.saved() == saved
    resumed = Place.read(saved, "Because it is so.")
    assert resumed is not None
    assert [*resumed.feed("it is "), *resumed.feed("so. Yes.")] == [" Yes."]
