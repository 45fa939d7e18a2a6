"""Everything that is logged while a test runs, by whomever."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from holdfast.logs import JsonFormatter


class Written:
    """What stands in the log, from every logger and at every level.

    Attributes:
        stream: where it is written.
    """

    def __init__(self) -> None:
        self.stream = io.StringIO()

    @property
    def text(self) -> str:
        """All of it."""
        return self.stream.getvalue()

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Its lines, each of which must be JSON."""
        return [json.loads(line) for line in self.text.splitlines()]

    def events(self, *names: str) -> list[dict[str, Any]]:
        """The lines of some events."""
        return [line for line in self.lines if line["event"] in names]


@pytest.fixture
def written() -> Iterator[Written]:
    """Log at the lowest level into memory until the test ends."""
    found = Written()
    handler = logging.StreamHandler(found.stream)
    handler.setFormatter(JsonFormatter())
    root, ours = logging.getLogger(), logging.getLogger("holdfast")
    before = root.level, ours.level, ours.propagate
    root.addHandler(handler)
    root.setLevel("DEBUG")
    ours.setLevel("DEBUG")
    ours.propagate = True
    yield found
    root.removeHandler(handler)
    root.setLevel(before[0])
    ours.setLevel(before[1])
    ours.propagate = before[2]
