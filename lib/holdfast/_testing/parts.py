"""Tool calls, sources, files and data of a run: what was made twice, what is missing, what makes no sense."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from itertools import zip_longest
from operator import and_
from typing import Any, Final

from holdfast._testing.report import Code
from holdfast._testing.run import Run
from holdfast.generation import Part

#: A problem's kind, what happened, and the text around it.
type Finding = tuple[Code, str, str]

#: Fields that a generator may well make up anew for the same thing.
_NAMES: Final = frozenset({"id", "toolCallId", "sourceId", "providerMetadata"})
#: Parts that are compared by what they say together.
_TEXTS: Final = frozenset({"text", "reasoning", "step-start"})
_LONGEST: Final = 80


class _Any:
    """Stands in a pattern for a value that varies."""

    def __str__(self) -> str:
        return "…"


_ANY: Final = _Any()


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


def missing_parts(run: Run, references: Sequence[Run]) -> Iterator[Finding]:
    """Parts that every uninterrupted run has, and this one has not or has otherwise; what varies by itself may vary."""
    lacks, adds = Agreement([_shown(reference) for reference in references]).held_against(_shown(run))
    told = [f"{verb} {short(parts[0])}" for verb, parts in (("lacks", lacks), ("adds", adds)) if parts]
    if told:
        yield "parts_differ", f"The message {' and '.join(told)}.", ""
        return
    orders = [list(map(_said, _shown(each))) for each in (*references, run)]
    if all(order == orders[0] for order in orders[:-1]) and orders[-1] != orders[0]:
        yield "parts_differ", "The message has its parts in another order.", ""


class Agreement:
    """What several messages have in common: whole parts, and parts with the same values in some places.

    Args:
        messages: the parts of each.
    """

    def __init__(self, messages: Sequence[Sequence[Part]]) -> None:
        self._steady = reduce(and_, (Counter(map(_said, parts)) for parts in messages))
        varying = [_by_kind(_without(parts, self._steady)[0]) for parts in messages]
        kinds = {kind for each in varying for kind in each}
        #: Of a kind of which every message has another number nothing can be said.
        self._free = {kind for kind in kinds if len({len(each.get(kind, ())) for each in varying}) > 1}
        self._patterns = {
            kind: [reduce(_merged, parts) for parts in zip(*(each[kind] for each in varying), strict=True)]
            for kind in kinds - self._free
        }

    def held_against(self, parts: Sequence[Part]) -> tuple[list[str], list[str]]:
        """Hold a message against it → what that lacks, and what it has beside it."""
        rest, missing = _without(parts, self._steady)
        others = _by_kind(rest)
        lacks, adds = list(missing.elements()), []
        for kind in {**others, **self._patterns}:
            if kind in self._free:
                continue
            wanted, had = self._patterns.get(kind, []), others.get(kind, [])
            for pattern, part in zip_longest(wanted, had):
                if pattern is None or part is None or not _fits(pattern, part):
                    lacks += [] if pattern is None else [_said(pattern)]
                    adds += [] if part is None else [_said(part)]
        return lacks, adds


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
    return _canonical(_nameless(chunk))


def _nameless(chunk: Part) -> Part:
    return {name: value for name, value in chunk.items() if name not in _NAMES}


def _shows_twice(chunk: Part) -> bool:
    """Whether a chunk stands for itself, so that the same one again shows twice; data with an id is an update."""
    kind: str = chunk["type"]
    if kind.startswith("data-"):
        return "id" not in chunk and not chunk.get("transient")
    return kind in {"source-url", "source-document", "file"}


def _shown(run: Run) -> list[Part]:
    """The parts of a message beside its text and reasoning, without ids; calls that were cut are none."""
    parts = [part for part in run.answer.builder.settled()["parts"] if part["type"] not in _TEXTS]
    return [_nameless(part) for part in parts if not _is_cut(part)]


def _without(parts: Sequence[Part], those: Counter[str]) -> tuple[list[Part], Counter[str]]:
    """A message without some parts → the rest, and which of them it has not."""
    left = those.copy()
    rest: list[Part] = []
    for part in parts:
        said = _said(part)
        if left[said] > 0:
            left[said] -= 1
        else:
            rest.append(part)
    return rest, left


def _by_kind(parts: Iterable[Part]) -> dict[str, list[Part]]:
    kinds: dict[str, list[Part]] = {}
    for part in parts:
        kinds.setdefault(f"{part['type']} {part.get('toolName', '')}", []).append(part)
    return kinds


def _merged(one: Any, other: Any) -> Any:
    """A pattern that fits both values."""
    if isinstance(one, dict) and isinstance(other, dict):
        return {name: _merged(one.get(name, _ANY), other.get(name, _ANY)) for name in {**one, **other}}
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [_merged(*pair) for pair in zip(one, other, strict=True)]
    return one if one == other else _ANY


def _fits(pattern: Any, value: Any) -> bool:
    """Whether a value is what a pattern says; a field that some have not may be missing."""
    return bool(_merged(pattern, value) == pattern)


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
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
