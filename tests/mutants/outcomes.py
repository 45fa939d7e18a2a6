"""A pytest plugin that writes down, for the process that asked for it, how each test ended and why."""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from pathlib import Path

import pytest

import holdfast

#: The variable that names the file to write.
VARIABLE = "MUTANTS_OUTCOMES"

_outcomes: dict[str, tuple[str, str]] = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep a test's outcome: that of its call, and any failure of what surrounds it as an error."""
    report = yield
    raised = "" if call.excinfo is None else call.excinfo.typename
    if call.when == "call":
        _outcomes[item.nodeid] = (report.outcome, raised)
    elif report.failed:
        _outcomes[item.nodeid] = ("error", raised)
    return report


def pytest_sessionfinish() -> None:
    """Write the outcomes, and from where the library was imported."""
    told = {"library": holdfast.__file__, "outcomes": _outcomes}
    Path(os.environ[VARIABLE]).write_text(json.dumps(told), "utf-8")
