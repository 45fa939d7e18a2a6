"""The delivery engine on a clock of its own: when it calls, how often, and what it says about it."""

from __future__ import annotations

import asyncio
import heapq
import json
import random
import threading
from collections.abc import Callable
from email.utils import formatdate

import jwt
import pytest

from standins.qstash_engine import Engine
from standins.qstash_options import Limits, Options, Refused, check_destination, read
from standins.qstash_schedules import Schedules, next_time
from standins.qstash_signing import SigningKeys
from standins.qstash_transport import Call, HttpSender, Reply
from tests.standins.receiver import Answer, receiving

#: 2027-01-15 08:00:00 UTC, a Friday.
START = 1_800_000_000.0
URL = "http://127.0.0.1:9/api/publish"


class FakeClock:
    """Time that passes only when told, waking whoever waits for it in order."""

    def __init__(self) -> None:
        self._now = START
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0

    def now(self) -> float:
        return self._now

    async def sleep_until(self, when: float) -> None:
        if when > self._now:
            self._count += 1
            future = asyncio.get_running_loop().create_future()
            heapq.heappush(self._sleepers, (when, self._count, future))
            await future

    async def pass_until(self, when: float) -> None:
        """Let time pass, and everything happen that is due in it."""
        await settle()
        while self._sleepers and self._sleepers[0][0] <= when:
            at, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                self._now = at
                future.set_result(None)
                await settle()
        self._now = when


async def settle() -> None:
    """Give every task its turns: no chain of them in the engine is longer than this."""
    for _ in range(30):
        await asyncio.sleep(0)


class Destination:
    """A sender that notes when it was called and answers by a function of the call."""

    def __init__(self, clock: FakeClock, answer: Callable[[Call], Reply]) -> None:
        self._clock = clock
        self._answer = answer
        self.calls: list[tuple[float, Call]] = []

    async def send(self, call: Call, timeout: float) -> Reply:
        assert timeout > 0
        self.calls.append((self._clock.now() - START, call))
        return self._answer(call)

    @property
    def times(self) -> list[float]:
        """Seconds after the start of each call."""
        return [at for at, _ in self.calls]


def engine_for(answer: Callable[[Call], Reply]) -> tuple[Engine, FakeClock, Destination]:
    clock = FakeClock()
    destination = Destination(clock, answer)
    keys = SigningKeys("current_0123456789abcdefghijklmnopqrst", "next_0123456789abcdefghijklmnopqrstuvw")
    rng = random.Random(1)  # noqa: S311 - it makes ids
    return Engine(clock, destination, keys, rng), clock, destination


def options(**headers: str) -> Options:
    """Options from headers, with underscores for hyphens and without their first word."""
    return read([(f"upstash-{name.replace('_', '-')}", value) for name, value in headers.items()], Limits())


DAY = 86_400.0


@pytest.mark.asyncio
async def test_the_default_backoff_is_that_of_the_documentation() -> None:
    """12 s, 2 min 28 s, 30 min 8 s, 6 h 7 min 6 s, one day."""
    engine, clock, destination = engine_for(lambda _: Reply(500))
    engine.publish(URL, b"", options(retries="5"))
    await clock.pass_until(START + 10 * DAY)
    waits = [later - earlier for earlier, later in zip(destination.times, destination.times[1:], strict=False)]
    assert [int(wait) for wait in waits] == [12, 148, 1_808, 22_026, 86_400]
    assert engine.stats()["dead"] == 1


@pytest.mark.asyncio
async def test_an_expression_sets_the_waits_in_milliseconds_from_retried_zero() -> None:
    """1, 2, 4 s; an endless wait is cut at a day; and then the message is given up."""
    engine, clock, destination = engine_for(lambda _: Reply(0, error="refused"))
    engine.publish(URL, b"", options(retries="3", retry_delay="min(30000, 1000 * pow(2, retried))"))
    engine.publish(URL, b"", options(retries="1", retry_delay="exp(50)"))
    await clock.pass_until(START + 2 * DAY)
    assert sorted(destination.times) == [0.0, 0.0, 1.0, 3.0, 7.0, DAY]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ((("Retry-After", "30"),), 30.0),
        ((("retry-after", "6m5s"),), 365.0),
        ((("Retry-After", formatdate(START + 90, usegmt=True)),), 90.0),
        ((("X-RateLimit-Reset-Tokens", "250ms"),), 0.25),
        ((("X-RateLimit-Reset", "9"), ("Retry-After", "5")), 5.0),
        ((("Retry-After", "90000"),), 2.0),
        ((("Retry-After", "later"),), 2.0),
        ((("Retry-After", formatdate(START - 90, usegmt=True)),), 0.0),
    ],
)
async def test_the_destination_may_ask_for_another_time(headers: tuple[tuple[str, str], ...], expected: float) -> None:
    """Seconds, a duration or a date; what is over a day or unreadable is ignored."""
    engine, clock, destination = engine_for(lambda _: Reply(503, headers))
    engine.publish(URL, b"", options(retries="1", retry_delay="2000"))
    await clock.pass_until(START + DAY)
    assert destination.times == [0.0, pytest.approx(expected)]


