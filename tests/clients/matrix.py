"""Which client does what: the rows of docs/clients.md, each cell with the test that shows it.

``python -m tests.clients.matrix`` writes the table anew.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final

from tests.processes import ROOT

DOCS: Final = ROOT / "docs/clients.md"
COLUMNS: Final = ("send", "cut", "time limit", "end", "stop", "expired, forbidden")
_MARKS: Final = ("<!-- table: written by python -m tests.clients.matrix -->\n", "<!-- end of the table -->\n")


@dataclass(frozen=True, slots=True)
class Row:
    """A client.

    Attributes:
        name: as people know it.
        version: where it stands: a package of the tests' lock, or a command.
        how: what it needs beside itself.
        cells: what it does, in the order of the columns.
        tests: the test of each cell, in the same order.
    """

    name: str
    version: str
    how: str
    cells: tuple[str, ...]
    tests: tuple[str, ...]


def _event_row(key: str, name: str, version: str, how: str) -> Row:
    by = "by itself" if how == "nothing" else "by the recipe" if how == "a recipe" else "by itself"
    ends = "stops at 204" if name.startswith(("EventSource", "`eventsource`")) else "stops at `[DONE]`"
    cells = ("after a `POST`", by, by, ends, "shown, then stops", "stops for good")
    scenarios = ("whole", "cuts", "limit", "whole", "stop", "refused")
    return Row(name, version, how, cells, tuple(f"test_event_clients.py::test_{s}[{key}]" for s in scenarios))


def _ai_row(major: str) -> Row:
    tests = (
        "an_answer_is_sent_and_shown",
        "cuts_in_the_middle_are_not_seen",
        "the_time_limit_is_not_seen",
        "an_answer_is_sent_and_shown",
        "a_stop_by_the_route_ends_the_answer_for_all",
        "what_is_final_ends_the_chat",
    )
    cells = (
        "by itself",
        "by the package",
        "by the package or the recipe",
        "`ready`",
        "`ready`, the partial stays",
        "`error`",
    )
    named = tuple(f"test_ai_sdk.py::test_{test}[{major}]" for test in tests)
    return Row("`useChat`, `Chat` of the AI SDK", _npm(f"ai-{major}"), "`holdfast-client`, or a recipe", cells, named)


def _npm(package: str) -> str:
    lock = json.loads((ROOT / "tests/clients/node/package-lock.json").read_text("utf-8"))
    return str(lock["packages"][f"node_modules/{package}"]["version"])


def _pypi(package: str) -> str:
    pins = (ROOT / "requirements-dev.lock").read_text("utf-8")
    return pins.split(f"\n{package}==", 1)[1].split()[0]


def rows() -> list[Row]:
    """Every client."""
    return [
        *(_ai_row(major) for major in ("5", "6", "7")),
        _event_row("chromium", "EventSource in Chromium", "Debian's", "nothing"),
        _event_row("firefox", "EventSource in Firefox", "Debian's ESR", "nothing"),
        _event_row("eventsource", "`eventsource` (npm)", _npm("eventsource"), "nothing"),
        _event_row("eventsource-client", "`eventsource-client` (npm)", _npm("eventsource-client"), "a recipe"),
        _event_row(
            "fetch-event-source",
            "`@microsoft/fetch-event-source`",
            _npm("@microsoft/fetch-event-source"),
            "a recipe",
        ),
        _event_row("httpx-sse", "`httpx-sse`", _pypi("httpx-sse"), "a recipe"),
        _event_row("curl", "`curl`", "Debian's", "a recipe"),
        _event_row("holdfast-client", "`followStream` of `holdfast-client`", "this one", "nothing"),
        _event_row("holdfast.follow", "`holdfast.follow` (Python)", "this one", "nothing"),
    ]


def table() -> str:
    """The table as docs/clients.md has it."""
    lines = [f"| Client | Version | Needs | {' | '.join(COLUMNS)} |", "|---" * (len(COLUMNS) + 3) + "|"]
    lines += [f"| {row.name} | {row.version} | {row.how} | {' | '.join(row.cells)} |" for row in rows()]
    return "\n".join(lines) + "\n"


def within(text: str) -> tuple[str, str, str]:
    """A page's text before the table, the table, and the text after it."""
    before, rest = text.split(_MARKS[0])
    found, after = rest.split(_MARKS[1])
    return before + _MARKS[0], found, _MARKS[1] + after


def recipes() -> dict[str, str]:
    """The recipes' code by file, as the tests run it and the page shows it."""
    folder = ROOT / "tests/clients/recipes"
    texts = {path.name: path.read_text("utf-8") for path in sorted(folder.iterdir()) if path.stem != "__init__"}
    return {name: re.split(r"(?m)^(?:#|//) ---\n", text)[1].strip() for name, text in texts.items() if "---\n" in text}


if __name__ == "__main__":
    before, _, after = within(DOCS.read_text("utf-8"))
    DOCS.write_text(f"{before}\n{table()}\n{after}", "utf-8")
