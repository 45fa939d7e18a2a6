"""Schedules on a clock of their own: when they fire, and how many there may be."""

from __future__ import annotations

import pytest

from standins.qstash_options import Options, Refused
from standins.qstash_schedules import Schedules, next_time
from standins.qstash_transport import Reply
from tests.standins.qstash_time import DAY, START, URL, engine_for, options


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
