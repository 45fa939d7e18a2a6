"""Calls the generator and pumps what it yields into the batches of an attempt (docs/protocol.md, chapter T)."""

from __future__ import annotations

import asyncio
import copy
import json
import threading
from collections.abc import Callable, Iterable
from contextlib import aclosing
from typing import Any, Final

from holdfast.answer import Answer
from holdfast.batching import Batcher, sent_size_of
from holdfast.clock import Clock
from holdfast.compose import Composer
from holdfast.errors import BadRecord, GenerationError
from holdfast.generation import GenerationRequest, Generator, Part
from holdfast.iteration import iterate
from holdfast.pace import Pace
from holdfast.stored import DEEPEST, read_json
from holdfast.usage import text_size, tokens_of

#: The largest checkpoint, in characters of its JSON: it stands in every record that follows a ``save``.
_MOST_CHECKPOINT: Final = 65_536


class Pump:
    """The generator's side of an attempt.

    Args:
        generate: the generator.
        pace: intervals and limits.
        crashed: told of an unforeseen exception of the generator.
        clock: time.
        answer: the state of the log, kept up to date with what is pumped.
        batcher: where the chunks go.
        deadline_ms: epoch milliseconds at which the generator is cancelled, for its information, or None.

    Attributes:
        pushed: set when there is something new for the batches.
        reason: the finish reason that the generator gave.
    """

    def __init__(
        self,
        *,
        generate: Generator,
        pace: Pace,
        crashed: Callable[[BaseException], None],
        clock: Clock,
        answer: Answer,
        batcher: Batcher,
        deadline_ms: int | None,
    ) -> None:
        self.pushed = asyncio.Event()
        self.reason = "stop"
        self._generate = generate
        self._pace = pace
        self._crashed = crashed
        self._clock = clock
        self._answer = answer
        self._batcher = batcher
        self._deadline_ms = deadline_ms
        self._number = answer.last.id.attempt
        self._room = asyncio.Event()
        self._stopped = asyncio.Event()
        self._request: GenerationRequest | None = None
        self._calling = self._continues = False
        self._rounds = 0
        self._size = answer.size
        self._asked = self._said = 0
        self._thread = threading.get_ident()
        self._loop = asyncio.get_running_loop()

    @property
    def tokens(self) -> int:
        """About how many tokens the answer has cost so far, the call under way included."""
        return self._answer.usage.tokens + (self._cost if self._calling else 0)

    def stop(self, reason: str) -> None:
        """Tell the generator that its call is about to be cancelled, and why: see ``GenerationRequest.reason``."""
        if not self._stopped.is_set() and self._request is not None:
            self._request.reason = reason
        self._stopped.set()

    def landed(self, size: int) -> None:
        """The batch that was taken last is in the log, with so many bytes."""
        self._size += size
        self._batcher.landed()
        self._room.set()

    async def run(self) -> None:
        """Call the generator until it completes the answer or cannot go on (rule T1).

        Raises:
            GenerationError: it cannot, for this reason.
        """
        fruitless = 0
        while True:
            before = self._answer.characters
            composer = Composer(self._answer, f"{self._number}-{self._rounds}")
            self._rounds += 1
            try:
                await self._call(composer)
            except GenerationError as error:
                fruitless = fruitless + 1 if self._answer.characters == before else 1
                if not error.retry or fruitless >= self._pace.fruitless or self._rounds >= self._pace.calls:
                    self._push(composer.close(), closing=True)
                    raise
                pause = error.retry_after or self._pace.pause * 2 ** (fruitless - 1)
                await self._clock.sleep(min(pause, self._pace.longest_pause))
                continue
            self.reason = composer.reason
            if not self._stopped.is_set():  # one that returns when it is told to end has not completed the answer
                self._push(composer.close(), closing=True)
            return

    async def _call(self, composer: Composer) -> None:
        if (exceeded := self._pace.budget.too_many_tokens(self._answer.usage.tokens)) is not None:
            raise GenerationError(*exceeded)
        self._continues = self._answer.visible
        self._asked, self._said = self._answer.asked, 0
        self._calling, refused = True, False
        self._request = request = GenerationRequest(
            messages=copy.deepcopy(self._answer.queued.messages),
            chat_id=self._answer.queued.chat_id,
            owner=self._answer.queued.owner,
            extra=copy.deepcopy(self._answer.queued.extra),
            attempt=self._number,
            partial=self._answer.builder.text(),
            visible=self._answer.visible,
            parts=self._answer.builder.message()["parts"],
            checkpoint=copy.deepcopy(self._answer.checkpoint),
            current=self._answer.current,
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
            self._tell_seam()
        except GenerationError:
            refused = not self._said
            raise
        except (Exception, asyncio.CancelledError) as error:
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                raise  # ours, and not the generator's own
            self._crashed(error)
            message = "The generator failed. The log of the publish function says why."
            raise GenerationError("generator_failed", message) from error
        finally:
            self._calling = False
            if composer.usage or not refused:
                self._answer.usage.add(self._cost, resumed=request.exact, counted=composer.usage)

    @property
    def resumed(self) -> bool:
        """Whether the newest call goes on with the very call before it."""
        return self._request is not None and self._request.exact

    @property
    def _cost(self) -> int:
        """About how many tokens the call under way has used."""
        return tokens_of((0 if self.resumed else self._asked) + self._said)

    def _tell_seam(self) -> None:
        """From here on the text is that of several calls, unless the model's own first one went on (rule T3)."""
        if self._continues and self._request is not None and not self._request.exact:
            self._answer.continued = True

    def _push(self, chunks: Iterable[Part], *, closing: bool = False) -> None:
        now = self._clock.now_ms()
        for chunk in chunks:
            size = sent_size_of(chunk)
            if not closing:
                self._tell_seam()
                self._check(chunk, size)
            self._answer.note(chunk, now)
            self._batcher.push(chunk)
            self.pushed.set()

    def _check(self, chunk: Part, size: int) -> None:
        """Whether the budget allows one more chunk (rule Q5)."""
        budget = self._pace.budget
        if self._size + self._batcher.bytes + size > budget.bytes:
            self.stop("stop")  # nobody goes on with it
            message = f"The answer grew beyond {budget.bytes} bytes. What was written is kept."
            raise GenerationError("answer_too_long", message)
        self._said += text_size(chunk)
        if (exceeded := budget.too_many_tokens(self.tokens)) is not None:
            self.stop("stop")
            raise GenerationError(*exceeded)

    def _save(self, checkpoint: Any) -> None:
        try:
            # A copy: what the generator does to its own value later must not change what was saved (rule B4).
            text = json.dumps(checkpoint, ensure_ascii=False, allow_nan=False)
            text.encode()
            kept = read_json(text, DEEPEST)
        except (TypeError, ValueError, RecursionError, BadRecord) as error:
            message = "The generator saved a checkpoint that JSON cannot hold."
            raise GenerationError("generator_invalid", message) from error
        if len(text) > _MOST_CHECKPOINT:
            message = f"The generator saved a checkpoint of more than {_MOST_CHECKPOINT} characters of JSON."
            raise GenerationError("generator_invalid", message)
        if self._thread == threading.get_ident():
            self._keep(kept)
        else:
            # From a sync generator's thread: into the loop, before what the generator yields next gets there.
            self._loop.call_soon_threadsafe(self._keep, kept)

    def _keep(self, checkpoint: Any) -> None:
        self._answer.keep(checkpoint)
        self._batcher.mark(checkpoint)
        self.pushed.set()
