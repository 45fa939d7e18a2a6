"""What a log says of its answer: entries folded into one state, read by publishers, status and history alike."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any, Literal

from holdfast.batching import sent_size_of
from holdfast.errors import BadRecord
from holdfast.generation import Part, text_of
from holdfast.message import MessageBuilder, is_valid, is_visible
from holdfast.records import Begin, Entry, EntryId, Error, Finish, Handoff, Parts, Queued, Stop, Terminal
from holdfast.usage import Usage, text_size, tokens_of

type State = Literal["queued", "live", "stalled", "finished", "failed", "stopped"]


class _Said:
    """What an attempt was given and has written, in bytes of text, for an estimate of what it cost if it dies."""

    def __init__(self, asked: int) -> None:
        self.asked = asked
        self.size = 0
        self.resumed = False


class Answer:
    """The state of one answer.

    Args:
        entries: the log from its first entry on.

    Raises:
        BadRecord: the log does not begin with a queued record, or holds one out of place.
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        entries = iter(entries)
        first = next(entries, None)
        if first is None or not isinstance(first.record, Queued):
            raise BadRecord("The log does not begin with a queued record.")
        self.queued: Queued = first.record
        self.last: Entry = first
        self.begins: list[tuple[int, Begin]] = []
        self.handoffs: list[tuple[EntryId, Handoff]] = []
        self.parts = 0
        self.size = 0
        #: Attempts in a row, up to the newest, that began and wrote nothing at all.
        self.idle = 0
        self.characters = 0
        self.visible_at: int | None = None
        self.continued = False
        self.takeovers = 0
        self.rescues = 0
        self.checkpoint: Any = None
        #: Whether the checkpoint covers everything, so that resuming from it is exact.
        self.current = False
        self.started = False
        self.end: tuple[EntryId, Terminal] | None = None
        self.builder = MessageBuilder(first.record.message_id)
        #: Tokens of the calls that have ended.
        self.usage = Usage()
        self._newest: _Said | None = None
        self._text = 0
        for entry in entries:
            self.add(entry)

    @property
    def begin(self) -> tuple[int, Begin] | None:
        """The newest attempt and its record, if one has begun."""
        return self.begins[-1] if self.begins else None

    @property
    def attempts(self) -> int:
        """How many attempts have begun."""
        return len(self.begins)

    @property
    def visible(self) -> bool:
        """Whether a reader may have seen anything, so that starting over would show."""
        return self.visible_at is not None

    def add(self, entry: Entry) -> None:
        """Take the next entry in; nothing after the end counts (rule E1)."""
        if self.end is not None:
            return
        before, self.last = self.last, entry
        match entry.record:
            case Begin() as begin:
                self._follow(begin, handed_off=isinstance(before.record, Handoff))
                self.begins.append((entry.id.attempt, begin))
                self.idle += 1
                self._count()
                # What it cost cannot be seen before it writes; where a checkpoint stands it may have cost nothing new.
                self._newest = _Said(self.asked) if self.checkpoint is None else None
            case Parts() as record:
                self._parts(record)
            case Handoff() as record:
                self.handoffs.append((entry.id, record))
                self._count(record.usage, record.cut)
                self.checkpoint = record.checkpoint if record.checkpoint is not None else self.checkpoint
            case Finish() | Error() | Stop() as terminal:
                self.end = (entry.id, terminal)
                self._count(None if isinstance(terminal, Stop) else terminal.usage)
            case Queued():
                raise BadRecord("The log holds a second queued record.")

    def state(self, *, leased: bool) -> State:
        """The state as a reader tells it (rule X1); ``leased``: whether the newest attempt's lease is alive."""
        match self.end:
            case (_, Finish()):
                return "finished"
            case (_, Error()):
                return "failed"
            case (_, Stop()):
                return "stopped"
        if self.begin is None:
            return "queued"
        return "live" if leased else "stalled"

    def _follow(self, begin: Begin, *, handed_off: bool) -> None:
        """Count how an attempt after the first came about."""
        if self.begin is None or handed_off:
            return
        if self.begin[1].message == begin.message:
            self.takeovers += 1
        else:
            self.rescues += 1

    def _parts(self, record: Parts) -> None:
        if record.pos != self.parts:
            raise BadRecord(f"The log holds part {record.pos} where part {self.parts} belongs.")
        self.parts += len(record.parts)
        self.size += sent_size_of(record.parts)
        self.idle = 0
        self._newest = self._newest or _Said(self.asked)
        self._newest.size += sum(map(text_size, record.parts))
        self._newest.resumed = record.resumed
        self.continued = self.continued or record.continued
        for chunk in record.parts:
            self.note(chunk, record.at)
        if record.checkpoint is not None:
            self.keep(record.checkpoint)

    @property
    def asked(self) -> int:
        """Bytes of text that a call which begins now is given: the conversation and the answer so far."""
        return self._question + self._text

    @cached_property
    def _question(self) -> int:
        return sum(len(text_of(message).encode("utf-8", "surrogatepass")) for message in self.queued.messages)

    def _count(self, told: dict[str, int] | None = None, cut: int = 0) -> None:
        """Take in what the newest attempt cost: as it told, else, if it died, by what it wrote (rule T6)."""
        newest, self._newest = self._newest, None
        if told:
            self.usage = Usage.from_json(told, cut)
        elif newest is not None:
            asked = 0 if newest.resumed else newest.asked
            self.usage.add(tokens_of(asked + newest.size), resumed=newest.resumed, counted={})

    def keep(self, checkpoint: Any) -> None:
        """Take in what the generator saved, behind everything noted so far."""
        self.checkpoint = checkpoint
        self.current = True

    def note(self, chunk: Part, at: int) -> None:
        """Take one chunk in, written or about to be: what is visible, and the message that it builds."""
        self.current = False
        self.builder.add(chunk)
        self.started = self.started or chunk["type"] == "start"
        if chunk["type"] == "text-delta" and is_valid(chunk):
            self.characters += len(chunk["delta"])
            self._text += text_size(chunk)
        if self.visible_at is None and is_visible(chunk):
            self.visible_at = at
