"""The following client over real sockets: every part once, whatever happens to the connections."""

from __future__ import annotations

import asyncio
import random
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack, aclosing
from typing import Any

import httpx
import pytest

import holdfast
from holdfast.client import (
    AnswerFailed,
    AnswerStopped,
    Event,
    FollowGaveUp,
    FollowRefused,
    Reconnect,
    StreamExpired,
    StreamNotFound,
    final_text,
    follow,
)
from tests.cli.scripted import HOST, FakeHoldfast, Refuse, Request, Serve, Wire, serving, text_answer

WORDS = [f"wörd{number} 😀 " for number in range(30)]
TEXT = "".join(WORDS)


class ManualClock:
    """Time that only passes while somebody sleeps."""

    def __init__(self, on_sleep: Callable[[int], None] = lambda _count: None) -> None:
        self.now = 1000.0
        self.slept: list[float] = []
        self._on_sleep = on_sleep

    def now_ms(self) -> int:
        return round(self.now * 1000)

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        self._on_sleep(len(self.slept))
        await asyncio.sleep(0)


async def collected(url: str, **options: Any) -> list[Event]:
    return [event async for event in follow(url, **options)]


@pytest.mark.asyncio
async def test_twenty_cuts_at_random_places_give_each_part_once() -> None:
    """Clean ends, hard cuts and 503 in any order leave nothing out and nothing twice."""
    dice = random.Random(7)  # noqa: S311 - a plan that is the same each time
    plan: list[Serve | Refuse] = []
    for number in range(20):
        parts = dice.randrange(4)
        ends: list[Serve | Refuse] = [
            Serve(parts),
            Serve(parts, "cut"),
            Serve(parts, "reset"),
            Refuse(503),
            Refuse(429),
        ]
        plan.append(ends[number % len(ends)])
    dice.shuffle(plan)
    fake = FakeHoldfast(text_answer(*WORDS), *plan)
    clock = ManualClock()
    with serving(fake) as base:
        events = await collected(f"{base}/api/streams/{fake.id}", clock=clock)
    assert [(event.cursor, event.chunk) for event in events] == fake.parts
    assert "".join(event.text for event in events) == TEXT
    assert len(fake.requests) == 21


@pytest.mark.asyncio
async def test_it_goes_on_from_a_given_cursor_and_sends_the_last_one_each_time() -> None:
    """The first request carries the caller's cursor, each later one that of the last part read."""
    fake = FakeHoldfast(text_answer("a", "b", "c", "d"), Serve(2), Serve(1, "cut"))
    with serving(fake) as base:
        events = await collected(f"{base}/x", cursor=fake.parts[1][0], clock=ManualClock())
    assert [event.chunk for event in events] == [chunk for _, chunk in fake.parts[2:]]
    assert fake.reads == [fake.parts[1][0], fake.parts[3][0], fake.parts[4][0]]


@pytest.mark.asyncio
async def test_a_cursor_at_the_end_yields_nothing() -> None:
    """204 is the end, not a fault."""
    fake = FakeHoldfast(text_answer("a"))
    with serving(fake) as base:
        assert await collected(f"{base}/x", cursor=fake.end_cursor) == []
    assert len(fake.requests) == 1


@pytest.mark.asyncio
async def test_a_replay_from_the_start_shows_no_part_twice() -> None:
    """A proxy that drops Last-Event-ID, or a route that ignores it, is seen through."""
    fake = FakeHoldfast(text_answer(*WORDS), Serve(5), Serve(9, "cut"), Serve(2), heed_cursor=False)
    with serving(fake) as base:
        events = await collected(f"{base}/x", clock=ManualClock())
    assert [(event.cursor, event.chunk) for event in events] == fake.parts


@pytest.mark.asyncio
async def test_an_error_under_the_reader_s_own_cursor_is_shown() -> None:
    """A server that cannot go on says so where the reader stands; that is no replay."""

    def answer(request: Request, wire: Wire) -> None:
        wire.stream()
        if "last-event-id" not in request.headers:
            wire.chunk(b'id: 1-1\ndata: {"type":"text-delta","id":"t","delta":"a"}\n\nretry: 1\n')
        else:
            wire.chunk(b'id: 1-1\ndata: {"type":"error","errorText":"gap"}\n\nid: 1-1\ndata: [DONE]\n\n')
        wire.end()

    with serving(answer) as base:
        events = await collected(base, clock=ManualClock())
    assert [event.kind for event in events] == ["text-delta", "error"]


@pytest.mark.asyncio
async def test_refused_connections_are_survived_with_growing_waits() -> None:
    """Nobody listens at first; each wait is longer than the one before, until somebody does."""
    fake = FakeHoldfast(text_answer("a", "b"))
    listener = socket.socket()
    listener.bind((HOST, 0))
    url = f"http://{HOST}:{listener.getsockname()[1]}/x"
    with ExitStack() as stack:

        def on_sleep(count: int) -> None:
            if count == 5:
                stack.enter_context(serving(fake, listener))

        clock = ManualClock(on_sleep)
        noticed: list[Reconnect] = []
        assert await final_text(url, clock=clock, on_reconnect=noticed.append) == "ab"
    bases = [0.25, 0.5, 1.0, 2.0, 4.0]
    assert all(base <= slept <= base * 1.3 for base, slept in zip(bases, clock.slept, strict=True))
    assert [(each.number, each.failed) for each in noticed] == [(number, True) for number in range(1, 6)]
    assert [each.delay_seconds for each in noticed] == clock.slept


