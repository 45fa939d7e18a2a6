"""A claimed attempt: the generator runs, batches go out, the lease is renewed, the end is fenced."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from holdfast.answer import Answer
from holdfast.batching import Batcher, sent_size_of
from holdfast.errors import BadRecord, GenerationError, Rejected, Superseded, Unavailable, Vanished
from holdfast.generation import Generator
from holdfast.log import Log
from holdfast.pace import Pace
from holdfast.pump import Pump
from holdfast.records import EntryId, Error, Finish, Handoff, Parts, Record, is_terminal

#: How long a generator may take to obey its cancellation, in seconds.
_STUBBORN: Final = 5.0


class Attempt:
    """One attempt, from its claim to its end.

    Args:
        log: the verbs.
        generate: the generator.
        pace: intervals and limits.
        crashed: told of an unforeseen exception of the generator.
        stream: the stream's id.
        answer: the log as the claim read it; kept up to date while the attempt runs.
        message_id: the queue's id of the delivery, for the hand-off record.
        deadline_ms: epoch milliseconds at which the platform ends this call, or None.
        draining: set when the process is about to end.
    """

    def __init__(
        self,
        *,
        log: Log,
        generate: Generator,
        pace: Pace,
        crashed: Callable[[BaseException], None],
        stream: str,
        answer: Answer,
        message_id: str,
        deadline_ms: int | None,
        draining: asyncio.Event,
    ) -> None:
        if answer.begin is None:
            raise ValueError("an attempt needs a claim")
        # Without a reply for a lease time this may not be the publisher any more (rule L7): what is left
        # of the lease after the longest wait between two requests is how long one may take.
        self._log = log.patient(max(log.lease_ms / 1000 - pace.renew, pace.renew))
        self._pace = pace
        self._stream = stream
        self._answer = answer
        self._message_id = message_id
        self._deadline_ms = self._before(deadline_ms)
        self._draining = draining
        self.number, self._begin = answer.begin
        self._seq = 1
        self._pos = answer.parts
        self._batcher = Batcher(pace.flush)
        self._hurry = asyncio.Event()
        self._closing = False
        self._pump = Pump(
            generate=generate,
            pace=pace,
            crashed=crashed,
            clock=log.clock,
            answer=answer,
            batcher=self._batcher,
            deadline_ms=self._deadline_ms,
        )

    async def run(self) -> bool:
        """Run until the answer ends or is handed off → whether it was handed off.

        Raises:
            Superseded, Vanished: this attempt may not write any more; the model was cancelled.
            Unavailable, Rejected: the store gave no sign for a lease time; the model was cancelled.
        """
        if (exceeded := self._exceeded(over=False)) is not None:
            self._answer.end = (await self._append(exceeded), exceeded)
            return False
        pump = asyncio.create_task(self._pump.run())
        writer = asyncio.create_task(self._write())
        renewer = asyncio.create_task(self._renew())
        drained = asyncio.create_task(self._drained())
        try:
            awaited = {pump, writer, renewer, drained}
            await asyncio.wait(awaited, timeout=self._time_left(), return_when="FIRST_COMPLETED")
            self._raise_from(writer, renewer)
            ending: Finish | Error | None = None
            if handing_off := not pump.done():
                # Decided before the generator is told why it ends: a provider that works on by itself must not,
                # if nobody will fetch what it says.
                ending = self._exceeded(over=True)
                self._pump.stop("handoff" if ending is None else "stop")
                await _cancel(pump)
            self._closing = True
            self._pump.pushed.set()
            self._hurry.set()
            await asyncio.wait({writer, renewer}, return_when="FIRST_COMPLETED")
            self._raise_from(writer, renewer)
            if not handing_off:
                ending = self._ending(pump)
            elif ending is None:
                await self._append(self._handoff())
                return True
            else:
                ending = replace(ending, at=self._now(), usage=self._answer.usage.as_json())
            self._answer.end = (await self._append(ending), ending)
            return False
        except (Superseded, Vanished):
            self._pump.stop(await self._why())
            raise
        finally:
            self._pump.stop("lost")
            for task in (pump, writer, renewer, drained):
                await _cancel(task)

    async def _why(self) -> str:
        """Why this attempt may not go on: the answer has its end, or another attempt has taken over."""
        try:
            last = await self._log.patient(1.0).last(self._stream)
        except (Unavailable, Rejected, BadRecord):
            return "lost"
        return "stop" if last is None or is_terminal(last.record) else "lost"

    def _raise_from(self, *tasks: asyncio.Task[None]) -> None:
        for task in tasks:
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                raise error

    def _exceeded(self, *, over: bool) -> Error | None:
        """The end of an answer that has cost what it may; ``over``: with this attempt (rule Q5)."""
        if self._batcher.bytes:
            self._answer.idle = 0  # it is on its way
        exceeded = self._pace.budget.exceeded(self._answer, self._now(), self._pump.tokens, over=over)
        return None if exceeded is None else self._error(*exceeded)

    def _handoff(self) -> Handoff:
        usage = self._answer.usage
        return Handoff(
            at=self._now(),
            message=self._message_id,
            checkpoint=self._answer.checkpoint,
            usage=usage.as_json(),
            cut=usage.cut,
        )

    def _error(self, code: str, message: str) -> Error:
        usage = self._answer.usage.as_json()
        return Error(at=self._now(), code=code, message=message, by="publish", usage=usage)

    def _ending(self, pump: asyncio.Task[None]) -> Finish | Error:
        """The terminal record that a finished generator asks for."""
        error = pump.exception()
        if isinstance(error, GenerationError):
            return self._error(error.code, error.message)
        if error is not None:
            raise error
        answer, started_at = self._answer, self._answer.queued.at
        return Finish(
            at=self._now(),
            reason=self._pump.reason,
            parts=self._pos,
            characters=answer.characters,
            ttft_ms=None if answer.visible_at is None else answer.visible_at - started_at,
            duration_ms=self._now() - started_at,
            attempts=answer.attempts,
            exact=not answer.continued,
            usage=answer.usage.as_json(),
            handoffs=len(answer.handoffs),
            takeovers=answer.takeovers,
            rescues=answer.rescues,
        )

    # -- the log ------------------------------------------------------------------------------------

    async def _write(self) -> None:
        """Append batches when they are due, until the attempt closes and all is written."""
        clock = self._log.clock
        while True:
            due = self._batcher.due()
            if due is None:
                if self._closing:
                    return
                self._pump.pushed.clear()
                await self._pump.pushed.wait()
                continue
            wait = due - clock.monotonic()
            if wait > 0 and not self._closing:
                try:
                    async with asyncio.timeout(wait):
                        await self._hurry.wait()
                except TimeoutError:
                    pass
            batch = self._batcher.take(clock.monotonic())
            parts = Parts(
                at=self._now(),
                pos=self._pos,
                parts=batch.chunks,
                checkpoint=batch.checkpoint,
                continued=self._answer.continued,
                resumed=self._pump.resumed,
            )
            await self._append(parts)
            self._answer.idle = 0
            self._pos += len(batch.chunks)
            self._pump.landed(sent_size_of(batch.chunks))

    async def _append(self, record: Record) -> EntryId:
        id = EntryId(self.number, self._seq)
        await self._in_time(self._log.append(self._stream, id, record))
        self._seq += 1
        return id

    async def _renew(self) -> None:
        """Renew the lease while the attempt lives, and learn of its end while the model is silent (rule L2)."""
        ttl_ms = self._log.ttl_ms(self._answer.queued)
        while True:
            await self._log.clock.sleep(self._pace.renew)
            tail = await self._in_time(self._log.renew(self._stream, self.number, self._begin.owner, ttl_ms))
            if tail is None:
                raise Vanished(self._stream)
            if tail.attempt != self.number:
                raise Superseded(self._stream)

    async def _drained(self) -> None:
        """Ends when the process is about to (rule O5)."""
        await self._draining.wait()

    def _before(self, deadline_ms: int | None) -> int:
        """When to hand off, early enough before the deadline to flush and to enqueue, or to end the answer (Q5)."""
        latest = self._pace.budget.ends_at(self._answer)
        if deadline_ms is None:
            return latest
        left = max(0, deadline_ms - self._now())
        return min(latest, deadline_ms - round(min(self._pace.margin * 1000, left * 0.2)))

    async def _in_time[T](self, verb: Awaitable[T]) -> T:
        """What a verb returns before this attempt's lease runs out, however long one request may take (rule L7)."""
        try:
            async with asyncio.timeout(self._log.patience):
                return await verb
        except TimeoutError as error:
            raise Unavailable("The store gave no sign for a lease time.") from error

    def _time_left(self) -> float:
        return max(0.0, (self._deadline_ms - self._now()) / 1000)

    def _now(self) -> int:
        return self._log.clock.now_ms()


async def _cancel(task: asyncio.Task[None]) -> None:
    """End a task and wait until it has; one that will not end is left behind, fenced like any zombie."""
    task.cancel()
    await asyncio.wait({task}, timeout=_STUBBORN)
    if task.done() and not task.cancelled():
        task.exception()  # seen: whoever needed it has raised it
