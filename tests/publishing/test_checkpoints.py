"""Checkpoints: where they stand, and what may be saved (rule B4)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from holdfast.generation import GenerationRequest
from holdfast.publish import Verdict
from holdfast.records import Error, Parts
from tests.clocks import virtual
from tests.publishing.stage import Script, Stage, die, saves


@virtual
async def test_a_checkpoint_stands_exactly_behind_its_parts() -> None:
    """Rule B4: what is yielded after ``save`` stands in a later record, and the next attempt gets the newest."""
    stage = Stage()
    generate = Script([0.1, "a", saves(1), "b", saves({"n": 2}), "c", 100], ["d"])
    await stage.open()
    await die(stage, generate, 5)
    await stage.publish(generate, retried=1)
    assert generate.requests[1].checkpoint == {"n": 2}
    text = ""
    for record in await stage.records():
        if isinstance(record, Parts):
            text += "".join(chunk.get("delta", "") for chunk in record.parts)
            if record.checkpoint is not None:
                assert text == {1: "a", 2: "ab"}[record.checkpoint if record.checkpoint == 1 else 2]


@virtual
async def test_a_checkpoint_alone_is_stored() -> None:
    """Rule B4: saving without saying anything keeps the checkpoint for the next attempt."""
    stage, generate = Stage(), Script([saves("step 1"), 100], ["."])
    await stage.open()
    await die(stage, generate, 5)
    await stage.publish(generate, retried=1)
    assert generate.requests[1].checkpoint == "step 1"


@virtual
async def test_a_checkpoint_that_is_changed_after_saving_is_kept_as_it_was() -> None:
    """Rule B4: a generator that goes on counting in the object that it saved does not move its checkpoint."""
    stage, state = Stage(), {"said": 0}

    async def generate(request: GenerationRequest) -> AsyncIterator[str]:
        seen.append(request.checkpoint)
        if request.partial:
            return
        yield "first"
        for number in range(1, 4):
            yield f" {number}"
            state["said"] = number
            request.save(state)
        state["said"] = 99
        await asyncio.sleep(100)

    seen: list[Any] = []
    await stage.open()
    await die(stage, generate, 5)
    await stage.publish(generate, retried=1)
    assert seen == [None, {"said": 3}]


@virtual
async def test_saving_nothing_leaves_the_log_readable() -> None:
    """``save(None)`` means that there is no checkpoint; it must not write a record that nobody can read."""
    stage = Stage()
    await stage.open()
    assert await stage.publish(Script([saves(None), 1, "text"])) is Verdict.DONE
    assert await stage.text() == "text"


@pytest.mark.parametrize("checkpoint", [{1, 2}, float("nan"), b"bytes", "\ud800"])
@virtual
async def test_a_checkpoint_that_json_cannot_hold_is_the_generators_failure(checkpoint: Any) -> None:
    """The answer ends with an error that says so; it is not tried again for ever."""
    stage, generate = Stage(), Script(["text", saves(checkpoint), 1, "more"])
    await stage.open()
    assert await stage.publish(generate) is Verdict.DONE
    end = (await stage.records())[-1]
    assert isinstance(end, Error)
    assert end.code == "generator_invalid"
    assert await stage.text() == "text"
