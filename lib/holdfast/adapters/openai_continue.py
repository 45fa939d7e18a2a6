"""How a model is asked to go on from a partial answer, and how a repeated seam is taken out."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any
from urllib.parse import urlsplit

#: What follows the partial where a provider cannot go on from an assistant message by itself.
CONTINUE_INSTRUCTION = (
    "Your answer above was interrupted by a technical fault. Continue it from exactly where it stopped, beginning "
    "with the very next character, even in the middle of a word, a sentence, a table or a code block. Do not repeat "
    "anything that is already there, do not start over, do not comment on the interruption, and write no "
    "introduction. If the answer was already complete, reply with nothing."
)

_SHORTEST_OVERLAP = 20
_SHORTEST_WHOLE = 8
_FEWEST_CHARACTERS = 6


class Strategy(Enum):
    """A way to have a partial answer continued.

    INSTRUCT: the partial as an assistant message, then a user message that asks to go on.
    PREFILL: the partial as the last message, which the model completes.
    PREFIX: as PREFILL, marked ``prefix: true``.
    """

    INSTRUCT = "instruct"
    PREFILL = "prefill"
    PREFIX = "prefix"


def strategy_for(base_url: str, model: str) -> Strategy:
    """The strategy for a provider.

    ==================================  ========
    base URL                            strategy
    ==================================  ========
    openrouter.ai, but for ``openai/``  PREFILL (OpenAI's models have none, whoever passes them on)
    api.deepseek.com/beta               PREFIX (its other paths know no ``prefix``)
    api.mistral.ai                      PREFIX
    everything else                     INSTRUCT
    ==================================  ========
    """
    parts = urlsplit(base_url)
    host = (parts.hostname or "").lower()
    if _is(host, "openrouter.ai") and not model.startswith("openai/"):
        return Strategy.PREFILL
    if _is(host, "api.mistral.ai") or (_is(host, "api.deepseek.com") and parts.path.startswith("/beta")):
        return Strategy.PREFIX
    return Strategy.INSTRUCT


def continuing(messages: list[dict[str, Any]], partial: str, strategy: Strategy) -> list[dict[str, Any]]:
    """The messages with the partial and, where needed, the instruction to go on; unchanged without a partial."""
    if not partial:
        return messages
    said: dict[str, Any] = {"role": "assistant", "content": partial}
    if strategy is Strategy.INSTRUCT:
        return [*messages, said, {"role": "user", "content": CONTINUE_INSTRUCTION}]
    if strategy is Strategy.PREFIX:
        said["prefix"] = True
    return [*messages, said]


class SeamTrimmer:
    """Drops what a continuation repeats of the end of the partial, holding back only what may be such a repeat.

    A repeat counts from 20 characters (or 8, if it is the whole partial) with some variety: a line of
    dashes or a refrain of two letters may well go on as it was.

    Args:
        partial: the text that the continuation follows.
    """

    def __init__(self, partial: str) -> None:
        self._partial = partial
        self._held = ""
        # Where in the partial the repeat may begin. Narrowed by each character that arrives.
        size = len(partial)
        self._starts: Sequence[int] = range(max(size - _SHORTEST_OVERLAP + 1, int(size >= _SHORTEST_WHOLE)))
        self._repeat = 0

    def feed(self, text: str) -> str:
        """Take text of the continuation; return what is certainly new."""
        if not self._starts and not self._held:
            return text
        known, self._held = len(self._held), self._held + text
        undecided = []
        for start in self._starts:
            length = len(self._partial) - start
            upto = min(length, len(self._held))
            if self._partial[start + known : start + upto] != self._held[known:upto]:
                continue
            if length > len(self._held):
                undecided.append(start)
            elif _is_telling(self._held[:length]):
                self._repeat = max(self._repeat, length)
        self._starts = undecided
        return "" if undecided else self.flush()

    def flush(self) -> str:
        """The continuation's end, or a part that is not text, has come: return what was held back."""
        new, self._held, self._starts, self._repeat = self._held[self._repeat :], "", range(0), 0
        return new


def _is_telling(text: str) -> bool:
    return len(set(text)) >= min(_FEWEST_CHARACTERS, len(text) // 2)


def _is(host: str, name: str) -> bool:
    return host == name or host.endswith(f".{name}")
