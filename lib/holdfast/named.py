"""A function of the user's own that a setting names."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from holdfast.errors import SettingsError


def load_named(variable: str, target: str) -> Callable[..., Any]:
    """Import what a setting names.

    Args:
        variable: the setting, for the error.
        target: ``package.module:function``.

    Raises:
        SettingsError: it is not there, or cannot be called.
    """
    module, _, name = target.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise SettingsError(
            f"{variable}: {target} could not be imported ({type(error).__name__}). "
            "Name a function as package.module:function, importable from where the server runs."
        ) from error
    if not callable(found):
        raise SettingsError(f"{variable}: {target} is not a function.")
    loaded: Callable[..., Any] = found
    return loaded
