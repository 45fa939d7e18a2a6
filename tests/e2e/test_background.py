"""An interrupted answer of OpenAI's background mode is resumed to the character, through the whole system."""

from __future__ import annotations

from tests.e2e.reading import Reader, text_of
from tests.e2e.system import system
from tests.e2e.waiting import until


def test_a_kill_in_mid_answer_is_resumed_to_the_character() -> None:
    """Rule T3: the provider goes on by itself; the next attempt resumes its stream, and no second call is billed."""
    with system({"HOLDFAST_API": "background"}) as served:
        prompt = "standin: tokens=160 rate=50\nWhy do knots hold?"
        stream = served.ask(prompt)
        with Reader(f"{served.url}/api/streams/{stream}") as reader:
            until(lambda: len(reader.text) > 60, "some text")
            served.functions.kill()
            served.functions.restart()
            text = text_of(reader.to_end())
        (call,) = served.calls(prompt)
        assert text == call["text"]
        status = served.status(stream)
        assert (status["state"], status["exact"], status["attempts"] > 1) == ("finished", True, True)
