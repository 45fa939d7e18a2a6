"""A generator that says as much as it is asked to."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

from holdfast.generation import GenerationRequest, Part

BLOCK = '0123456789 "three" 三つ\n' * 400


async def generate(request: GenerationRequest) -> AsyncIterator[str | Part]:
    """``blocks=N parts=N``: so many blocks of text, and then so many parts of their own."""
    prompt = request.messages[-1]["parts"][0]["text"]
    wanted = {name: int(count) for name, count in re.findall(r"(\w+)=(\d+)", prompt)}
    for _ in range(wanted.get("blocks", 0)):
        yield BLOCK
        await asyncio.sleep(0)
    for number in range(wanted.get("parts", 0)):
        yield {"type": "data-n", "data": number}
        if number % 100 == 0:
            await asyncio.sleep(0)
