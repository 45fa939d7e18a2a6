"""How a call of the stand-in model behaves: the defaults of a process, changed by a prompt's first line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any


class BadRequestError(Exception):
    """The request breaks the API's rules; answered with 400 and this text."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How one call behaves. Times in milliseconds, lengths in tokens, -1 for never.

    Attributes:
        tokens: length of a new answer.
        rate: tokens per second.
        ttft: time to the first token.
        reasoning: tokens of reasoning before the answer.
        tool: how many tool calls the answer makes, each at the end of a text and after the result of the one before.
        status: an HTTP status to refuse with, or 0.
        retry_after: whole seconds in the ``Retry-After`` of a 429.
        quota: whether a refusal says that the account's quota is used up.
        hang: whether the request is never answered.
        empty: whether the answer has no text.
        fail_after: tokens after which the connection is cut (``cut="clean"``: the body just ends).
        cut: ``hard`` or ``clean``; clean without ``fail_after`` leaves out the finish reason at the end.
        error_after: tokens after which an error is sent in the stream.
        stall_after: tokens after which nothing more is sent.
        garbage_after: tokens after which a chunk is sent that is no JSON.
        repeat: characters of the partial's end that a call which carries on says again first.
        unstreamed: whether a background response cannot be streamed by those who come for it later.
        forgotten: whether a background response is not to be had later at all.
        times: how many calls with the same newest user message fail in these ways, or -1 for every one.
    """

    tokens: int = 300
    rate: float = 40.0
    ttft: float = 150.0
    reasoning: int = 0
    tool: int = 0
    status: int = 0
    retry_after: int = 1
    quota: bool = False
    hang: bool = False
    empty: bool = False
    fail_after: int = -1
    cut: str = ""
    error_after: int = -1
    stall_after: int = -1
    garbage_after: int = -1
    repeat: int = 0
    unstreamed: bool = False
    forgotten: bool = False
    times: int = -1

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Plan:
        """The defaults of a process: ``STANDIN_MODEL_TOKENS``, ``_RATE`` and ``_TTFT_MS``.

        Raises:
            BadRequestError: a value is malformed; the text names the variable.
        """
        plan = cls()
        for key, variable in _VARIABLES.items():
            if value := env.get(variable, "").strip():
                plan = plan.changed(key, value, f"{variable}={value} is not understood.")
        return plan

    def for_prompt(self, prompt: str) -> Plan:
        """This plan, changed by the prompt's first line when that is ``standin: key=value …``.

        Raises:
            BadRequestError: an unknown key or a malformed value.
        """
        first = prompt.split("\n", 1)[0].strip()
        if not first.startswith("standin:"):
            return self
        plan = self
        for word in first.removeprefix("standin:").split():
            key, _, value = word.partition("=")
            plan = plan.changed(key, value, f"standin: {word} is not understood.")
        return plan

    def changed(self, key: str, value: str, otherwise: str) -> Plan:
        """This plan with one value read from text; ``otherwise`` is the message of the error."""
        try:
            return replace(self, **{key: _READ[key](value)})
        except (KeyError, ValueError):
            raise BadRequestError(otherwise) from None

    def healthy(self) -> Plan:
        """This plan without its failures."""
        plan = replace(self, status=0, retry_after=1, quota=False, hang=False, empty=False)
        return replace(plan, fail_after=-1, cut="", error_after=-1, stall_after=-1, garbage_after=-1, forgotten=False)


def _whole(text: str) -> int:
    if (number := int(text)) < 0:
        raise ValueError(text)
    return number


def _positive(text: str) -> float:
    if not 0 < (number := float(text)) < float("inf"):
        raise ValueError(text)
    return number


def _status(text: str) -> int:
    if not 400 <= (number := int(text)) <= 599:
        raise ValueError(text)
    return number


def _flag(text: str) -> bool:
    return {"0": False, "1": True}[text]


def _cut(text: str) -> str:
    return {"clean": "clean", "hard": "hard"}[text]


_VARIABLES = {"tokens": "STANDIN_MODEL_TOKENS", "rate": "STANDIN_MODEL_RATE", "ttft": "STANDIN_MODEL_TTFT_MS"}
_READ: dict[str, Callable[[str], Any]] = {
    "tokens": _whole,
    "rate": _positive,
    "ttft": lambda text: float(_whole(text)),
    "reasoning": _whole,
    "tool": _whole,
    "status": _status,
    "retry_after": _whole,
    "quota": _flag,
    "hang": _flag,
    "empty": _flag,
    "fail_after": _whole,
    "cut": _cut,
    "error_after": _whole,
    "stall_after": _whole,
    "garbage_after": _whole,
    "repeat": _whole,
    "unstreamed": _flag,
    "forgotten": _flag,
    "times": _whole,
}
