"""What random tests are made of: JSON, texts, records, and what generators yield."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from holdfast.records import Begin, Error, Finish, Handoff, Parts, Queued, Record, Stop

#: Everything that a store can hold: all of Unicode but lone surrogates.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)

#: Text with what breaks lines, frames and quotes more often than chance would have it.
nasty = st.one_of(
    texts, st.sampled_from(["\n", "\r\n", "\ndata: x\n\n", "id: 1-1", ":", "[DONE]", "\u2028", "\x85", '"', "\0"])
)

json_values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False), texts
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=6,
)
json_objects = st.dictionaries(texts, json_values, max_size=3)

_counts = st.integers(0, 2**50)
_chunks = st.builds(lambda kind, rest: rest | {"type": kind}, texts, json_objects)

records: st.SearchStrategy[Record] = st.one_of(
    st.builds(
        Queued,
        at=_counts,
        owner=texts,
        message_id=texts,
        messages=st.lists(json_objects, min_size=1, max_size=2),  # one at least, to be answered
        extra=json_objects,
        chat_id=st.none() | texts,
        turn=_counts,
        drops=st.lists(texts, max_size=2),
        asks=st.booleans(),
        retention_seconds=_counts,
        chat_retention_seconds=_counts,
    ),
    st.builds(Begin, at=_counts, owner=texts, message=texts, retried=_counts),
    st.builds(Parts, at=_counts, pos=_counts, parts=st.lists(_chunks, min_size=1, max_size=3), checkpoint=json_values),
    st.builds(Handoff, at=_counts, message=texts, checkpoint=json_values),
    st.builds(
        Finish,
        at=_counts,
        reason=texts,
        parts=_counts,
        characters=_counts,
        ttft_ms=st.none() | _counts,
        duration_ms=_counts,
        attempts=_counts,
        exact=st.booleans(),
        usage=st.dictionaries(texts, _counts, max_size=2),
    ),
    st.builds(Error, at=_counts, code=texts, message=texts, by=texts),
    st.builds(Stop, at=_counts, by=texts),
)

_ids = st.sampled_from(["a", "b"])
_calls = st.sampled_from(["c1", "c2"])
_words = st.sampled_from(["", "one ", "zwei ", "三 ", "😀", "\n"])


def _chunk(kind: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"type": st.just(kind), **fields})


#: Valid chunks as generators yield them, in any order, sensible or not.
yielded_chunks: st.SearchStrategy[dict[str, Any]] = st.one_of(
    *(_chunk(f"{kind}-start", id=_ids) for kind in ("text", "reasoning")),
    *(_chunk(f"{kind}-delta", id=_ids, delta=_words) for kind in ("text", "reasoning")),
    *(_chunk(f"{kind}-end", id=_ids) for kind in ("text", "reasoning")),
    _chunk("tool-input-start", toolCallId=_calls, toolName=st.just("look")),
    _chunk("tool-input-delta", toolCallId=_calls, inputTextDelta=_words),
    _chunk("tool-input-available", toolCallId=_calls, toolName=st.just("look"), input=json_values),
    _chunk("tool-output-available", toolCallId=_calls, output=json_values),
    _chunk("source-url", sourceId=_ids, url=st.just("https://example.com")),
    _chunk("data-weather", data=json_values),
    _chunk("start-step"),
    _chunk("finish-step"),
    _chunk("start"),
    _chunk("message-metadata", messageMetadata=json_objects),
    _chunk("finish", finishReason=st.sampled_from(["stop", "length", "odd"])),
)

#: What a generator yields: strings mostly, and chunks.
yielded: st.SearchStrategy[str | dict[str, Any]] = st.one_of(_words, _words, yielded_chunks)
