"""Retries ran out and the callback was lost: a reader or cleanup rescues, or ends what cannot be (rules Q1, Q2)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx

from tests.e2e.reading import Reader, text_of
from tests.e2e.system import System, system
from tests.e2e.waiting import until
from tests.owner import AUTH

#: No second try, and everything that has to be waited for is short.
_SETTINGS = {
    "HOLDFAST_QSTASH_RETRIES": "0",
    "HOLDFAST_LEASE_SECONDS": "1.5",
    "HOLDFAST_STALL_SECONDS": "0.5",
    "HOLDFAST_GIVE_UP_SECONDS": "4",
}
_PROMPT = "standin: tokens=120 rate=60\nWhy do knots hold?"


@contextmanager
def _orphan() -> Iterator[tuple[System, str]]:
    """An answer whose publisher was killed, whose message has failed, and of whose failure nobody was told."""
    with system(_SETTINGS) as running:
        running.control_queue("POST", "faults", {"kind": "callback_lost", "count": None})
        stream = running.ask(_PROMPT)
        running.called(_PROMPT, 40)
        running.functions.kill()
        until(lambda: running.control_queue("GET", "faults")["fired"].get("callback_lost"), "the callback to be lost")
        running.functions.restart()
        yield running, stream


def test_a_reader_rescues() -> None:
    """Rule Q1: somebody reads, so the answer goes on, and ends whole."""
    with _orphan() as (running, stream), Reader(f"{running.url}/api/streams/{stream}") as reader:
        text = text_of(reader.to_end())
        assert text == running.calls(_PROMPT)[0]["text"]
        status = running.finished(stream)
        assert (status["state"], status["attempts"], status["rescues"]) == ("finished", 2, 1)


def test_cleanup_rescues() -> None:
    """Rule Q1: nobody reads; the schedule's call sees to it."""
    with _orphan() as (running, stream):
        headers = {"authorization": f"Bearer {running.settings['CRON_SECRET']}"}
        before = running.enqueued()

        def rescued() -> bool:
            # A look of cleanup puts the next one off, as it does in a deployment: bring it forward.
            running.redis_do("ZADD", f"{running.prefix}:due", 1, stream)
            assert running.http.post("/api/cleanup", headers=headers).status_code == 200
            return running.enqueued() > before

        until(rescued, "the rescue")
        status = running.finished(stream)
        assert (status["state"], status["rescues"]) == ("finished", 1)
        with Reader(f"{running.url}/api/streams/{stream}") as late:
            assert text_of(late.to_end()) == running.calls(_PROMPT)[0]["text"]


def test_every_reader_is_told_when_the_rescue_fails_as_well() -> None:
    """Rules Q2, Q6: the queue reaches nobody any more; each reader has its end within the bound."""
    with _orphan() as (running, stream), ExitStack() as readers:
        running.door.set("cut")
        began = time.monotonic()
        url = f"{running.url}/api/streams/{stream}"
        attached = [readers.enter_context(Reader(u)) for u in (url, url, f"{url}?last_event_id=1-1")]
        told = httpx.get(f"{url}?state=1", headers=AUTH, timeout=60, trust_env=False).text
        ends = [reader.to_end() for reader in attached]
        took = time.monotonic() - began
        for events in ends:
            assert b'"type":"error"' in events[-2].data
        assert told.endswith("data: [DONE]\n\n")
        assert told.index('"live"') < told.index('"stalled"') < told.index('"type":"error"')
        status = running.status(stream)
        assert (status["state"], status["error"]["code"]) == ("failed", "abandoned")
        # Lease, two looks and giving up; and as much again for a slow machine.
        assert took < 2 * (1.5 + 2 * 0.5 + 4) + 10
