"""What a generator yields, whichever kind of function it is."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from holdfast.generation import GenerationRequest, Generator


async def iterate(generate: Generator, request: GenerationRequest) -> AsyncGenerator[object]:
    """What a generator yields, be it async, or sync and then run in a thread of its own; closed in the end."""
    produced: Any = generate(request)
    if inspect.isawaitable(produced):
        produced = await produced
    if hasattr(produced, "__aiter__"):
        try:
            async for item in produced:
                yield item
        finally:
            if hasattr(produced, "aclose"):
                await produced.aclose()
        return
    if not hasattr(produced, "__next__"):
        raise TypeError("A generator must be a function that yields.")
    done = object()
    # Its own thread: a few slow generators must not hold up each other, as they would in the shared pool.
    thread = ThreadPoolExecutor(1, thread_name_prefix="generator")
    try:
        while (item := await asyncio.get_running_loop().run_in_executor(thread, next, produced, done)) is not done:
            yield item
    finally:
        if hasattr(produced, "close"):
            thread.submit(produced.close)  # behind the step that may still be under way
        thread.shutdown(wait=False)
