"""The delivery engine of the QStash stand-in: each message is a task that waits, calls, and waits again.

It knows neither HTTP nor the machine's clock: both come as ports (``qstash_transport``). Everything is in memory; a
restart forgets all messages, schedules and rotated keys, which is enough for one machine and never for production.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

from standins import qstash_backoff
from standins.qstash_faults import QStashFaults, no_faults
from standins.qstash_messages import OVER, Kind, Message, callback_body, dead_letter
from standins.qstash_options import Callback, Limits, Options, check_destination, check_size, digest
from standins.qstash_signing import SigningKeys, random_id
from standins.qstash_transport import Clock, Reply, Sender
from standins.qstash_tries import Tries

#: QStash forgets a deduplication id after ten minutes ("Deduplication" page).
DEDUPLICATION_SECONDS = 600.0
_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Published:
    """The answer to a publish request."""

    message_id: str
    deduplicated: bool


@dataclass(slots=True)
class Engine:
    """Takes messages and delivers them, at least once.

    Args:
        clock: time.
        sender: calls destinations.
        keys: what signs.
        rng: makes ids.
        limits: what may be asked.
        faults: what goes wrong.
    """

    clock: Clock
    sender: Sender
    keys: SigningKeys
    rng: random.Random
    limits: Limits = field(default_factory=Limits)
    faults: QStashFaults = field(default_factory=no_faults)
    messages: dict[str, Message] = field(default_factory=dict)
    dlq: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=_KEPT))
    counts: Counter[str] = field(default_factory=Counter)
    _seen: dict[str, tuple[str, float]] = field(default_factory=dict)
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _tries: Tries = field(init=False)
    _taken: int = 0
    _dead: int = 0

    def __post_init__(self) -> None:
        self._tries = Tries(self.clock, self.sender, self.keys, self.rng, self.faults, self.counts)

    def publish(
        self, url: str, body: bytes, options: Options, *, caller_ip: str = "127.0.0.1", schedule_id: str | None = None
    ) -> Published:
        """Take a message, unless it is one that was taken in the last ten minutes.

        Args:
            url: the destination.
            body: at most 1 MB.
            options: how to deliver it.
            caller_ip: the publisher's address.
            schedule_id: the schedule that made the message, if one did.

        Raises:
            Refused: the destination is not allowed (400), or the body is too large (412).
        """
        check_destination(url, self.limits)
        check_size(body)
        now = self.clock.now()
        dedup = options.deduplication_id or (digest(url, body, options) if options.content_based_deduplication else "")
        self._seen = {key: entry for key, entry in self._seen.items() if entry[1] > now}
        if dedup and dedup in self._seen:
            self.counts["deduplicated"] += 1
            return Published(self._seen[dedup][0], deduplicated=True)
        self.counts["scheduled" if schedule_id else "published"] += 1
        message = self._accept(url, body, options, "message", caller_ip, schedule_id=schedule_id)
        if dedup:
            self._seen[dedup] = (message.id, now + DEDUPLICATION_SECONDS)
        return Published(message.id, deduplicated=False)

    def cancel(self, message_id: str) -> bool:
        """Deliver a message no more. A call under way goes on: cancelling takes effect at the next delivery.

        Returns:
            Whether there was such a message, still on its way.
        """
        message = self.pending(message_id)
        if message is None or message.cancel_requested:
            return False
        message.cancel_requested = True
        self._log(message, "CANCEL_REQUESTED")
        if message.state != "ACTIVE":
            self._tasks.pop(message_id).cancel()
            self._finish(message, "CANCELED")
        return True

    def pending(self, message_id: str) -> Message | None:
        """The message, if it is still on its way."""
        message = self.messages.get(message_id)
        return None if message is None or message.state in OVER else message

    def stats(self) -> dict[str, Any]:
        """Counts since the start or the last reset. ``succeeded`` and ``failed`` are of calls, ``dead`` of messages."""
        names = ("published", "deduplicated", "scheduled", "deliveries", "succeeded", "failed", "dead", "cancelled")
        states = Counter(message.state for message in self.messages.values())
        return {
            **{name: self.counts[name] for name in names},
            "callbacks": {"callback": self.counts["callback"], "failure_callback": self.counts["failure_callback"]},
            "waiting": states["CREATED"] + states["RETRY"],
            "active": states["ACTIVE"],
            "fired": self.faults.fired(),
        }

    async def reset(self) -> None:
        """Forget every message, rotation of keys, and fault but those of the start; calls under way are cut."""
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._tries.reset()
        self.messages.clear()
        self.dlq.clear()
        self.events.clear()
        self.counts.clear()
        self._seen.clear()
        self.faults.reset()
        self.keys.restore()

    def _accept(
        self,
        url: str,
        body: bytes,
        options: Options,
        kind: Kind,
        caller_ip: str,
        *,
        schedule_id: str | None = None,
        source: str | None = None,
    ) -> Message:
        now = self.clock.now()
        due = options.not_before if options.not_before is not None else now + options.delay
        message = Message(
            random_id(self.rng, "msg_"),
            url,
            body,
            options,
            created=now,
            due=max(now, due),
            caller_ip=caller_ip,
            kind=kind,
            schedule_id=schedule_id,
            source=source,
            number=self._taken,
        )
        self._taken += 1
        self._trim()
        self.messages[message.id] = message
        self._log(message, "CREATED")
        task = asyncio.create_task(self._deliver(message))
        self._tasks[message.id] = task
        return message

    def _trim(self) -> None:
        """Forget the oldest messages that are over, once there are very many."""
        if len(self.messages) >= _KEPT:
            for message in [each for each in self.messages.values() if each.state in OVER][: _KEPT // 10]:
                del self.messages[message.id]

    async def _deliver(self, message: Message) -> None:
        """A message's whole life after it was taken."""
        while True:
            await self._tries.due(message)
            message.state = "ACTIVE"
            self._log(message, "ACTIVE")
            reply = await self._tries.make(message, self._succeeded_late)
            if reply.ok:
                return self._delivered(message, reply)
            self._report(message, reply)
            self._log(message, "ERROR", reply)
            if message.late_success is not None:
                return self._delivered(message, message.late_success)
            if self._is_final(message, reply):
                return self._give_up(message, reply)
            if message.cancel_requested:
                return self._finish(message, "CANCELED")
            now = self.clock.now()
            message.due = now + qstash_backoff.delay_seconds(
                retried=message.retried,
                expression=message.options.retry_delay,
                headers={name.lower(): value for name, value in reply.headers},
                now=now,
            )
            message.retried += 1
            message.state = "RETRY"
            self._log(message, "RETRY")

    def _delivered(self, message: Message, reply: Reply) -> None:
        self._report(message, reply)
        self._finish(message, "DELIVERED")
        self._tries.after_success(message)

    def _succeeded_late(self, message: Message, reply: Reply) -> None:
        """A call succeeded whose refused duplicate had been taken for the try: no further one is needed."""
        if message.state == "RETRY":
            self._tasks.pop(message.id).cancel()
            self._delivered(message, reply)
        elif message.state == "ACTIVE":
            message.late_success = reply

    def _report(self, message: Message, reply: Reply) -> None:
        if message.options.callback is not None:
            self._call_back("callback", message.options.callback, message, reply, None)

    def _is_final(self, message: Message, reply: Reply) -> bool:
        """Whether no further try is to be made: none is left, or the destination said so ("Retry" page, 489)."""
        refused = any(
            name.lower() == "upstash-nonretryable-error" and value.lower() == "true" for name, value in reply.headers
        )
        return message.retried >= message.options.retries or (reply.status == 489 and refused)

    def _give_up(self, message: Message, reply: Reply) -> None:
        self._dead += 1
        dlq_id = f"{int(self.clock.now() * 1_000)}-{self._dead}"
        self.dlq[dlq_id] = dead_letter(message, reply, dlq_id)
        self.counts["dead"] += 1
        if message.options.failure_callback is not None:
            self._call_back("failure_callback", message.options.failure_callback, message, reply, dlq_id)
        self._finish(message, "FAILED", reply)

    def _call_back(self, kind: Kind, callback: Callback, message: Message, reply: Reply, dlq_id: str | None) -> None:
        """A callback is a message like any other: signed, tried again, and given up into the DLQ."""
        if self.faults.take(lambda rule: rule.fits(callback.url, "callback_lost")):
            return
        self.counts[kind] += 1
        body = callback_body(message, reply, dlq_id)
        self._accept(callback.url, body, callback.options, kind, message.caller_ip, source=message.id)

    def _finish(self, message: Message, state: Any, reply: Reply | None = None) -> None:
        message.state = state
        if state == "CANCELED":
            self.counts["cancelled"] += 1
        self._tasks.pop(message.id, None)
        self._log(message, state, reply)

    def _log(self, message: Message, state: str, reply: Reply | None = None) -> None:
        event = {**message.described(), "time": int(self.clock.now() * 1_000), "state": state}
        # In the log a body is always base64; the messages' own fields are for their text.
        event.pop("body", None)
        event.pop("bodyBase64", None)
        if state == "RETRY":
            event["nextDeliveryTime"] = int(message.due * 1_000)
        if reply is not None:
            event |= {
                "responseStatus": reply.status,
                "error": reply.error or f"the destination answered {reply.status}",
            }
        self.events.append(event)
