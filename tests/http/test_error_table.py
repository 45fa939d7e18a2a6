"""README's table of errors and the code: neither has a code that the other lacks."""

from __future__ import annotations

import ast
import re

from tests.processes import ROOT


def _raised() -> set[tuple[str, str]]:
    """Status and code of every error that the library answers with, where both stand in its text."""
    found = set()
    for path in (ROOT / "lib" / "holdfast").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "ApiError":
                values = [each.value for each in node.args[:2] if isinstance(each, ast.Constant)]
                if len(values) == 2:
                    found.add((str(values[0]), str(values[1])))
    return found


def _listed() -> set[tuple[str, str]]:
    table = (ROOT / "README.md").read_text("utf-8").partition("\n## Errors\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (\d{3}) \| (.+?) \|", table, re.MULTILINE)
    return {(status, code) for status, codes in rows for code in re.findall(r"`(\w+)`", codes)}


def test_every_error_stands_in_the_readme() -> None:
    """Whoever meets a code finds out what it means and what to do."""
    raised = _raised()
    assert len(raised) > 30
    assert raised - _listed() == set()
