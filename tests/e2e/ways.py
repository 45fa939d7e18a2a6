"""Every way in which an interrupted answer goes on, each with a system of its own on stand-ins that they share."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

from holdfast.settings import Settings
from tests.e2e.reading import Event, text_of
from tests.e2e.system import SCALED, System

#: Intervals as they are deployed, none set: waits and tokens would look better with the tests' shorter ones.
DEPLOYED = dict.fromkeys(SCALED, "")
_DEFAULTS: Mapping[str, Any] = {field.name: field.default for field in fields(Settings)}
FLUSH_SECONDS: float = _DEFAULTS["flush_ms"] / 1000
LEASE_SECONDS: float = _DEFAULTS["lease_seconds"]

#: The longest that a reader may wait between two pieces of text while an answer is handed on, in seconds.
LONGEST_GAP = 2.0
#: How many times longer that may be on a busy machine: without a bound a slow hand-off would pass for a slow machine.
_MOST_PATIENCE = 3.0


def longest_gap() -> float:
    """``LONGEST_GAP``, as many times longer as the machine, over the last minute, had more to do than it has processors
    for; three times at most.
    """
    return LONGEST_GAP * min(_MOST_PATIENCE, max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1)))


@dataclass(frozen=True, slots=True)
class Way:
    """A way to go on.

    Attributes:
        settings: the settings that choose it.
        asked: the role of the last message of a call that goes on, as the model sees it.
        marks: what else that message holds.
        exact: whether the rest is that of the very call that began.
    """

    settings: Mapping[str, str]
    asked: str = "user"
    marks: Mapping[str, Any] | None = None
    exact: bool = False


WAYS: Mapping[str, Way] = {
    "prefill": Way({"HOLDFAST_CONTINUATION": "prefill"}, "assistant"),
    "prefix": Way({"HOLDFAST_CONTINUATION": "prefix"}, "assistant", {"prefix": True}),
    "continue_final_message": Way({"HOLDFAST_CONTINUATION": "continue_final_message"}, "assistant"),
    "instruct": Way({"HOLDFAST_CONTINUATION": "instruct"}),
    "responses": Way({"HOLDFAST_API": "responses"}),
    "background": Way({"HOLDFAST_API": "background"}, exact=True),
}


@dataclass(frozen=True, slots=True)
class Told:
    """One answer, as everybody saw it.

    Attributes:
        events: the reader's.
        late: those of a reader who came after the end.
        calls: the model's calls, oldest first.
        status: what the status route says.
        records: the log: the attempt of each entry, and its record.
        messages: the queue's messages.
        patience: how long the reader may have waited while the answer was handed on, as the machine was by then.
    """

    events: list[Event]
    late: list[Event]
    calls: list[dict[str, Any]]
    status: dict[str, Any]
    records: list[tuple[int, dict[str, Any]]]
    messages: list[dict[str, Any]]
    patience: float

    @property
    def text(self) -> str:
        """What the reader has read."""
        return text_of(self.events)

    @property
    def billed(self) -> int:
        """The tokens that the model sent, over all calls."""
        return sum(call["tokens_sent"] for call in self.calls)

    def gaps(self, *, handed_on: bool) -> list[float]:
        """Seconds between two pieces of text as the reader got them: all, or those between two attempts."""
        texts = [event for event in self.events if event.chunk.get("type") == "text-delta"]
        return [
            (after.at_ns - before.at_ns) / 1e9
            for before, after in pairwise(texts)
            if not handed_on or attempt_of(after) > attempt_of(before)
        ]

    def pauses(self) -> list[float]:
        """Seconds from each hand-off to the next attempt's begin, by the log's own times.

        Only those that the queue's first delivery began: where it found nobody, its wait before the next is no pause
        of ours.
        """
        return [
            (after["at"] - before["at"]) / 1000
            for (_, before), (_, after) in pairwise(self.records)
            if (before["t"], after["t"]) == ("handoff", "begin") and after["retried"] == 0
        ]

    def check(self, way: Way) -> None:
        """Every reader has the first call's full text, once, each later call went on in this way, and each attempt
        that was handed the answer began in time.
        """
        first, *later = self.calls
        assert self.text == first["text"]
        assert self.late == self.events
        assert len({event.id for event in self.events}) == len(self.events)
        assert (self.status["state"], self.status["exact"]) == ("finished", way.exact)
        assert self.status["characters"] == len(first["text"])
        attempts = [attempt for attempt, _ in self.records]
        assert attempts == sorted(attempts), "attempts were interleaved"
        assert max(self.pauses(), default=0.0) <= self.patience, f"handed on too slowly: {self.pauses()}"
        if way.exact:
            assert not later, "the model was asked anew"
        for call in later:
            last = call["messages"][-1]
            assert (call["continues"] is not None, last["role"]) == (True, way.asked)
            assert {name: last.get(name) for name in way.marks or {}} == (way.marks or {})


def tell(system: System, stream: str, prompt: str, events: list[Event], late: list[Event]) -> Told:
    """Collect what everybody saw of an answer that has its end."""
    records = [(int(id.split("-")[0]), json.loads(record)) for id, record in system.entries(stream)]
    status, calls, messages = system.finished(stream), system.calls(prompt), system.messages(stream)
    return Told(events, late, calls, status, records, messages, longest_gap())


def attempt_of(event: Event) -> int:
    """The attempt that wrote an event."""
    return int(event.id.split("-")[0])


@contextmanager
def in_every_way(run: Callable[[str, Way], Told]) -> Iterator[Mapping[str, Future[Told]]]:
    """Run something in every way at once: it takes as long as one of them, and a failure stays its own way's.

    Args:
        run: gets the name of the way, and the way.
    """
    with ThreadPoolExecutor(len(WAYS)) as pool:
        yield {name: pool.submit(run, name, way) for name, way in WAYS.items()}
