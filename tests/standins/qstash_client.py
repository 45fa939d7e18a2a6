"""How the tests use the QStash stand-in: its secrets, and what its control API tells of a message."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

import httpx
from qstash.message import PublishResponse

TOKEN = "token-of-this-test"
CURRENT = "sig_current_0123456789abcdefghijklmnop"
NEXT = "sig_next_0123456789abcdefghijklmnopqrs"
ENVIRONMENT = {"QSTASH_TOKEN": TOKEN, "QSTASH_CURRENT_SIGNING_KEY": CURRENT, "QSTASH_NEXT_SIGNING_KEY": NEXT}


def published(response: Any) -> str:
    assert isinstance(response, PublishResponse)
    return response.message_id


def eventually(check: Callable[[], bool]) -> None:
    """Ask the stand-in again until it says what is expected; each question is a round trip."""
    deadline = monotonic() + 10
    while not check():
        assert monotonic() < deadline, "it never happened"


def message(control: httpx.Client, message_id: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = [
        each for each in control.get("messages").json()["messages"] if each["id"] == message_id
    ]
    return found[0]
