"""What is wrong with one run, held against uninterrupted ones."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

from holdfast._testing.parts import Finding, malformed, missing_parts, repeated_parts, repeated_tools, short
from holdfast._testing.report import Problem
from holdfast._testing.run import OBEDIENCE, Run
from holdfast._testing.seams import common, departure, repeats
from holdfast.message import is_visible
from holdfast.records import Error

#: Characters that are shown on each side of a seam.
_SHOWN: Final = 40


@dataclass(frozen=True, slots=True)
class Judge:
    """Holds runs against uninterrupted ones.

    Attributes:
        references: the uninterrupted runs.
        expected: whether a run must say the same as these.
    """

    references: tuple[Run, ...]
    expected: Literal["same", "sound"]

    def problems(self, run: Run) -> list[Problem]:
        """What is wrong with a run."""
        where = ", then ".join(map(str, run.done)) or ("uninterrupted" + ", its deadline near" * run.near)
        return [Problem(code, what, where, seam) for code, what, seam in self._found(run)]

    def _found(self, run: Run) -> Iterator[Finding]:
        if broken := list(_broken(run)):
            yield from broken
            return  # of an answer that came to no proper end nothing more can be told
        if run.done or run.near:
            yield from self._interrupted(run)
        else:
            yield from self._uninterrupted(run)
        yield from malformed(run)

    def _interrupted(self, run: Run) -> Iterator[Finding]:
        declined = is_declined(run)
        if not declined and run.text != self.references[0].text:
            yield from self._departed(run) if self.expected == "same" else self._unsound(run)
        # A call that was interrupted before it yielded anything may not have come to look.
        looked = [call for call in run.calls if call.items or call is run.calls[-1]]
        if any(call.given and "checkpoint" not in call.read for call in looked):
            what = "A call was given the checkpoint that an earlier one saved, and did not look at it."
            yield "ignores_checkpoint", what, ""
        yield from self._reasoning(run)
        yield from repeated_tools(run, self.references)
        again = list(repeated_parts(run, self.references))
        yield from again
        if self.expected == "same" and not again and not declined:
            yield from missing_parts(run, self.references)

    def _uninterrupted(self, run: Run) -> Iterator[Finding]:
        reference = self.references[0]
        if self.expected == "same" and run.text != reference.text:
            size = common(run.text, reference.text)
            what = "Two uninterrupted answers differ, so no interrupted one can be the same."
            yield "differs", what, _seam(run.text[:size], run.text[size:])

    def _departed(self, run: Run) -> Iterator[Finding]:
        """Where the text first leaves that of an uninterrupted run."""
        text, right = run.text, self.references[0].text
        at = common(text, right)
        seam, end = max(pair for pair in pairwise([*_seams(run), len(text)]) if pair[0] <= at)
        before, new = text[:seam], text[seam:end]
        code = "ends_early" if right.startswith(text) else departure(before, new, right)
        ended = "It ended the answer when its deadline was near" if run.near else "It ended the answer"
        told = {
            "starts_over": "It began the answer again from its start.",
            "repeats": "It said again what stands already.",
            "skips": f"It left out text; behind the seam belongs {short(right[seam:])!r}.",
            "ends_early": f"{ended}, though this is missing: {short(right[len(text) :])!r}.",
            "differs": f"It went on with another text; behind the seam belongs {short(right[seam:])!r}.",
        }
        yield code, told[code], _seam(before, new)

    def _unsound(self, run: Run) -> Iterator[Finding]:
        texts = tuple(reference.text for reference in self.references)
        for start, end in pairwise([*_seams(run), len(run.text)]):
            before, new = run.text[:start], run.text[start:end]
            if before and (code := repeats(before, new, texts)):
                what = "began it again from its start" if code == "starts_over" else "said again what stands already"
                yield code, f"A call that was given a partial answer {what}.", _seam(before, new)
        for call in run.calls:
            if call.visible and call.items and not call.read:
                what = "A call looked at neither request.partial nor request.parts nor request.checkpoint."
                yield "ignores_partial", what, _end(call.partial)
        for before_last, last in list(pairwise(run.calls))[-1:]:
            if last.visible and not any(map(_says, last.items)) and _says(before_last.held):
                what = "A call ended the answer without a word, though there was more to say."
                yield "ends_early", what, _end(run.text)
        # Answers differ in length; one of less than half, by a call that looked at its deadline, was cut short by it.
        if run.near and run.calls[-1].hurried and len(run.text) * 2 < min(map(len, texts)):
            what = f"It ended the answer when its deadline was near; others have {min(map(len, texts))} characters."
            yield "ends_early", what, _end(run.text)

    def _reasoning(self, run: Run) -> Iterator[Finding]:
        references = tuple(_deltas(reference, "reasoning-delta") for reference in self.references)
        whole = _deltas(run, "reasoning-delta")
        if whole in references:
            return
        attempts = sorted({attempt for attempt, chunk in run.chunks if chunk["type"] == "reasoning-delta"})
        for attempt in attempts:
            before = _deltas(run, "reasoning-delta", until=attempt)
            new = _deltas(run, "reasoning-delta", only=attempt)
            if repeats(before, new, references):
                yield "repeats_reasoning", "It showed reasoning that had been shown before.", _seam(before, new)
                return
        seams = _new_reasoning(run, at_seams=True)
        if seams and len(_new_reasoning(run)) > max(len(_new_reasoning(each)) for each in self.references):
            what = "It reasoned anew behind what stands, as no uninterrupted answer does."
            yield "repeats_reasoning", what, _seam(*seams[0])
        elif len(attempts) > 1 and len(set(references)) == 1 and len(whole) > len(references[0]) > 0:
            size = common(whole, references[0])
            what = "It went on with other reasoning, and shows more than an uninterrupted answer has."
            yield "repeats_reasoning", what, _seam(whole[:size], whole[size:])


def is_declined(run: Run) -> bool:
    """Whether a generator ended the answer by declaring that it cannot continue."""
    return isinstance(run.end, Error) and run.end.code == "cannot_continue"


def _broken(run: Run) -> Iterator[Finding]:
    """What keeps an answer from coming to a proper end."""
    if call := run.disobedient:
        what = f"{OBEDIENCE:g} s after its call was cancelled the generator was still at work."
        yield "disobeys", what, _end(call.partial)
        return
    for call in run.calls:
        if call.failure is not None:
            yield "disobeys", f"When it was closed the generator raised {_told(call.failure)}.", ""
            return
    if is_declined(run):
        if not any(is_visible(chunk) for _, chunk in run.chunks):
            yield "gives_up", "It ended the answer with cannot_continue though nothing was visible yet.", ""
    elif run.late or run.end is None:
        yield "never_ends", "The answer did not end in the time that the check gives it.", _end(run.text)
    elif isinstance(run.end, Error):
        yield from _failed(run, run.end)


def _failed(run: Run, end: Error) -> Iterator[Finding]:
    if end.code == "generator_invalid":
        yield "malformed", end.message, _end(run.text)
        return
    raised = f" It raised {_told(run.crashes[-1])}." if end.code == "generator_failed" and run.crashes else ""
    yield "fails", f"The answer ended with the error {end.code}: {end.message}{raised}", _end(run.text)


def _seams(run: Run) -> list[int]:
    """Where in the text a call began, in order."""
    return sorted({len(call.partial) for call in run.calls})


def _new_reasoning(run: Run, *, at_seams: bool = False) -> list[tuple[str, str]]:
    """Parts of reasoning right behind text or other reasoning: what stands before each, and its beginning.

    Behind a tool's output a model may well reason anew.

    Args:
        run: the run.
        at_seams: only those with which a later attempt goes on.
    """
    visible = [(attempt, chunk) for attempt, chunk in run.chunks if is_visible(chunk)]
    return [
        (before["delta"], chunk["delta"])
        for (earlier, before), (attempt, chunk) in pairwise(visible)
        if chunk["type"] == "reasoning-delta" and before["type"] in {"text-delta", "reasoning-delta"}
        if before["id"] != chunk["id"] and (attempt > earlier or not at_seams)
    ]


def _deltas(run: Run, kind: str, *, until: int = 1 << 60, only: int | None = None) -> str:
    """The text of all deltas of a kind, of the attempts before one or of one alone."""
    wanted = (c for attempt, c in run.chunks if c["type"] == kind and attempt < until and only in (None, attempt))
    return "".join(chunk["delta"] for chunk in wanted)


def _says(item: object) -> bool:
    return bool(item) if isinstance(item, str) else isinstance(item, dict) and "type" in item and is_visible(item)


def _told(error: BaseException) -> str:
    """An exception and where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}: {error}{place}"


def _seam(before: str, new: str) -> str:
    return f"…{before[-_SHOWN:]!r} ▮ {new[:_SHOWN]!r}…"


def _end(text: str) -> str:
    return f"…{text[-_SHOWN:]!r} ▮" if text else ""
