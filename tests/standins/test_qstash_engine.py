"""The delivery engine on a clock of its own: when it calls, how often, and what it says about it."""

from __future__ import annotations

import asyncio
import json
from email.utils import formatdate

import jwt
import pytest

from standins.qstash_transport import Reply
from tests.standins.qstash_time import DAY, START, URL, engine_for, options, settle


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
