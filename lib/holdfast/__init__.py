"""LLM answers that survive anything, on serverless functions. Importing this imports no SDK."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from holdfast.errors import GenerationError, HoldfastError
from holdfast.generation import GenerationRequest, Generator, Part, UIMessage, cannot_continue, text_of

if TYPE_CHECKING:
    from holdfast.adapters.memory import MemoryLog
    from holdfast.client import final_text, follow

__all__ = [
    "GenerationError",
    "GenerationRequest",
    "Generator",
    "HoldfastError",
    "MemoryLog",
    "Part",
    "UIMessage",
    "cannot_continue",
    "final_text",
    "follow",
    "text_of",
]

_LAZY = {
    "MemoryLog": "holdfast.adapters.memory",
    "final_text": "holdfast.client",
    "follow": "holdfast.client",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)
