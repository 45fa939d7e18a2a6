"""What one answer may cost before it is ended: no failure may bill for ever (docs/protocol.md, rule Q5)."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.answer import Answer


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits of one answer. Beyond any of them it ends with an error that says so, and what was written stays.

    Attributes:
        idle_attempts: attempts in a row that may write nothing, whether they died or handed off.
        attempts: attempts in all.
        interruptions: attempts in all that may die.
        seconds: from the start of the answer.
        bytes: of its parts.
        tokens: billed or estimated, of all its calls, input and output.
    """

    idle_attempts: int = 6
    attempts: int = 300
    interruptions: int = 50
    seconds: float = 86_400.0
    bytes: int = 8_000_000
    tokens: int = 5_000_000

    def ends_at(self, answer: Answer) -> int:
        """When the answer has had its time, in epoch milliseconds."""
        return answer.queued.at + round(self.seconds * 1000)

    def exceeded(self, answer: Answer, now_ms: int, tokens: int, *, over: bool) -> tuple[str, str] | None:
        """The limit that keeps another call of the model from being made → its code and message, or None.

        Args:
            answer: the state of the log; its newest attempt counts only if it is ``over``.
            now_ms: epoch milliseconds.
            tokens: what all calls have cost so far.
            over: whether the newest attempt has ended, rather than is about to begin its work.
        """
        running = 0 if over else 1
        if now_ms >= self.ends_at(answer):
            return "took_too_long", f"The answer took longer than {self.seconds:g} seconds. {_KEPT}"
        if answer.idle - running >= self.idle_attempts:
            return "no_progress", f"Nothing came in {self.idle_attempts} attempts in a row. {_KEPT}"
        if answer.takeovers + answer.rescues > self.interruptions:
            return "interrupted_too_often", f"The answer was interrupted {self.interruptions + 1} times. {_KEPT}"
        if answer.attempts - running >= self.attempts:
            return "too_many_attempts", f"The answer was not complete after {self.attempts} attempts. {_KEPT}"
        return self.too_many_tokens(tokens)

    def too_many_tokens(self, tokens: int) -> tuple[str, str] | None:
        """Whether so many tokens are too many → code and message, or None."""
        if tokens < self.tokens:
            return None
        return "too_many_tokens", f"The calls of the model for this answer used {self.tokens} tokens. {_KEPT}"


_KEPT = "It was given up; what was written is kept."
