"""Cursors, ids and records: what is written is read back, and what cannot be read is refused (chapters C and R)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from holdfast.errors import BadCursor, BadRecord
from holdfast.records import (
    SEAL,
    SEAL_ATTEMPT,
    VERSION,
    Cursor,
    EntryId,
    Record,
    Stop,
    decode,
    encode,
    is_terminal,
)
from tests.core import samples
from tests.core.strategies import json_values, records

_numbers = st.integers(0, 10**15)
_entry_ids = st.builds(EntryId, _numbers, _numbers)
_small = st.integers(0, 12)
_cursors = st.builds(Cursor, st.builds(EntryId, _small, _small), st.none() | _small)


@given(_entry_ids, st.none() | _numbers)
def test_cursors_and_ids_are_read_as_written(id: EntryId, part: int | None) -> None:
    """Rule C1: the text of a cursor is that cursor."""
    assert EntryId.parse(str(id)) == id
    assert Cursor.parse(str(Cursor(id, part))) == Cursor(id, part)


@given(st.text() | st.from_regex(r"[0-9]{0,3}[-.][0-9]{0,3}[-.]?[0-9]{0,3}"))
@example("1-1\n")
@example("01-1")
@example("1-01")
@example("1-1.01")
@example("1-1.")
@example("-1-1")
@example("+1-1")
@example("1-1.-1")
@example("٣-1")  # an Arabic digit
@example("1_0-1")
@example(" 1-1")
@example("99999999999999999-1")
@example("")
def test_a_cursor_is_exact_or_refused(text: str) -> None:
    """Rule C2: what is not the one way of writing a cursor raises BadCursor, and nothing else is raised."""
    try:
        written = str(Cursor.parse(text))
    except BadCursor:
        return
    assert written == text


@pytest.mark.parametrize(
    "text", ["1-1\n", "01-1", "1", "1-", "1-1.", "1-1.1.1", "$", "-", "0-0x1", "1-99999999999999999"]
)
def test_bad_cursors(text: str) -> None:
    """Rule C2: each of these is refused."""
    with pytest.raises(BadCursor):
        Cursor.parse(text)


@given(_cursors, _cursors)
def test_cursors_are_ordered_as_numbers(a: Cursor, b: Cursor) -> None:
    """Rules C1, C2: by attempt, entry, then part, where the whole entry comes after each of its parts."""

    def key(cursor: Cursor) -> tuple[int, int, float]:
        return (cursor.entry.attempt, cursor.entry.seq, float("inf") if cursor.part is None else cursor.part)

    assert (a < b) == (key(a) < key(b))
    assert (a <= b) == (key(a) <= key(b))
    assert (a > b) == (key(a) > key(b))
    assert (a == b) == (key(a) == key(b))


def test_order_of_cursors_by_example() -> None:
    """Rule C2: ``1-10`` is after ``1-9``, ``2-0`` after both, an entry after its parts, the seal after all."""
    ordered = ["0-1", "1-0", "1-9.0", "1-9.2", "1-9.10", "1-9", "1-10.0", "1-10", "2-0", "10-0", str(SEAL)]
    shuffled = sorted(ordered)
    assert shuffled != ordered
    assert [str(cursor) for cursor in sorted(map(Cursor.parse, shuffled))] == ordered


def test_the_seal_is_above_every_attempt() -> None:
    """Rule I4: the reserved attempt is 2^40."""
    assert str(SEAL) == "1099511627776-0"
    assert EntryId(SEAL_ATTEMPT - 1, 10**15) < SEAL


@pytest.mark.parametrize("text", ["", "1", "1-", "x-1", "1-1.0", "01-1", "18446744073709551615-1", "1-1 "])
def test_a_strangers_id_is_refused(text: str) -> None:
    """Rule I1: an entry id of another form was written by a stranger."""
    with pytest.raises(BadRecord):
        EntryId.parse(text)


@given(records)
def test_records_are_read_as_written(record: Record) -> None:
    """Rule R1: every record comes back equal, from compact JSON of one line that says its version and type."""
    text = encode(record)
    assert decode(text) == record
    assert "\n" not in text
    assert text == json.dumps(json.loads(text), ensure_ascii=False, separators=(",", ":"))
    assert list(json.loads(text))[:2] == ["v", "t"]
    assert encode(decode(text)) == text


@given(records, st.text(min_size=1).filter(str.isupper), json_values)
def test_unknown_fields_are_ignored(record: Record, name: str, value: object) -> None:
    """Rule R2: a later release may add fields within a version."""
    data = json.loads(encode(record)) | {name: value}
    assert decode(json.dumps(data)) == record


@given(records, st.integers(VERSION + 1, 10**6))
def test_a_newer_version_is_refused(record: Record, version: int) -> None:
    """Rule R3: a record of a newer version is refused, with a message that says which and what to do."""
    data = json.loads(encode(record)) | {"v": version}
    with pytest.raises(BadRecord, match=rf"version {version}.*Deploy"):
        decode(json.dumps(data))


@given(st.text())
def test_any_text_is_a_record_or_refused(text: str) -> None:
    """Rule R3: nothing but BadRecord comes of a text that is no record."""
    with pytest.raises(BadRecord):
        decode(text)


@given(records, st.data())
def test_a_mangled_record_is_read_or_refused(record: Record, data: st.DataObject) -> None:
    """Rule R3: with any field replaced or left out a record is still one of its type, or BadRecord; nothing else."""
    values: dict[str, Any] = json.loads(encode(record))
    name = data.draw(st.sampled_from(sorted(values)))
    if data.draw(st.booleans()):
        values[name] = data.draw(json_values)
    else:
        del values[name]
    try:
        read = decode(json.dumps(values))
    except BadRecord:
        return
    assert decode(encode(read)) == read


@given(json_values)
def test_any_json_is_a_record_or_refused(value: object) -> None:
    """Rule R3: JSON of another shape is refused."""
    with pytest.raises(BadRecord):
        decode(json.dumps(value))


@pytest.mark.parametrize(
    "changes",
    [
        {"v": None},
        {"v": True},
        {"v": 0},
        {"v": 1.0},
        {"v": "1"},
        {"t": "begun"},
        {"t": None},
        {"t": ["begin"]},
        {"at": "1"},
        {"at": True},
        {"at": 1.5},
        {"retried": None},
        {"owner": 1},
    ],
)
def test_wrong_fields_are_refused(changes: dict[str, object]) -> None:
    """Rule R3: each field must have its type, and a boolean is no number."""
    data = json.loads(encode(samples.begin())) | changes
    with pytest.raises(BadRecord):
        decode(json.dumps(data))


@pytest.mark.parametrize("missing", ["v", "t", "at", "owner", "message", "retried"])
def test_missing_fields_are_refused(missing: str) -> None:
    """Rule R3: a record without one of its fields is incomplete."""
    data = json.loads(encode(samples.begin()))
    del data[missing]
    with pytest.raises(BadRecord):
        decode(json.dumps(data))


@pytest.mark.parametrize("parts", [[], [{}], [{"type": 1}], ["text"], {"type": "text"}, None])
def test_malformed_parts_are_refused(parts: object) -> None:
    """Rule R3: parts are objects with a type; none are allowed only beside a checkpoint."""
    data = json.loads(encode(samples.parts(0, "x"))) | {"parts": parts}
    with pytest.raises(BadRecord):
        decode(json.dumps(data))
    assert decode(encode(samples.parts(0, checkpoint={"step": 1}))) == samples.parts(0, checkpoint={"step": 1})


def test_a_bottomless_record_is_refused() -> None:
    """Rule R3: nesting that no parser follows is refused like other text."""
    with pytest.raises(BadRecord):
        decode("[" * 200_000)


def test_terminal_records() -> None:
    """Rule E1: finish, error and stop are terminal and nothing else is."""
    assert all(is_terminal(record) for record in (samples.finish(), samples.error(), Stop(at=1, by="next")))
    others = (samples.queued(), samples.begin(), samples.parts(0, "x"), samples.handoff())
    assert not any(is_terminal(record) for record in others)
