"""A server that says "too many": the command waits where that is short, and else says so and ends."""

from __future__ import annotations

import pytest

from holdfast.cli import main
from tests.cli.scripted import FakeHoldfast, Refuse, Wire, serving, text_answer


def test_a_short_wait_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    """The same question is sent again under the same key when the time is over."""
    fake = FakeHoldfast(text_answer("yes"))
    fake.start_refusals = [Refuse(429, {"retry-after": "1"})]
    with serving(fake) as base:
        assert main(["ask", "Why?", "--url", base]) == 0
    assert capsys.readouterr().out == "yes\n"
    assert len(fake.starts) == 1
    assert [each.path for each in fake.requests if each.method == "POST"].count("/api/streams") == 2


def test_a_long_wait_is_the_caller_s(capsys: pytest.CaptureFixture[str]) -> None:
    """The server's own words, once, and the exit code of a request that failed: nothing goes on behind it."""
    starts = 0
    message = "More than 1 answers a minute were started by you. Nothing was started; try again in 60 seconds."

    def answer(_request: object, wire: Wire) -> None:
        nonlocal starts
        starts += 1
        wire.reply(429, {"error": {"code": "limit_starts_owner", "message": message}}, {"retry-after": "60"})

    with serving(answer) as base:
        assert main(["ask", "Why?", "--url", base]) == 1
    out, err = capsys.readouterr()
    assert (out, err, starts) == ("", f"holdfast: {message} (429 limit_starts_owner)\n", 1)
