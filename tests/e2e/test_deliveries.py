"""Deliveries as a queue makes them that promises at least one: two at once, one more after success, one cut short."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.reading import Reader, text_of
from tests.e2e.system import System
from tests.e2e.waiting import until


@pytest.fixture
def queue(system: System) -> Iterator[System]:
    """The system, with a queue that is well again afterwards."""
    yield system
    system.control_queue("DELETE", "faults")


def tries(queue: System, stream: str, count: int) -> list[dict[str, Any]]:
    """The tries of a stream's first message, once there are so many."""
    return until(lambda: (found := queue.messages(stream)[0]["tries"])[count - 1 :] and found, f"{count} tries")


def test_two_deliveries_at_once_are_one_answer(queue: System) -> None:
    """Rule K2: one of the two claims the attempt, and the model is called once."""
    prompt = "standin: tokens=60 rate=60\nOnly once."
    queue.control_queue("POST", "faults", {"kind": "twice", "url": queue.door.url})
    stream = queue.ask(prompt)
    with Reader(f"{queue.url}/api/streams/{stream}") as reader:
        text = text_of(reader.to_end())
    assert any(each["duplicate"] for each in tries(queue, stream, 2))
    (call,) = queue.calls(prompt)
    assert (text, call["tokens_sent"]) == (call["text"], 60)
    assert queue.status(stream)["attempts"] == 1


def test_a_delivery_after_the_end_calls_no_model(queue: System) -> None:
    """Rule K3: what was acknowledged comes once more, and is acknowledged again."""
    prompt = "standin: tokens=10\nNo more."
    queue.control_queue("POST", "faults", {"kind": "again", "seconds": 0.2, "url": queue.door.url})
    stream = queue.ask(prompt)
    before = queue.finished(stream)
    assert [each["status"] for each in tries(queue, stream, 2)] == [200, 200]
    assert len(queue.calls(prompt)) == 1
    assert queue.status(stream) == before


def test_a_delivery_whose_answer_is_not_waited_for_goes_on(queue: System) -> None:
    """Rules L3 to L6: the queue gives up waiting and tries again, so it must have seen a failure: the second attempt
    takes over at once, the first one is fenced off, and the reader has one call's text.
    """
    prompt = "standin: tokens=160 rate=40\nTake your time."
    queue.control_queue("POST", "faults", {"kind": "cut", "seconds": 1, "url": queue.door.url})
    stream = queue.ask(prompt)
    with Reader(f"{queue.url}/api/streams/{stream}") as reader:
        text = text_of(reader.to_end())
    first, second = queue.calls(prompt)
    assert (text, second["continues"]) == (first["text"], first["id"])
    assert first["tokens_sent"] < 160, "the first model was not cancelled"
    assert queue.status(stream)["attempts"] == 2
