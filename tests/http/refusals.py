"""What every refusal has in common: its shape, and that it leaves no trace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from standins.plan import QSTASH_TOKEN, REDIS_TOKEN, SIGNING_KEYS
from tests.e2e.system import CRON_SECRET, System

_SECRETS = (QSTASH_TOKEN, REDIS_TOKEN, *SIGNING_KEYS, CRON_SECRET)


def refused(reply: httpx.Response, status: int, code: str, **more: str) -> str:
    """Check an error's status and shape (rule W1), and return its message.

    Args:
        reply: the response.
        status, code: what is expected.
        more: the fields beside code and message.
    """
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/json"
    body: dict[str, Any] = reply.json()
    assert body.keys() == {"error"}
    message = body["error"].pop("message")
    assert body["error"] == {"code": code, **more}
    assert len(message) > 10
    assert not any(secret in reply.text for secret in _SECRETS)
    return str(message)


@contextmanager
def without_a_trace(system: System) -> Iterator[None]:
    """Rule W5: the block writes nothing to the store, enqueues nothing and calls no model."""

    def seen() -> tuple[dict[str, Any], int, int]:
        return system.snapshot(), system.enqueued(), len(system.calls())

    before = seen()
    assert before[0], "an empty store would show no change"
    yield
    assert seen() == before
