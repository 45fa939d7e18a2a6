"""Stored text read back as JSON, whoever wrote it: what passes can be sent on, copied and stored again."""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final

from holdfast.errors import BadRecord

#: Levels of arrays and objects that a start body, a chunk or a checkpoint may have.
DEEPEST: Final = 64
#: Those that a stored text may have: some more, since a record wraps what was let in.
_DEEPEST_STORED: Final = 100

_HALF_PAIR: Final = re.compile(r"\\u[dD][89a-fA-F]")


def read_json(text: str, levels: int = _DEEPEST_STORED) -> Any:
    """Read a stored JSON text.

    Args:
        text: what the store holds.
        levels: of arrays and objects, how many it may have.

    Raises:
        BadRecord: it is not JSON, or holds what no JSON text can carry on: NaN, infinities, half a surrogate pair,
            or more levels than code that walks it can follow.
    """
    try:
        data = _DECODER.decode(text)
        if _HALF_PAIR.search(text):
            json.dumps(data, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise BadRecord("The store holds something that is not JSON.") from error
    # Nearly every record is told by counting; only large ones have to be walked.
    if text.count("[") + text.count("{") > levels and too_deep(data, levels):
        raise BadRecord(f"The store holds something that is nested deeper than {levels} levels.")
    return data


def too_deep(value: Any, levels: int) -> bool:
    """Whether a JSON value has more than so many levels of arrays and objects."""
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list):
        return False
    return levels == 0 or any(too_deep(item, levels - 1) for item in value)


def _refuse(name: str) -> Any:
    raise ValueError(name)  # NaN and Infinity are not JSON


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)  # beyond what a double holds: it could not be written again
    return number


_DECODER: Final = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)
