"""A generator under observation: its items are counted and held up, and what it looks at and how it ends is seen."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final

from holdfast._testing.plan import Interruption
from holdfast.generation import GenerationRequest, Generator, Part
from holdfast.iteration import iterate

#: Turns of the loop in which a writer that never waits brings an item into a log in memory, with some to spare.
_TURNS: Final = 8

#: What a request tells of the answer so far.
_TELLING: Final = frozenset({"checkpoint", "partial", "parts", "visible"})


@dataclass(slots=True, eq=False)
class Call:
    """One call of the generator.

    Attributes:
        attempt: which attempt made it.
        partial: the text that it was given.
        visible: whether a reader may have seen something by then.
        given: whether it was given a checkpoint.
        read: what it looked at of ``checkpoint``, ``partial``, ``parts`` and ``visible``.
        hurried: whether it looked at ``deadline``.
        items: what it yielded, as far as the core took it.
        times: when each of these came, in seconds since the attempt began: by the loop's clock, and by the wall's.
        held: what it yielded when it was to be interrupted already, which nobody took.
        began: whether its code has run at all.
        closed: set when its code has run to its end.
        failure: what it raised when it was closed.
        task: the task that runs it.
    """

    attempt: int
    partial: str
    visible: bool
    given: bool
    read: set[str] = field(default_factory=set)
    hurried: bool = False
    items: list[object] = field(default_factory=list)
    times: list[tuple[float, float]] = field(default_factory=list)
    held: object = None
    began: bool = False
    closed: threading.Event = field(default_factory=threading.Event)
    failure: BaseException | None = None
    task: asyncio.Task[Any] | None = None


class Watched:
    """A generator that behaves like another one, up to where it is to be interrupted.

    Args:
        generate: the other one.
        shut: called when nothing that comes from now on shall reach the log.

    Attributes:
        calls: every call, in order.
        reached: set where the attempt is to be interrupted; the generator gets no further until it is.
    """

    def __init__(self, generate: Generator, shut: Callable[[], None]) -> None:
        self.calls: list[Call] = []
        self.reached = asyncio.Event()
        self._generate = generate
        self._shut = shut
        self._interruption: Interruption | None = None
        self._count = 0
        self._began = (0.0, 0.0)

    def arm(self, interruption: Interruption | None) -> None:
        """Interrupt the next attempt so; None lets it run."""
        self._interruption, self._count = interruption, 0
        self._began = _now()
        self.reached = asyncio.Event()

    async def __call__(self, request: GenerationRequest) -> AsyncIterator[str | Part]:
        """Yield what the generator yields."""
        given = request.checkpoint is not None
        call = Call(request.attempt, request.partial, request.visible, given, task=asyncio.current_task())
        self.calls.append(call)
        _note_what_is_read(request, call)
        async with aclosing(iterate(self._produce(call), request)) as items:
            await self._between(call)
            async for item in items:
                if self._is_due():
                    call.held = item
                    await self._hold()
                self._count += 1
                if self._interruption is not None and self._count > self._interruption.after - self._interruption.lost:
                    self._shut()
                call.items.append(item)
                call.times.append((_now()[0] - self._began[0], _now()[1] - self._began[1]))
                yield item  # type: ignore[misc] # the generator's own, be it what it may
                await self._between(call)

    async def _between(self, call: Call) -> None:
        """What the generator yielded gets into the log; then it may be time."""
        if call.items:
            for _ in range(_TURNS):
                await asyncio.sleep(0)
        if not self._is_due() or self._interruption is None:
            return
        if not self._interruption.ahead:
            await self._hold()
        self.reached.set()

    def _is_due(self) -> bool:
        return self._interruption is not None and self._count >= self._interruption.after

    async def _hold(self) -> None:
        self.reached.set()
        await asyncio.Event().wait()  # until the attempt is cancelled

    def _produce(self, call: Call) -> Generator:
        """The generator's function, for one call; what it makes tells when it is closed."""

        def produce(request: GenerationRequest) -> Any:
            produced = self._generate(request)
            return _later(produced, call) if inspect.isawaitable(produced) else _told(produced, call)

        return produce


def _now() -> tuple[float, float]:
    return asyncio.get_running_loop().time(), time.time()


async def _later(produced: Awaitable[Any], call: Call) -> Any:
    return _told(await produced, call)


def _told(produced: Any, call: Call) -> Any:
    if hasattr(produced, "__aiter__"):
        return _told_async(produced, call)
    return _told_sync(produced, call) if hasattr(produced, "__next__") else produced


async def _told_async(produced: Any, call: Call) -> AsyncIterator[object]:
    call.began = True
    try:
        async for item in produced:
            yield item
    finally:
        try:
            if hasattr(produced, "aclose"):
                await produced.aclose()
        except Exception as error:
            call.failure = error
            raise
        finally:
            call.closed.set()


def _told_sync(produced: Any, call: Call) -> Iterator[object]:
    call.began = True
    try:
        for item in produced:  # noqa: UP028 - `yield from` would close it by itself, and its failure would not be seen
            yield item
    finally:
        try:
            if hasattr(produced, "close"):
                produced.close()
        except Exception as error:
            call.failure = error
            raise
        finally:
            call.closed.set()


def _note_what_is_read(request: GenerationRequest, call: Call) -> None:
    """Note what the generator looks at, in the very request that the core keeps in touch with."""

    class Noting(GenerationRequest):
        __slots__ = ()

        def __getattribute__(self, name: str) -> Any:
            if name in _TELLING:
                call.read.add(name)
            call.hurried = call.hurried or name == "deadline"
            return super().__getattribute__(name)

    request.__class__ = Noting
