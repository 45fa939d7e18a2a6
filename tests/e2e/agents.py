"""Users' own generators, for ``HOLDFAST_GENERATOR``: each call says another text, and a partial is gone on from."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Iterator

from holdfast.generation import GenerationRequest

WORDS = 120
_SECONDS = 0.02


def _rest(partial: str) -> list[str]:
    """The words that a call is to say: all of a new text, or what follows the partial of an earlier one."""
    tag = partial[:8] or secrets.token_hex(4)
    whole = "".join(f"{tag}.{number} " for number in range(WORDS))
    assert whole.startswith(partial), "the partial is not what a call said"
    return [f"{word} " for word in whole[len(partial) :].split()]


def is_one_text(text: str) -> bool:
    """Whether a text is what one call would have said, whole and once."""
    return text == "".join(f"{text[:8]}.{number} " for number in range(WORDS))


async def say(request: GenerationRequest) -> AsyncIterator[str]:
    """An async generator."""
    for word in _rest(request.partial):
        yield word
        await asyncio.sleep(_SECONDS)


def say_in_thread(request: GenerationRequest) -> Iterator[str]:
    """A sync one, which the publisher runs in a thread."""
    for word in _rest(request.partial):
        yield word
        time.sleep(_SECONDS)
