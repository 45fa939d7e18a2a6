"""Where a continuation meets the partial answer: what it repeats is dropped, and white space stands there once."""

from __future__ import annotations

from collections.abc import Sequence

_LONGEST_OVERLAP = 20_000
_SHORTEST_OVERLAP = 20
_SHORTEST_LINE = 8
_SHORTEST_AFTER_SPACE = 40
_FEWEST_CHARACTERS = 6


class Seam:
    """The text of a continuation as a reader is to get it.

    The model is given the partial without the white space at its end, which some providers refuse and most models
    handle badly. Where the continuation begins with that white space it is dropped, since it stands already; where
    the model left it out it stands anyway.

    Args:
        partial: the text that the continuation follows, as it stands.
    """

    def __init__(self, partial: str) -> None:
        bare = partial.rstrip()
        self._trimmer = SeamTrimmer(bare)
        self._space = partial[len(bare) :]
        self._lead = ""

    @property
    def settled(self) -> bool:
        """Whether nothing is held back and nothing more will be dropped."""
        return not self._space and self._trimmer.settled

    def feed(self, text: str) -> str:
        """Take text of the continuation; return what is certainly new."""
        return self._after_space(self._trimmer.feed(text))

    def flush(self) -> str:
        """The continuation's end, or a part that is not text, has come: return what was held back."""
        return self._after_space(self._trimmer.flush(), last=True)

    def _after_space(self, text: str, *, last: bool = False) -> str:
        if not self._space:
            return text
        self._lead += text
        begins = len(self._lead) - len(self._lead.lstrip())
        if begins == len(self._lead) < len(self._space) and not last:
            return ""
        size = min(begins, len(self._space))
        while not self._space.endswith(self._lead[:size]):
            size -= 1
        new, self._lead, self._space = self._lead[size:], "", ""
        return new


class SeamTrimmer:
    """Drops what a continuation repeats of the end of the partial, holding back only what may be such a repeat.

    A repeat counts from 20 characters; from 8 if it is the whole line (or the whole partial) that the partial ends
    with; from 40 if white space comes before it, or it begins with a new line, since two lines may be alike. It must
    have some variety: a line of dashes or a refrain of two letters may well go on as it was.

    Args:
        partial: the text that the continuation follows, without white space at its end.
    """

    def __init__(self, partial: str) -> None:
        self._partial = partial
        self._held = ""
        self._new_from = 0
        size = len(partial)
        line = partial.rfind("\n") + 1
        whole = {start for start in (0, line) if size - start >= _SHORTEST_LINE}
        # Where in the partial the repeat may begin. Narrowed by each character that arrives.
        self._starts: Sequence[int] = sorted(whole.union(_starts(size, _SHORTEST_OVERLAP)))
        self._later: Sequence[int] = _starts(size, _SHORTEST_AFTER_SPACE)

    @property
    def settled(self) -> bool:
        """Whether everything that comes goes through."""
        return not self._held and not self._starts and not self._later

    def feed(self, text: str) -> str:
        """Take text of the continuation; return what is certainly new."""
        if self.settled:
            return text
        known, self._held = len(self._held), self._held + text
        space = len(self._held) - len(self._held.lstrip())
        if "\n" in self._held[:space]:
            self._starts = [start for start in self._starts if len(self._partial) - start >= _SHORTEST_AFTER_SPACE]
        self._starts = self._narrowed(self._starts, 0, known)
        if space == 0:
            self._later = ()
        elif space < len(self._held):
            self._later = self._narrowed(self._later, space, known)
        return "" if self._starts or self._later else self.flush()

    def flush(self) -> str:
        """The continuation's end, or a part that is not text, has come: return what was held back."""
        new = self._held[self._new_from :]
        self._held, self._starts, self._later, self._new_from = "", (), (), 0
        return new

    def _narrowed(self, starts: Sequence[int], skip: int, known: int) -> list[int]:
        """The starts that the text held back, from ``skip`` on, may still repeat; a complete repeat is noted."""
        held, known = self._held[skip:], max(known - skip, 0)
        undecided = []
        for start in starts:
            length = len(self._partial) - start
            upto = min(length, len(held))
            if self._partial[start + known : start + upto] != held[known:upto]:
                continue
            if length > len(held):
                undecided.append(start)
            elif _is_telling(held[:length]):
                self._new_from = max(self._new_from, skip + length)
        return undecided


def _starts(size: int, shortest: int) -> range:
    """Where a repeat of at least so many characters may begin, in the last part of a long partial."""
    return range(max(size - _LONGEST_OVERLAP, 0), max(size - shortest + 1, 0))


def _is_telling(text: str) -> bool:
    return len(set(text)) >= min(_FEWEST_CHARACTERS, len(text) // 2)
