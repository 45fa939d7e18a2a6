"""How a model is asked to go on from a partial answer: a small table of strategies, chosen by provider and model."""

from __future__ import annotations

import re
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

#: "claude-3-5-sonnet-20241022", "anthropic/claude-sonnet-4.5", "claude-opus-4-20250514": the version, never the date.
_CLAUDE = re.compile(r"claude-(?:[a-z]+-)*(\d{1,2})(?:[.-](\d{1,2})(?!\d))?(?!\d)")
_LAST_CLAUDE_WITH_PREFILL = (4, 5)


class Strategy(Enum):
    """A way to have a partial answer continued.

    INSTRUCT: the partial as an assistant message, then a user message that asks to go on. Any model understands it.
    PREFILL: the partial as the last message, by the assistant, which the model completes.
    PREFIX: as PREFILL, with ``prefix: true`` on that message.
    CONTINUE_FINAL_MESSAGE: as PREFILL, with ``continue_final_message: true`` and ``add_generation_prompt: false``
        beside the messages.
    """

    INSTRUCT = "instruct"
    PREFILL = "prefill"
    PREFIX = "prefix"
    CONTINUE_FINAL_MESSAGE = "continue_final_message"


def strategy_for(base_url: str, model: str) -> Strategy:
    """The strategy for a provider and a model.

    ==================  =========================  ========
    host                model                      strategy
    ==================  =========================  ========
    openrouter.ai       ``openai/…``               INSTRUCT (OpenAI's models have no prefill, whoever passes them on)
    openrouter.ai       Claude after 4.5           INSTRUCT (they refuse a prefill)
    openrouter.ai       every other one            PREFILL
    api.anthropic.com   Claude up to 4.5           PREFILL
    api.mistral.ai      every one                  PREFIX
    api.deepseek.com    every one, below ``/beta``  PREFIX (its other paths know no ``prefix``)
    everything else     every one                  INSTRUCT
    ==================  =========================  ========

    CONTINUE_FINAL_MESSAGE, which vLLM and SGLang's servers know, is never chosen: their addresses tell nothing.
    """
    parts = urlsplit(base_url)
    host = (parts.hostname or "").lower()
    name = model.lower()
    if _is(host, "openrouter.ai"):
        refuses = name.startswith("openai/") or ("claude" in name and not _claude_with_prefill(name))
        return Strategy.INSTRUCT if refuses else Strategy.PREFILL
    if _is(host, "api.anthropic.com") and _claude_with_prefill(name):
        return Strategy.PREFILL
    if _is(host, "api.mistral.ai") or (_is(host, "api.deepseek.com") and parts.path.startswith("/beta")):
        return Strategy.PREFIX
    return Strategy.INSTRUCT


def continuing(body: dict[str, Any], messages: str, partial: str, strategy: Strategy) -> None:
    """Have a request go on from a partial; without one that says something it stays as it is.

    White space at the partial's end is left out: ``openai_seam`` makes up for it.

    Args:
        body: the request's JSON, whose messages are the conversation up to the partial. It is changed.
        messages: the name of the messages in it.
        partial: what the assistant has said after them.
        strategy: how to go on.
    """
    bare = partial.rstrip()
    if not bare:
        return
    said: dict[str, Any] = {"role": "assistant", "content": bare}
    body[messages] = [*body[messages], said]
    match strategy:
        case Strategy.INSTRUCT:
            body[messages].append({"role": "user", "content": CONTINUE_INSTRUCTION})
        case Strategy.PREFIX:
            said["prefix"] = True
        case Strategy.CONTINUE_FINAL_MESSAGE:
            body["extra_body"] = {"continue_final_message": True, "add_generation_prompt": False}


def _claude_with_prefill(name: str) -> bool:
    """Whether it is a Claude that completes its own message; one whose version is not in its name is taken as new."""
    found = _CLAUDE.search(name)
    return found is not None and (int(found[1]), int(found[2] or 0)) <= _LAST_CLAUDE_WITH_PREFILL


def _is(host: str, name: str) -> bool:
    return host == name or host.endswith(f".{name}")