@pytest.mark.asyncio
async def test_delay_and_not_before_hold_a_message_back() -> None:
    """``Upstash-Not-Before`` wins over ``Upstash-Delay``."""
    engine, clock, destination = engine_for(lambda _: Reply(200))
    engine.publish(URL, b"", options(delay="1m30s"))
    engine.publish(URL, b"", options(delay="1m", not_before=str(int(START) + 300)))
    await clock.pass_until(START + DAY)
    assert destination.times == [90.0, 300.0]
    late = engine.publish(URL, b"", options(not_before="1"))
    assert engine.messages[late.message_id].due == clock.now()
    await engine.reset()


@pytest.mark.asyncio
async def test_a_deduplication_id_is_forgotten_after_ten_minutes() -> None:
    """Also when the message failed: within the window the id is taken."""
    engine, clock, destination = engine_for(lambda _: Reply(500))
    asked = options(retries="0", deduplication_id="id")
    first = engine.publish(URL, b"", asked)
    await clock.pass_until(START + 599)
    assert engine.publish(URL, b"other", asked) == type(first)(first.message_id, deduplicated=True)
    await clock.pass_until(START + 600)
    assert not engine.publish(URL, b"", asked).deduplicated
    await settle()
    assert destination.times == [0.0, 600.0]


@pytest.mark.asyncio
async def test_a_callback_follows_each_try_and_a_failure_callback_the_last() -> None:
    """Callbacks inherit the retries, not the callbacks: theirs fail without a chain of more."""
    engine, clock, destination = engine_for(lambda call: Reply(500 if call.url == URL else 204))
    engine.publish(
        URL,
        b"work",
        options(
            retries="1", retry_delay="1000", callback="http://127.0.0.1:9/cb", failure_callback="http://127.0.0.1:9/fcb"
        ),
    )
    await clock.pass_until(START + DAY)
    seen = [(at, call.url.rsplit("/", 1)[1]) for at, call in destination.calls]
    assert seen[:2] == [(0.0, "publish"), (0.0, "cb")]
    assert seen[2] == (1.0, "publish")
    assert sorted(seen[3:]) == [(1.0, "cb"), (1.0, "fcb")]
    bodies = {call.url.rsplit("/", 1)[1]: json.loads(call.body) for _, call in destination.calls if call.url != URL}
    assert (bodies["cb"]["retried"], "dlqId" in bodies["cb"]) == (1, False)
    assert bodies["fcb"]["dlqId"] in engine.dlq


@pytest.mark.asyncio
async def test_a_failure_callback_that_fails_is_retried_as_often_as_the_message_and_then_given_up() -> None:
    """It ends in the DLQ too, and calls nobody."""
    engine, clock, destination = engine_for(lambda _: Reply(500))
    engine.publish(URL, b"", options(retries="2", retry_delay="1", failure_callback=URL))
    await clock.pass_until(START + DAY)
    assert len(destination.calls) == 6
    assert len(engine.dlq) == 2
    assert engine.stats()["callbacks"] == {"callback": 0, "failure_callback": 1}


@pytest.mark.asyncio
async def test_a_retry_is_signed_anew_with_the_key_of_its_time() -> None:
    """A try an hour later would otherwise carry an expired signature."""
    engine, clock, destination = engine_for(lambda _: Reply(500))
    engine.publish(URL, b"x", options(retries="1", retry_delay="3600000"))
    await settle()
    first_key = engine.keys.current
    engine.keys.rotate(engine.rng)
    await clock.pass_until(START + DAY)
    claims = [
        jwt.decode(
            dict(call.headers)["Upstash-Signature"], key, ["HS256"], options={"verify_exp": False, "verify_iat": False}
        )
        for (_, call), key in zip(destination.calls, (first_key, engine.keys.current), strict=True)
    ]
    assert [each["iat"] - START for each in claims] == [0, 3_600]
    assert claims[0]["jti"] != claims[1]["jti"]


