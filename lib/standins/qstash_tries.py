"""One try of a message: when it is made, its call or calls with their signatures, and what faults make of them."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from standins.qstash_faults import QStashFault, QStashFaults
from standins.qstash_messages import Message, Try
from standins.qstash_signing import SigningKeys, random_id
from standins.qstash_transport import Call, Clock, Reply, Sender


@dataclass(slots=True)
class Tries:
    """Makes tries.

    Args:
        clock: time.
        sender: calls destinations.
        keys: what signs.
        rng: makes ids.
        faults: what goes wrong.
        counts: where calls are counted: deliveries, succeeded, failed.
    """

    clock: Clock
    sender: Sender
    keys: SigningKeys
    rng: random.Random
    faults: QStashFaults
    counts: Counter[str]
    _held: dict[asyncio.Event, int] = field(default_factory=dict)
    _strays: set[asyncio.Task[Reply]] = field(default_factory=set)

    async def due(self, message: Message) -> None:
        """Return when the next try of a message is to be made: when it is due, or later if a fault holds it back."""
        await self.clock.sleep_until(message.due)
        fault = self._take(message, "late", "out_of_order")
        if fault is None:
            return
        until = self.clock.now() + fault.seconds
        if fault.kind == "late":
            await self.clock.sleep_until(until)
            return
        overtaken = False
        try:
            overtaken = await self._overtaken(message, until)
        finally:
            if not overtaken:
                self.faults.missed(fault)

    async def make(self, message: Message, late_success: Callable[[Message, Reply], None]) -> Reply:
        """Call the destination.

        Args:
            message: what to deliver.
            late_success: told when a call succeeds after this has returned another call's failure.

        Returns:
            The answer that counts.
        """
        fault = self._take(message, "twice", "refused_duplicate", "cut")
        if fault is None:
            reply = await self._call(message)
        elif fault.kind == "twice":
            reply, _ = await asyncio.gather(self._call(message), self._call(message, duplicate=True))
        elif fault.kind == "cut":
            reply = await self._call(message, patience=fault.seconds)
            if not reply.timed_out:
                self.faults.missed(fault)
        else:
            reply = await self._first_of_two(message, fault, late_success)
        for event, number in self._held.items():
            if number < message.number:
                event.set()
        return reply

    def after_success(self, message: Message) -> None:
        """Deliver a message again though it was taken, if a fault wants it."""
        fault = self._take(message, "again")
        if fault is None:
            return
        when = self.clock.now() + fault.seconds

        async def again() -> Reply:
            await self.clock.sleep_until(when)
            return await self._call(message, duplicate=True)

        self._keep(asyncio.create_task(again()))

    async def reset(self) -> None:
        """Cut the calls that no message waits for."""
        strays = list(self._strays)
        for task in strays:
            task.cancel()
        await asyncio.gather(*strays, return_exceptions=True)

    def _take(self, message: Message, *kinds: str) -> QStashFault | None:
        return self.faults.take(lambda rule: rule.fits(message.url, *kinds))

    def _keep(self, task: asyncio.Task[Reply]) -> None:
        self._strays.add(task)
        task.add_done_callback(self._strays.discard)

    async def _overtaken(self, message: Message, until: float) -> bool:
        """Wait until a message that was taken after this one has been answered; whether that came to be."""
        overtaken = asyncio.Event()
        self._held[overtaken] = message.number
        waits = [asyncio.ensure_future(overtaken.wait()), asyncio.ensure_future(self.clock.sleep_until(until))]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            return overtaken.is_set()
        finally:
            del self._held[overtaken]
            for wait in waits:
                wait.cancel()

    async def _first_of_two(
        self, message: Message, fault: QStashFault, late_success: Callable[[Message, Reply], None]
    ) -> Reply:
        """Make two calls at once and return the answer that comes first; the other call goes on."""
        calls = [
            asyncio.create_task(self._call(message)),
            asyncio.create_task(self._call(message, duplicate=True)),
        ]
        for call in calls:
            self._keep(call)
        done, running = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        replies = sorted((call.result() for call in done), key=lambda reply: not reply.ok)
        if replies[0].ok or not running:
            self.faults.missed(fault)
            return replies[0]

        def ended(call: asyncio.Task[Reply]) -> None:
            if not call.cancelled() and call.result().ok:
                late_success(message, call.result())

        for call in running:
            call.add_done_callback(ended)
        return replies[0]

    async def _call(self, message: Message, *, duplicate: bool = False, patience: float | None = None) -> Reply:
        at = self.clock.now()
        retried = message.retried
        timeout = message.options.timeout if patience is None else min(patience, message.options.timeout)
        self.counts["deliveries"] += 1
        reply = await self.sender.send(self._signed(message, at), timeout)
        self.counts["succeeded" if reply.ok else "failed"] += 1
        message.tries.append(Try(at, self.clock.now() - at, retried, reply.status, reply.error, duplicate))
        return reply

    def _signed(self, message: Message, now: float) -> Call:
        fault = self._take(message, "skew")
        signature = self.keys.sign(
            message.url,
            message.body,
            now=now + (fault.seconds if fault else 0.0),
            token_id=random_id(self.rng, "jwt_"),
        )
        own = [
            ("User-Agent", "Upstash-QStash"),
            ("Upstash-Message-Id", message.id),
            ("Upstash-Retried", str(message.retried)),
            ("Upstash-Signature", signature),
            ("Upstash-Caller-Ip", message.caller_ip),
        ]
        if message.schedule_id is not None:
            own.append(("Upstash-Schedule-Id", message.schedule_id))
        # A publisher cannot forge what QStash itself says.
        mine = {name.lower() for name, _ in own}
        forwarded = [(name, value) for name, value in message.options.forward if name.lower() not in mine]
        return Call(message.options.method, message.url, [*forwarded, *own], message.body)
