"""What a generator yields, made into chunks that continue the answer so far (docs/protocol.md, chapter P)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from holdfast.answer import Answer
from holdfast.continuing import continued
from holdfast.errors import BadRecord, GenerationError
from holdfast.generation import Part
from holdfast.message import STREAMED, VOCABULARY, is_valid
from holdfast.stored import DEEPEST, read_json

_REASONS: Final = frozenset({"stop", "length", "content-filter", "tool-calls", "error", "other"})

#: Characters of one delta; longer ones are cut up, since any number of them may come at once.
_LONGEST_DELTA: Final = 50_000


class Composer:
    """Chunks for one call of a generator, after what the log already holds.

    Args:
        answer: the state of the log when the call begins; its open parts go on under their own ids.
        tag: differs for every call in the life of the log, so that ids of parts never repeat.
    """

    def __init__(self, answer: Answer, tag: str) -> None:
        self.reason = "stop"
        self.usage: dict[str, int] = {}
        self._message_id = answer.queued.message_id
        self._started = answer.started
        self._goes_on = continued(answer.queued) is not None
        self._open: dict[str, str] = {}  # id in the log → kind
        self._names: dict[tuple[str, str], str] = {}  # (kind, the generator's id) → id in the log
        # What an interrupted call left open: the last such part of each kind is the one that may go on.
        self._carried: dict[str, str] = {}
        for kind, id in answer.builder.open:
            self._open[id] = kind
            self._carried[kind] = id
        self._cut_tools = answer.builder.unfinished_tools
        self._tag = tag
        self._counter = 0

    def feed(self, item: object) -> Iterator[Part]:
        """Chunks for one thing that the generator yielded.

        Raises:
            GenerationError: it is neither text nor a valid chunk, or says that the model failed.
        """
        if isinstance(item, str):
            for piece in _pieces(_storable(item)):
                yield from self._text("text", piece)
            return
        chunk = self._checked(item)
        kind: str = chunk["type"]
        stem, _, verb = kind.rpartition("-")
        if kind in {"start", "message-metadata"}:
            if isinstance(chunk.get("messageMetadata"), dict):
                yield from self._begun()
                yield {"type": "message-metadata", "messageMetadata": chunk["messageMetadata"]}
        elif kind == "finish":
            yield from self._finish(chunk)
        elif kind in {"error", "abort"}:
            raise GenerationError("model_error", str(chunk.get("errorText") or "The generator aborted the answer."))
        elif stem in STREAMED:
            yield from self._streamed(stem, verb, chunk)
        else:
            yield from self._begun(steps=kind == "start-step")
            yield from self._close_all()
            yield chunk

    def close(self) -> Iterator[Part]:
        """Chunks that end what is still open: the answer is complete, or ends here."""
        yield from self._begun()
        yield from self._close_all()

    def _checked(self, item: object) -> Part:
        if not isinstance(item, dict) or not is_valid(item):
            kind = item.get("type") if isinstance(item, dict) else type(item).__name__
            known = isinstance(kind, str) and (kind in VOCABULARY or kind.startswith("data-"))
            what = f"an incomplete {kind!r} chunk" if known else "neither text nor a UI chunk"
            raise GenerationError("generator_invalid", f"The generator yielded {what}; docs/protocol.md lists them.")
        try:
            # A copy: what the generator does to its own chunk later is not part of the answer.
            copy: Part = read_json(_storable(json.dumps(item, ensure_ascii=False, allow_nan=False)), DEEPEST)
        except (TypeError, ValueError, RecursionError, BadRecord) as error:
            message = "The generator yielded a chunk that JSON cannot hold."
            raise GenerationError("generator_invalid", message) from error
        return copy

    def _begun(self, *, steps: bool = False) -> Iterator[Part]:
        """What precedes the first chunk: the ``start`` of the log, once, and the end of tool calls that were cut.

        Args:
            steps: whether the chunk begins a step itself.
        """
        if not self._started:
            self._started = True
            yield {"type": "start", "messageId": self._message_id}
            if self._goes_on and not steps:
                # A stock client that saw no step begin after its tools' results would send them again, for ever.
                yield {"type": "start-step"}
        for id, name in self._cut_tools:
            call = {"toolCallId": id, "toolName": name, "input": None}
            yield {"type": "tool-input-error", **call, "errorText": "The call was interrupted."}
        self._cut_tools = []

    def _text(self, kind: str, text: str) -> Iterator[Part]:
        """Text without an id of the generator's own: into the open part of its kind, or a new one."""
        id = self._carried.get(kind)
        yield from self._begun()
        if id is None:
            yield from self._close_all()
            id = self._new_id(kind)
            self._open[id] = kind
            self._carried[kind] = id
            yield {"type": f"{kind}-start", "id": id}
        else:
            yield from self._close_all(but=id)
        yield {"type": f"{kind}-delta", "id": id, "delta": text}

    def _streamed(self, kind: str, verb: str, chunk: Part) -> Iterator[Part]:
        key = (kind, chunk["id"])
        rest: dict[str, Any] = {name: value for name, value in chunk.items() if name not in {"type", "id"}}
        known = self._names.get(key)
        if verb == "end":
            if known is not None:
                yield from self._close(known)
            return
        if verb == "delta" and not chunk["delta"] and known is None:
            return
        yield from self._begun()
        if verb == "start" or known is None:
            carried = self._carried.get(kind)
            if carried is not None and carried not in self._names.values():
                known = carried  # goes on with the part that the interruption left open
                yield from self._close_all(but=known)
            else:
                yield from self._close_all()
                known = self._new_id(kind)
                self._open[known] = kind
                start = rest if verb == "start" else {}
                yield {"type": f"{kind}-start", "id": known, **start}
            self._names[key] = known
        if verb == "delta":
            for piece in _pieces(chunk["delta"]):
                yield {"type": f"{kind}-delta", "id": known, **rest, "delta": piece}

    def _close_all(self, but: str | None = None) -> Iterator[Part]:
        for id in list(self._open):
            if id != but:
                yield from self._close(id)

    def _close(self, id: str) -> Iterator[Part]:
        kind = self._open.pop(id, None)
        if kind is None:
            return
        yield {"type": f"{kind}-end", "id": id}
        if self._carried.get(kind) == id:
            del self._carried[kind]
        self._names = {key: name for key, name in self._names.items() if name != id}

    def _new_id(self, kind: str) -> str:
        self._counter += 1
        return f"{kind}-{self._tag}-{self._counter}"

    def _finish(self, chunk: Part) -> Iterator[Part]:
        reason = chunk.get("finishReason", "stop")
        self.reason = reason if isinstance(reason, str) and reason in _REASONS else "other"
        metadata = dict(chunk["messageMetadata"]) if isinstance(chunk.get("messageMetadata"), dict) else {}
        usage = metadata.pop("usage", None)
        if isinstance(usage, dict):
            self.usage = {k: v for k, v in usage.items() if isinstance(v, int) and not isinstance(v, bool)}
        if metadata:
            yield from self._begun()
            yield {"type": "message-metadata", "messageMetadata": metadata}


def _pieces(text: str) -> Iterator[str]:
    """Text in pieces that fit into a batch (rule B3)."""
    for start in range(0, len(text), _LONGEST_DELTA):
        yield text[start : start + _LONGEST_DELTA]


def _storable(text: str) -> str:
    """Text as UTF-8 can hold it: surrogate pairs are joined, and lone halves, which no store takes, replaced."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
