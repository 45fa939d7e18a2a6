"""Calling the generator: continuing, trying again, threads, and what a user's code may do wrong (chapter T)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from typing import Any

import pytest

from holdfast.adapters.memory import MemoryLog
from holdfast.errors import GenerationError
from holdfast.generation import GenerationRequest, Part, cannot_continue
from holdfast.identity import new_stream_id
from holdfast.keys import Keys
from holdfast.log import Log
from holdfast.pace import Pace
from holdfast.publish import Publisher, Verdict
from holdfast.queue import Delivery
from holdfast.records import Error, Finish, Parts, Queued
from tests.clocks import VirtualClock, virtual
from tests.publishing.stage import RememberingQueue, Script, Stage, die, said


def busy(retry_after: float | None = None) -> GenerationError:
    """What another try may mend."""
    return GenerationError("model_unavailable", "Again.", retry=True, retry_after=retry_after)


@virtual
async def test_the_generator_is_told_what_was_asked() -> None:
    """The port: messages, chat, owner, unknown fields, attempt and deadline reach the generator."""
    stage, generate = Stage(), Script(["."])
    await stage.open(messages=[said("Who?"), said("Me.", role="assistant"), said("Why?")], extra={"model": "m"})
    await stage.publish(generate, limit=60)
    (request,) = generate.requests
    assert request.text_messages()[-1] == {"role": "user", "content": "Why?"}
    assert (request.owner, request.extra, request.attempt, request.chat_id) == ("me", {"model": "m"}, 1, None)
    assert (request.partial, request.parts, request.checkpoint) == ("", [], None)
    assert request.deadline is not None
    assert 0 < request.deadline - stage.clock.now_ms() < 60_000


@virtual
async def test_the_next_attempt_continues_the_open_text_part() -> None:
    """Rules T2, P4: it gets the text in the log as partial, and its text goes on under the same id."""
    stage, generate = Stage(), Script(["One, ", 1, "two, ", 100], ["three."])
    await stage.open()
    await die(stage, generate, 5)
    assert await stage.publish(generate, retried=1) is Verdict.DONE
    second = generate.requests[1]
    assert (second.partial, second.attempt) == ("One, two, ", 2)
    assert second.parts[-1]["text"] == "One, two, "
    chunks = [chunk for record in await stage.records() if isinstance(record, Parts) for chunk in record.parts]
    assert len({chunk["id"] for chunk in chunks if "id" in chunk}) == 1
    assert [chunk["type"] for chunk in chunks].count("text-start") == 1
    assert [chunk["type"] for chunk in chunks].count("start") == 1
    end = (await stage.records())[-1]
    assert isinstance(end, Finish)
    assert (await stage.text(), end.characters, end.attempts, end.exact) == ("One, two, three.", 16, 2, False)


@virtual
async def test_an_attempt_after_one_that_showed_nothing_starts_over_exactly() -> None:
    """Rules T2, T3: nothing visible was written, so nobody sees that the first call was lost."""
    stage, generate = Stage(), Script([100], ["all of it"])
    await stage.open()
    await die(stage, generate, 5)
    await stage.publish(generate, retried=1)
    end = (await stage.records())[-1]
    assert isinstance(end, Finish)
    assert (generate.requests[1].partial, end.exact, end.attempts) == ("", True, 2)


@virtual
async def test_a_failed_call_is_repeated_after_a_growing_pause() -> None:
    """Rule T1: half a second, a second, two seconds; the fourth failure without a word is the end."""
    stage = Stage()
    times: list[float] = []

    async def generate(_: GenerationRequest) -> AsyncIterator[str]:
        times.append(stage.clock.monotonic())
        raise busy()
        yield ""

    await stage.open()
    assert await stage.publish(generate) is Verdict.DONE
    assert [round(b - a, 3) for a, b in pairwise(times)] == [0.5, 1.0, 2.0]
    end = (await stage.records())[-1]
    assert isinstance(end, Error)
    assert (end.code, end.message, end.by) == ("model_unavailable", "Again.", "publish")


@virtual
async def test_the_provider_says_how_long_to_wait() -> None:
    """Rule T1: its own pause is kept to, up to a limit."""
    stage, generate = Stage(), Script([busy(7)], [busy(1000)], ["there"])
    await stage.open()
    await stage.publish(generate)
    assert 27 <= stage.clock.monotonic() < 29
    assert await stage.text() == "there"


@virtual
async def test_a_call_that_fails_in_mid_answer_is_continued() -> None:
    """Rules T1, T2: words in between begin the count anew, and the next call goes on from them."""
    stage, generate = Stage(), Script(["a", busy()], ["b", busy()], [busy()], ["c", busy()], ["d", busy()], ["e"])
    await stage.open()
    await stage.publish(generate)
    assert await stage.text() == "abcde"
    assert [request.partial for request in generate.requests] == ["", "a", "ab", "ab", "abc", "abcd"]
    assert {request.attempt for request in generate.requests} == {1}
    end = (await stage.records())[-1]
    assert isinstance(end, Finish)
    assert not end.exact


@virtual
async def test_the_usage_of_every_call_is_counted() -> None:
    """R: what failed calls used is paid for as well."""
    stage = Stage()
    used: list[Any] = [{"type": "finish", "messageMetadata": {"usage": {"outputTokens": 2}}}]
    await stage.open()
    await stage.publish(Script(["a", *used, busy()], ["b", *used]))
    end = (await stage.records())[-1]
    assert isinstance(end, Finish)
    assert end.usage == {"outputTokens": 4}


@virtual
async def test_what_no_try_can_mend_ends_the_answer_at_once() -> None:
    """Rule T1: the error is told, the partial stays, the generator is not called again."""
    stage, generate = Stage(), Script(["part", GenerationError("model_auth", "The key is wrong.")])
    await stage.open()
    assert await stage.publish(generate) is Verdict.DONE
    end = (await stage.records())[-1]
    assert isinstance(end, Error)
    assert (end.code, await stage.text(), len(generate.requests)) == ("model_auth", "part", 1)
    assert stage.crashes == []


@virtual
async def test_an_exception_of_the_generator_is_told_to_its_owner_alone() -> None:
    """The reader gets a plain error, the developer the exception."""
    stage, bug = Stage(), ZeroDivisionError("sk-secret")
    await stage.open()
    assert await stage.publish(Script(["part", bug])) is Verdict.DONE
    end = (await stage.records())[-1]
    assert isinstance(end, Error)
    assert end.code == "generator_failed"
    assert "secret" not in end.message
    assert stage.crashes == [bug]
    assert await stage.text() == "part"


@virtual
async def test_a_generator_that_is_cancelled_from_within_ends_the_answer() -> None:
    """A cancelled inner task of the user's is a failure of the generator, and not of the publisher."""
    stage = Stage()
    await stage.open()
    assert await stage.publish(Script(["part", asyncio.CancelledError()])) is Verdict.DONE
    end = (await stage.records())[-1]
    assert isinstance(end, Error)
    assert end.code == "generator_failed"


