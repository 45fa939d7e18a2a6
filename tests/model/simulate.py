"""One run of the model, from its start to its deleted log, and what must be true of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass

from holdfast import history
from holdfast.answer import Answer
from holdfast.errors import BadRecord
from holdfast.generation import Part, text_of
from holdfast.operations import Score
from holdfast.records import SEAL, Begin, Entry, Error, Finish, Handoff, Parts, is_terminal
from holdfast.retention import Cleaner
from tests.clocks import run_virtual
from tests.model import plan as plans
from tests.model.plan import Plan, draw
from tests.model.processes import Process
from tests.model.readers import expected, text
from tests.model.world import CALM, QUESTION, World

#: Virtual seconds in which every reader must have ended.
LIMIT = 900.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run showed.

    Attributes:
        plan: the run.
        violations: what must not happen, and did.
        counts: what happened.
    """

    plan: Plan
    violations: list[str]
    counts: Counter[str]


def simulate(seed: int) -> Outcome:
    """Run the model once, in virtual time."""
    world = World(draw(seed))
    run_virtual(lambda: _run(world))
    return Outcome(world.plan, world.violations, world.counts)


async def _run(world: World) -> None:
    plan = world.plan
    background: list[asyncio.Task[None]] = []
    if plan.outage is not None:
        background.append(asyncio.create_task(world.fail_store(*plan.outage)))
    await world.start()
    background.append(asyncio.create_task(world.watch()))
    if plan.stop_at is not None:
        background.append(asyncio.create_task(world.stop(plan.stop_at)))
    if plan.vanish_at is not None:
        background.append(asyncio.create_task(world.vanish(plan.vanish_at)))
    if plan.cleanup is not None:
        background.append(asyncio.create_task(world.clean(plan.cleanup)))
    readers = world.admit_readers()
    _, waiting = await asyncio.wait(readers, timeout=LIMIT)
    if waiting:
        world.violations.append(f"Q2: {len(waiting)} readers were left waiting")
    await world.clock.sleep(30.0)  # late deliveries find the end
    for task in (*background, *readers, *world.queue.tasks):
        if task.done() and not task.cancelled() and (error := task.exception()) is not None:
            world.violations.append(f"somebody met {error!r}")
        task.cancel()
        await asyncio.wait({task})
    _count(world)
    if world.vanished_at is None:
        await _judge(world)


async def _judge(world: World) -> None:
    entries = world.entries()
    world.violations += _log_violations(world, entries)
    if not world.ended(entries) or world.violations:
        return
    frames = expected(entries)
    for reader in world.readers:
        world.violations += reader.complaints
        if reader.frames != frames:
            world.violations.append(f"C3: reader {reader.kind.name} has {text(reader.frames)!r} of {text(frames)!r}")
        if [frame.chunk for frame in reader.frames].count(None) != 1:
            world.violations.append(f"E1: reader {reader.kind.name} did not read exactly one end")
    world.violations += await _after(world, Answer(entries))


def _log_violations(world: World, entries: list[Entry]) -> list[str]:
    end = next((n for n, entry in enumerate(entries) if is_terminal(entry.record)), None)
    if end is None:
        return ["E1: the log has no end"]
    try:
        answer = Answer(entries)
    except BadRecord as error:
        return [f"D5: {error}"]
    found = [f"E3: {entry.id} was appended after the seal" for entry in entries[:-1] if entry.id == SEAL]
    late = [entry for entry in entries[end + 1 :] if not isinstance(entry.record, Begin) and entry.id != SEAL]
    found += [f"E1: {entry.id} was written after the end" for entry in late]
    found += _malformed([chunk for e in entries[:end] if isinstance(e.record, Parts) for chunk in e.record.parts])
    found += _misplaced_checkpoints(entries[:end])
    terminal, id = entries[end].record, entries[end].id
    begins = [entry.id.attempt for entry in entries[:end] if isinstance(entry.record, Begin)]
    by_publisher = isinstance(terminal, Finish) or (isinstance(terminal, Error) and terminal.by == "publish")
    if by_publisher and begins[-1:] != [id.attempt]:
        found.append(f"E2: {id} ended an answer whose newest attempt is {begins[-1:]}")
    found += _text_violations(world, text(expected(entries)), terminal, answer.parts, len(begins))
    if world.plan.faultless:
        found += _faultless(world, entries[:end], terminal)
    return found


def _text_violations(world: World, written: str, terminal: object, parts: int, begins: int) -> list[str]:
    """What is wrong with the text, and with what the finish record tells of it (rules T2, T3)."""
    found = []
    root = world.model.root_of(written)
    if root is None and written:
        found.append(f"T2: {written!r} is no beginning of any one answer")
    elif root is not None and isinstance(terminal, Finish):
        continued = any(call.root is root and call is not root for call in world.model.calls)
        if written != root.text:
            found.append(f"T2: finished with {written!r} of {root.text!r}")
        told = (terminal.characters, terminal.parts, terminal.attempts)
        if told != (len(written), parts, begins):
            found.append(f"the finish record tells {told} of {len(written)}, {parts}, {begins}")
        if terminal.exact and continued:
            found.append("T3: finish says exact, and two calls wrote the answer")
    return found


