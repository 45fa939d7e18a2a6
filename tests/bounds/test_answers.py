"""Answers of absurd size and number of parts: whole and byte-exact at every reader, or ended with a clear error."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from holdfast.batching import sent_size_of
from holdfast.errors import ApiError
from holdfast.generation import Part
from holdfast.history import end, of_chat
from holdfast.operations import Get
from holdfast.pace import Pace
from holdfast.publish import Verdict
from holdfast.records import EntryId, Error, Finish, Parts, Stop
from holdfast.requests import StartRequest
from tests.bounds.metering import MOST, Measured, yielding
from tests.clocks import virtual
from tests.publishing.stage import Script, said, saves

LIMIT: Final = Pace().budget.bytes
BATCH: Final = 256 * 1024


def text_of(chunks: list[Part]) -> str:
    """The text of an answer."""
    return "".join(chunk["delta"] for chunk in chunks if chunk["type"] == "text-delta")


@pytest.mark.parametrize("piece", ["word and ", "三つ", "😀", '"\\', "\n\t\u2028", "\0"], ids=ascii)
@virtual
async def test_the_largest_answer_is_replayed_whole(piece: str) -> None:
    """Rules B3, D1: just below the limit, every byte comes back, through requests and replies of at most 10 MB each,
    also where the characters take several times their size on the way to the store.
    """
    stage = Measured()
    text = piece * ((LIMIT - 100_000) // (sent_size_of(piece) - 6))
    block = 20_000
    chunks = await stage.answered(*(text[at : at + block] for at in range(0, len(text), block)))
    assert text_of(chunks) == text
    assert isinstance((await stage.records())[-1], Finish)


@virtual
async def test_an_answer_of_ten_megabytes_ends_with_an_error_at_the_limit() -> None:
    """Beyond HOLDFAST_MAX_ANSWER_BYTES the answer ends: what was written stays, and the reader is told why."""
    stage = Measured()
    chunks = await stage.answered(*["x" * 10_000] * 1_000)
    assert chunks[-1] == {
        "type": "error",
        "errorText": f"The answer grew beyond {LIMIT} bytes. What was written is kept.",
    }
    assert LIMIT * 0.9 < len(text_of(chunks)) < LIMIT
    last = (await stage.records())[-1]
    assert isinstance(last, Error)
    assert last.code == "answer_too_long"
    assert chunks[-2]["type"] == "text-end", "what is open is closed even so"


@virtual
async def test_a_hundred_thousand_parts() -> None:
    """Rule B3: parts that do not merge come back one by one, in batches of at most 256 KB."""
    stage = Measured()
    parts: list[Part] = [{"type": "data-n", "data": number} for number in range(100_000)]
    chunks = await stage.answered(*parts)
    assert chunks[1:-1] == parts
    written = [record for record in await stage.records() if isinstance(record, Parts)]
    assert len(written) > 5
    assert stage.meter.largest < 2 * BATCH


@virtual
async def test_a_million_tiny_parts_end_at_the_limit() -> None:
    """A generator that never stops is cut off by the same limit, and the reader is told."""
    stage = Measured()
    step: Part = {"type": "start-step"}
    chunks = await stage.answered(*[step] * 1_000_000)
    assert chunks[-1]["type"] == "error"
    assert 200_000 < len(chunks) < 1_000_000


@virtual
async def test_a_quarter_of_a_million_tokens_of_one_letter() -> None:
    """Rule B3: tokens merge, so that the limit counts text and not the number of tokens."""
    stage = Measured()
    chunks = await stage.answered(*("abcde"[number % 5] for number in range(250_000)))
    assert text_of(chunks) == "abcde" * 50_000
    assert len(await stage.stored()) < 250


@pytest.mark.parametrize("letter", ["x", '"', "三", "\\"])
@virtual
async def test_one_part_of_a_megabyte(letter: str) -> None:
    """Rule B3: a part that is larger than a batch goes alone, uncut where it is not text."""
    stage = Measured()
    big: Any = {"type": "tool-output-available", "toolCallId": "c", "output": letter * 1_000_000}
    call: Any = {"type": "tool-input-available", "toolCallId": "c", "toolName": "look", "input": {}}
    chunks = await stage.answered("Before", call, big, "after")
    assert big in chunks
    assert text_of(chunks) == "Beforeafter"
    alone = [record for record in await stage.records() if isinstance(record, Parts) and big in record.parts]
    assert [len(record.parts) for record in alone] == [1]


@pytest.mark.parametrize("letter", ["x", '"'])
@virtual
async def test_one_part_that_no_store_takes(letter: str) -> None:
    """A part that is over the store's request limit on its way there ends the answer with a clear error, at once: no
    delivery repeats what can never be written.
    """
    stage = Measured()
    half = LIMIT // (2 if letter == '"' else 1)
    chunks = await stage.answered("Before", {"type": "data-x", "data": letter * half}, "after")
    assert text_of(chunks) == "Before"
    assert chunks[-1]["type"] == "error"
    assert stage.meter.refused == 0


@virtual
async def test_one_token_of_a_megabyte_is_cut_up() -> None:
    """Rule B3: text comes in pieces that fit into a batch, whatever the model thinks a token is."""
    stage = Measured()
    text = "".join(chr(97 + number % 26) for number in range(1_000_000))
    chunks = await stage.answered(text)
    assert text_of(chunks) == text
    assert stage.meter.largest < 2 * BATCH


@virtual
async def test_the_largest_answer_and_question_come_into_the_history() -> None:
    """Rule H5: together they are over the store's limit for one request; each alone is not."""
    stage = Measured()
    question = said("?" * 3_900_000)
    await stage.open(chat_id="c", turn=1, asks=True, messages=[question])
    text = '"' * (LIMIT // 5)
    await stage.publish(yielding(*(text[at : at + 10_000] for at in range(0, len(text), 10_000))))
    chat = of_chat(stage.calm, "me", "c", 3_600)
    keys = stage.keys
    asked, answered = await stage.memory.apply(*(Get(keys.message(chat.chat, member)) for member in ("1.0", "1.1")))
    assert json.loads(asked) == question
    assert json.loads(answered)["parts"][0]["text"] == text
    assert stage.meter.refused == 0


@virtual
async def test_pages_of_a_log_that_is_larger_than_a_reply() -> None:
    """Rule D1: a page that would be over 10 MB is asked for again with fewer entries, and nothing is left out."""
    stage = Measured()
    await stage.open()
    await stage.claim()
    texts = [f"{number:03}" + "x" * 200_000 for number in range(150)]
    for number, text in enumerate(texts):
        delta = {"type": "text-delta", "id": "a", "delta": text}
        await stage.calm.append(stage.stream, EntryId(1, number + 1), Parts(at=1, pos=number, parts=[delta]))
    await stage.calm.seal(stage.stream, Stop(at=2, by="request"))
    assert sum(map(len, texts)) > 2 * MOST
    assert text_of(await stage.replayed()) == "".join(texts)
    assert stage.meter.refused > 0


@pytest.mark.parametrize("levels", [65, 1_400])
@virtual
async def test_a_chunk_or_checkpoint_that_is_nested_too_deep(levels: int) -> None:
    """Rule R3: what no reader would take back is refused before it is written, with a clear error."""
    deep: Any = 1
    for _ in range(levels):
        deep = [deep]
    chunk: Part = {"type": "data-x", "data": deep}
    for step in (chunk, saves(deep)):
        stage = Measured()
        await stage.open()
        assert await stage.publish(Script(["Before ", step, "after"])) is Verdict.DONE
        last = (await stage.records())[-1]
        assert isinstance(last, Error)
        assert last.code == "generator_invalid"
        assert text_of(await stage.replayed()) == "Before "


@virtual
async def test_a_conversation_that_no_request_can_hold() -> None:
    """Rule S4: a chat whose history and question are together over the store's limit is refused at once with 413, and
    the chat can go on with less.
    """
    stage = Measured()
    ask = stage.starter().start
    first = await ask(StartRequest("me", [said('"' * 1_900_000, "a")], chat_id="c"))
    await end(stage.calm, first.stream, Stop(at=stage.clock.now_ms(), by="request"))
    before = stage.memory.keys()
    with pytest.raises(ApiError) as refusal:
        await ask(StartRequest("me", [said('"' * 1_900_000, "b")], chat_id="c", key="k"))
    assert (refusal.value.status, refusal.value.code) == (413, "conversation_too_large")
    assert stage.memory.keys() == before
    assert stage.meter.refused == 0
    assert (await ask(StartRequest("me", [said("Less.", "b")], chat_id="c"))).created
