"""The table of docs/providers.md names tests that exist."""

from __future__ import annotations

import re

from tests.processes import ROOT


def test_every_test_that_the_table_names_exists() -> None:
    """A row without its test would be a promise."""
    text = (ROOT / "docs" / "providers.md").read_text("utf-8")
    named = re.findall(r"`([\w/.…]+)::(test_\w+)`", text)
    files = [*(ROOT / "tests" / "adapters").glob("test_*.py"), *(ROOT / "tests" / "providers").glob("test_*.py")]
    defined = {
        (path.relative_to(ROOT).as_posix(), name)
        for path in files
        for name in re.findall(r"^(?:async )?def (test_\w+)\(", path.read_text("utf-8"), re.MULTILINE)
    }
    assert len(named) >= 15
    for path, name in named:
        assert any(test == name and path in ("…", file) for file, test in defined), f"{path}::{name}"
    for path in re.findall(r"`(tests/[\w/]+\.py)`", text):
        assert (ROOT / path).is_file()
