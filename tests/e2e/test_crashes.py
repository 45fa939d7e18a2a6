"""The functions' process dies, or stands still, in mid-answer: the answer goes on, and no reader sees a seam."""

from __future__ import annotations

import json
from contextlib import ExitStack

import pytest

from tests.e2e.agents import is_one_text
from tests.e2e.reading import Reader, text_of
from tests.e2e.system import Standins, serving, system
from tests.e2e.waiting import until

RATE, TOKENS = 40, 200
FLUSH_SECONDS = 0.2


def test_two_kills_in_mid_answer_cost_no_reader_a_character(at: Standins) -> None:
    """Rules A, K, L and T2: after two SIGKILLs every reader has the first call's full text, once; each later call went
    on from what stood; and the model said at most one batch too much per crash.
    """
    prompt = f"standin: tokens={TOKENS} rate={RATE}\nHow is a bowline tied?"
    with system({"HOLDFAST_FLUSH_MS": str(round(FLUSH_SECONDS * 1000))}, at) as running, ExitStack() as readers:
        stream = running.ask(prompt)
        url = f"{running.url}/api/streams/{stream}"
        early = readers.enter_context(Reader(url))
        for crash in (1, 2):
            running.called(prompt, 40, calls=crash)
            until(lambda: early.text, "text")
            running.functions.kill()
            running.functions.restart()
        running.called(prompt, 1, calls=3)
        late = readers.enter_context(Reader(url))
        events = early.to_end()
        assert late.to_end() == events
        calls = running.calls(prompt)
        assert len(calls) == 3
        assert text_of(events) == calls[0]["text"]
        assert [call["text"] for call in calls] == [calls[0]["text"]] * 3
        assert None not in {call["continues"] for call in calls[1:]}
        assert len({event.id for event in events}) == len(events)
        status = running.finished(stream)
        assert (status["state"], status["attempts"], status["exact"]) == ("finished", 3, False)
        assert status["characters"] == len(calls[0]["text"])
    # What a crash may cost: the batch that grows, one that an append carries at that moment, and what a busy machine
    # has not carried to the function yet, as much again.
    batch = RATE * FLUSH_SECONDS
    sent = sum(call["tokens_sent"] for call in calls)
    print(f"the model sent {sent} tokens for {TOKENS}, over two crashes")
    assert TOKENS <= sent <= TOKENS + 2 * (3 * batch)


@pytest.mark.parametrize("name", ["say", "say_in_thread"], ids=["async", "sync"])
def test_a_users_own_generator_goes_on_from_its_partial(at: Standins, name: str) -> None:
    """Rule T2: a take-over gives the user's generator what stands, and the reader ends with one call's whole text."""
    with system({"HOLDFAST_GENERATOR": f"tests.e2e.agents:{name}"}, at) as running:
        stream = running.ask("Say it.")
        with Reader(f"{running.url}/api/streams/{stream}") as reader:
            until(lambda: len(reader.text) > 200, "some text")
            running.functions.kill()
            running.functions.restart()
            text = text_of(reader.to_end())
        assert is_one_text(text), text
        status = running.finished(stream)
        assert (status["state"], status["attempts"], status["exact"]) == ("finished", 2, False)


def test_a_publisher_that_stood_still_interleaves_nothing(at: Standins) -> None:
    """Rules I2, E2 and L6: a process is stopped for longer than its lease; a second one takes the answer over; the
    first one wakes in the middle of that, tries to write what it still has, and not one byte of it gets in.
    """
    prompt = "standin: tokens=240 rate=40\nWhat is a zombie?"
    with system({"HOLDFAST_LEASE_SECONDS": "2"}, at) as running, ExitStack() as stack:
        second = stack.enter_context(serving(running.settings))
        for process in (second, running.functions):
            running.door.lead_to(process.url)
            running.finished(running.ask("standin: tokens=1\nLoad what you need."))
        stream = running.ask(prompt)
        reader = stack.enter_context(Reader(f"{second.url}/api/streams/{stream}"))
        until(lambda: reader.text, "text of the first process")
        running.functions.pause()
        running.door.lead_to(second.url)
        before = until(lambda: reader.text if len(running.calls(prompt)) == 2 else "", "take-over")
        until(lambda: len(reader.text) > len(before), "text of the second process")
        running.functions.wake()
        # The message that the first process was given: its first try is the one that stood still.
        tries = until(lambda: running.messages(stream)[0]["tries"], "answer of the first process")
        assert not any(event.data == b"[DONE]" for event in reader.events), "the first process woke too late"
        events = reader.to_end()
        entries = running.entries(stream)
        calls = running.calls(prompt)
    assert text_of(events) == calls[0]["text"]
    attempts = [int(id.split("-")[0]) for id, _ in entries]
    assert attempts == sorted(attempts)
    assert set(attempts) == {0, 1, 2}
    assert [json.loads(record)["t"] for id, record in entries if id.endswith("-0")] == ["begin", "begin"]
    assert tries[0]["status"] == 503, "the first process acknowledged what it did not finish"
    assert len(calls) == 2
