"""A generator that says, instead of each of the model's words, when that word came."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from typing import cast

from holdfast.adapters.openai import openai_generator
from holdfast.generation import GenerationRequest, Part


async def generate(request: GenerationRequest) -> AsyncIterator[str | Part]:
    """Yield the epoch nanoseconds at which each token came from the model, as the function got it."""
    ask = openai_generator(
        api_key=os.environ["OPENAI_API_KEY"], base_url=os.environ["OPENAI_BASE_URL"], model="standin-model"
    )
    said = cast("AsyncIterator[str | Part]", ask(request))
    async for item in said:
        yield f"{time.time_ns()} " if isinstance(item, str) else item
