"""What a mutant is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutant:
    """One rule, left out.

    Attributes:
        name: what is broken, in a few words.
        rule: the rule's name in docs/protocol.md.
        file: the file that is changed, from the root of the project.
        old: text that stands in the file exactly once.
        new: what takes its place.
        tests: ids of the tests that must each fail with the change, and pass without it.
    """

    name: str
    rule: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
