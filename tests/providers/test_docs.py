"""The tables of docs/providers.md name tests that exist."""

from __future__ import annotations

import re

from tests.e2e.ways import WAYS
from tests.processes import ROOT

TEXT = (ROOT / "docs" / "providers.md").read_text("utf-8")
#: A test as the document names it: its file, or "…" for one named before; its function; and the case it is about.
NAMED = re.findall(r"`([\w/.…]+)::(test_\w+)(?:\[(\w+)\])?`", TEXT)
FOLDERS = ("adapters", "e2e", "providers", "publishing")


def test_every_test_that_a_table_names_exists() -> None:
    """A row without its test would be a promise."""
    files = [path for folder in FOLDERS for path in (ROOT / "tests" / folder).glob("test_*.py")]
    defined = {
        (path.relative_to(ROOT).as_posix(), name)
        for path in files
        for name in re.findall(r"^(?:async )?def (test_\w+)\(", path.read_text("utf-8"), re.MULTILINE)
    }
    assert len(NAMED) >= 40
    assert TEXT.count("::") == len(NAMED), "something that looks like a test's name is not one"
    for path, name, case in NAMED:
        assert any(test == name and path in ("…", file) for file, test in defined), f"{path}::{name}"
        assert not case or case in WAYS, f"{name}[{case}]"
    for path in re.findall(r"`(tests/[\w/]+\.py)`", TEXT):
        assert (ROOT / path).is_file()


def test_every_way_to_go_on_has_its_row() -> None:
    """Handed on and killed: each strategy is shown in both."""
    shown = {(name, case) for _, name, case in NAMED if case}
    handed_on, killed = (
        "test_an_answer_outlives_every_function",
        "test_kills_at_random_moments_cost_no_reader_a_character",
    )
    assert shown == {(name, way) for name in (handed_on, killed) for way in WAYS}
