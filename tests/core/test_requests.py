"""Start bodies: every malformed one is refused with its status and field, and none does anything else (Rule S1)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from holdfast.errors import ApiError
from holdfast.requests import StartRequest, parse_chat, parse_start
from tests.core.strategies import json_values

type Parse = Callable[[bytes, str, str | None], StartRequest]

_USER = {"role": "user", "content": "Why?"}
_ASKED = {"role": "user", "parts": [{"type": "text", "text": "Why?"}]}


def _body(value: object) -> bytes:
    return json.dumps(value).encode()


def _refused(parse: Parse, body: bytes, key: str | None = None) -> ApiError:
    with pytest.raises(ApiError) as caught:
        parse(body, "anyone", key)
    return caught.value


def test_a_prompt() -> None:
    """A prompt is one user message; unknown fields are the generator's."""
    request = parse_start(_body({"prompt": " Why? ", "temperature": 0.5, "model": "m"}), "anyone", "key-1")
    assert request == StartRequest(
        owner="anyone",
        messages=[{"role": "user", "parts": [{"type": "text", "text": " Why? "}]}],
        key="key-1",
        extra={"temperature": 0.5, "model": "m"},
    )


def test_messages() -> None:
    """Messages come with content or with parts, and keep their ids and metadata."""
    file = {"type": "file", "url": "https://example.com/a.png", "mediaType": "image/png"}
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "parts": [file], "id": "u1", "metadata": {"at": 1}, "createdAt": "x"},
        {"role": "assistant", "content": "A cat."},
        _USER,
    ]
    request = parse_start(_body({"messages": messages, "chat_id": "chat-1"}), "anyone", None)
    assert request.chat_id == "chat-1"
    assert request.messages == [
        {"role": "system", "parts": [{"type": "text", "text": "Be brief."}]},
        {"role": "user", "parts": [file], "id": "u1", "metadata": {"at": 1}},
        {"role": "assistant", "parts": [{"type": "text", "text": "A cat."}]},
        _ASKED,
    ]
    assert request.newest == _ASKED


def test_the_stock_chat_body() -> None:
    """What ``DefaultChatTransport`` sends is understood, edits and regenerations included."""
    message = {"id": "u1", **_ASKED}
    body = {"id": "chat-1", "messages": [message], "trigger": "submit-message", "model": "m"}
    request = parse_chat(_body(body), "anyone", None)
    assert request == StartRequest("anyone", [message], "chat-1", "submit", None, None, {"model": "m"})
    again = parse_chat(_body(body | {"trigger": "regenerate-message", "messageId": "a1"}), "anyone", None)
    assert (again.trigger, again.target) == ("regenerate", "a1")
    plain = parse_chat(_body({"id": "chat-1", "messages": [message], "messageId": None}), "anyone", None)
    assert (plain.trigger, plain.target) == ("submit", None)


@pytest.mark.parametrize("parse", [parse_start, parse_chat])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"prompt=hello",
        b'{"prompt": "a"} b',
        b"\xff\xfe\xfd",
        b'{"prompt": "\xff"}',
        b'{"prompt": NaN}',
        b'{"prompt": "a", "x": Infinity}',
        b'{"prompt": "a", "x": 1e999}',
        b'{"prompt": "\\ud800"}',
        b'{"prompt": "a", "\\udfff": 1}',
        b'{"prompt": "a", "x": ' + b"1" * 5000 + b"}",
        b"[" * 100_000,
        b'{"prompt": "a", "x": ' + b"[" * 65 + b"]" * 65 + b"}",
        b'{"a":' * 200 + b"1" + b"}" * 200,
        b"null",
        b"[]",
        b'"prompt"',
        b"7",
    ],
    ids=lambda body: repr(body[:24]),
)
def test_what_is_no_json_object_is_400(parse: Parse, body: bytes) -> None:
    """A body that is not JSON, not an object, too deep, or of text that no store can hold is 400."""
    error = _refused(parse, body)
    assert error.status == 400
    assert error.code.startswith("body_")