@pytest.mark.asyncio
async def test_a_publisher_cannot_forge_what_qstash_says() -> None:
    """A forwarded ``Upstash-Signature`` or ``Upstash-Retried`` does not reach the destination."""
    engine, clock, destination = engine_for(lambda _: Reply(200))
    engine.publish(URL, b"", options(forward_upstash_retried="7", forward_upstash_signature="forged", forward_x="1"))
    await clock.pass_until(START)
    names = [name.lower() for name, _ in destination.calls[0][1].headers]
    assert len(names) == len(set(names))
    headers = {name.lower(): value for name, value in destination.calls[0][1].headers}
    assert (headers["upstash-retried"], headers["x"]) == ("0", "1")
    assert headers["upstash-signature"] != "forged"


@pytest.mark.asyncio
async def test_a_schedule_fires_by_itself_and_not_while_it_is_paused() -> None:
    """Every five minutes; the times that pass in a pause are lost, not postponed."""
    engine, clock, destination = engine_for(lambda _: Reply(200))
    schedules = Schedules(engine)
    schedule = schedules.create(URL, "*/5 * * * *", b"", options(deduplication_id="once"), schedule_id="s")
    await clock.pass_until(START + 601)
    schedule.paused = True
    await clock.pass_until(START + 1_201)
    schedule.paused = False
    await clock.pass_until(START + 1_501)
    assert destination.times == [300.0, 600.0, 1_500.0]
    assert {dict(call.headers)["Upstash-Schedule-Id"] for _, call in destination.calls} == {"s"}
    schedules.create(URL, "0 12 * * *", b"", Options(), schedule_id="s")
    await clock.pass_until(START + DAY)
    assert destination.times[3:] == [4 * 3_600.0]
    schedules.delete("s")
    await clock.pass_until(START + 5 * DAY)
    assert len(destination.calls) == 4


@pytest.mark.asyncio
async def test_the_plan_allows_ten_schedules() -> None:
    """The eleventh is refused as over the quota; one of the ten may still be replaced."""
    engine, _, _ = engine_for(lambda _: Reply(200))
    schedules = Schedules(engine)
    for number in range(10):
        schedules.create(URL, "* * * * *", b"", Options(), schedule_id=f"s{number}")
    schedules.create(URL, "0 * * * *", b"", Options(), schedule_id="s3")
    with pytest.raises(Refused) as refused:
        schedules.create(URL, "* * * * *", b"", Options(), schedule_id="one-more")
    assert refused.value.status == 412
    with pytest.raises(Refused) as refused:
        schedules.create(URL, "* * * * *", b"", Options(), schedule_id="not/allowed")
    assert refused.value.status == 400
    await schedules.reset()


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("* * * * *", 60),
        ("0 9 * * *", 3_600),
        ("CRON_TZ=America/New_York 0 4 * * *", 3_600),
        ("0 8 * * MON", 3 * DAY),
        ("30 8 1,15 * *", 1_800),
    ],
)
def test_cron_expressions_come_round_when_they_say(cron: str, expected: float) -> None:
    """From a Friday at eight in UTC, which is three in the night of New York."""
    assert next_time(cron, START) == START + expected


@pytest.mark.asyncio
async def test_reset_forgets_everything_and_leaves_no_task() -> None:
    """After it, time passes without a call."""
    engine, clock, destination = engine_for(lambda _: Reply(500))
    engine.publish(URL, b"", options(retry_delay="1000"))
    engine.publish(URL, b"", options(delay="1h"))
    await settle()
    await engine.reset()
    await clock.pass_until(START + DAY)
    assert destination.times == [0.0]
    assert engine.stats()["waiting"] == 0
    assert not engine.messages
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.asyncio
async def test_a_call_over_http_ends_at_its_timeout_and_follows_no_redirect() -> None:
    """A hanging destination, a redirect off the machine, and a port where nobody listens are failed tries."""
    sender, hold = HttpSender(max_body=4), threading.Event()
    try:
        with receiving() as receiver:
            receiver.answers(Answer(hold=hold), Answer(302, {"Location": "http://192.0.2.1/"}, b"moved on"))
            call = Call("POST", receiver.url, [("X-Latin", "\xe9")], b"")
            assert await sender.send(call, 0.05) == Reply(0, error="the destination did not answer in time")
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
