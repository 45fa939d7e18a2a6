"""What the stand-in model decides before it speaks: its text, its plan, and what a request carries on."""

from __future__ import annotations

import random

import pytest

from standins.model_calls import Book, Call
from standins.model_continue import Message, asks_to_continue
from standins.model_plan import BadRequestError, Plan
from standins.model_text import compose

GO_ON = "Your answer was interrupted. Continue exactly where it stopped."


def test_an_answer_has_the_length_asked_for_and_reads_like_markdown() -> None:
    """A long answer has a heading, a list, a table and a code block; every length comes out exactly."""
    for tokens in (0, 1, 7, 300, 2000):
        assert len(compose(random.Random(tokens), tokens)) == tokens  # noqa: S311  # only varies the text
    text = "".join(compose(random.Random(1), 2000))  # noqa: S311  # as above
    assert text.startswith("## ")
    assert all(mark in text for mark in ("\n- **", "\n|---|", "\n```python\n", "\n### "))
    assert text.count("```") % 2 == 0
    assert not text.isascii()
    assert 3 < len(text) / 2000 < 5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (GO_ON, True),
        ("Continue exactly where you left off. Do not repeat anything.", True),
        ("Your previous answer was cut off. Go on from its last character.", True),
        ("Continue the assistant's message from exactly where it ends.", True),
        ("Please continue with the next chapter.", False),
        ("Why was the upload interrupted, and can it resume?", False),
        ("Complete your answer with an example.", False),
        ("What is a good place to stop?", False),
    ],
)
def test_only_an_instruction_to_carry_on_an_answer_is_one(text: str, expected: bool) -> None:
    """An instruction names carrying on, the place, and the answer; a question about such things is a question."""
    assert asks_to_continue(text) is expected


def opened(text: str, sent: int) -> tuple[Book, Call]:
    book = Book(Plan())
    call = book.open("chat", "m", [], [Message("user", "q")])
    call.text, call.whole, call.chars_sent = text, list(text), sent
    return book, call


@pytest.mark.parametrize("sent", range(12, 30))
@pytest.mark.parametrize("shape", ["{}", "\n{}\n", "\n\n{}\n\n", "<a>{}</a>", "```\n{}\n```"])
def test_white_space_at_the_seam_is_exact(sent: int, shape: str) -> None:
    """Wherever the answer is cut, also in mid white space, an embedded partial leads to the exact rest."""
    text = "## Title\n\nOne two.\n\n- a\n- b \n\n```x\ny\n```"
    book, first = opened(text, sent)
    instruction = f"{GO_ON} {shape.format(text[:sent])}"
    call = book.open("chat", "m", [], [Message("user", "q"), Message("user", instruction)])
    # Where nothing sets the partial off, white space around it cannot be told from its own.
    assert (call.continues, call.offset) == (first.id, sent)


def test_a_stripped_or_padded_partial_still_fits() -> None:
    """A provider that strips or adds white space at the end does not turn a continuation into a new answer."""
    book, first = opened("One two. \n\nThree.", 12)
    for partial_text, offset in (("One two. \n\n", 11), ("One two.", 8), ("One two.   \n", 8)):
        call = book.open("chat", "m", [], [Message("user", "q"), Message("assistant", partial_text)])
        assert (call.continues, call.offset, "".join(call.tokens)) == (first.id, offset, first.text[offset:])


def test_text_that_was_never_sent_is_nobodys_partial() -> None:
    """A partial longer than what a call sent is not that call's."""
    book, _ = opened("One two three.", 5)
    assert book.open("chat", "m", [], [Message("assistant", "One two")]).continues is None


def test_a_malformed_variable_stops_the_process() -> None:
    """A bad default is refused at the start, naming the variable."""
    with pytest.raises(BadRequestError, match="STANDIN_MODEL_RATE=fast"):
        Plan.from_env({"STANDIN_MODEL_RATE": "fast"})


def test_a_prompt_can_ask_for_each_fault_and_be_healed_of_it() -> None:
    """The first line names the faults that rules have too; after ``times`` nothing is left of them."""
    line = "standin: status=429 retry_after=9 quota=1 hang=1 empty=1 fail_after=1 cut=clean error_after=2"
    plan = Plan().for_prompt(f"{line} stall_after=3 garbage_after=4\nhi")
    assert (plan.retry_after, plan.hang, plan.empty, plan.stall_after, plan.garbage_after) == (9, True, True, 3, 4)
    assert plan.healthy() == Plan()