_START: list[tuple[dict[str, Any], str]] = [
    ({}, "prompt"),
    ({"chat_id": "c"}, "prompt"),
    ({"prompt": "a", "messages": [_USER]}, "prompt"),
    ({"prompt": None}, "prompt"),
    ({"prompt": ""}, "prompt"),
    ({"prompt": " \n\t"}, "prompt"),
    ({"prompt": 7}, "prompt"),
    ({"prompt": ["a"]}, "prompt"),
    ({"messages": None}, "messages"),
    ({"messages": "a"}, "messages"),
    ({"messages": {}}, "messages"),
    ({"messages": []}, "messages"),
    ({"messages": ["a"]}, "messages[0]"),
    ({"messages": [_USER, None]}, "messages[1]"),
    ({"messages": [{}]}, "messages[0].role"),
    ({"messages": [{"content": "a"}]}, "messages[0].role"),
    ({"messages": [{"role": "tool", "content": "a"}]}, "messages[0].role"),
    ({"messages": [{"role": "User", "content": "a"}]}, "messages[0].role"),
    ({"messages": [{"role": ["user"], "content": "a"}]}, "messages[0].role"),
    ({"messages": [{"role": "user"}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": ""}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "parts": []}]}, "messages[0].parts"),
    ({"messages": [{"role": "user", "parts": "a"}]}, "messages[0].parts"),
    ({"messages": [{"role": "user", "parts": None, "content": "a"}]}, "messages[0].parts"),
    ({"messages": [{"role": "user", "parts": ["a"]}]}, "messages[0].parts"),
    ({"messages": [{"role": "user", "parts": [{}]}]}, "messages[0].parts"),
    ({"messages": [{"role": "user", "parts": [{"type": 1}]}]}, "messages[0].parts"),
    ({"messages": [{"role": "user", "parts": [{"type": "text"}]}]}, "messages[0].parts[0].text"),
    ({"messages": [_USER, {"role": "user", "parts": [{"type": "text", "text": 7}]}]}, "messages[1].parts[0].text"),
    ({"messages": [{"role": "user", "parts": [{"type": "text", "text": " "}]}]}, "messages[0]"),
    ({"messages": [{**_USER, "id": ""}]}, "messages[0].id"),
    ({"messages": [{**_USER, "id": 7}]}, "messages[0].id"),
    ({"messages": [{**_USER, "id": "a" * 201}]}, "messages[0].id"),
    ({"messages": [{**_USER, "id": "a\nb"}]}, "messages[0].id"),
    ({"prompt": "a", "chat_id": ""}, "chat_id"),
    ({"prompt": "a", "chat_id": 7}, "chat_id"),
    ({"prompt": "a", "chat_id": "c" * 201}, "chat_id"),
    ({"prompt": "a", "chat_id": "c\x00"}, "chat_id"),
]
_CHAT: list[tuple[dict[str, Any], str]] = [
    ({"id": "c"}, "messages"),
    ({"id": "c", "prompt": "a"}, "messages"),
    ({"id": "c", "messages": []}, "messages"),
    ({"messages": [_USER]}, "id"),
    ({"id": None, "messages": [_USER]}, "id"),
    ({"id": "", "messages": [_USER]}, "id"),
    ({"id": 7, "messages": [_USER]}, "id"),
    ({"id": "c", "messages": [_USER], "trigger": "resume-stream"}, "trigger"),
    ({"id": "c", "messages": [_USER], "trigger": None}, "trigger"),
    ({"id": "c", "messages": [_USER], "trigger": ["submit-message"]}, "trigger"),
    ({"id": "c", "messages": [_USER], "messageId": ""}, "messageId"),
    ({"id": "c", "messages": [_USER], "messageId": 7}, "messageId"),
    ({"id": "c", "messages": [{"role": "data", "content": "a"}]}, "messages[0].role"),
]


@pytest.mark.parametrize(
    ("parse", "body", "field"),
    [*((parse_start, *case) for case in _START), *((parse_chat, *case) for case in _CHAT)],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_a_wrong_field_is_422_and_named(parse: Parse, body: dict[str, Any], field: str) -> None:
    """Rule W1: a field that is missing, empty or wrong is 422, named in the message and beside it."""
    error = _refused(parse, _body(body))
    assert (error.status, error.code, error.extra) == (422, "field_invalid", {"field": field})
    assert error.message.startswith(f"{field}: ")


@pytest.mark.parametrize("key", ["", "a" * 256, "a\nb", "\x7f"])
def test_a_bad_idempotency_key_is_400(key: str) -> None:
    """An Idempotency-Key that is empty, too long or unprintable is refused."""
    for parse, body in ((parse_start, {"prompt": "a"}), (parse_chat, {"id": "c", "messages": [_USER]})):
        error = _refused(parse, _body(body), key)
        assert (error.status, error.code) == (400, "idempotency_key_invalid")


_JUNK = st.dictionaries(
    st.sampled_from(["prompt", "messages", "chat_id", "id", "trigger", "messageId", "x"]),
    st.one_of(
        json_values,
        st.text(max_size=4),
        st.lists(
            st.dictionaries(
                st.sampled_from(["role", "content", "parts", "id", "metadata"]),
                st.one_of(
                    json_values,
                    st.sampled_from(["user", "assistant", "submit-message"]),
                    st.lists(
                        st.dictionaries(st.sampled_from(["type", "text"]), json_values | st.just("text"), max_size=2)
                    ),
                ),
            ),
            max_size=3,
        ),
    ),
)


@given(st.one_of(json_values, _JUNK, _JUNK), st.none() | st.text(max_size=3))
@example({"messages": [{"role": "user", "parts": [{"type": "text", "text": "a"}]}], "x": {"y": 1}}, None)
def test_any_json_is_a_start_or_refused(value: object, key: str | None) -> None:
    """Rule S1: whatever JSON comes is a start that can be stored, or a 4xx that says why; nothing else is raised."""
    for parse in (parse_start, parse_chat):
        try:
            request = parse(_body(value), "anyone", key)
        except ApiError as error:
            refusal = (error.status in {400, 422}, bool(error.message))
            assert refusal == (True, True)
        else:
            assert request.messages
            assert json.dumps([request.messages, request.extra], ensure_ascii=False, allow_nan=False).encode()
            assert request.turn_identity == parse(_body(value), "anyone", None).turn_identity


@given(st.binary(max_size=40))
def test_any_bytes_are_refused(body: bytes) -> None:
    """Rule S1: bytes that are no start raise ApiError and nothing else."""
    for parse in (parse_start, parse_chat):
        assert _refused(parse, body).status in {400, 422}


def test_turns_are_told_apart() -> None:
    """Rule H3: a turn is its trigger and its newest message: an edit is another turn, a repetition is not."""

    def turn(text: str, id: str | None = "u1", trigger: str = "submit-message", **extra: Any) -> str:
        message = {"role": "user", "parts": [{"type": "text", "text": text}]} | ({"id": id} if id else {})
        return parse_chat(
            _body({"id": "c", "messages": [message], "trigger": trigger, **extra}), "o", None
        ).turn_identity

    assert turn("Why?") == turn("Why?", model="other")
    assert (
        len(
            {
                turn("Why?"),
                turn("How?"),
                turn("Why?", "u2"),
                turn("Why?", None),
                turn("Why?", trigger="regenerate-message"),
            }
        )
        == 5
    )


def test_requests_are_told_apart() -> None:
    """Rule S2: the fingerprint of a request is everything that its client said, in any order of fields."""

    def fingerprint(**body: Any) -> str:
        return parse_start(_body(body), "anyone", "key").fingerprint

    base = fingerprint(prompt="a", x=1, y=2)
    assert fingerprint(y=2, x=1, prompt="a") == base
    others = [
        fingerprint(prompt="b", x=1, y=2),
        fingerprint(prompt="a", x=1),
        fingerprint(prompt="a", x=1, y=2, chat_id="c"),
    ]
    assert base not in others
