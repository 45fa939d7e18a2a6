"""Where an answer stands in a background response: what a checkpoint keeps, and what of the response is new."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from holdfast.adapters.openai_seam import Seam


class Diverged(Exception):
    """The response's text is not what stands in the answer: something else was written since the checkpoint."""


@dataclass(slots=True)
class Place:
    """A place in a response, and what the answer already holds beyond it.

    The text of the response and that of the answer differ at their beginnings alone: the answer may begin with what
    an earlier call wrote (``base`` characters), and the seam may have dropped what the response repeated of that.

    Attributes:
        response: the response's id.
        sequence: the number of the last event that the answer holds, or None where events have none.
        text: characters of the response's text up to there.
        visible: characters of the answer's text up to there.
        base: characters of the answer's text before the response began.
        thought: characters of the answer's reasoning up to there, or None where the response's reasoning is kept back.
        open_seam: characters that the response goes on from, while it is not clear what it repeats of them.
    """

    response: str
    sequence: int | None
    text: int
    visible: int
    base: int
    thought: int | None
    open_seam: int
    _partial: str
    _seam: Seam
    _saved: dict[str, Any]
    _frozen: bool = False

    @classmethod
    def begin(cls, response: str, first: Any, partial: str, tail: str, *, quiet: bool) -> Place:
        """The beginning of a new response.

        Args:
            response: its id.
            first: its first event.
            partial: the answer's text so far.
            tail: the end of it that the response goes on from.
            quiet: whether the response's reasoning is kept back.
        """
        sequence = getattr(first, "sequence_number", None)
        size = len(partial)
        seam = len(tail) if tail.rstrip() else 0
        return cls._make(response, sequence, 0, size, size, None if quiet else 0, seam, partial)

    @classmethod
    def read(cls, checkpoint: Any, partial: str) -> Place | None:
        """The place that a checkpoint keeps, or None if it keeps none, or none in this answer.

        Args:
            checkpoint: what an earlier call saved, or anything else.
            partial: the answer's text so far.
        """
        if not isinstance(checkpoint, dict):
            return None
        response, sequence, thought = (checkpoint.get(name) for name in ("response", "sequence", "thought"))
        counts = [checkpoint.get(name) for name in ("text", "visible", "base", "seam")]
        if not isinstance(response, str) or not response or not all(_is_count(count) for count in counts):
            return None
        if not all(number is None or _is_count(number) for number in (sequence, thought)):
            return None
        text, visible, base, seam = (int(count or 0) for count in counts)
        if not (seam <= base <= visible <= len(partial) and visible - base <= text):
            return None
        return cls._make(response, sequence, text, visible, base, thought, seam, partial)

    @classmethod
    def _make(
        cls,
        response: str,
        sequence: int | None,
        text: int,
        visible: int,
        base: int,
        thought: int | None,
        seam: int,
        partial: str,
    ) -> Place:
        before = Seam(partial[base - seam : base] if seam else "")
        place = cls(response, sequence, text, visible, base, thought, seam, partial, before, {})
        place.saved()
        return place

    @property
    def is_behind(self) -> bool:
        """Whether the answer holds more text than the response has told so far."""
        return self.visible < len(self._partial)

    def holds(self, event: Any) -> bool:
        """Whether an event comes before the place: some servers tell all from the beginning."""
        number = getattr(event, "sequence_number", None)
        return number is not None and self.sequence is not None and number <= self.sequence

    def freeze(self) -> None:
        """From now on what is told of the response is no event: the checkpoint stays."""
        self._frozen = True

    def saved(self) -> dict[str, Any]:
        """The checkpoint: of this place, or the last one before something came that has no place."""
        if self._saved and (self._frozen or not self._seam.settled):
            return self._saved
        self._saved = {
            "response": self.response,
            "sequence": self.sequence,
            "text": self.text,
            "visible": self.visible,
            "base": self.base,
            "thought": self.thought,
            "seam": 0 if self._seam.settled else self.open_seam,
        }
        return self._saved

    def feed(self, text: str) -> Iterator[str]:
        """The text of the next event → what of it is new.

        Raises:
            Diverged: it is not what stands.
        """
        self.text += len(text)
        yield from self._new(self._seam.feed(text))

    def flush(self) -> Iterator[str]:
        """Text ends here, or something else comes between: what the seam held back."""
        yield from self._new(self._seam.flush())

    def catch_up(self, text: str) -> Iterator[str]:
        """The response's text from its beginning → what of it is new.

        Raises:
            Diverged: it is not what stands.
        """
        if self.text > len(text):
            return  # an item of the response that comes before the place
        if self._seam.settled:
            stands = self._partial[self.base : self.visible]  # of the response, before this call
            if not text.startswith(stands, self.text - (self.visible - self.base)):
                raise Diverged
        yield from self.feed(text[self.text :])

    def check_end(self, text: str) -> None:
        """The response is over, and this is all of its text.

        Raises:
            Diverged: the answer holds more of it.
        """
        if self.text > len(text):
            raise Diverged

    def _new(self, text: str) -> Iterator[str]:
        known = self._partial[self.visible : self.visible + len(text)]
        if not text.startswith(known):
            raise Diverged
        self.visible += len(text)
        if len(text) > len(known):
            yield text[len(known) :]


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
