"""Calls of destinations over HTTP, and which destinations may be called."""

from __future__ import annotations

import threading

import pytest

from standins.qstash_options import Limits, Refused, check_destination
from standins.qstash_transport import Call, HttpSender, Reply
from tests.standins.receiver import Answer, receiving


@pytest.mark.asyncio
async def test_a_call_over_http_ends_at_its_timeout_and_follows_no_redirect() -> None:
    """A hanging destination, a redirect off the machine, and a port where nobody listens are failed tries."""
    sender, hold = HttpSender(max_body=4), threading.Event()
    try:
        with receiving() as receiver:
            receiver.answers(Answer(hold=hold), Answer(302, {"Location": "http://192.0.2.1/"}, b"moved on"))
            call = Call("POST", receiver.url, [("X-Latin", "\xe9")], b"")
            assert await sender.send(call, 0.05) == Reply(
                0, error="the destination did not answer in time", timed_out=True
            )
            hold.set()
            moved = await sender.send(call, 10)
            assert (moved.status, moved.body, moved.ok) == (302, b"move", False)
            receiver.take()
            assert receiver.take().headers["X-Latin"] == "\xe9"
        gone = await sender.send(call, 10)
        assert (gone.status, gone.error) == (0, "the destination could not be called: ConnectError")
    finally:
        hold.set()
        await sender.close()


def test_other_machines_are_called_only_when_allowed() -> None:
    """``--allow-remote`` is the one switch."""
    allowed = Limits(allow_remote=True)
    assert check_destination("https://example.com/x", allowed) == "https://example.com/x"
    for url in ("https://example.com/x", "http://127.0.0.1.example.com/", "http://user@192.0.2.1/", "http://0.0.0.0/"):
        with pytest.raises(Refused):
            check_destination(url, Limits())
    for url in ("http://localhost:8000/", "http://127.9.9.9/", "http://[::1]:1/"):
        assert check_destination(url, Limits()) == url
