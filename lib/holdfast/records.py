"""Entry ids, cursors and the typed records of the log, with their JSON (docs/protocol.md, chapters I, C and R)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, fields
from typing import Any, Final, Self

from holdfast.errors import BadCursor, BadRecord
from holdfast.generation import Part, UIMessage
from holdfast.stored import read_json

#: The format version this code writes. It reads this one and the one before (rule R3).
VERSION: Final = 1

#: The reserved attempt of outsiders' terminal records, above every attempt that can begin (rule I4).
SEAL_ATTEMPT: Final = 1 << 40


@dataclass(frozen=True, slots=True, order=True)
class EntryId:
    """Where an entry stands in its log: attempt, then a number dense within the attempt (rule I1)."""

    attempt: int
    seq: int

    def __str__(self) -> str:
        return f"{self.attempt}-{self.seq}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``<attempt>-<seq>`` as the store prints it.

        Raises:
            BadRecord: the text has another form: a stranger wrote this entry.
        """
        match = _ENTRY_ID.fullmatch(text)
        if match is None:
            raise BadRecord("The log holds an entry whose id is not <attempt>-<seq>.")
        return cls(int(match[1]), int(match[2]))


_NUMBER = r"(0|[1-9][0-9]{0,15})"
_ENTRY_ID = re.compile(rf"{_NUMBER}-{_NUMBER}", re.ASCII)
_CURSOR = re.compile(rf"{_NUMBER}-{_NUMBER}(?:\.{_NUMBER})?", re.ASCII)

