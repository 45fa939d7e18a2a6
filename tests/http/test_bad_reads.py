"""Reads that are refused: malformed cursors, streams that never were, streams that are gone."""

from __future__ import annotations

import time

import pytest

from holdfast.identity import created_ms, new_stream_id
from tests.e2e.system import System
from tests.http.refusals import refused, without_a_trace

DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def finished(calm: System) -> str:
    """The stream that stands."""
    (key,) = [key for key in calm.key_names() if ":stream:" in key]
    return key.rpartition(":")[2]


def routes(stream: str) -> list[tuple[str, str]]:
    """Every route of a stream."""
    url = f"/api/streams/{stream}"
    return [("GET", url), ("GET", f"{url}/status"), ("POST", f"{url}/stop")]


@pytest.mark.parametrize(
    "cursor", ["x", "1", "1-", "-1", "1-2.", "1-2.3.4", "01-2", "1-+2", "1_0-1", "$", "1-1,1-2", "9" * 17 + "-1"]
)
def test_a_malformed_cursor(calm: System, finished: str, cursor: str) -> None:
    """Rule C2: 400, in the header and in the query."""
    url = f"/api/streams/{finished}"
    with without_a_trace(calm):
        refused(calm.http.get(url, headers={"last-event-id": cursor}), 400, "cursor_malformed")
        refused(calm.http.get(url, params={"last_event_id": cursor}), 400, "cursor_malformed")


def test_digits_of_another_script_are_no_cursor(calm: System, finished: str) -> None:
    """Rule C2: what Python would take for a number is refused."""
    refused(
        calm.http.get(f"/api/streams/{finished}", params={"last_event_id": "\u0661-\u0662"}), 400, "cursor_malformed"
    )


@pytest.mark.parametrize("cursor", ["1-999999", "7-0", "2-1.0"])
def test_a_cursor_that_the_stream_never_gave(calm: System, finished: str, cursor: str) -> None:
    """Rule D4: 400, rather than nothing for ever or a silent replay."""
    with without_a_trace(calm):
        reply = calm.http.get(f"/api/streams/{finished}", headers={"last-event-id": cursor})
        refused(reply, 400, "cursor_unknown")


def test_a_stream_that_never_was(calm: System) -> None:
    """404 on every route, for an id that could be one and for text that could not."""
    past = new_stream_id(time.time_ns() // 1_000_000 - 60_000)
    future = new_stream_id(time.time_ns() // 1_000_000 + DAY_MS)
    with without_a_trace(calm):
        for stream in (past, future, "x", "x" * 30, "%00", "*", "../due"):
            for method, url in routes(stream):
                if ".." not in url:  # which clients resolve by themselves
                    refused(calm.http.request(method, url), 404, "stream_unknown")


def test_a_young_stream_that_never_was(calm: System) -> None:
    """Rule D2: an id of this moment is looked for a while, and then 404 as well."""
    with without_a_trace(calm):
        url = f"/api/streams/{new_stream_id(time.time_ns() // 1_000_000)}"
        refused(calm.http.get(url), 404, "stream_unknown")


def test_a_stream_that_is_gone(calm: System) -> None:
    """Rule X1: 410 on every route for an id that is older than the retention."""
    stream = new_stream_id(time.time_ns() // 1_000_000 - 2 * DAY_MS)
    assert created_ms(stream) is not None
    with without_a_trace(calm):
        for method, url in routes(stream):
            refused(calm.http.request(method, url), 410, "stream_expired")


def test_a_chat_that_never_was(calm: System) -> None:
    """404 for its messages; 204 for its stream, as the AI SDK wants it."""
    with without_a_trace(calm):
        refused(calm.http.get("/api/chat/nobody"), 404, "chat_unknown")
        reply = calm.http.get("/api/chat/nobody/stream")
        assert (reply.status_code, reply.content) == (204, b"")


def test_a_token_of_another_stream(calm: System, finished: str) -> None:
    """Rule U8: a token that is sent must be the stream's own; a wrong one is as good as no stream."""
    with without_a_trace(calm):
        for token in ("x", "hfr_9999999999.0.0.AAAA", "hfs_", ""):
            reply = calm.http.get(f"/api/streams/{finished}", params={"token": token})
            refused(reply, 404, "stream_unknown")
        for token in ("hfr_9999999999.0.0.AAAA", "hfs_"):
            reply = calm.http.get(f"/api/streams/{finished}", headers={"authorization": f"Bearer {token}"})
            refused(reply, 404, "stream_unknown")


@pytest.mark.parametrize("bearer", ["x", "", "a.b.c", "9999999999.AAAA"])
def test_a_bearer_that_proves_nothing(calm: System, finished: str, bearer: str) -> None:
    """Rule U2: 401 whatever is asked for, so that a client with a wrong key is told, and nobody else anything."""
    unknown = new_stream_id(time.time_ns() // 1_000_000)
    with without_a_trace(calm):
        for path in (f"/api/streams/{finished}", f"/api/streams/{unknown}", "/api/chat/calm", "/api/chat/none"):
            reply = calm.http.get(path, headers={"authorization": f"Bearer {bearer}".strip()})
            refused(reply, 401, "credentials_invalid")
            assert reply.headers["www-authenticate"] == "Bearer"
