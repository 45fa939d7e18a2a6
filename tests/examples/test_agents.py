"""The agents of examples/ answer through the whole system, and go on after the provider, the process and the clock."""

from __future__ import annotations

import asyncio
import gc
import json
from importlib import import_module
from typing import Any

import httpx2
import pytest

from holdfast.testing import check_generator
from tests.e2e import system as running
from tests.e2e.reading import Event, Reader, kinds, text_of
from tests.e2e.waiting import until

AGENTS = ("langchain_agent", "openai_agents", "pydantic_ai_agent")
#: Seconds that a function has; the answer takes longer.
LIMIT = 6


@pytest.mark.parametrize("name", AGENTS)
def test_an_answer_survives_the_provider_the_process_and_the_time_limit(at: running.Standins, name: str) -> None:
    """The provider cuts the first step, the process dies in the second, and neither fits into one function's time.
    Readers have each step's text once with the tool's call and result between them, and the tool did not run again.
    """
    prompt = f"standin: tokens=100 rate=20 reasoning=6 tool=1 fail_after=20 times=1\nHow is the weather, {name}?"
    settings = {
        "HOLDFAST_GENERATOR": f"examples.{name}:generate",
        "HOLDFAST_MAX_SECONDS": str(LIMIT),
        # The frameworks take their time to load on a busy machine, and nothing is renewed meanwhile.
        "HOLDFAST_LEASE_SECONDS": "8",
    }
    with running.system(settings, at) as system:
        stream = system.ask(prompt)
        with Reader(f"{system.url}/api/streams/{stream}") as reader:
            until(lambda: "tool-output-available" in kinds(list(reader.events)), "result of the tool")
            before = len(reader.text)
            until(lambda: len(reader.text) > before + 20, "some text after it")
            system.functions.kill()
            system.functions.restart()
            events = reader.to_end()
        status = system.finished(stream)
        calls = system.calls(prompt)
        assert status["state"] == "finished", system.functions.log()
    assert status["handoffs"] > 0
    assert status["attempts"] > 2
    chunks = [event.chunk for event in events]
    inputs = [chunk for chunk in chunks if chunk.get("type") == "tool-input-available"]
    outputs = [chunk for chunk in chunks if chunk.get("type", "").startswith("tool-output")]
    assert len(inputs) == len(outputs) == 1, "the tool was called again"
    asked, told = inputs[0]["input"], outputs[0]["output"]
    assert outputs[0]["toolCallId"] == inputs[0]["toolCallId"]
    assert told.startswith(f"Sunny in {asked['city']} for {asked['days']} days")
    first, second = (text_of(half) for half in _halves(events, outputs[0]))
    ran = [call for call in calls if _results(call)]
    asking = [call for call in calls if not _results(call)]
    # The text of each step is one call's, and each later call went on with it, unless nothing of it had been said.
    assert (asking[0]["text"], ran[-1]["text"]) == (first, second)
    assert [call["continues"] for call in asking[1:]] == [call["id"] for call in asking[:-1]]
    assert ran[-1]["continues"] is not None
    # Once there is a result every call knows it, and it knows one.
    assert calls == [*asking, *ran]
    assert all(_results(call) == 1 and told in json.dumps(call["messages"], ensure_ascii=False) for call in ran)
    # Whatever did not come to its end was left with its attempt: no model went on, and billed, for nobody.
    assert {call["status"] for call in calls} == {"cut", "disconnected", "completed"}
    assert [call["status"] for call in calls].count("completed") == 2


@pytest.mark.parametrize("name", AGENTS)
def test_an_agent_goes_on_wherever_it_is_interrupted(
    at: running.Standins, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """holdfast.testing interrupts it before and after single pieces of reasoning and text and finds nothing wrong."""
    monkeypatch.setenv("OPENAI_BASE_URL", f"{at.model}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "key-of-the-tests")
    generate = import_module(f"examples.{name}").generate
    prompt = f"standin: tokens=8 reasoning=12 rate=400\nWhat is a knot, {name}?"

    async def check() -> None:
        report = await check_generator(generate, prompt=prompt, expect="sound", interruptions=8)
        # The frameworks keep their clients, and the event loop of these connections ends here.
        for client in [each for each in gc.get_objects() if isinstance(each, httpx2.AsyncClient)]:
            await client.aclose()
        report.raise_if_bad()

    asyncio.run(check())


def _halves(events: list[Event], chunk: dict[str, Any]) -> tuple[list[Event], list[Event]]:
    """The events before and after the one that carries a chunk."""
    at = [event.chunk for event in events].index(chunk)
    return events[:at], events[at:]


def _results(call: dict[str, Any]) -> int:
    """How many results of tools a call of the model was given."""
    return sum(item.get("type") == "function_call_output" for item in call["messages"])
