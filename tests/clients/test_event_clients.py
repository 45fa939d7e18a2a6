"""Clients of server-sent events over cuts and time limits; none of them asks for ever where nothing is left."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from holdfast.clock import SystemClock
from holdfast.identity import new_stream_id
from holdfast.tokens import mint_read
from tests.clients.agents import is_one_text, whole
from tests.clients.front import Front
from tests.clients.readers import BROWSERS, NODE, PAGE, Came, browser, read
from tests.e2e.system import System
from tests.e2e.waiting import until

CLIENTS = (*BROWSERS, *NODE, "httpx-sse", "curl", "holdfast.follow")
#: Clients that find the end by a request for what comes after it.
ASK_AFTER_THE_END = (*BROWSERS, "eventsource")
CUTS = 5


@dataclass(frozen=True, slots=True)
class Run:
    """All streams that one client has read: what came of each, and through which front."""

    client: str
    came: dict[str, Came]
    fronts: dict[str, Front]

    def asked(self, scenario: str) -> list[str | None]:
        """The cursors of a scenario's requests."""
        return [each.cursor for each in self.fronts[scenario].asked if each.path.startswith("/api/")]


@pytest.fixture(scope="package", params=CLIENTS)
def run(request: pytest.FixtureRequest, system: System, limited: System) -> Iterator[Run]:
    """One client reads one stream of each scenario, all at the same time."""
    client: str = request.param
    if client in BROWSERS:
        browser(client)
    fronts: dict[str, Front] = {}
    asked: dict[str, str] = {}
    with ExitStack() as stack, ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read, client, lambda: _begin(stack, fronts, asked, system, limited))
        until(lambda: reading.done() or ("stop" in fronts and fronts["stop"].asked), f"a request of {client}", 90)
        until(lambda: system.status(asked["stop"])["characters"] > 200, "some text")
        system.stop(asked["stop"])
        yield Run(client, reading.result(120), fronts)


def _begin(
    stack: ExitStack, fronts: dict[str, Front], asked: dict[str, str], system: System, limited: System
) -> dict[str, tuple[Front, str]]:
    """Start the answers, once the client is there: some take their time. -> what to read, and through what.

    A read token in the query says who may: EventSource sends no headers. The forbidden stream gets another one's.
    """
    asked |= {
        "whole": system.ask("60 words of 20 ms."),
        "cuts": system.ask("200 words of 40 ms."),
        "limit": limited.ask("240 words of 40 ms."),
        "stop": system.ask("2000 words of 30 ms."),
    }
    week = 7 * 86_400_000
    streams = asked | {
        "expired": new_stream_id(_now_ms() - week),
        "unknown": new_stream_id(_now_ms() - 60_000),
        "forbidden": asked["whole"],
    }
    secret = system.settings["HOLDFAST_SECRET"]
    expires = _now_ms() // 1000 + 600
    of = {name: mint_read(secret, asked["stop"] if name == "forbidden" else streams[name], expires) for name in streams}
    paths = {name: f"/api/streams/{stream}?token={of[name]}" for name, stream in streams.items()}
    for name in paths:
        target = limited.url if name == "limit" else system.url
        fronts[name] = stack.enter_context(Front(target, cuts=CUTS if name == "cuts" else 0, page=lambda: PAGE))
    return {name: (fronts[name], path) for name, path in paths.items()}


def _now_ms() -> int:
    return SystemClock().now_ms()


def ends(came: Came) -> tuple[str | None, str]:
    """How a client ended, and the kind of the last chunk."""
    return came.error, came.chunks[-1]["type"]


def test_whole(run: Run) -> None:
    """An answer is read to its end, each part once; after the end at most one request finds that nothing is left."""
    came = run.came["whole"]
    assert ends(came) == (None, "finish")
    assert is_one_text(came.text, 60)
    assert [chunk["type"] for chunk in came.chunks].count("start") == 1
    assert len(run.asked("whole")) == (2 if run.client in ASK_AFTER_THE_END else 1)


def test_cuts(run: Run) -> None:
    """Connections are reset in the middle of events; no part is lost, none comes twice."""
    came = run.came["cuts"]
    assert ends(came) == (None, "finish")
    assert is_one_text(came.text, 200)
    cursors = run.asked("cuts")
    assert len(cursors) == CUTS + (2 if run.client in ASK_AFTER_THE_END else 1)
    assert len({cursor for cursor in cursors[1 : CUTS + 1] if cursor}) >= 2


def test_limit(run: Run) -> None:
    """The platform ends every response after three seconds: the answer of ten is whole."""
    came = run.came["limit"]
    assert ends(came) == (None, "finish")
    assert is_one_text(came.text, 240)
    assert 2 <= len(run.asked("limit")) <= 8


def test_stop(run: Run) -> None:
    """A stop is shown, what was said before stays, and nobody asks for more."""
    came = run.came["stop"]
    assert ends(came) == (None, "abort")
    assert whole(came.text[:8], 2000).startswith(came.text)
    assert 0 < len(came.text) < 20_000
    assert len(run.asked("stop")) == (2 if run.client in ASK_AFTER_THE_END else 1)


def test_refused(run: Run) -> None:
    """Expired, unknown, or not theirs: one request, nothing shown, an error, and no other request."""
    for scenario in ("expired", "unknown", "forbidden"):
        came = run.came[scenario]
        assert came.chunks == []
        assert came.error is not None
        assert len(run.asked(scenario)) == 1, scenario
