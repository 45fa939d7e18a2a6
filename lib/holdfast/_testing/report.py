"""What a check of a generator found, for people to read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

type Code = Literal[
    "starts_over", "repeats", "skips", "differs", "ends_early", "ignores_partial", "ignores_checkpoint",
    "repeats_reasoning", "repeats_tool", "repeats_part", "parts_differ", "malformed", "fails", "gives_up",
    "disobeys", "never_ends",
]  # fmt: skip

#: What to do about each.
ADVICE: Final[dict[Code, str]] = {
    "starts_over": (
        "Go on from request.partial: give it to the model as its own unfinished answer and yield only what follows,"
        " or declare the generator with @holdfast.cannot_continue."
    ),
    "repeats": "Yield only what follows request.partial; drop what the model repeats of its end.",
    "skips": "Go on at the end of request.partial, not behind it: what was yielded last may not have been written.",
    "differs": "Go on with the text that belongs behind request.partial; for a model, check with expect='sound'.",
    "ends_early": (
        "Yield what is missing behind request.partial, and go on also when request.deadline is near: returning without"
        " an error ends the answer."
    ),
    "ignores_partial": (
        "Look at request.partial (or request.parts, request.checkpoint) and go on from it, or declare the generator"
        " with @holdfast.cannot_continue."
    ),
    "ignores_checkpoint": "Resume from request.checkpoint when it is not None, or save none.",
    "repeats_reasoning": (
        "Leave reasoning out when request.parts has some that is done; behind some that was cut, yield only what"
        " follows it."
    ),
    "repeats_tool": "Look in request.parts for calls that have their output, and give these to the model instead.",
    "repeats_part": "Look in request.parts for what was yielded already, and yield only what is new.",
    "parts_differ": (
        "Yield every tool call, source, file and data part that request.parts does not have yet, and answer a call"
        " that stands there without its output under its own toolCallId."
    ),
    "malformed": "Yield text, or whole AI SDK UI message chunks; a tool's output comes after its input.",
    "fails": (
        "Catch what can be mended, and raise holdfast.GenerationError(code, message, retry=True) where another call"
        " may help."
    ),
    "gives_up": "Raise cannot_continue only when request.visible is true; before that, start over.",
    "disobeys": "Let asyncio.CancelledError and GeneratorExit through, and keep what runs in finally short.",
    "never_ends": "Put a time limit around every wait; or give the check a larger `limit`.",
}

_CANNOT = (
    "It declares that it cannot continue: an interruption after the first visible part ends the answer with an error,"
    " the partial kept."
)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that a generator does wrong.

    Attributes:
        code: what kind of thing, for programs.
        what: what happened.
        where: the interruptions of that run, in words.
        seam: the text around the place, or empty.
    """

    code: Code
    what: str
    where: str
    seam: str = ""

    @property
    def advice(self) -> str:
        """What to do in the generator."""
        return ADVICE[self.code]


@dataclass(frozen=True, slots=True, repr=False)
class Report:
    """What a check found. ``str`` of it explains everything.

    Attributes:
        problems: what is wrong, in the order in which it was found; the same thing at several places several times.
        runs: answers that were written, interrupted or not.
        interruptions: interruptions that took place.
        expected: ``same`` if the text had to be that of an uninterrupted call, ``sound`` if it had to go on from it.
        continues: whether the generator goes on from a partial answer; False if it declares that it cannot.
        text: the answer of an uninterrupted run.
    """

    problems: Sequence[Problem]
    runs: int
    interruptions: int
    expected: Literal["same", "sound"]
    continues: bool
    text: str

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def raise_if_bad(self) -> None:
        """Raise what ``str`` says, unless all is well.

        Raises:
            AssertionError: something is wrong.
        """
        if not self.ok:
            raise AssertionError(str(self))

    def __str__(self) -> str:
        tried = f"{self.runs} answers, {self.interruptions} interruptions"
        if self.ok:
            if not self.continues:
                return f"The generator behaves properly ({tried}). {_CANNOT}"
            how = "exactly the text of an uninterrupted call" if self.expected == "same" else "nothing repeated"
            return f"The generator continues properly ({tried}): {how}."
        lines = [f"The generator does not continue properly ({tried})."]
        for code in dict.fromkeys(problem.code for problem in self.problems):
            same = [problem for problem in self.problems if problem.code == code]
            first = same[0]
            also = f" (and {len(same) - 1} more)" if len(same) > 1 else ""
            lines += ["", f"{code}: {first.what}", f"  where: {first.where}{also}"]
            lines += [f"  text:  {first.seam}"] if first.seam else []
            lines += [f"  do:    {first.advice}"]
        return "\n".join(lines)

    #: pytest shows the ``repr`` of what stands behind an assertion.
    __repr__ = __str__