#: The first entry of every log, and where every reader begins (rules I2 and I3).
FIRST: Final = EntryId(0, 1)
SEAL: Final = EntryId(SEAL_ATTEMPT, 0)


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a reader has come: after part ``part`` of an entry, or after the whole entry (rule C1).

    Opaque outside; compared as numbers, so ``1-10`` comes after ``1-9``.
    """

    entry: EntryId
    part: int | None = None

    def __str__(self) -> str:
        return str(self.entry) if self.part is None else f"{self.entry}.{self.part}"

    def __lt__(self, other: Cursor) -> bool:
        return self._key() < other._key()

    def __le__(self, other: Cursor) -> bool:
        return self._key() <= other._key()

    def _key(self) -> tuple[int, int, bool, int]:
        return (self.entry.attempt, self.entry.seq, self.part is None, self.part or 0)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a cursor that a client sent.

        Raises:
            BadCursor: it is not ``<attempt>-<seq>`` or ``<attempt>-<seq>.<k>``.
        """
        match = _CURSOR.fullmatch(text)
        if match is None:
            raise BadCursor(
                "The cursor must look like 1-12 or 1-12.3: send the id of the last event that you received."
            )
        return cls(EntryId(int(match[1]), int(match[2])), None if match[3] is None else int(match[3]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """0-1, written by start: what is to be answered, for whom and under which settings.

    Attributes:
        at: epoch milliseconds, as on every record.
        owner: whose answer it is.
        message_id: id of the answer as a UI message, stable over attempts and replays.
        messages: the whole conversation that the generator sees, oldest first; the newest is to be answered.
        extra: unknown fields of the start body, for the generator.
        chat_id: the conversation, if there is one, and then:
        turn: the number of the turn that this answer has in its chat, from 1.
        drops: members of the chat's history that this turn removes (edit, regeneration).
        asks: whether this turn adds the newest message to the history; not so for a regeneration.
        idempotency: the digest of owner and idempotency key, deleted with the log; None without a key.
        retention_seconds: how long the log stays after its end.
        chat_retention_seconds: how long the chat stays after its newest turn.
    """

    at: int
    owner: str
    message_id: str
    messages: list[UIMessage]
    extra: dict[str, Any] = field(default_factory=dict)
    chat_id: str | None = None
    turn: int = 0
    drops: list[str] = field(default_factory=list)
    asks: bool = False
    idempotency: str | None = None
    retention_seconds: int = 86_400
    chat_retention_seconds: int = 2_592_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Begin:
    """<attempt>-0: an attempt was claimed.

    Attributes:
        owner: the claimer's nonce; with it a claimer knows its own record again.
        message: the queue's id of the delivery's message.
        retried: the delivery's retry count.
    """

    at: int
    owner: str
    message: str
    retried: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """A batch of UI chunks.

    Attributes:
        pos: how many parts stand in the log before this record; a reader checks it (rule D5).
        parts: the chunks; none only where a checkpoint stands alone.
        checkpoint: what the generator saved; it holds exactly after the last of these parts (rule B4).
        continued: whether the text up to here is that of several calls, each going on from the partial (rule T3).
        resumed: whether the call that said them goes on with the very call before it (rule T6).
    """

    at: int
    pos: int
    parts: list[Part]
    checkpoint: Any = None
    continued: bool = False
    resumed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Handoff:
    """The attempt ends here on purpose and the next one goes on.

    Attributes:
        message, checkpoint: the queue's id of the delivery that handed off, and what the next attempt's generator gets.
        usage: tokens of all calls so far, ``cut`` of them estimated for the call that this hand-off cut.
    """

    at: int
    message: str
    checkpoint: Any = None
    usage: dict[str, int] = field(default_factory=dict)
    cut: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """The answer is complete.

    Attributes:
        reason: the finish reason, in the AI SDK's words.
        parts, characters: what the log holds, the characters of visible text.
        ttft_ms: from start to the first visible part; None if nothing visible came.
        duration_ms: from start to this record.
        attempts: how many attempts were begun; beyond the first by
        handoffs: the attempt before ended on purpose,
        takeovers: the queue saw the attempt before fail and delivered its message again,
        rescues: somebody found the answer stalled and asked for a delivery.
        exact: whether the text is what one uninterrupted call said, to the character.
        usage: tokens of all calls of all attempts (rule T6).
    """

    at: int
    reason: str
    parts: int
    characters: int
    ttft_ms: int | None
    duration_ms: int
    attempts: int
    exact: bool
    usage: dict[str, int] = field(default_factory=dict)
    handoffs: int = 0
    takeovers: int = 0
    rescues: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Error:
    """The answer ended early and nothing more will come; what was written stays.

    Attributes:
        code, message: for programs and for the reader; no secret, no foreign text.
        by: who ended it: publish (which alone knows the usage), callback, cleanup, reader or start.
    """

    at: int
    code: str
    message: str
    by: str
    usage: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Somebody asked to stop the answer (``request``, the ``next`` turn, a ``deletion``); what was written stays."""

    at: int
    by: str


type Terminal = Finish | Error | Stop
type Record = Queued | Begin | Parts | Handoff | Terminal

_KINDS: Final[dict[str, type[Record]]] = {
    "queued": Queued,
    "begin": Begin,
    "parts": Parts,
    "handoff": Handoff,
    "finish": Finish,
    "error": Error,
    "stop": Stop,
}
_NAMES: Final = {kind: name for name, kind in _KINDS.items()}
_CHECKS: Final[dict[str, type | tuple[type, ...]]] = {
    "str": str,
    "int": int,
    "bool": bool,
    "str | None": (str, type(None)),
    "int | None": (int, type(None)),
    "Any": object,
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A record where it stands."""

    id: EntryId
    record: Record


def is_terminal(record: Record) -> bool:
    """Whether a record ends its log (rule E1)."""
    return isinstance(record, Finish | Error | Stop)


def encode(record: Record) -> str:
    """A record as the JSON text that the log stores (rule R1)."""
    values = {f.name: getattr(record, f.name) for f in fields(record)}
    return json.dumps({"v": VERSION, "t": _NAMES[type(record)], **values}, ensure_ascii=False, separators=(",", ":"))


def decode(text: str) -> Record:
    """Read a stored record back.

    Raises:
        BadRecord: not JSON, of an unknown type, incomplete, or of a newer format version (rule R3).
    """
    data = read_json(text)
    if not isinstance(data, dict):
        raise BadRecord("The log holds an entry that is not a JSON object.")
    version = data.get("v")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise BadRecord("The log holds an entry without a format version.")
    if version > VERSION:
        raise BadRecord(
            f"The log has format version {version}; this Holdfast reads up to {VERSION}. Deploy a newer one."
        )
    name = data.get("t")
    kind = _KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise BadRecord("The log holds an entry of an unknown type.")
    # Unknown fields are dropped: a later release may add some without a new version (rule R2).
    values = {f.name: data[f.name] for f in fields(kind) if f.name in data}
    try:
        record = kind(**values)
    except TypeError as error:
        raise BadRecord(f"The log holds an incomplete {name} record.") from error
    if not _well_typed(record):
        raise BadRecord(f"The log holds a malformed {name} record.")
    return record


def _well_typed(record: Record) -> bool:
    for f in fields(record):
        value, wanted = getattr(record, f.name), str(f.type)
        if wanted.startswith("list["):
            item = str if wanted == "list[str]" else dict
            if not isinstance(value, list) or not all(isinstance(x, item) for x in value):
                return False
        elif wanted.startswith("dict["):
            if not isinstance(value, dict):
                return False
        elif not isinstance(value, _CHECKS[wanted]) or (isinstance(value, bool) and wanted in {"int", "int | None"}):
            return False
    if isinstance(record, Parts):
        named = all(isinstance(part.get("type"), str) for part in record.parts)
        return named and bool(record.parts or record.checkpoint is not None)
    if isinstance(record, Queued):
        return bool(record.messages) or not record.asks
    return True
