"""Titles of chats: short, in one line, cut where a reader would cut (rule J2)."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.titles import MOST_CHARACTERS, title_of


def title(*texts: str) -> str:
    """The title of a question of these text parts."""
    return title_of({"role": "user", "parts": [{"type": "text", "text": text} for text in texts]})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Why?", "Why?"),
        ("  two\n\n lines\t\tand a tab ", "two lines and a tab"),
        ("a\x00b\x1bc\x7f", "a b c"),
        ("left \u202eright\u2066 left", "left right left"),
        ("half a pair \ud800", "half a pair"),
        ("x" * 80, "x" * 80),
        ("x" * 81, "x" * 79 + "…"),
        ("word " * 30, "word " * 15 + "word…"),
        ("字" * 100, "字" * 79 + "…"),
        ("y " + "x" * 100, "y " + "x" * 77 + "…"),
        ("👩‍👩‍👧", "👩‍👩‍👧"),
        ("a" * 77 + "👩‍👩‍👧", "a" * 77 + "…"),
        ("a" * 78 + "e\u0301" * 5, "a" * 78 + "…"),
        ("", ""),
    ],
)
def test_titles(text: str, expected: str) -> None:
    """A title is the text in one line; a long one ends with a whole word where there is one, never within a character
    as it is shown.
    """
    assert title(text) == expected


def test_what_is_no_text_gives_no_title() -> None:
    """Files are passed by; texts around them are joined."""
    file = {"type": "file", "url": "data:,x", "mediaType": "text/plain"}
    assert title_of({"role": "user", "parts": [file]}) == ""
    texts = [{"type": "text", "text": "What"}, file, {"type": "text", "text": "is this?"}]
    assert title_of({"role": "user", "parts": texts}) == "What is this?"


@given(st.text(max_size=300))
def test_any_title_is_short_and_plain(text: str) -> None:
    """Whatever was asked, a title has at most 80 characters, in one line, and controls nothing."""
    found = title(text)
    assert len(found) <= MOST_CHARACTERS
    assert not any(unicodedata.category(c)[0] == "C" and c not in "\u200c\u200d" for c in found)
    assert found == " ".join(found.split())
    found.encode()  # without half a pair
