"""The examples are short, and every one of them is run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.processes import ROOT

EXAMPLES = ROOT / "examples"
_MOST = 30
_FILES = sorted(
    path
    for path in EXAMPLES.rglob("*")
    if path.suffix in {".py", ".html", ".tsx"} and not {"node_modules", ".next"} & set(path.parts)
)


@pytest.mark.parametrize("path", _FILES, ids=lambda path: path.relative_to(EXAMPLES).as_posix())
def test_an_example_has_at_most_thirty_lines_of_its_own(path: Path) -> None:
    """Beside its imports, its docstring and empty lines."""
    text = re.sub(r"^from \S+ import \([^)]*\)$", "", path.read_text("utf-8"), flags=re.MULTILINE)
    own = [line for line in text.splitlines() if line.strip() and not re.match(r'(from|import) |"""', line)]
    assert len(own) <= _MOST


@pytest.mark.parametrize("path", _FILES, ids=lambda path: path.relative_to(EXAMPLES).as_posix())
def test_an_example_is_run_by_a_test_and_told_of_in_the_docs(path: Path) -> None:
    """Its name, or that of its folder, stands in a test beside this one and in docs/examples.md."""
    first = path.relative_to(EXAMPLES).parts[0]
    if first in {"__init__.py", "weather.py"}:
        return  # what the agents share
    tests = "".join(
        each.read_text("utf-8") for each in Path(__file__).parent.glob("*.py") if each.name != Path(__file__).name
    )
    assert first.removesuffix(".py") in tests
    assert f"examples/{first}" in (ROOT / "docs/examples.md").read_text("utf-8")
