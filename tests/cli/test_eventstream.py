"""The parser of server-sent events: exact, and blind to how the bytes were split."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.eventstream import EventStream, Message, TooLong

LINE_ENDS = ("\n", "\r\n", "\r")
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=12)
FIELDS = st.one_of(
    TEXT.map(lambda text: f"data: {text}"),
    TEXT.map(lambda text: f"data:{text}"),
    TEXT.map(lambda text: f"id: {text}"),
    TEXT.map(lambda text: f":{text}"),
    st.sampled_from(["", "", "data", "id", "retry: 12", "retry: x", "event: named", "other: 1", "heiß", "data: ☃😀"]),
)


def parsed(body: bytes, *cuts: int) -> tuple[list[Message], str, int | None, int]:
    """Every message of a body that arrives cut at these places, and what the decoder knows at its end."""
    stream = EventStream()
    edges = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    messages = [found for a, b in itertools.pairwise(edges) for found in stream.feed(body[a:b])]
    return messages, stream.last_id, stream.retry_ms, stream.comments


@given(st.lists(st.tuples(FIELDS, st.sampled_from(LINE_ENDS))), st.lists(st.integers(0, 10_000), max_size=12))
def test_any_split_of_the_bytes_gives_the_same_events(lines: list[tuple[str, str]], cuts: list[int]) -> None:
    """Cuts inside lines, CR LF pairs and characters change nothing."""
    body = "".join(line + end for line, end in lines).encode()
    whole = parsed(body)
    assert parsed(body, *cuts) == whole
    assert parsed(body, *range(len(body))) == whole


@given(st.lists(st.tuples(st.from_regex(r"\d-\d{1,3}(\.\d)?", fullmatch=True), TEXT)), st.sampled_from(LINE_ENDS))
def test_what_was_sent_is_what_is_read(events: list[tuple[str, str]], end: str) -> None:
    """Events of the contract come out as they went in, with any kind of line end."""
    body = "".join(f"id: {id_}{end}data: {json.dumps(text)}{end}{end}" for id_, text in events).encode()
    messages, *_ = parsed(body)
    assert [(each.last_id, json.loads(each.data)) for each in messages] == events


@pytest.mark.parametrize("end", LINE_ENDS)
def test_the_standard_s_own_examples(end: str) -> None:
    """Data lines join, an id stays, one space is dropped, an empty block dispatches nothing."""
    lines = ": test stream", "", "data: first event", "id: 1", "", "data:second event", "id", "", "data:  third", ""
    body = end.join([*lines, "data", "", "data", "data", "", "data:"]).encode()
    messages, last_id, _, comments = parsed(body)
    assert [(each.data, each.last_id, each.own_id) for each in messages] == [
        ("first event", "1", True),
        ("second event", "", True),
        (" third", "", False),
        ("", "", False),
        ("\n", "", False),
    ]
    assert (last_id, comments) == ("", 1)


def test_an_event_that_is_cut_off_does_not_count() -> None:
    """Without its blank line an event is dropped, and its id is no cursor to resume from."""
    stream = EventStream("1-1")
    assert stream.feed(b"id: 1-2\ndata: x") == []
    assert stream.feed(b"\n") == []
    assert stream.last_id == "1-1"
    assert [each.last_id for each in stream.feed(b"\n")] == ["1-2"]


def test_a_heartbeat_and_a_bare_retry_dispatch_nothing() -> None:
    """Comments are counted, a retry is kept, and both leave the event around them whole."""
    stream = EventStream()
    assert stream.feed(b":\n:\nretry: 250\nid: 1\n:\ndata: x\n\nretry: 0\n") == [Message("x", "message", "1", True)]
    assert (stream.comments, stream.retry_ms) == (3, 0)
    stream.feed(b"retry: -1\nretry: 1.5\nretry: \xc2\xb2\nretry: " + b"9" * 5000 + b"\n")
    assert stream.retry_ms == 999_999_999


def test_a_byte_order_mark_is_skipped_once() -> None:
    """Only at the very beginning, also when it arrives in pieces."""
    assert [each.data for each in parsed(b"\xef\xbb\xbfdata: a\n\n", 1, 2)[0]] == ["a"]
    assert parsed(b"\n\xef\xbb\xbfdata: a\n\n")[0] == []


def test_an_id_with_a_null_is_ignored() -> None:
    """As the standard demands, so that no server can plant a header that cannot be sent."""
    assert [each.last_id for each in parsed(b"id: a\n\nid: b\0c\ndata: x\n\n")[0]] == ["a"]


@pytest.mark.parametrize("body", [b"data: " + b"x" * 2000, b"data: x\n" * 2000])
def test_an_endless_event_is_refused(body: bytes) -> None:
    """Neither one long line nor many short ones may fill the memory."""
    stream = EventStream(max_bytes=1000)
    with pytest.raises(TooLong):
        stream.feed(body)


def test_many_events_are_no_long_event() -> None:
    """The bound is for one event, not for the stream."""
    stream = EventStream(max_bytes=1000)
    assert sum(len(stream.feed(b"data: " + b"x" * 900 + b"\n\n")) for _ in range(20)) == 20