@pytest.mark.asyncio
async def test_the_server_s_own_waits_are_kept() -> None:
    """``retry:`` is a least wait after any end of a connection, ``Retry-After`` after a refusal."""
    fake = FakeHoldfast(
        text_answer("a", "b", "c"), Serve(2, retry=4000), Serve(1, "cut", retry=2500), Refuse(503, {"retry-after": "7"})
    )
    clock = ManualClock()
    with serving(fake) as base:
        await collected(f"{base}/x", clock=clock)
    after_end, after_cut, after_refusal = clock.slept
    assert 4.0 <= after_end <= 5.2
    assert 2.5 <= after_cut <= 3.25
    assert after_refusal == 7.0


@pytest.mark.asyncio
async def test_a_clean_end_without_retry_is_resumed_at_once() -> None:
    """A platform's time limit costs the reader no pause."""
    fake = FakeHoldfast(text_answer("a", "b", "c"), Serve(2, retry=None), Serve(1, retry=None))
    clock = ManualClock()
    with serving(fake) as base:
        assert await final_text(f"{base}/x", clock=clock) == "abc"
    assert clock.slept == [0.0, 0.0]


@pytest.mark.asyncio
@pytest.mark.parametrize("step", [Refuse(503), Serve(0, "cut"), Serve(0, "end", retry=50), Serve(0, "end", retry=0)])
async def test_a_server_without_a_sign_of_life_is_given_up(step: Serve | Refuse) -> None:
    """Nobody waits for ever, also where each connection is accepted and ends politely."""
    fake = FakeHoldfast(text_answer("a", "b"), Serve(3), *[step] * 2000)
    clock = ManualClock()
    with serving(fake) as base, pytest.raises(FollowGaveUp) as caught:
        await collected(f"{base}/x", clock=clock, give_up_seconds=20)
    assert caught.value.cursor == fake.parts[2][0]
    assert sum(clock.slept) <= 20
    assert sum(clock.slept) > 5
    assert len(fake.requests) < 300


@pytest.mark.asyncio
async def test_a_silent_connection_is_replaced() -> None:
    """A connection that died without a word ends after the idle time, and the rest comes over a new one."""
    fake = FakeHoldfast(text_answer("a", "b", "c"), Serve(3, "hold"))
    reasons: list[str] = []
    with serving(fake) as base:
        url = f"{base}/x"
        text = await final_text(url, idle_seconds=0.1, on_reconnect=lambda event: reasons.append(event.reason))
    assert text == "abc"
    assert reasons == ["the connection went silent"]


@pytest.mark.asyncio
async def test_heartbeats_keep_a_connection_alive() -> None:
    """A model may think for longer than the idle time, as long as the server beats."""
    beats = 6

    def answer(_request: Request, wire: Wire) -> None:
        wire.stream()
        for _ in range(beats):
            gate.wait(0.05)
            wire.chunk(b":\n")
        wire.chunk(b'id: 1-1\ndata: {"type":"text-delta","id":"t","delta":"a"}\n\nid: 1-2\ndata: [DONE]\n\n')
        wire.end()

    gate = threading.Event()  # never set: its wait is the model's silence, shorter than the idle time
    noticed: list[Reconnect] = []
    with serving(answer) as base:
        assert await final_text(base, idle_seconds=0.2, on_reconnect=noticed.append) == "a"
    assert noticed == []


@pytest.mark.asyncio
async def test_the_deadline_bounds_the_whole_call() -> None:
    """It ends a connection that is alive, and the error says where to go on."""
    fake = FakeHoldfast(text_answer("a", "b"), Serve(3, "hold"))
    with serving(fake) as base:
        with pytest.raises(FollowGaveUp) as caught:
            await final_text(f"{base}/x", deadline_seconds=0.2)
        assert caught.value.cursor == fake.parts[2][0]
        assert await final_text(f"{base}/x", cursor=caught.value.cursor) == "b"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("status", "error"),
    [(404, StreamNotFound), (410, StreamExpired), (401, FollowRefused), (400, FollowRefused), (304, FollowRefused)],
)
async def test_a_final_refusal_is_raised_at_once(status: int, error: type[Exception]) -> None:
    """Asking again would not change it, so nothing is asked again."""
    fake = FakeHoldfast(text_answer("a"), Refuse(status))
    with serving(fake) as base, pytest.raises(error) as caught:
        await collected(f"{base}/x")
    assert type(caught.value) is error
    assert len(fake.requests) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("body", "word"), [({"error": {"code": "cursor_unknown", "message": "Not mine."}}, "Not mine."), (["x"], "(400).")]
)
async def test_a_refusal_carries_the_server_s_explanation(body: object, word: str) -> None:
    """Where it gives one in the contract's shape."""
    with serving(lambda _request, wire: wire.reply(400, body)) as base, pytest.raises(FollowRefused) as caught:
        await collected(base, cursor="9-9")
    assert (str(caught.value).endswith(word), caught.value.status) == (True, 400)


