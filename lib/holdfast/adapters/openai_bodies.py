"""What is sent to a provider: the conversation, what stands of the answer, and the parameters of the request."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from holdfast.adapters.messages import Standing, chat_messages, response_input
from holdfast.adapters.openai_continue import Strategy, continuing
from holdfast.errors import GenerationError
from holdfast.generation import UIMessage

_MODEL = re.compile(r"[\w./:@-]{1,200}", re.ASCII)
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")

#: What a token is taken to be when a limit on them must be shared between calls.
_CHARACTERS_PER_TOKEN = 4
#: The Responses API refuses a smaller limit.
_LEAST_RESPONSE = 16


def chat_body(
    url: str,
    model: str,
    system: str,
    messages: list[UIMessage],
    standing: Standing,
    chosen: Mapping[str, Any],
    strategy: Strategy,
) -> dict[str, Any]:
    """The request of ``chat.completions``, as arguments of the SDK.

    Args:
        url: the provider's base URL.
        model: the model's name.
        system: the system message, or empty.
        messages: the conversation, up to the message to be answered.
        standing: what stands of the answer.
        chosen: what ``parameters`` returned, without the model.
        strategy: how to go on from what stands.
    """
    host = urlsplit(url).hostname or ""
    body: dict[str, Any] = {"model": model, "messages": chat_messages([*messages, *standing.before], system), **chosen}
    continuing(body, "messages", standing.tail, strategy)
    if not host.endswith("mistral.ai"):  # which reports usage unasked, and refuses fields that it does not know
        body["stream_options"] = {"include_usage": True}
    if "max_output_tokens" in body:
        # OpenAI's reasoning models refuse the old name, most others know no other.
        current = host.endswith(("openai.com", "openai.azure.com"))
        limit = _left(body.pop("max_output_tokens"), standing, 1)
        body["max_completion_tokens" if current else "max_tokens"] = limit
    return body


def response_body(
    model: str, system: str, messages: list[UIMessage], standing: Standing, chosen: Mapping[str, Any]
) -> dict[str, Any]:
    """The request of the Responses API, as arguments of the SDK; see ``chat_body``."""
    body: dict[str, Any] = {"model": model, "input": response_input([*messages, *standing.before]), **chosen}
    continuing(body, "input", standing.tail, Strategy.INSTRUCT)
    if system:
        body["instructions"] = system
    if "reasoning_effort" in body:
        body["reasoning"] = {"effort": body.pop("reasoning_effort")}
    if "max_output_tokens" in body:
        body["max_output_tokens"] = _left(body["max_output_tokens"], standing, _LEAST_RESPONSE)
    return body


def _left(limit: int, standing: Standing, least: int) -> int:
    """What a limit on tokens leaves to a continuation.

    How many tokens the partial had is not known, only about how many its characters are worth. Where that is the
    whole limit the model still gets the least that the API takes: only the provider can end the answer properly.
    """
    if not standing.characters:
        return limit
    return min(limit, max(limit - math.ceil(standing.characters / _CHARACTERS_PER_TOKEN), least))


def parameters(extra: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that a request may set; every other field is ignored.

    ``model``, ``temperature`` (0 to 2), ``top_p`` (0 to 1), ``max_output_tokens`` or ``max_tokens`` (from 1;
    both come out as ``max_output_tokens``), ``reasoning_effort``. A value of None counts as absent.

    Raises:
        GenerationError: a value is malformed (code ``model_refused_request``); the message names the field.
    """
    out: dict[str, Any] = {}
    for name, (check, wanted) in _CHECKS.items():
        value = extra.get(name)
        if value is None:
            continue
        if not check(value):
            raise GenerationError("model_refused_request", f"{name} must be {wanted}.")
        out["max_output_tokens" if name == "max_tokens" else name] = value
    return out


def capped(chosen: dict[str, Any], most: int) -> dict[str, Any]:
    """Parameters that ask for no more than so many output tokens; 0 for no limit."""
    return {**chosen, "max_output_tokens": min(chosen.get("max_output_tokens", most), most)} if most else chosen


def _between(low: float, high: float) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 1


_CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "model": (lambda value: isinstance(value, str) and bool(_MODEL.fullmatch(value)), "the name of a model"),
    "temperature": (_between(0, 2), "a number from 0 to 2"),
    "top_p": (_between(0, 1), "a number from 0 to 1"),
    "max_tokens": (_is_count, "a whole number from 1"),
    "max_output_tokens": (_is_count, "a whole number from 1"),
    "reasoning_effort": (lambda value: value in _EFFORTS, f"one of {', '.join(_EFFORTS)}"),
}