@pytest.mark.parametrize(
    "item", [None, [1], {"type": "telepathy"}, {"type": "text-delta"}, {"type": "data-x", "data": {1}}]
)
@virtual
async def test_what_is_neither_text_nor_a_chunk_ends_the_answer(item: Any) -> None:
    """Rule P1: nothing that a stock client cannot read gets into the log."""
    stage = Stage()
    await stage.open()
    await stage.publish(Script(["part", item]))
    end = (await stage.records())[-1]
    assert isinstance(end, Error)
    assert end.code == "generator_invalid"


@virtual
async def test_what_is_no_generator_ends_the_answer() -> None:
    """A function that returns something else fails like any other bug of the user's."""
    stage = Stage()
    await stage.open()
    not_one: Any = lambda request: 7  # noqa: E731, ARG005
    await stage.publish(not_one)
    end = (await stage.records())[-1]
    assert isinstance(end, Error)
    assert end.code == "generator_failed"


@virtual
async def test_an_answer_of_no_words_is_an_answer() -> None:
    """A generator that yields nothing finishes with nothing."""
    stage = Stage()
    await stage.open()
    assert await stage.publish(Script([])) is Verdict.DONE
    end = (await stage.records())[-1]
    assert isinstance(end, Finish)
    assert (end.characters, end.ttft_ms) == (0, None)


