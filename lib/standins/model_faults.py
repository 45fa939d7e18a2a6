"""Faults of the stand-in model: refusals, silence, cuts, errors, emptiness and garbage, for chosen calls."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from standins import faults
from standins.faults import Fault, Faults, Kinds, option
from standins.model_plan import Plan


def _api(value: Any) -> str:
    if value not in ("chat", "responses"):
        raise ValueError('"chat" or "responses"')
    return str(value)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ModelFault(Fault):
    """What goes wrong with a call of the model, instead of what its prompt's first line asks to go wrong.

    ``error`` refuses with ``status``, ``hang`` never answers, ``empty`` finishes an answer without text. The others
    come ``after`` so many tokens of text: ``stall`` sends nothing more, ``cut`` breaks the connection, ``clean`` ends
    the body without a finish, ``error_chunk`` sends an error in the stream, ``garbage`` sends a chunk that is no JSON
    and goes on. Of a background response ``stall``, ``cut``, ``clean`` and ``garbage`` concern the connection that
    created it: the response itself is written to its end.

    Attributes:
        api: ``chat`` or ``responses``, as a filter; empty for both.
        prompt: a piece of the newest user message, as a filter.
        status: the status of ``error``.
        retry_after: whole seconds in the ``Retry-After`` of a 429.
        quota: whether ``error`` says that the account's quota is used up.
        after: tokens of text that this call sends first; None for all of them, which leaves out the end. A call that
            ends before is not struck, and not counted.
    """

    api: str = option("", _api)
    prompt: str = option("", faults.text)
    status: int = option(500, faults.status)
    retry_after: int = option(1, faults.whole)
    quota: bool = option(False, faults.flag)
    after: int | None = option(10, faults.whole_or_none)

    def fits(self, api: str, prompt: str) -> bool:
        """Whether a call is one that it is about."""
        return self.api in ("", api) and self.prompt in prompt

    @property
    def at_once(self) -> bool:
        """Whether it strikes as the call begins."""
        return self.kind in {"error", "hang", "empty"}

    def changed(self, plan: Plan, length: int) -> Plan:
        """How a call behaves that this strikes.

        Args:
            plan: how it would behave otherwise.
            length: the tokens of text that it has to send.
        """
        after = length if self.after is None else self.after
        healthy = plan.healthy()
        match self.kind:
            case "error":
                return replace(healthy, status=self.status, retry_after=self.retry_after, quota=self.quota)
            case "hang":
                return replace(healthy, hang=True)
            case "empty":
                return replace(healthy, empty=True)
            case "stall":
                return replace(healthy, stall_after=after)
            case "error_chunk":
                return replace(healthy, error_after=after)
            case "garbage":
                return replace(healthy, garbage_after=after)
            case _:
                return replace(healthy, fail_after=after, cut="clean" if self.kind == "clean" else "hard")


_ANY: Final = ("api", "prompt")
_PLACED: Final = (*_ANY, "after")
KINDS: Final = Kinds(
    ModelFault,
    {
        "error": (*_ANY, "status", "retry_after", "quota"),
        "hang": _ANY,
        "stall": _PLACED,
        "cut": _PLACED,
        "clean": _PLACED,
        "error_chunk": _PLACED,
        "empty": _ANY,
        "garbage": _PLACED,
    },
)

type ModelFaults = Faults[ModelFault]