@pytest.mark.asyncio
async def test_a_page_that_is_no_stream_is_refused_and_its_url_shown_without_its_query() -> None:
    """A login page with status 200 must not look like an answer without text, nor leak a token into a log."""
    with serving(lambda _request, wire: wire.reply(200, {"hello": 1})) as base:
        with pytest.raises(FollowRefused, match="no event stream") as caught:
            await collected(f"{base}/x?token=hush")
        assert "hush" not in str(caught.value)


@pytest.mark.asyncio
@pytest.mark.parametrize("data", [b"not json", b"[1]", b'"text"'])
async def test_an_event_that_is_no_chunk_is_refused(data: bytes) -> None:
    """Text of unknown meaning is never skipped in silence."""

    def answer(_request: Request, wire: Wire) -> None:
        wire.stream()
        wire.chunk(b"id: 1-1\ndata: " + data + b"\n\n")
        wire.end()

    with serving(answer) as base, pytest.raises(FollowRefused):
        await collected(base)


@pytest.mark.asyncio
@pytest.mark.parametrize("url", ["ftp://example.invalid/x", "nonsense", "http://"])
async def test_an_impossible_url_is_refused_at_once(url: str) -> None:
    """No wait of minutes for a typing mistake."""
    clock = ManualClock()
    with pytest.raises(FollowRefused):
        await collected(url, clock=clock)
    assert clock.slept == []


@pytest.mark.asyncio
async def test_a_failed_and_a_stopped_answer_are_no_final_text() -> None:
    """What there is of it comes with the error."""
    failed = FakeHoldfast(text_answer("par", "tial", ending={"type": "error", "errorText": "The model is away."}))
    stopped = FakeHoldfast(text_answer("par", ending={"type": "abort"}), Serve(3))
    with serving(failed) as one, serving(stopped) as two:
        with pytest.raises(AnswerFailed, match="The model is away") as first:
            await final_text(f"{one}/x")
        with pytest.raises(AnswerStopped) as second:
            await final_text(f"{two}/x", clock=ManualClock())
    assert (first.value.text, second.value.text) == ("partial", "par")


@pytest.mark.asyncio
async def test_leaving_the_loop_closes_the_connection_but_not_the_caller_s_client() -> None:
    """The server sees the reader go, and a client that was handed in stays usable."""
    fake = FakeHoldfast(text_answer("a", "b"), Serve(3, "hold"))
    with serving(fake) as base:
        async with httpx.AsyncClient(headers={"x-own": "1"}, timeout=0.5) as client:
            async with aclosing(follow(f"{base}/x", client=client, headers={"Authorization": "Bearer t"})) as events:
                async for event in events:
                    if event.text:
                        break
            assert not client.is_closed
            assert await final_text(f"{base}/x", client=client) == "ab"
    # Leaving the block joins the server's threads: one that held its connection has seen the reader leave.
    assert fake.requests[0].headers["authorization"] == "Bearer t"
    assert [each.headers["x-own"] for each in fake.requests] == ["1", "1"]


@pytest.mark.asyncio
async def test_a_token_goes_with_every_request() -> None:
    """As a bearer, which stands in no log, and not in the URL; other headers stay."""
    fake = FakeHoldfast(text_answer("a", "b"), Serve(3))
    with serving(fake) as base:
        text = await final_text(f"{base}/x", token="hfr_1", headers={"x-own": "1"}, clock=ManualClock())
    assert text == "ab"
    assert [(each.headers["authorization"], each.headers["x-own"]) for each in fake.requests] == [
        ("Bearer hfr_1", "1")
    ] * 2
    assert all("hfr_1" not in each.path for each in fake.requests)


@pytest.mark.asyncio
async def test_a_slow_caller_is_no_dead_server() -> None:
    """The time that the caller takes for a part does not count against the server."""
    fake = FakeHoldfast(text_answer("a", "b", "c"), Serve(3), Serve(1, "cut"))
    clock = ManualClock()
    with serving(fake) as base:
        async for _event in follow(f"{base}/x", clock=clock, give_up_seconds=20):
            clock.now += 60
    assert len(fake.requests) == 3


@pytest.mark.asyncio
async def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a company's proxy the local server is reached all the same."""
    monkeypatch.setenv("HTTP_PROXY", f"http://{HOST}:9")
    monkeypatch.setenv("ALL_PROXY", f"http://{HOST}:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    fake = FakeHoldfast(text_answer("a"))
    with serving(fake) as base:
        assert await final_text(f"{base}/x", deadline_seconds=5) == "a"


def test_it_is_the_library_s_public_client() -> None:
    """``holdfast.follow`` and ``holdfast.final_text`` are these functions."""
    assert (holdfast.follow, holdfast.final_text) == (follow, final_text)
