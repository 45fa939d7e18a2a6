"""The errors of the openai SDK as GenerationErrors: in own words, without a secret or a foreign text."""

from __future__ import annotations

import math
import time
from email.utils import parsedate_to_datetime
from typing import Any

from holdfast.errors import GenerationError

_QUOTA = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
_LONGEST_WAIT = 86_400.0


def interrupted() -> GenerationError:
    """The stream broke off, or ended without saying that the answer is finished."""
    return GenerationError("model_interrupted", "The model's answer was cut off before its end.", retry=True)


def failed_midway(code: object = None) -> GenerationError:
    """The provider reported an error inside the stream.

    Args:
        code: the provider's code, a word or an HTTP status.
    """
    word = str(code or "")
    if word in _QUOTA or word == "402":
        return _quota()
    if word in {"429", "rate_limit_exceeded"}:
        return _rate_limited(None)
    if word in {"400", "422", "invalid_prompt", "context_length_exceeded"}:
        return _refused(word)
    if word in {"401", "403", "invalid_api_key"}:
        return _auth()
    return GenerationError(
        "model_error", "The model service reported a failure in the middle of the answer. Try again.", retry=True
    )


def from_sdk(error: Exception, *, model: str, streaming: bool) -> GenerationError:
    """What an exception of the SDK means.

    Args:
        error: the exception.
        model: the model's name, for the message.
        streaming: whether the answer had begun to arrive.
    """
    import openai

    if isinstance(error, openai.APIStatusError):
        return _from_status(error.status_code, error.code, error.response.headers, model)
    if isinstance(error, openai.APIConnectionError):
        return interrupted() if streaming else _unreachable()
    if isinstance(error, openai.APIError):
        return failed_midway(error.code or error.type)
    # What is left is a body that is no event stream, or that broke off inside an event.
    return interrupted() if streaming else _unreachable()


def _from_status(status: int, code: str | None, headers: Any, model: str) -> GenerationError:
    if status in {401, 403}:
        return _auth()
    if status == 402 or (status == 429 and code in _QUOTA):
        return _quota()
    if status == 404:
        return GenerationError(
            "model_not_found",
            f"The model service does not know the model {model!r} at this address. "
            "Check HOLDFAST_MODEL and OPENAI_BASE_URL.",
        )
    if status == 429:
        return _rate_limited(retry_after(headers))
    if status in {408, 409, 425} or status >= 500:
        return _unreachable(retry_after(headers))
    return _refused(code or "")


def retry_after(headers: Any) -> float | None:
    """Seconds that the headers ask to wait: ``retry-after-ms``, else ``retry-after`` as seconds or as a date."""
    for name, scale in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        if text := headers.get(name):
            try:
                seconds = float(text) / scale
            except ValueError:
                try:
                    seconds = parsedate_to_datetime(text).timestamp() - time.time()
                except ValueError:
                    continue
            if math.isfinite(seconds):
                return min(max(seconds, 0.0), _LONGEST_WAIT)
    return None


def _auth() -> GenerationError:
    return GenerationError(
        "model_auth",
        "The model service refused the API key. Check that OPENAI_API_KEY (or OPENROUTER_API_KEY) is valid "
        "and may use this model.",
    )


def _quota() -> GenerationError:
    return GenerationError(
        "model_quota", "The quota or credit of the model account is used up. Add credit with the model provider."
    )


def _rate_limited(wait: float | None) -> GenerationError:
    return GenerationError(
        "model_rate_limited",
        "The model service limits the rate of requests. Try again in a little while.",
        retry=True,
        retry_after=wait,
    )


def _refused(code: str) -> GenerationError:
    if code == "context_length_exceeded":
        return GenerationError("model_refused_request", "The conversation is too long for the model. Begin a new one.")
    return GenerationError(
        "model_refused_request",
        "The model service refused the request as invalid. Check the messages, the model and its parameters.",
    )


def _unreachable(wait: float | None = None) -> GenerationError:
    return GenerationError(
        "model_unreachable",
        "The model service cannot be reached or is failing. Try again; if it stays so, check OPENAI_BASE_URL.",
        retry=True,
        retry_after=wait,
    )
