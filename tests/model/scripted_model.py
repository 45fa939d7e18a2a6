"""A model whose text differs from call to call, and which goes on from a partial answer exactly."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from holdfast.clock import Clock
from holdfast.errors import GenerationError
from holdfast.generation import GenerationRequest, Part
from tests.model.processes import CURRENT, Process


@dataclass(frozen=True, slots=True)
class Temper:
    """How the model behaves.

    Attributes:
        words: the longest answer, in words.
        silence: how likely it falls silent for longer than a lease, before a word.
        retryable, fatal, bug: how likely a call ends before a word with an error of that kind.
    """

    words: int = 40
    silence: float = 0.0
    retryable: float = 0.0
    fatal: float = 0.0
    bug: float = 0.0


@dataclass(eq=False, slots=True)
class Call:
    """One call.

    Attributes:
        text: the whole answer that it has in mind, whatever part of it came before.
        root: the call whose answer this one goes on with; itself if it began a new one.
        attempt: which attempt called.
        saves: how much of the text had been said when it saved a checkpoint, each time.
        cut: the error that it raised, if it did.
    """

    text: str
    attempt: int
    root: Call = field(init=False)
    saves: list[int] = field(default_factory=list)
    cut: str = ""

    def __post_init__(self) -> None:
        self.root = self


class Bug(Exception):
    """What a user's generator may raise."""


class ScriptedModel:
    """The generator.

    Args:
        clock: time.
        rng: decides what it says and how it fails.
        temper: how it behaves.
        longest_silence: seconds.
        check: called while it runs, with the calling process and its attempt, to see whether it may still.
        report: told of what must not happen.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        rng: random.Random,
        temper: Temper,
        longest_silence: float,
        check: Callable[[Process, int], None],
        report: Callable[[str], None],
    ) -> None:
        self._clock = clock
        self._rng = rng
        self._temper = temper
        self._longest_silence = longest_silence
        self._check = check
        self._report = report
        self.calls: list[Call] = []

    def root_of(self, text: str) -> Call | None:
        """The first call whose answer begins with a text."""
        return next((call for call in self.calls if call.root is call and call.text.startswith(text)), None)

    async def __call__(self, request: GenerationRequest) -> AsyncIterator[str | Part]:
        """Answer, or go on with the answer that ``partial`` comes from."""
        process = CURRENT.get()
        call = self._begin(request, process)
        said = len(request.partial)
        rng, temper = self._rng, self._temper
        chunks = rng.random() < 0.4
        if chunks and not request.parts and rng.random() < 0.3:
            yield {"type": "reasoning-start", "id": "r"}
            yield {"type": "reasoning-delta", "id": "r", "delta": "let me see"}
            yield {"type": "reasoning-end", "id": "r"}
        if chunks:
            yield {"type": "text-start", "id": "t"}
        pace = rng.choice((0.01, 0.1, 0.3))
        while True:
            silent = rng.random() < temper.silence
            await self._clock.sleep(rng.uniform(0.5, 1) * self._longest_silence if silent else rng.uniform(0, 2 * pace))
            await process.gate(self._clock)
            self._check(process, request.attempt)
            if said == len(call.text):
                break
            self._fail(call)
            end = min(len(call.text), said + rng.randint(1, 12))
            delta, said = call.text[said:end], end
            yield {"type": "text-delta", "id": "t", "delta": delta} if chunks else delta
            if rng.random() < 0.1:
                call.root.saves.append(said)
                request.save(said)
                if rng.random() < 0.3:
                    await asyncio.sleep(0)
        if chunks:
            yield {"type": "text-end", "id": "t"}
        yield {"type": "finish", "finishReason": "stop", "messageMetadata": {"usage": {"outputTokens": 1}}}

    def _begin(self, request: GenerationRequest, process: Process) -> Call:
        number = len(self.calls) + 1
        words = [
            self._rng.choice(("ember", "vale", "tide", "ridge"))
            for _ in range(self._rng.randint(0, self._temper.words))
        ]
        # The first character is another one for every call, so that the shortest partial tells whose it is.
        call = Call(" ".join([chr(0x4E00 + number), *words]), request.attempt)
        self.calls.append(call)
        if request.attempt not in process.begun:
            self._report(f"K1: {process.name} calls the model for attempt {request.attempt}, which it did not claim")
        if request.partial:
            root = self.root_of(request.partial)
            if root is None:
                self._report(f"T2: the partial {request.partial!r} is no beginning of an answer")
                raise Bug
            call.root, call.text = root, root.text
            self._check_checkpoint(request.checkpoint, root, len(request.partial))
        return call

    def _check_checkpoint(self, checkpoint: Any, root: Call, said: int) -> None:
        if checkpoint is not None and (checkpoint not in root.saves or checkpoint > said):
            self._report(f"B4: checkpoint {checkpoint} stands beside {said} characters; saved at {root.saves}")

    def _fail(self, call: Call) -> None:
        x, temper = self._rng.random(), self._temper
        if x < temper.retryable:
            call.cut = "retryable"
            raise GenerationError(
                "model_unavailable", "Again, please.", retry=True, retry_after=self._rng.choice((None, 2.0))
            )
        if x < temper.retryable + temper.fatal:
            call.cut = "fatal"
            raise GenerationError("model_refused", "No.")
        if x < temper.retryable + temper.fatal + temper.bug:
            call.cut = "bug"
            raise Bug
