"""Texts on both sides of an interruption compared: what a continuation repeats, leaves out or makes up."""

from __future__ import annotations

from typing import Final, Literal

type Fault = Literal["starts_over", "repeats", "skips", "ends_early", "differs"]

#: Characters from which a likeness is no chance, in an answer that nobody knows beforehand.
_TELLING: Final = 16
#: The same for a likeness with any place of the partial, of which there are many.
_TELLING_ANYWHERE: Final = 28
#: Characters by which text is looked up in a known answer.
_LOOKED_UP: Final = 12


def repeats(before: str, new: str, references: tuple[str, ...]) -> Fault | None:
    """Whether a continuation says again what stands before it, when the right one is not known.

    Args:
        before: the partial.
        new: what a later call wrote behind it.
        references: uninterrupted answers; what these say twice may well be said twice.
    """
    lead = new.lstrip()
    likenesses: tuple[tuple[int, Fault], ...] = (
        (common(before.lstrip(), lead), "starts_over"),
        (overlap(before, lead), "repeats"),
    )
    for size, fault in likenesses:
        if _tells(lead[:size], references):
            return fault
    head = lead[:_TELLING_ANYWHERE]
    return "repeats" if len(head) == _TELLING_ANYWHERE and head in before and _tells(head, references) else None


def departure(before: str, new: str, reference: str) -> Fault:
    """How a continuation departs from the known answer ``reference``, which begins with ``before``."""
    lead = new.lstrip()
    if common(before.lstrip(), lead) >= min(len(before.strip()), len(lead.rstrip()), _TELLING):
        return "starts_over"
    # What is said in front of the right rest: an end of the partial that is too short to tell by itself, perhaps.
    right = reference[len(before) :][:_LOOKED_UP]
    extra = new.partition(right)[0] if right else new
    if (extra and before.endswith(extra)) or lead[:_TELLING_ANYWHERE] in before:
        return "repeats"
    return "skips" if reference.find(new[:_LOOKED_UP], len(before)) >= 0 else "differs"


def common(one: str, other: str) -> int:
    """Characters that both texts begin with."""
    size = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        size += 1
    return size


def overlap(before: str, new: str) -> int:
    """The most characters with which one text ends and the other begins."""
    return next((size for size in range(min(len(before), len(new)), 0, -1) if before.endswith(new[:size])), 0)


def _tells(passage: str, references: tuple[str, ...]) -> bool:
    """Whether a likeness is no chance, beyond what an uninterrupted answer says twice: a refrain, say."""
    own = passage
    for reference in references:
        size = next((k for k in range(len(passage), 0, -1) if reference.count(passage[:k]) > 1), 0)
        own = min(own, passage[size:], key=len)
    return len(own) >= _TELLING and len(set(own)) >= min(6, len(own) // 2)
