"""The functions' process is killed at random moments, or asked to end, in mid-answer: the answer goes on as one."""

from __future__ import annotations

import os
import random
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import ExitStack
from functools import partial

import httpx
import pytest

from standins.supervisor import STOP_SECONDS
from tests.e2e.reading import Reader
from tests.e2e.system import Functions, Standins, System, serving, system
from tests.e2e.waiting import until
from tests.e2e.ways import (
    DEPLOYED,
    FLUSH_SECONDS,
    LEASE_SECONDS,
    WAYS,
    Told,
    Way,
    attempt_of,
    in_every_way,
    tell,
)

KILLS = 3
RATE = 25
#: The longest that an attempt lives on, in seconds, from its first text or its claim.
LONGEST_LIFE = 3.0
#: Seconds that a busy machine may take to start six processes and load what they need, or to end an answer.
LONGEST_WAIT = 90.0
#: Tokens of an answer, which has to last for every life; in the background it goes on also while nobody lives.
TOKENS = 15 * RATE
TOKENS_ALONE = 60 * RATE
TOKENS_DRAINED = 6 * RATE


@pytest.fixture(scope="module")
def seed() -> int:
    """What the random moments follow from; the variable ``SEED`` repeats them."""
    return int(os.environ.get("SEED") or secrets.randbelow(10**9))


@pytest.fixture(scope="module")
def answers(at: Standins, seed: int) -> Iterator[Mapping[str, Future[Told]]]:
    """An answer in every way, whose process was killed three times."""

    def answer(name: str, way: Way) -> Told:
        moments = random.Random(f"{seed} {name}")  # noqa: S311 - it has to be repeatable
        prompt = f"standin: tokens={length(way)} rate={RATE}\nSay it in spite of everything, by {name}."
        with system({**DEPLOYED, **way.settings}, at) as running:
            stream = running.ask(prompt)
            with Reader(f"{running.url}/api/streams/{stream}") as reader:
                for kill in range(1, KILLS + 1):
                    # What nobody has seen is said anew in other words, so the first kill comes after some text. The
                    # second one may hit a claim, or a process that loads what it needs.
                    begun = partial(has_begun, running, stream, kill) if kill == 2 else partial(has_told, reader, kill)
                    until(begun, f"attempt {kill}", LONGEST_WAIT)
                    time.sleep(moments.uniform(0, LONGEST_LIFE))
                    assert not any(event.data == b"[DONE]" for event in reader.events), "killed after the end"
                    running.functions.kill()
                    running.functions.restart()
                events = reader.to_end(LONGEST_WAIT)
            with Reader(f"{running.url}/api/streams/{stream}") as late:
                return tell(running, stream, prompt, events, late.to_end())

    with in_every_way(answer) as found:
        yield found


def length(way: Way) -> int:
    """How many tokens an answer has."""
    return TOKENS_ALONE if way.exact else TOKENS


def has_told(reader: Reader, attempt: int) -> bool:
    """Whether the reader has text of an attempt."""
    return any(attempt_of(event) >= attempt and event.chunk.get("type") == "text-delta" for event in reader.events[-2:])


def has_begun(running: System, stream: str, attempt: int) -> bool:
    """Whether an attempt has begun, asked of the store: the functions may be dead."""
    (newest,) = running.redis_do("XREVRANGE", f"{running.prefix}:stream:{stream}", "+", "-", "COUNT", 1)
    return int(newest[0].split("-")[0]) >= attempt


@pytest.mark.parametrize("name", WAYS)
def test_kills_at_random_moments_cost_no_reader_a_character(
    answers: Mapping[str, Future[Told]], seed: int, name: str
) -> None:
    """Rules A, K, L and T2: three SIGKILLs, each at a moment that chance picks, and the reader has the first call's
    full text, once. What a call sent and nobody logged is all that the model says again.
    """
    way = WAYS[name]
    print(f"SEED={seed}")
    told = answers[name].result()
    kinds = [record["t"] for _, record in told.records]
    waits = ", ".join(f"{wait:.1f}" for wait in told.gaps(handed_on=True))
    print(f"{name}: {KILLS} kills; the reader waited {waits} s; {told.billed} tokens for {length(way)}")
    told.check(way)
    # Each attempt but the first took over from a dead one; a busy machine may let one more be taken for dead.
    deaths = told.status["attempts"] - 1
    assert (kinds.count("begin"), deaths >= KILLS) == (deaths + 1, True)
    assert (told.status["handoffs"], told.status["takeovers"] + told.status["rescues"]) == (0, deaths)
    # What a death may cost: the batch that grows, the one that an append carries at that moment, and what a busy
    # machine has not carried to the function yet, as much again.
    lost = 0 if way.exact else deaths * 3 * RATE * FLUSH_SECONDS
    assert length(way) <= told.billed <= length(way) + lost


