"""What a generator saves is kept as it was, or refused where it is said (docs/protocol.md, rules B4, T1, R3)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from holdfast.adapters.memory import MemoryLog
from holdfast.answer import Answer
from holdfast.generation import GenerationRequest, Part
from holdfast.keys import Keys
from holdfast.log import Log
from holdfast.pace import Pace
from holdfast.publish import Publisher, Verdict
from holdfast.queue import Delivery
from holdfast.records import Error, Finish, Parts
from tests.clocks import VirtualClock, run
from tests.core.reading import Asked
from tests.core.samples import STREAM, queued

type Yields = AsyncIterator[str | Part]


async def _published(generate: Any) -> tuple[Verdict, Answer, list[Parts], list[BaseException]]:
    """One delivery of a generator: its verdict, the answer, its parts records and what crashed."""
    clock = VirtualClock()
    log = Log(MemoryLog(clock), Keys(), clock)
    crashes: list[BaseException] = []
    await log.open(STREAM, queued(), 1)
    verdict = await Publisher(log, Asked(), generate, Pace(), crashes.append).publish(Delivery(STREAM, 1, "m1", 0))
    entries = await log.read(STREAM)
    return verdict, Answer(entries), [e.record for e in entries if isinstance(e.record, Parts)], crashes


@pytest.mark.parametrize("bad", [..., {1, 2}, b"x", float("nan"), "\ud800"], ids=repr)
def test_a_checkpoint_that_json_cannot_hold_fails_the_generator(bad: object) -> None:
    """Rule T1: it is the generator's error, said in its own frame; the answer ends, and nobody tries for ever."""

    async def generate(request: GenerationRequest) -> Yields:
        yield "Hello"
        request.save(bad)
        yield " there"

    verdict, answer, _, crashes = run(_published(generate))
    assert verdict is Verdict.DONE
    assert answer.end is not None
    assert isinstance(answer.end[1], Error)
    assert (answer.end[1].code, answer.builder.text()) == ("generator_invalid", "Hello")
    assert crashes == []


def test_a_checkpoint_is_what_it_was_when_it_was_saved() -> None:
    """Rule B4: a generator may go on using its own object; the log has what stood in it then."""

    async def generate(request: GenerationRequest) -> Yields:
        state = {"said": ["a"]}
        yield "a"
        request.save(state)
        state["said"].append("b")
        yield "b"

    verdict, answer, records, _ = run(_published(generate))
    assert verdict is Verdict.DONE
    assert answer.end is not None
    assert isinstance(answer.end[1], Finish)
    assert [record.checkpoint for record in records if record.checkpoint is not None] == [{"said": ["a"]}]


def test_saving_nothing_leaves_the_log_readable() -> None:
    """Rule R3: ``save(None)`` before anything was said writes no empty record, which would be refused by everybody."""

    async def generate(request: GenerationRequest) -> Yields:
        request.save(None)
        await VirtualClock().sleep(1)
        request.save(None)
        yield "a"

    verdict, answer, records, _ = run(_published(generate))
    assert verdict is Verdict.DONE
    assert answer.builder.text() == "a"
    assert all(record.parts for record in records)
