"""What a generator yielded, for assertions."""

from __future__ import annotations

from collections.abc import AsyncIterator

from holdfast.errors import GenerationError
from holdfast.generation import Part


async def collect(items: AsyncIterator[str | Part]) -> tuple[str, list[Part], GenerationError | None]:
    """The text, the chunks and the error of a call."""
    text, parts = "", list[Part]()
    try:
        async for item in items:
            if isinstance(item, str):
                text += item
            else:
                parts.append(item)
    except GenerationError as error:
        return text, parts, error
    return text, parts, None
