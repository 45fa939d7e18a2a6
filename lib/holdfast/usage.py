"""Tokens that an answer costs over all its calls: counted by the provider, or estimated (docs/protocol.md, T6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from holdfast.generation import Part

#: Bytes of UTF-8 text that stand for one token, near enough for a limit: about right for English and for Chinese.
_BYTES_PER_TOKEN: Final = 4
_ESTIMATED: Final = "estimatedTokens"


@dataclass(slots=True)
class Usage:
    """What the calls of one answer cost so far (rule T6).

    Attributes:
        counted: the providers' own counts, summed over the calls that lived to tell them.
        estimated: tokens of calls that ended before their count came, and that no later call went on with.
        cut: the same of the newest call, if it ended so: a call that resumes it will bring the count of both.
    """

    counted: dict[str, int] = field(default_factory=dict)
    estimated: int = 0
    cut: int = 0

    def add(self, estimate: int, *, resumed: bool, counted: Mapping[str, int]) -> None:
        """Take in a call that has ended.

        Args:
            estimate: tokens that it may have cost.
            resumed: whether it went on with the very call before it, which the provider bills as one.
            counted: the provider's counts; empty if the call was cut before they came.
        """
        if not resumed:
            self.estimated += self.cut
            self.cut = 0
        if not counted:
            self.cut += estimate
            return
        self.cut = 0
        for name, count in counted.items():
            if name != _ESTIMATED:
                self.counted[name] = self.counted.get(name, 0) + count

    @property
    def tokens(self) -> int:
        """All tokens, counted or estimated: what a limit on them is held against."""
        parts = self.counted.get("inputTokens", 0) + self.counted.get("outputTokens", 0)
        return max(self.counted.get("totalTokens", 0), parts) + self.estimated + self.cut

    def as_json(self) -> dict[str, int]:
        """The counts by name, and ``estimatedTokens`` beside them if some call was cut."""
        estimated = self.estimated + self.cut
        return self.counted | ({_ESTIMATED: estimated} if estimated else {})

    @classmethod
    def from_json(cls, told: Mapping[str, int], cut: int = 0) -> Self:
        """What ``as_json`` told; ``cut``: how much of the estimate is the newest call's."""
        counted = {name: count for name, count in told.items() if name != _ESTIMATED}
        return cls(counted, max(0, told.get(_ESTIMATED, 0) - cut), cut)


def tokens_of(size: int) -> int:
    """About how many tokens so many bytes of text are, at least one for any."""
    return -(-size // _BYTES_PER_TOKEN)


def text_size(chunk: Part) -> int:
    """Bytes of text in a chunk that a model has said: of an answer, of reasoning, of a tool's input."""
    text = chunk.get("delta", chunk.get("inputTextDelta"))
    return len(text.encode("utf-8", "surrogatepass")) if isinstance(text, str) else 0
