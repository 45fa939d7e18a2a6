"""A JSON object as lines for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from holdfast._cli.screen import printable

#: Numbers from here on are epoch milliseconds (2001-09-09) where the name says that they are a time.
_EPOCH_MS = 10**12


def table(value: Mapping[str, Any]) -> str:
    """One line per field, names aligned; fields of inner objects are named by their path."""
    rows = list(_rows(value, ""))
    width = max((len(name) for name, _ in rows), default=0)
    return "\n".join(f"{name:<{width}}  {text}".rstrip() for name, text in rows)


def _rows(value: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    for name, item in value.items():
        label = printable(f"{path}{name}").replace("\n", " ")
        if isinstance(item, Mapping):
            yield from _rows(item, f"{path}{name}.")
        else:
            yield label, _text(name, item)


def _text(name: str, item: Any) -> str:
    match item:
        case None:
            return "-"
        case bool():
            return "yes" if item else "no"
        case int() | float() if name.endswith(("_at", "At")) and item >= _EPOCH_MS:
            return datetime.fromtimestamp(item / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        case int():
            return f"{item:,}"
        case list():
            return ", ".join(_text(name, each) for each in item)
        case _:
            return printable(str(item)).replace("\n", " ")
