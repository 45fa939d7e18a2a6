"""The seam between a partial answer and its continuation: nothing twice, nothing lost, white space once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.adapters.openai import Continuation, openai_generator
from holdfast.adapters.openai_seam import Seam
from tests.adapters.telling import Telling
from tests.standins.model_client import calls_of

PARTIAL = "# Tides\n\nThe moon pulls the water of the oceans towards itself, and the "
LINE = "        self.assertEqual(left.total, right.total)"


def continued(partial: str, text: str, size: int) -> str:
    """What a seam lets through of a continuation that arrives in pieces of one size."""
    seam = Seam(partial)
    out = "".join(seam.feed(text[at : at + size]) for at in range(0, len(text), size)) + seam.flush()
    assert seam.settled
    return out


@pytest.mark.parametrize("size", [1, 3, 7, 500])
@pytest.mark.parametrize(
    ("partial", "text", "expected"),
    [
        # nothing is repeated
        (PARTIAL, "earth turns beneath it.", "earth turns beneath it."),
        (PARTIAL, "and the earth", "and the earth"),
        (PARTIAL, "oceans towards itself, or not", "oceans towards itself, or not"),
        (PARTIAL, "oceans towards", "oceans towards"),
        ("The ", "The The", "The The"),
        ("", "The moon", "The moon"),
        ("", "\n\nThe moon", "\n\nThe moon"),
        (PARTIAL, "", ""),
        # the end, the last line or everything is repeated
        (PARTIAL, "oceans towards itself, and the earth turns.", "earth turns."),
        (PARTIAL, PARTIAL + "earth turns.", "earth turns."),
        (PARTIAL, PARTIAL, ""),
        (PARTIAL, PARTIAL.rstrip(), ""),
        ("## Tides\n", "## Tides\nThe moon", "The moon"),
        ("- one\n- **Twofold", "- **Twofold** and more", "** and more"),
        ("| Größe | 東京", "| Größe | 東京 | 3 |", " | 3 |"),
        ("Ready 👩‍💻 and steady, she said 🚀🚀", "and steady, she said 🚀🚀 go", " go"),
        # … after white space
        (PARTIAL, "\n" + PARTIAL + "earth turns.", "earth turns."),
        (PARTIAL, "\n\noceans towards itself, and the earth", "\n\noceans towards itself, and the earth"),
        # what is alike is no repeat
        ("| a |\n" + "-" * 40, "-" * 40 + "\n", "-" * 40 + "\n"),
        ("ha ha ha ha ha ha ha ha ha ha ha", " ha ha ha ha ha ha ha ha ha", " ha ha ha ha ha ha ha ha ha"),
        # white space stands once, whether the model was shown it, says it again, or leaves it out
        ("One.\n\n", "\n\nTwo.", "Two."),
        ("One.\n\n", "Two.", "Two."),
        ("One.\n", "\n\nTwo.", "\nTwo."),
        ("One.\n\n", "\nTwo.", "Two."),
        ("def f():\n    ", "\n    return 1", "return 1"),
        ("def f():\n    ", "\n        return 1", "    return 1"),
        ("One ", "\nTwo", "\nTwo"),
        ("One.\n\n", "\n  Two", "  Two"),
        ("One.\n\n", "\n\n", ""),
        ("One.\n\n", " ", " "),
        ("One.\u2028", "\u2028Two", "Two"),
        (" \n", "\nOne", "One"),
    ],
)
def test_a_seam_is_right_however_the_continuation_arrives(partial: str, text: str, expected: str, size: int) -> None:
    """A repeat counts from 20 characters, or a whole line of 8; monotonous text does not; no new text is lost."""
    assert continued(partial, text, size) == expected


def test_lines_that_are_alike_stay_where_a_line_ends_between_them() -> None:
    """A model that goes on exactly begins with the line's end, which tells a second such line from a repeat."""
    short = "    return None"
    assert continued(f"a:\n{short}\n", f"\n{short}\n", 4) == f"{short}\n"
    assert continued(f"a:\n{LINE[:35]}\n", f"\n{LINE[:35]}\n", 4) == f"{LINE[:35]}\n"


@given(
    text=st.text(alphabet="ab \n\t\u2003é🚀", max_size=60),
    cut=st.integers(0, 60),
    sizes=st.lists(st.integers(1, 9), max_size=20),
)
def test_what_goes_on_exactly_stays_exact(text: str, cut: int, sizes: list[int]) -> None:
    """A model that is shown the bare partial and goes on from there loses and doubles no white space."""
    partial = f"x{text[:cut]}"
    text = f"x{text}"
    rest, out, seam = text[len(partial.rstrip()) :], "", Seam(partial)
    for size in sizes:
        out, rest = out + seam.feed(rest[:size]), rest[size:]
    out += seam.feed(rest) + seam.flush()
    repeated = len(text) - len(partial) - len(out)
    assert text.endswith(out)
    # Nothing is dropped but what looks like a repeat of a whole line or of twenty characters.
    assert repeated == 0 or repeated >= 8


def test_new_text_is_not_held_back() -> None:
    """As soon as a continuation differs from the partial it goes out at once."""
    seam = Seam(PARTIAL)
    assert seam.feed("oceans") == ""
    assert not seam.settled
    assert seam.feed(" are") == "oceans are"
    assert seam.settled
    assert seam.feed("oceans") == "oceans"


@pytest.mark.asyncio
@pytest.mark.parametrize("continuation", ["prefill", "prefix", "continue_final_message", "instruct"])
@pytest.mark.parametrize("repeat", [0, 60])
async def test_every_cut_of_an_answer_is_seamless(url: str, continuation: Continuation, repeat: int) -> None:
    """However it is asked, and whether it repeats the end or not, a model that goes on leaves one text."""
    generate = openai_generator(api="chat", api_key="key", base_url=f"{url}/v1", model="m", continuation=continuation)
    telling = Telling(generate, f"standin: tokens=120 rate=20000 repeat={repeat}\nhi")
    for cut in (23, 7, 11, 13, 17):
        assert not await telling.call(cut)
    assert await telling.call()
    calls = calls_of(url)
    assert telling.text == calls[0]["text"]
    assert sum(call["tokens_sent"] for call in calls) > 120
    assert [call["continues"] is not None for call in calls] == [False] + [True] * 5
