"""``.env`` files are read as people write them, and their mistakes are named without their content."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.envfile import merged, parse
from holdfast.errors import SettingsError


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=1", "1"),
        ("export A=1", "1"),
        ("  A = two words  ", "two words"),
        ("A=", ""),
        ("A= # nothing", ""),
        ("A=x # comment", "x"),
        ("A=x#no-comment", "x#no-comment"),
        ("A=abc=def==", "abc=def=="),
        ("A='a # \"b\" \\n'  # c", 'a # "b" \\n'),
        ('A="a # b\\n\\"c\\" \\\\ d"', 'a # b\n"c" \\ d'),
        ('A=""', ""),
        ("A=$HOME", "$HOME"),
        ("A=first\nA=second", "second"),
        ("\ufeffA=1\r\n", "1"),
        ("A=http://u:p@h/?a=b&c", "http://u:p@h/?a=b&c"),
    ],
)
def test_values(line: str, value: str) -> None:
    """Quotes, comments and spaces, with nothing expanded."""
    assert parse(line) == {"A": value}


def test_blank_lines_and_comments_are_skipped() -> None:
    """Wherever they stand."""
    assert parse("\n# A=1\n   \n  # x\nB=2\n") == {"B": "2"}


@pytest.mark.parametrize(
    "line", ["secret", "=secret", "1A=secret", "A='secret", 'A="secret', 'A="secret" x', "A B=secret"]
)
def test_a_line_that_is_no_assignment_is_named_by_its_number(line: str) -> None:
    """Not by its content, which may be a secret."""
    with pytest.raises(SettingsError, match=r"\.env, line 3") as caught:
        parse(f"# first\nB=1\n{line}\n")
    assert "secret" not in str(caught.value)


def test_the_environment_wins_unless_it_is_empty(tmp_path: Path) -> None:
    """An empty variable counts as absent everywhere in Holdfast."""
    path = tmp_path / ".env"
    path.write_text("A=file\nB=file\nC=file\n")
    assert merged(path, {"A": "env", "B": "", "D": ""}) == {"A": "env", "B": "file", "C": "file", "D": ""}


def test_a_missing_file_matters_only_if_it_was_named(tmp_path: Path) -> None:
    """The default one may be absent."""
    assert merged(tmp_path / ".env", {"A": "1"}) == {"A": "1"}
    with pytest.raises(SettingsError, match="does not exist"):
        merged(tmp_path / "x.env", {}, needed=True)
    (tmp_path / "bad.env").write_bytes(b"A=\xff")
    with pytest.raises(SettingsError, match="cannot be read"):
        merged(tmp_path / "bad.env", {})
