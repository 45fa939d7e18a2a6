"""Random logs, written with the real verbs, and readers of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from hypothesis import strategies as st

from holdfast.access import Access
from holdfast.keys import Keys
from holdfast.log import Log
from holdfast.operations import Append, StreamLog
from holdfast.records import SEAL, Cursor, EntryId, encode
from holdfast.rescue import Rescuer
from holdfast.subscribe import Frame, Patience, Reading, Subscriber
from tests.clocks import VirtualClock
from tests.core.samples import STREAM, begin, error, finish, handoff, parts, queued, stop

#: Whoever started what ``samples.queued`` begins.
MINE = Access(queued().owner)

type Ending = Literal["none", "finish", "error", "stop", "sealed error"]


@dataclass(frozen=True, slots=True)
class Plan:
    """A log to write.

    Attributes:
        attempts: for each attempt the number of parts in each of its entries; 0 is a checkpoint alone.
        handoffs: whether each attempt but the last hands off, or dies.
        ending: how the answer ends, if it does.
        afterwards: what comes after the end and must not be read: another claim, a late seal.
    """

    attempts: tuple[tuple[int, ...], ...]
    handoffs: tuple[bool, ...]
    ending: Ending
    afterwards: tuple[Literal["claim", "seal"], ...] = ()


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Plans of logs of up to four attempts."""
    attempts = draw(st.lists(st.lists(st.integers(0, 4), max_size=4).map(tuple), max_size=4).map(tuple))
    handoffs = tuple(draw(st.booleans()) for _ in attempts)
    endings: list[Ending] = ["none", "stop", "sealed error"]
    if attempts:
        endings += ["finish", "error", "finish"]
    ending = draw(st.sampled_from(endings))
    late: tuple[Literal["claim", "seal"], ...] = ()
    if ending in {"finish", "error"}:
        late = draw(st.sampled_from([(), ("claim",), ("seal",), ("claim", "seal")]))
    return Plan(attempts, handoffs, ending, late)


async def write(log: Log, plan: Plan, stream: str = STREAM) -> list[str]:
    """Write a planned log with the verbs → the texts of its parts, in order."""
    await log.open(stream, queued(), 1)
    texts: list[str] = []
    id = EntryId(0, 1)
    for number, entries in enumerate(plan.attempts, 1):
        await log.claim(stream, number, begin(f"nonce-{number}"), 10**7)
        id = EntryId(number, 0)
        for count in entries:
            id = EntryId(number, id.seq + 1)
            new = [f"{id}/{k} " for k in range(count)]
            await log.append(stream, id, parts(len(texts), *new, checkpoint=None if new else {"at": str(id)}))
            texts += new
        if plan.handoffs[number - 1] and number < len(plan.attempts):
            await log.append(stream, EntryId(number, id.seq + 1), handoff())
    match plan.ending:
        case "finish":
            await log.append(stream, EntryId(id.attempt, id.seq + 1), finish(parts=len(texts)))
        case "error":
            await log.append(stream, EntryId(id.attempt, id.seq + 1), error())
        case "stop":
            await log.seal(stream, stop())
        case "sealed error":
            await log.seal(stream, error("cleanup"))
    for deed in plan.afterwards:
        if deed == "claim":
            await log.claim(stream, len(plan.attempts) + 1, begin("late"), 10**7)
        else:  # a seal whose look was before the end
            await log.port.apply(Append(log.keys.stream(stream), SEAL, encode(stop())))
    return texts


@dataclass(slots=True)
class Asked:
    """A queue that notes what it is asked for."""

    dedups: list[str] = field(default_factory=list)

    async def enqueue(self, stream: str, attempt: int, *, dedup: str) -> None:
        assert dedup.startswith(f"{stream}.")
        assert attempt > 0
        self.dedups.append(dedup)


def subscriber(port: StreamLog, clock: VirtualClock, *, retention_ms: int = 86_400_000) -> Subscriber:
    """A reader's side with everything at its default."""
    log = Log(port, Keys(), clock)
    return Subscriber(log, Rescuer(log, Asked()), Patience(), retention_ms)


async def frames(reading: Reading, seconds: float = 1.0) -> list[Frame]:
    """The frames that a reader gets until the end, or within so many seconds."""
    return [frame async for frame in reading.frames(seconds) if isinstance(frame, Frame)]


async def read(
    reader: Subscriber, cursor: Cursor | str | None = None, stream: str = STREAM, access: Access = MINE
) -> list[Frame]:
    """Open a stream at a cursor and read it."""
    at = Cursor.parse(cursor) if isinstance(cursor, str) else cursor
    return await frames(await reader.open(stream, access, at))


def texts(given: Sequence[Frame]) -> list[Any]:
    """The texts of the parts that were given."""
    return [frame.chunk["delta"] for frame in given if frame.chunk is not None and "delta" in frame.chunk]