def _faultless(world: World, entries: list[Entry], terminal: object) -> list[str]:
    """Where nothing fails one model is called, however often the queue delivers."""
    handoffs = sum(isinstance(entry.record, Handoff) for entry in entries)
    stopped = world.counts["stopped"] > 0
    calls = len(world.model.calls)
    found = []
    if calls > 1 + handoffs or (calls < 1 + handoffs and not stopped):
        found.append(f"{calls} calls of the model with {handoffs} hand-offs and no fault")
    if not isinstance(terminal, Finish) and not stopped:
        found.append(f"without a fault the answer ended with {terminal}")
    if isinstance(terminal, Finish) and not handoffs and not terminal.exact:
        found.append("T3: one call wrote everything and finish says that it is not exact")
    return found


def _misplaced_checkpoints(entries: list[Entry]) -> list[str]:
    """The model saves how many characters it has said: a checkpoint stands exactly behind them (rule B4)."""
    characters, found = 0, []
    for entry in entries:
        if isinstance(entry.record, Parts):
            characters += sum(len(chunk["delta"]) for chunk in entry.record.parts if chunk["type"] == "text-delta")
            checkpoint = entry.record.checkpoint
            if checkpoint is not None and checkpoint != characters:
                found.append(f"B4: {entry.id} holds checkpoint {checkpoint} behind {characters} characters")
    return found


def _malformed(chunks: list[Part]) -> list[str]:
    """What is wrong with a sequence of chunks (rules P3 and P4)."""
    found: list[str] = []
    ids: set[str] = set()
    open_ids: set[str] = set()
    starts = [number for number, chunk in enumerate(chunks) if chunk["type"] == "start"]
    if chunks and starts != [0]:
        found.append(f"P3: start stands at {starts}")
    for chunk in chunks:
        kind, id = chunk["type"], chunk.get("id")
        if kind.endswith("-start") and id is not None:
            if id in ids:
                found.append(f"P4: {id} is started twice")
            ids.add(id)
            open_ids.add(id)
        elif kind.endswith("-delta") and id not in open_ids:
            found.append(f"P4: {id} grows and is not open")
        elif kind.endswith("-end"):
            open_ids.discard(str(id))
    return found


async def _after(world: World, answer: Answer) -> list[str]:
    """What the history holds, before and after the log is deleted."""
    process = Process("afterwards")
    log = world.log(process, CALM)
    found = []
    if world.plan.chat:
        await history.repair(log, answer)
        found += await _history(world, answer)
    await world.clock.sleep(plans.RETENTION + 1)
    cleaner = Cleaner(log, world.rescuer(process, CALM))
    await cleaner.run(60.0)
    if world.memory.keys().count(world.keys.stream(world.stream)):
        found.append("X3: the log outlived its retention")
    if world.peek(Score(world.keys.due, world.stream))[0] is not None:
        found.append("X3: the deleted log is still due")
    return found + (await _history(world, answer) if world.plan.chat else [])


async def _history(world: World, answer: Answer) -> list[str]:
    chat = history.of(world.log(Process("history"), CALM), answer.queued)
    assert chat is not None
    items = await chat.load()
    asked = [item.message for item in items if item.message["role"] == "user"]
    answers = [item.message for item in items if item.message["role"] == "assistant"]
    found = [] if asked == [QUESTION] else [f"H4: the history holds the questions {asked}"]
    settled = answer.builder.settled()
    if len(answers) != bool(settled["parts"]):
        found.append(f"H5: the history holds {len(answers)} answers")
    elif answers and text_of(answers[0]) != text_of(settled):
        found.append(f"H5: the history holds {text_of(answers[0])!r} of {text_of(settled)!r}")
    return found


def _count(world: World) -> None:
    entries = world.entries()
    counts = world.counts
    end = next((entry.record for entry in entries if is_terminal(entry.record)), None)
    counts[type(end).__name__.lower() if end is not None else "gone"] += 1
    counts["calls"] += len(world.model.calls)
    counts["attempts"] += len(world.begun)
    counts["hand-offs"] += sum(isinstance(entry.record, Handoff) for entry in entries)
    counts["deliveries"] += world.queue.counts["deliveries"]
    counts["callbacks"] += world.queue.counts["callbacks"]
    counts["rescues"] += sum(".r" in dedup for dedup in world.queue.seen)
    counts["crashes"] += world.weather.crashes
    counts["lost"] += world.weather.lost
    counts["connections"] += sum(reader.connections for reader in world.readers)
