"""The schedules of the QStash stand-in: cron expressions that publish a message each time they come round."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from standins.qstash_engine import Engine
from standins.qstash_messages import text_or_base64
from standins.qstash_options import Options, Refused, check_destination, check_size, header_lists
from standins.qstash_signing import random_id

#: Active schedules on the free plan.
MAX_SCHEDULES = 10
_ID = re.compile(r"[A-Za-z0-9._-]{1,200}")


def next_time(cron: str, after: float) -> float:
    """When a cron expression next comes round.

    Args:
        cron: five fields, in UTC unless ``CRON_TZ=<zone> `` stands before them.
        after: epoch seconds; the answer is later.

    Raises:
        Refused: it is malformed, or never comes round.
    """
    fields = cron.split()
    zone: tzinfo = UTC
    if fields and fields[0].startswith("CRON_TZ="):
        name = fields.pop(0).removeprefix("CRON_TZ=")
        try:
            zone = ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError):
            raise Refused(400, f"invalid cron: unknown time zone {name!r}") from None
    if len(fields) != 5:
        raise Refused(400, "invalid cron: it must have five fields")
    try:
        return next(CronSim(" ".join(fields), datetime.fromtimestamp(after, zone))).timestamp()
    except (CronSimError, StopIteration) as error:
        raise Refused(400, f"invalid cron: {error or 'it never comes round'}") from None


@dataclass(slots=True, eq=False)
class Schedule:
    """A message that is published again and again. Times are epoch seconds."""

    id: str
    cron: str
    url: str
    body: bytes
    options: Options
    caller_ip: str
    created: float
    paused: bool = False
    last: float | None = None
    next: float = 0.0
    last_messages: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Schedules:
    """All schedules; each has a task that waits for its next time.

    Args:
        engine: takes the messages, and knows the time.
    """

    engine: Engine
    all: dict[str, Schedule] = field(default_factory=dict)
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    def create(
        self,
        url: str,
        cron: str,
        body: bytes,
        options: Options,
        *,
        schedule_id: str | None = None,
        caller_ip: str = "127.0.0.1",
    ) -> Schedule:
        """Make a schedule, or replace the one of the same id.

        Raises:
            Refused: malformed expression, id or destination (400), too large or one too many (412).
        """
        now = self.engine.clock.now()
        check_destination(url, self.engine.limits)
        check_size(body)
        if schedule_id is not None and not _ID.fullmatch(schedule_id):
            raise Refused(400, "invalid schedule id: use letters, digits, hyphens, periods and underscores")
        following = next_time(cron, now)
        known = self.all.get(schedule_id or "")
        if known is None and len(self.all) >= MAX_SCHEDULES:
            raise Refused(412, "quota maxSchedules exceeded")
        chosen = schedule_id or random_id(self.engine.rng, "scd_")
        created = known.created if known else now
        # Both are of the one request that makes the schedule; each of its messages is a new one, due when it fires.
        options = replace(options, deduplication_id=None, content_based_deduplication=False, not_before=None)
        schedule = Schedule(chosen, cron, url, body, options, caller_ip, created, next=following)
        self.delete(chosen)
        self.all[chosen] = schedule
        self._tasks[chosen] = asyncio.create_task(self._run(schedule))
        return schedule

    def delete(self, schedule_id: str) -> bool:
        """Forget a schedule; the messages it made go on. Says whether there was one."""
        if (task := self._tasks.pop(schedule_id, None)) is not None:
            task.cancel()
        return self.all.pop(schedule_id, None) is not None

    def fire(self, schedule: Schedule) -> str:
        """Publish the schedule's message now, and return the message's id."""
        published = self.engine.publish(
            schedule.url, schedule.body, schedule.options, caller_ip=schedule.caller_ip, schedule_id=schedule.id
        )
        schedule.last = self.engine.clock.now()
        schedule.last_messages = [published.message_id]
        return published.message_id

    async def reset(self) -> None:
        """Forget every schedule."""
        tasks = list(self._tasks.values())
        for schedule_id in list(self.all):
            self.delete(schedule_id)
        await asyncio.gather(*tasks, return_exceptions=True)

    def described(self, schedule: Schedule) -> dict[str, Any]:
        """A schedule as ``GET /v2/schedules/{id}`` has it; fields that do not apply are left out."""
        options = schedule.options
        described: dict[str, Any] = {
            "scheduleId": schedule.id,
            "cron": schedule.cron,
            "destination": schedule.url,
            "createdAt": int(schedule.created * 1_000),
            "method": options.method,
            "header": header_lists(options.forward),
            "retries": options.retries,
            "timeout": int(options.timeout),
            "callerIP": schedule.caller_ip,
            "isPaused": schedule.paused,
            "nextScheduleTime": int(schedule.next * 1_000),
            **text_or_base64("body", schedule.body),
        }
        optional = {
            "callback": options.callback and options.callback.url,
            "failureCallback": options.failure_callback and options.failure_callback.url,
            "retryDelayExpression": options.retry_delay,
            "delay": int(options.delay),
            "label": options.label,
            "lastScheduleTime": int(schedule.last * 1_000) if schedule.last is not None else None,
            "lastScheduleStates": {each: self._outcome(each) for each in schedule.last_messages},
        }
        return described | {name: value for name, value in optional.items() if value}

    def _outcome(self, message_id: str) -> str:
        message = self.engine.messages.get(message_id)
        states = {"DELIVERED": "SUCCESS", "FAILED": "FAIL", "CANCELED": "FAIL"}
        return states.get(message.state, "IN_PROGRESS") if message else "SUCCESS"

    async def _run(self, schedule: Schedule) -> None:
        while True:
            await self.engine.clock.sleep_until(schedule.next)
            # A paused schedule's time passes: the trigger is ignored, not postponed.
            if not schedule.paused:
                self.fire(schedule)
            schedule.next = next_time(schedule.cron, max(schedule.next, self.engine.clock.now()))