def test_an_exact_answer_is_exact_though_the_model_never_says_it_again(
    at: Standins, answers: Mapping[str, Future[Told]]
) -> None:
    """What makes comparing its text worth anything: the same question, asked once more, has another answer."""
    told = answers["background"].result()
    question = {"role": "user", "content": told.calls[0]["prompt"]}
    body = {"model": "gpt-5-mini", "messages": [question], "max_tokens": 20}
    headers = {"authorization": "Bearer key-of-the-tests"}
    reply = httpx.post(f"{at.model}/v1/chat/completions", json=body, headers=headers, timeout=30, trust_env=False)
    again = reply.json()["choices"][0]["message"]["content"]
    assert len(again) > 20
    assert not told.text.startswith(again)


def test_a_process_that_is_drained_hands_every_answer_on_at_once(at: Standins) -> None:
    """Rule O5: a platform asks an instance to end while it writes two answers, and another instance lives: both go on
    there within about a second, nothing waits for a lease, and the old process is gone before it would be killed.
    """
    with system(DEPLOYED, at) as running, serving(running.settings) as other:
        for process in (other, running.functions):
            running.door.lead_to(process.url)
            running.finished(running.ask("standin: tokens=1\nLoad what you need."))
        answers = drained(running, other)
        running.functions.restart()
        for told in answers():
            check_handed_on(told, WAYS["instruct"])
            (wait,) = told.gaps(handed_on=True)
            assert wait <= told.patience


def test_a_process_that_is_reloaded_hands_every_answer_on_to_the_next(at: Standins) -> None:
    """Rule O5: the one process there is ends and starts anew, as when its source changes: it goes on with both
    answers, in the very words of the calls that began them.
    """
    way = WAYS["background"]
    with system({**DEPLOYED, **way.settings}, at) as running:
        answers = drained(running, running.functions)
        running.functions.restart()
        for told in answers():
            check_handed_on(told, way)


def drained(running: System, heir: Functions) -> Callable[[], Iterator[Told]]:
    """Ask the functions to end while they write two answers, and see them end.

    Args:
        running: the system.
        heir: who goes on, and whom the readers ask.

    Returns:
        What collects the two answers, once somebody goes on with them.
    """
    question = f"standin: tokens={TOKENS_DRAINED} rate={RATE}\nWho writes until {{}}, {running.prefix}?"
    streams = {running.ask(prompt): prompt for prompt in map(question.format, ("noon", "dawn"))}
    urls = {stream: f"{heir.url}/api/streams/{stream}" for stream in streams}
    stack = ExitStack()
    readers = {stream: stack.enter_context(Reader(url)) for stream, url in urls.items()}
    until(lambda: all(reader.text for reader in readers.values()), "text of both answers")
    running.door.lead_to(heir.url)
    asked = time.monotonic()
    running.functions.process.terminate()
    running.functions.process.wait(STOP_SECONDS)
    print(f"ended {time.monotonic() - asked:.2f} s after it was asked to")

    def collect() -> Iterator[Told]:
        with stack:
            for stream, prompt in streams.items():
                events = readers[stream].to_end()
                with Reader(urls[stream]) as late:
                    yield tell(running, stream, prompt, events, late.to_end())

    return collect


def check_handed_on(told: Told, way: Way) -> None:
    """An answer was handed on once, and by nobody's judgement that its writer had died."""
    told.check(way)
    status = told.status
    assert (status["attempts"], status["handoffs"], status["takeovers"], status["rescues"]) == (2, 1, 0, 0)
    (at,) = (n for n, (_, record) in enumerate(told.records) if record["t"] == "handoff")
    (_, handoff), (_, begin) = told.records[at : at + 2]
    print(f"{(begin['at'] - handoff['at']) / 1000:.2f} s between two attempts; gaps {told.gaps(handed_on=True)}")
    assert begin["t"] == "begin"
    assert (begin["at"] - handoff["at"]) / 1000 < LEASE_SECONDS
    # The delivery that the old process was at work on was acknowledged, and not cut off.
    assert [each["status"] for each in told.messages[0]["tries"]] == [200]
    assert TOKENS_DRAINED <= told.billed <= TOKENS_DRAINED + (0 if way.exact else RATE * FLUSH_SECONDS)
