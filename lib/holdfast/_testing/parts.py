"""Tool calls, sources, files and data of a run: what was made twice, what is missing, what makes no sense."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from holdfast._testing.report import Code
from holdfast._testing.run import Run
from holdfast.generation import Part, UIMessage

#: A problem's kind, what happened, and the text around it.
type Finding = tuple[Code, str, str]

#: Fields that a generator may well make up anew for the same thing.
_NAMES: Final = frozenset({"id", "toolCallId", "sourceId", "providerMetadata"})
_LONGEST: Final = 80


def repeated_tools(run: Run, references: Sequence[Run]) -> Iterator[Finding]:
    """Calls made, or answered, in one attempt although an earlier attempt wrote the output."""
    most = _most(_calls(reference) for reference in references)
    made: Counter[str] = Counter()
    names: dict[str, str] = {}
    answered: dict[str, int] = {}  # by id: the attempt that wrote the output
    ran: dict[str, int] = {}  # by name and input: the same
    for attempt, chunk in run.chunks:
        id = chunk.get("toolCallId")
        if id is None or _is_cut(chunk):
            continue
        again = answered.get(id, attempt) < attempt
        if chunk["type"] == "tool-input-available":
            names[id] = call = _call(chunk)
            made[call] += 1
            again = again or (ran.get(call, attempt) < attempt and made[call] > most[call])
        elif chunk["type"].startswith("tool-output-"):
            answered.setdefault(id, attempt)
            ran.setdefault(names.get(str(id), ""), attempt)
        if again:
            what = f"It made the tool call {short(names.get(id) or str(id))} again, whose output was written already."
            yield "repeats_tool", what, ""
            return


def repeated_parts(run: Run, references: Sequence[Run]) -> Iterator[Finding]:
    """Sources, files and data that an earlier attempt had yielded."""
    most = _most(Counter(_said(chunk) for _, chunk in each.chunks if _shows_twice(chunk)) for each in references)
    seen: dict[str, int] = {}
    made: Counter[str] = Counter()
    for attempt, chunk in run.chunks:
        if not _shows_twice(chunk):
            continue
        said = _said(chunk)
        made[said] += 1
        if seen.setdefault(said, attempt) < attempt and made[said] > most[said]:
            yield "repeats_part", f"It yielded this again: {short(said)}", ""
            return


def missing_parts(run: Run, reference: Run) -> Iterator[Finding]:
    """Parts that an uninterrupted run has, and this one has not or has otherwise."""
    wanted, had = (_shape(each.answer.builder.settled()) for each in (reference, run))
    if wanted == had:
        return
    lacks = list((Counter(wanted) - Counter(had)).elements())
    adds = list((Counter(had) - Counter(wanted)).elements())
    told = [f"{verb} {short(parts[0])}" for verb, parts in (("lacks", lacks), ("adds", adds)) if parts]
    yield "parts_differ", f"The message {' and '.join(told) or 'has its parts in another order'}.", ""


def malformed(run: Run) -> Iterator[Finding]:
    """Tool chunks that no reader can make sense of; everything else is refused before it is written."""
    begun: set[str] = set()
    for _, chunk in run.chunks:
        id = chunk.get("toolCallId")
        if id is None:
            continue
        if "toolName" in chunk:
            begun.add(id)
        elif id not in begun:
            yield "malformed", f"It yielded {chunk['type']} for a tool call that was never begun: {id}.", ""
            return
    for id, name in run.answer.builder.unfinished_tools:
        yield "malformed", f"It began the tool call {name} ({id}) and never gave its whole input.", ""


def short(text: str) -> str:
    """A text for a report."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _calls(run: Run) -> Counter[str]:
    return Counter(_call(chunk) for _, chunk in run.chunks if chunk["type"] == "tool-input-available")


def _call(chunk: Part) -> str:
    return f"{chunk['toolName']}({_canonical(chunk.get('input'))})"


def _said(chunk: Part) -> str:
    """A chunk by what it says, whatever id its maker gave it."""
    return _canonical({name: value for name, value in chunk.items() if name not in _NAMES})


def _shows_twice(chunk: Part) -> bool:
    """Whether a chunk stands for itself, so that the same one again shows twice; data with an id is an update."""
    kind: str = chunk["type"]
    if kind.startswith("data-"):
        return "id" not in chunk and not chunk.get("transient")
    return kind in {"source-url", "source-document", "file"}


def _shape(message: UIMessage) -> list[str]:
    """The parts of a message beside its text and reasoning, without ids; calls that were cut are none."""
    parts = [part for part in message["parts"] if part["type"] not in {"text", "reasoning", "step-start"}]
    return [_said(part) for part in parts if not _is_cut(part)]


def _is_cut(part: dict[str, Any]) -> bool:
    """Whether this is how the publisher closed a call whose input an interruption cut (rule P4)."""
    return part.get("errorText") == "The call was interrupted."


def _most(counts: Iterable[Counter[str]]) -> Counter[str]:
    """How often each thing came, in the run in which it came most often."""
    most: Counter[str] = Counter()
    for count in counts:
        most |= count
    return most


def _canonical(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
