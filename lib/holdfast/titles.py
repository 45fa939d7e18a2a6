"""What a chat is called in its owner's list: the first words of its first question, in one line."""

from __future__ import annotations

import unicodedata
from typing import Final

from holdfast.generation import UIMessage

#: Characters of a title, the ellipsis included.
MOST_CHARACTERS: Final = 80
#: A word that begins before this character is cut rather than left out: some scripts put no space between words.
_EARLIEST_CUT: Final = 40
#: Characters of a question that are looked at.
_LOOKED_AT: Final = 4_000

#: They join what stands beside them, emoji and letters of some scripts, into one character.
_JOINERS: Final = frozenset("\u200c\u200d")


def title_of(question: UIMessage) -> str:
    """The title of a chat that begins with a question: at most 80 characters; empty where it has no text."""
    texts = (part["text"] for part in question["parts"] if part["type"] == "text" and isinstance(part.get("text"), str))
    text = " ".join("".join(_plain(character) for character in " ".join(texts)[:_LOOKED_AT]).split())
    if len(text) <= MOST_CHARACTERS:
        return text
    cut = MOST_CHARACTERS - 1
    space = text.rfind(" ", _EARLIEST_CUT, cut + 1)
    if space > 0:
        return f"{text[:space]}…"
    while cut > _EARLIEST_CUT and _is_joined(text[cut - 1], text[cut]):
        cut -= 1
    return f"{text[:cut]}…"


def _plain(character: str) -> str:
    """A character, or a space in the place of one that controls, such as one that turns the text round."""
    return " " if unicodedata.category(character)[0] == "C" and character not in _JOINERS else character


def _is_joined(left: str, right: str) -> bool:
    """Whether two characters are shown as one."""
    return right in _JOINERS or left in _JOINERS or unicodedata.category(right)[0] == "M"
