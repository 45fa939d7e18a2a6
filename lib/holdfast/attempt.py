"""A claimed attempt: the generator runs, batches go out, the lease is renewed, the end is fenced."""

from __future__ import annotations

import asyncio
import copy
import json
import threading
from collections.abc import Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import Any, Final

from holdfast.answer import Answer
from holdfast.batching import Batcher, size_of
from holdfast.compose import Composer
from holdfast.errors import GenerationError, Superseded, Unavailable, Vanished
from holdfast.generation import GenerationRequest, Generator, Part
from holdfast.iteration import iterate
from holdfast.log import Log
from holdfast.pace import Pace
from holdfast.records import EntryId, Error, Finish, Handoff, Parts, Record

#: The largest checkpoint, in characters of its JSON: it stands in every record that follows a ``save``.
_MOST_CHECKPOINT: Final = 65_536

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
    ) -> None:
        if answer.begin is None:
            raise ValueError("an attempt needs a claim")
        # Without a reply for a lease time this may not be the publisher any more (rule L7): what is left
        # of the lease after the longest wait between two requests is how long one may take.
        self._log = log.patient(max(log.lease_ms / 1000 - pace.renew, pace.renew))
        self._generate = generate
        self._pace = pace
        self._crashed = crashed
        self._stream = stream
        self._answer = answer
        self._message_id = message_id
        self._deadline_ms = self._before(deadline_ms)
        self.number, self._begin = answer.begin
        self._seq = 1
        self._pos = answer.parts
        self._batcher = Batcher(pace.flush)
        self._pushed = asyncio.Event()
        self._hurry = asyncio.Event()
        self._room = asyncio.Event()
        self._closing = False
        self._stopped = asyncio.Event()
        self._reason = "stop"
        self._usage: dict[str, int] = {}
        self._exact = not answer.continued
        self._rounds = 0
        self._thread = threading.get_ident()
        self._loop = asyncio.get_running_loop()
        self._size = answer.size

    async def run(self) -> bool:
        """Run until the answer ends or is handed off → whether it was handed off.

        Raises:
            Superseded, Vanished: this attempt may not write any more; the model was cancelled.
            Unavailable, Rejected: the store gave no sign for a lease time; the model was cancelled.
        """
        pump = asyncio.create_task(self._pump())
        writer = asyncio.create_task(self._write())
        renewer = asyncio.create_task(self._renew())
        try:
            await asyncio.wait({pump, writer, renewer}, timeout=self._time_left(), return_when="FIRST_COMPLETED")
            self._raise_from(writer, renewer)
            if handing_off := not pump.done():
                self._stopped.set()
                await _cancel(pump)
            self._closing = True
            self._pushed.set()
            self._hurry.set()
            await asyncio.wait({writer, renewer}, return_when="FIRST_COMPLETED")
            self._raise_from(writer, renewer)
            if handing_off and not self._is_idle():
                checkpoint = self._answer.checkpoint
                await self._append(Handoff(at=self._now(), message=self._message_id, checkpoint=checkpoint))
                return True
            ending = self._ending(None if handing_off else pump)
            self._answer.end = (await self._append(ending), ending)
            return False
        finally:
            self._stopped.set()
            for task in (pump, writer, renewer):
                await _cancel(task)

    def _raise_from(self, *tasks: asyncio.Task[None]) -> None:
        for task in tasks:
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                raise error

    def _is_idle(self) -> bool:
        """Whether handing off again would go on for ever: so many attempts in a row wrote nothing (rule O4)."""
        return self._seq == 1 and self._answer.idle_handoffs + 1 >= self._pace.idle_handoffs

    def _ending(self, pump: asyncio.Task[None] | None) -> Finish | Error:
        """The terminal record that a finished generator asks for; without one, that of an answer that never came."""
        if pump is None:
            message = "The model said nothing within the time that several calls had. What was written is kept."
            return Error(at=self._now(), code="no_progress", message=message, by="publish")
        error = pump.exception()
        if isinstance(error, GenerationError):
            return Error(at=self._now(), code=error.code, message=error.message, by="publish")
        if error is not None:
            raise error
        answer, started_at = self._answer, self._answer.queued.at
        return Finish(
            at=self._now(),
            reason=self._reason,
            parts=self._pos,
            characters=answer.characters,
            ttft_ms=None if answer.visible_at is None else answer.visible_at - started_at,
            duration_ms=self._now() - started_at,
            attempts=answer.attempts,
            exact=self._exact,
            usage=self._usage,
        )

    # -- the generator ------------------------------------------------------------------------------

    async def _pump(self) -> None:
        """Call the generator until it completes the answer or cannot go on (rule T1)."""
        fruitless = 0
        while True:
            before = self._answer.characters
            composer = Composer(self._answer, f"{self.number}-{self._rounds}")
            self._rounds += 1
            try:
                await self._call(composer)
            except GenerationError as error:
                self._add_usage(composer)
                fruitless = fruitless + 1 if self._answer.characters == before else 1
                if not error.retry or fruitless >= self._pace.fruitless:
                    self._push(composer.close(), limit=False)
                    raise
                # What is visible stands; the next call continues it, so the text is no longer one call's.
                self._exact = self._exact and not self._answer.visible
                pause = error.retry_after or self._pace.pause * 2 ** (fruitless - 1)
                await self._log.clock.sleep(min(pause, self._pace.longest_pause))
                continue
            self._add_usage(composer)
            self._reason = composer.reason
            self._push(composer.close(), limit=False)
            return

    async def _call(self, composer: Composer) -> None:
        request = GenerationRequest(
            messages=copy.deepcopy(self._answer.queued.messages),
            chat_id=self._answer.queued.chat_id,
            owner=self._answer.queued.owner,
            extra=copy.deepcopy(self._answer.queued.extra),
            attempt=self.number,
            partial=self._answer.builder.text(),
            parts=self._answer.builder.message()["parts"],
            checkpoint=copy.deepcopy(self._answer.checkpoint),
            deadline=self._deadline_ms,
            save=self._save,
            stopped=self._stopped,
        )
        try:
            async with aclosing(iterate(self._generate, request)) as items:
                async for item in items:
                    self._push(composer.feed(item))
                    while self._batcher.bytes > self._pace.max_unsent:
                        # A store that is slower than the model, but alive: the renewals would tell otherwise.
                        self._room.clear()
                        await self._room.wait()
        except GenerationError:
            raise
        except (Exception, asyncio.CancelledError) as error:
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                raise  # ours, and not the generator's own
            self._crashed(error)
            message = "The generator failed. The log of the publish function says why."
            raise GenerationError("generator_failed", message) from error

    def _push(self, chunks: Iterable[Part], *, limit: bool = True) -> None:
        now = self._now()
        for chunk in chunks:
            if limit and self._size + self._batcher.bytes + size_of(chunk) > self._pace.max_answer:
                message = f"The answer grew beyond {self._pace.max_answer} bytes. What was written is kept."
                raise GenerationError("answer_too_long", message)
            self._answer.note(chunk, now)
            self._batcher.push(chunk)
            self._pushed.set()

    def _save(self, checkpoint: Any) -> None:
        try:
            # A copy: what the generator does to its own value later must not change what was saved (rule B4).
            text = json.dumps(checkpoint, ensure_ascii=False, allow_nan=False)
            text.encode()
        except (TypeError, ValueError, RecursionError) as error:
            message = "The generator saved a checkpoint that JSON cannot hold."
            raise GenerationError("generator_invalid", message) from error
        if len(text) > _MOST_CHECKPOINT:
            message = f"The generator saved a checkpoint of more than {_MOST_CHECKPOINT} characters of JSON."
            raise GenerationError("generator_invalid", message)
        if self._thread == threading.get_ident():
            self._keep(json.loads(text))
        else:
            # From a sync generator's thread: into the loop, before what the generator yields next gets there.
            self._loop.call_soon_threadsafe(self._keep, json.loads(text))

    def _keep(self, checkpoint: Any) -> None:
        self._answer.checkpoint = checkpoint
        self._batcher.mark(checkpoint)
        self._pushed.set()

    def _add_usage(self, composer: Composer) -> None:
        for name, count in composer.usage.items():
            self._usage[name] = self._usage.get(name, 0) + count

    # -- the log ------------------------------------------------------------------------------------

    async def _write(self) -> None:
        """Append batches when they are due, until the attempt closes and all is written."""
        clock = self._log.clock
        while True:
            due = self._batcher.due()
            if due is None:
                if self._closing:
                    return
                self._pushed.clear()
                await self._pushed.wait()
                continue
            wait = due - clock.monotonic()
            if wait > 0 and not self._closing:
                try:
                    async with asyncio.timeout(wait):
                        await self._hurry.wait()
                except TimeoutError:
                    pass
            batch = self._batcher.take(clock.monotonic())
            parts = Parts(at=self._now(), pos=self._pos, parts=batch.chunks, checkpoint=batch.checkpoint)
            await self._append(parts)
            self._pos += len(batch.chunks)
            self._size += size_of(batch.chunks)
            self._batcher.landed()
            self._room.set()

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

    def _before(self, deadline_ms: int | None) -> int | None:
        """When to hand off: early enough before the deadline to flush and to enqueue."""
        if deadline_ms is None:
            return None
        left = max(0, deadline_ms - self._now())
        return deadline_ms - round(min(self._pace.margin * 1000, left * 0.2))

    async def _in_time[T](self, verb: Awaitable[T]) -> T:
        """What a verb returns before this attempt's lease runs out, however long one request may take (rule L7)."""
        try:
            async with asyncio.timeout(self._log.patience):
                return await verb
        except TimeoutError as error:
            raise Unavailable("The store gave no sign for a lease time.") from error

    def _time_left(self) -> float | None:
        return None if self._deadline_ms is None else max(0.0, (self._deadline_ms - self._now()) / 1000)

    def _now(self) -> int:
        return self._log.clock.now_ms()


async def _cancel(task: asyncio.Task[None]) -> None:
    """End a task and wait until it has; one that will not end is left behind, fenced like any zombie."""
    task.cancel()
    await asyncio.wait({task}, timeout=_STUBBORN)
    if task.done() and not task.cancelled():
        task.exception()  # seen: whoever needed it has raised it
