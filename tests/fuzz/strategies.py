"""Anything that a client, a queue or a store may send, with what breaks parsers more often than chance has it."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from tests.owner import OWNER

#: Values that JSON's grammar or Python's reading of it allows, and little code expects.
ODD: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.sampled_from([0, -1, 2**53, 2**63, 2**64, 10**400, -(10**400), 10**4298]),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["\ud800", "\udfff x", "\0", "\r\n", "\u2028", "x" * 300, "", "type", "1-1"]),
)
values: st.SearchStrategy[Any] = st.recursive(
    ODD,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=5,
)


def nested(levels: int, kind: str = "list") -> bytes:
    """JSON of so many levels."""
    if kind == "list":
        return b"[" * levels + b"1" + b"]" * levels
    return b'{"a":' * levels + b"1" + b"}" * levels


#: Bodies that are no JSON at all, or JSON at the edge of it.
raw: st.SearchStrategy[bytes] = st.one_of(
    st.binary(max_size=40),
    st.text(max_size=20).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.sampled_from(
        [
            b"", b"{", b"null", b"[]", b"{}", b"NaN", b'"\\ud800"', b"1e999", b"9" * 5_000, b"\xef\xbb\xbf{}",
            b"[" * 19_000, b'{"a":' * 3_000, nested(70), nested(400), nested(900), nested(1_400), nested(900, "dict"),
        ]
    ),
)  # fmt: skip


def dump(value: Any) -> bytes:
    """A value as JSON, as Python writes it: lone surrogates as escapes, and NaN as no JSON has it."""
    return json.dumps(value).encode()


def objects(**known: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects of these fields, each of which may be missing or of any other kind, and some more."""
    fields = {name: st.one_of(good, good, values) for name, good in known.items()}
    return st.builds(
        lambda named, more: {**more, **named},
        st.fixed_dictionaries({}, optional=fields),
        st.dictionaries(st.text(max_size=5), values, max_size=2),
    )


_texts = st.text(max_size=10)
_numbers = st.integers(0, 2**50)

chunks: st.SearchStrategy[dict[str, Any]] = st.one_of(
    *(
        objects(
            type=st.just(kind),
            id=st.sampled_from(["a", "b"]),
            delta=_texts,
            toolCallId=st.sampled_from(["c", "d"]),
            toolName=_texts,
            input=values,
            output=values,
            errorText=_texts,
            url=_texts,
            mediaType=_texts,
            data=values,
            messageMetadata=values,
            dynamic=st.booleans(),
            transient=st.booleans(),
        )
        for kind in (
            "start", "finish", "text-start", "text-delta", "text-end", "reasoning-delta", "tool-input-start",
            "tool-input-delta", "tool-input-available", "tool-output-available", "tool-output-error", "data-x", "file",
            "source-url", "message-metadata", "never-heard-of", "",
        )
    )
)  # fmt: skip

messages: st.SearchStrategy[dict[str, Any]] = objects(
    id=_texts,
    role=st.sampled_from(["user", "assistant", "system"]),
    content=_texts,
    parts=st.lists(objects(type=st.sampled_from(["text", "file", "tool-x"]), text=_texts), max_size=2),
    metadata=values,
)

_HEAD = {"v": st.just(1), "at": _numbers}
_QUEUED = {
    "t": st.just("queued"),
    "owner": st.just(OWNER),
    "message_id": _texts,
    "messages": st.lists(messages, max_size=2),
    "extra": st.dictionaries(_texts, values, max_size=2),
    "chat_id": st.sampled_from([None, "c"]),
    "turn": st.integers(0, 3),
    "drops": st.lists(st.sampled_from(["1.0", "1.1", "x"]), max_size=2),
    "asks": st.booleans(),
    "idempotency": st.none() | _texts,
    "retention_seconds": _numbers,
    "chat_retention_seconds": _numbers,
}
_REST: list[dict[str, st.SearchStrategy[Any]]] = [
    {"t": st.just("begin"), "owner": _texts, "message": st.sampled_from(["m1", "m2"]), "retried": st.integers(0, 3)},
    {"t": st.just("parts"), "pos": st.integers(0, 3), "parts": st.lists(chunks, max_size=3), "checkpoint": values},
    {"t": st.just("handoff"), "message": st.sampled_from(["m1", "m2"]), "checkpoint": values},
    {
        "t": st.just("finish"),
        "reason": _texts,
        "parts": st.integers(0, 3),
        "characters": _numbers,
        "ttft_ms": st.none() | _numbers,
        "duration_ms": _numbers,
        "attempts": _numbers,
        "exact": st.booleans(),
        "usage": st.dictionaries(_texts, values, max_size=2),
    },
    {"t": st.just("error"), "code": _texts, "message": _texts, "by": st.sampled_from(["publish", "start", "x"])},
    {"t": st.just("stop"), "by": _texts},
]


def _record(fields: dict[str, st.SearchStrategy[Any]], *, whole: bool) -> st.SearchStrategy[dict[str, Any]]:
    known = {**_HEAD, **fields}
    return st.fixed_dictionaries(known) if whole else objects(**known)


def _text(record: Any) -> str:
    return json.dumps(record)


#: First records that mostly are what they should be, so that what comes after them is looked at.
firsts: st.SearchStrategy[str] = st.one_of(
    *(_record(_QUEUED, whole=True).map(_text) for _ in range(4)), _record(_QUEUED, whole=False).map(_text)
)
#: Later records: right ones in any order, broken ones, and what is none.
laters: st.SearchStrategy[str] = st.one_of(
    *(_record(fields, whole=True).map(_text) for fields in _REST),
    *(_record(fields, whole=False).map(_text) for fields in [*_REST, _QUEUED]),
    raw.map(lambda text: text.decode("utf-8", "replace")),
    values.map(_text),
    st.builds(lambda version: json.dumps({"v": version, "t": "begin"}), st.sampled_from([0, 2, 99, "1", None, True])),
)