@virtual
async def test_a_chunk_that_is_changed_after_yielding_is_written_as_it_was() -> None:
    """A generator that yields one growing object says each of its states, and not the last one many times."""
    stage, chunk = Stage(), {"type": "data-progress", "data": {"done": 0}}

    def step(number: int) -> Any:
        return lambda _: chunk.update(data={"done": number})

    await stage.open()
    await stage.publish(Script([chunk, step(1), chunk, step(2), chunk]))
    written = [part["data"]["done"] for part in (await stage.answer()).builder.message()["parts"]]
    assert written == [0, 1, 2]


@virtual
async def test_stopped_is_set_when_the_generator_is_cancelled() -> None:
    """The port: a generator that looks at ``stopped`` sees that it should end."""
    stage, generate = Stage(), Script(["text", 500])
    await stage.open()
    await die(stage, generate, 5)
    assert generate.requests[0].stopped.is_set()


def test_a_sync_generator_runs_in_a_thread() -> None:
    """A generator that blocks does not stop the lease, the flushing, or anybody else's answer."""
    threads: list[threading.Thread] = []
    gate = threading.Event()

    def generate(request: GenerationRequest) -> Iterator[str | Part]:
        threads.append(threading.current_thread())
        yield "first"
        request.save("half")
        assert gate.wait(20)
        yield " second"

    async def run() -> None:
        clock = VirtualClock()
        log = Log(MemoryLog(clock), Keys("t"), clock, 10_000)
        stream = new_stream_id(clock.now_ms())
        queued = Queued(at=clock.now_ms(), owner="me", message_id="msg", messages=[said("Why?")])
        await log.open(stream, queued, clock.now_ms())
        publisher = Publisher(log, RememberingQueue(), generate, Pace(flush=0.01), lambda _: None)
        publishing = asyncio.create_task(publisher.publish(Delivery(stream, 1, "m1", 0)))
        while not any(isinstance(e.record, Parts) and e.record.checkpoint == "half" for e in await log.read(stream)):  # noqa: ASYNC110
            await asyncio.sleep(0.005)  # the thread is real: nothing in this loop could set an event
        gate.set()
        assert await publishing is Verdict.DONE
        end = (await log.read(stream))[-1].record
        assert isinstance(end, Finish)
        assert end.characters == len("first second")

    asyncio.run(asyncio.wait_for(run(), 20))
    assert threads[0] is not threading.main_thread()


@virtual
async def test_a_generator_that_cannot_continue_starts_over_unseen() -> None:
    """Rule T5: as long as no reader can have seen anything it is called again like any other."""
    stage = Stage()
    script = Script([1000], ["whole"])
    generate = cannot_continue(script)
    await stage.open()
    assert await stage.publish(generate, limit=20) is Verdict.DONE
    assert await stage.publish(generate, "m2") is Verdict.DONE
    assert (await stage.text(), (await stage.answer()).state(leased=False)) == ("whole", "finished")


@virtual
async def test_a_generator_that_cannot_continue_ends_what_was_seen() -> None:
    """Rule T5: after a visible part it is not called again; the answer ends with an error, and the partial stays."""
    for seen in ("half", {"type": "reasoning-delta", "id": "r", "delta": "Hm"}):
        stage = Stage()
        script = Script([seen, 1000], ["again"])
        generate = cannot_continue(script)
        await stage.open()
        assert await stage.publish(generate, limit=20) is Verdict.DONE
        before = (await stage.answer()).builder.message()["parts"]
        assert await stage.publish(generate, "m2") is Verdict.DONE
        end = (await stage.records())[-1]
        assert isinstance(end, Error)
        assert (end.code, len(script.requests)) == ("cannot_continue", 1)
        after = (await stage.answer()).builder.message()["parts"]
        assert [part.get("text") for part in after] == [part.get("text") for part in before]
