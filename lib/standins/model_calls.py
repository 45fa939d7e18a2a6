"""What the stand-in model was asked, what it answers, and which earlier answer a request carries on."""

from __future__ import annotations

import json
import random
import secrets
import time
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from standins.faults import Faults
from standins.model_continue import Message, asks_to_continue, find_partial
from standins.model_faults import KINDS, ModelFault, ModelFaults
from standins.model_plan import Plan
from standins.model_text import compose, reason, split_tokens, tool_arguments


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool call: its id, the tool's name and the arguments as tokens of JSON."""

    id: str
    name: str
    arguments: list[str]


@dataclass(slots=True)
class Call:
    """One call of the model.

    ``text`` is the whole text of the answer: for a call that carries on, the text of the call that began
    it, of which this call sends what follows the partial (from character ``offset``). ``whole`` are the
    tokens of that text, ``tokens`` those that this call is to send. ``fault`` is the rule that chose this
    call, ``struck`` whether its fault has happened, ``garbled`` whether garbage was sent.
    ``tokens_sent`` counts tokens of the text that this call handed to the connection, ``reasoning_sent``
    and ``tool_sent`` those beside it. ``status`` is one of running, completed, refused, cut, failed,
    disconnected, cancelled.
    """

    id: str
    kind: str
    model: str
    prompt: str
    messages: list[Any]
    plan: Plan
    text: str
    whole: list[str]
    tokens: list[str]
    reasoning: list[str]
    tool: Tool | None
    finish: str
    prompt_tokens: int
    offset: int = 0
    continues: str | None = None
    limited: bool = False
    fault: ModelFault | None = None
    struck: bool = False
    garbled: bool = False
    status: str = "running"
    at: int = field(default_factory=lambda: int(time.time() * 1000))
    tokens_sent: int = 0
    chars_sent: int = 0
    reasoning_sent: int = 0
    tool_sent: int = 0

    @property
    def sent(self) -> str:
        """The text that this call has sent."""
        return self.text[self.offset : self.offset + self.chars_sent]

    @property
    def completion_tokens(self) -> int:
        """Every token sent, as a provider bills them."""
        return self.tokens_sent + self.reasoning_sent + self.tool_sent

    def end(self, status: str) -> None:
        """Record how the call ended; the first end counts."""
        if self.status == "running":
            self.status = status

    def report(self) -> dict[str, Any]:
        """The call as the control API shows it."""
        shown = ("id", "kind", "model", "prompt", "messages", "text", "tokens_sent", "reasoning_sent", "continues")
        return {name: getattr(self, name) for name in (*shown, "offset", "at", "status")}


class Book:
    """Every call since the start or the last reset.

    Args:
        plan: how calls behave that ask for nothing else.
        seed: makes the texts the same in every run that asks the same number of questions.
        faults: what goes wrong beside what prompts ask for.
    """

    def __init__(self, plan: Plan, seed: str = "", faults: ModelFaults | None = None) -> None:
        self.faults = Faults(KINDS) if faults is None else faults
        self.calls: list[Call] = []
        self._plan = plan
        self._seed = seed or secrets.token_hex(16)
        self._opened = 0

    def reset(self) -> None:
        """Forget every call, and every fault but those of the start. Texts go on differing from those before."""
        self.calls.clear()
        self.faults.reset()

    def plan_for(self, prompt: str) -> Plan:
        """How a call with this prompt behaves, as the prompt wants it."""
        plan = self._plan.for_prompt(prompt)
        if 0 <= plan.times <= sum(call.prompt == prompt for call in self.calls):
            return plan.healthy()
        return plan

    def open(
        self,
        kind: str,
        model: str,
        raw: list[Any],
        messages: list[Message],
        *,
        limit: int | None = None,
        tools: tuple[str, ...] = (),
    ) -> Call:
        """Begin a call: a new answer, or the rest of an earlier one whose partial the messages carry.

        Args:
            kind: ``chat`` or ``responses``.
            model: the model's name, as asked for.
            raw: the messages as they came, for the report.
            messages: the messages, normalised.
            limit: most tokens of text to send.
            tools: names of the tools that the request offers.

        Raises:
            BadRequestError: the prompt's ``standin:`` line is malformed.
        """
        found = find_partial(messages, self.calls)
        conversation = found.conversation if found else messages
        prompt, results = _asked(conversation)
        asked = self.plan_for(prompt)
        fault = self.faults.take(lambda rule: rule.fits(kind, prompt))
        plan = fault.changed(asked, 0) if fault else asked
        self._opened += 1
        rng = random.Random(f"{self._seed}/{self._opened}")
        silent = plan.status > 0 or plan.hang
        if silent or (plan.empty and not found):
            text, whole, tokens, offset, limited = "", [], [], 0, False
        elif found:
            first, offset = found.giver, max(found.length - plan.repeat, 0)
            text, whole, limited = first.text, first.whole, first.limited
            tokens = _rest(whole, offset)
        else:
            tokens, offset, limited = compose(rng, plan.tokens), 0, False
            if limit is not None and limit < len(tokens):
                # A length limit defines the answer: nothing after it will ever be sent or carried on.
                tokens, limited = tokens[:limit], True
            text, whole = "".join(tokens), tokens
        if plan.empty:
            tokens = []
        finish = "length" if limited else "stop"
        if limit is not None and limit < len(tokens):
            tokens, finish = tokens[:limit], "length"
        name = tools[0] if tools else "get_weather"
        call = Call(
            id=f"{'resp_' if kind == 'responses' else 'chatcmpl-'}{self._opened}-{secrets.token_hex(8)}",
            kind=kind,
            model=model,
            prompt=prompt,
            messages=raw,
            plan=fault.changed(asked, len(tokens)) if fault else asked,
            text=text,
            whole=whole,
            tokens=tokens,
            reasoning=reason(rng, plan.reasoning),
            tool=_tool(rng, name) if results < plan.tool else None,
            finish=finish,
            prompt_tokens=sum(4 + len(split_tokens(message.text)) for message in messages),
            offset=offset,
            continues=found.giver.id if found and not silent else None,
            limited=limited,
            fault=fault,
            struck=fault is not None and fault.at_once,
        )
        self.calls.append(call)
        return call

    def settle(self, call: Call) -> None:
        """A call's connection has ended: a fault that never came to strike it is not counted."""
        if call.fault and not call.struck:
            self.faults.missed(call.fault)
        call.fault = None


def _rest(tokens: list[str], offset: int) -> list[str]:
    """The tokens after so many characters; a token that the cut divides is sent from there."""
    ends = list(accumulate(len(token) for token in tokens))
    first = sum(end <= offset for end in ends)
    rest = tokens[first:]
    if rest:
        rest[0] = rest[0][len(rest[0]) - (ends[first] - offset) :]
    return rest


def _asked(conversation: list[Message]) -> tuple[str, int]:
    """The newest question, and how many results of tools stand after it.

    An instruction to carry on that was followed is no question: agents keep it when they go on with a tool's result.
    """
    prompt, results = "", 0
    for place, message in enumerate(conversation, 1):
        if message.role == "user" and (place == len(conversation) or not asks_to_continue(message.text)):
            prompt, results = message.text, 0
        results += message.role == "tool"
    return prompt, results


def _tool(rng: random.Random, name: str) -> Tool:
    arguments = json.dumps(tool_arguments(rng), ensure_ascii=False)
    return Tool(f"call_{secrets.token_hex(12)}", name, split_tokens(arguments))
