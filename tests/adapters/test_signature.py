"""Our verifier against tokens that QStash's own one accepts, and against everything that it must refuse."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
import time
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qstash import Receiver

from holdfast.adapters.signature import MAX_TOKEN_CHARS, BadSignature, Claims, verify
from holdfast.errors import HoldfastError
from standins.qstash_signing import SigningKeys

CURRENT = "sig_current_0123456789abcdefghijklmnop"
NEXT = "sig_next_0123456789abcdefghijklmnopqrs"
KEYS = (CURRENT, NEXT)
URL = "https://example.com/api/publish?x=1"
BODY = b'{"stream":"s","attempt":1}'
NOW = 1_800_000_000.0


def claims(**changed: Any) -> dict[str, Any]:
    """The claims of a valid token, with some changed; those that are None are left out."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(BODY).digest()).decode()
    valid = {
        "iss": "Upstash",
        "sub": URL,
        "exp": int(NOW) + 300,
        "nbf": 0,
        "iat": int(NOW),
        "jti": "jwt_1",
        "body": digest,
    }
    return {name: value for name, value in (valid | changed).items() if value is not None}


def raw_token(payload: bytes, *, header: bytes = b'{"alg":"HS256","typ":"JWT"}', key: str = CURRENT) -> str:
    """A token over any bytes, signed as HS256 whatever its header says."""

    def encoded(part: bytes) -> bytes:
        return base64.urlsafe_b64encode(part).rstrip(b"=")

    signed = encoded(header) + b"." + encoded(payload)
    return (signed + b"." + encoded(hmac.digest(key.encode(), signed, "sha256"))).decode()


def token(key: str = CURRENT, **changed: Any) -> str:
    return raw_token(json.dumps(claims(**changed)).encode(), key=key)


def check(signature: str | None, body: bytes = BODY, url: str = URL, *, now: float = NOW) -> Claims:
    return verify(signature, body, url, keys=KEYS, now=now)


def test_what_the_stand_in_signs_is_accepted_here_and_by_the_sdk() -> None:
    """Three implementations agree: pyjwt signs, the SDK and the library verify."""
    now = time.time()
    signature = SigningKeys(CURRENT, NEXT).sign(URL, BODY, now=now, token_id="jwt_1")
    Receiver(CURRENT, NEXT).verify(signature=signature, body=BODY.decode(), url=URL)
    assert verify(signature, BODY, URL, keys=KEYS, now=now) == Claims(URL, int(now) + 300, 0, int(now), "jwt_1")


def test_after_a_rotation_the_next_key_is_accepted_and_the_old_one_is_not() -> None:
    """QStash signs with what was the next key; a third key is a stranger's."""
    keys = SigningKeys(CURRENT, NEXT)
    keys.rotate(random.Random(1))  # noqa: S311 - a key of this test
    assert check(keys.sign(URL, BODY, now=NOW, token_id="")).issued == NOW
    with pytest.raises(BadSignature, match="does not match any signing key"):
        verify(token(CURRENT), BODY, URL, keys=[keys.current, keys.next], now=NOW)


def test_the_body_claim_may_be_padded_or_not() -> None:
    """Both forms of base64url are in use."""
    digest = claims()["body"]
    assert digest.endswith("=")
    assert check(token(body=digest)) == check(token(body=digest.rstrip("=")))


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"iss": "Stranger"}, "issuer"),
        ({"iss": None}, "issuer"),
        ({"sub": None}, "another URL"),
        ({"sub": URL + "/"}, "another URL"),
        ({"sub": URL.upper()}, "another URL"),
        ({"exp": None}, "exp claim"),
        ({"exp": "1900000000"}, "exp claim"),
        ({"exp": True}, "exp claim"),
        ({"exp": 10**400}, "exp claim"),
        ({"nbf": None}, "nbf claim"),
        ({"nbf": [0]}, "nbf claim"),
        ({"iat": "now"}, "iat claim"),
        ({"exp": NOW - 11}, "expired"),
        ({"nbf": NOW + 11}, "not valid yet"),
        ({"body": None}, "does not cover the body"),
        ({"body": 1}, "does not cover the body"),
        ({"body": ""}, "not the one that was signed"),
        ({"body": "\ud800"}, "not the one that was signed"),
    ],
)
def test_a_claim_that_is_wrong_is_refused_with_its_reason(changed: dict[str, Any], reason: str) -> None:
    """Each claim is required and checked, though the signature itself is good."""
    with pytest.raises(BadSignature, match=reason):
        check(token(**changed))


@pytest.mark.parametrize("changed", [{"exp": NOW - 9}, {"nbf": NOW + 9}, {"exp": NOW + 0.5}, {"iat": None}, {"jti": 7}])
def test_clocks_that_differ_a_little_are_tolerated(changed: dict[str, Any]) -> None:
    """Ten seconds either way; the optional claims are optional."""
    assert check(token(**changed)).subject == URL


def test_a_request_for_another_url_or_with_another_body_is_refused() -> None:
    """A captured request cannot be replayed elsewhere, nor its body exchanged."""
    signature = token()
    assert check(signature).id == "jwt_1"
    with pytest.raises(BadSignature, match="another URL"):
        check(signature, url="https://example.com/api/publish/failed")
    with pytest.raises(BadSignature, match="not the one that was signed"):
        check(signature, body=BODY + b" ")
    with pytest.raises(BadSignature, match="expired"):
        check(signature, now=NOW + 311)


@pytest.mark.parametrize(
    "payload",
    [
        b"", b"null", b"[]", b"{", b"\xff", b'"x"', b"1" * 5_000, b"[" * 5_000,
        json.dumps(claims()).encode().replace(b"1800000300", b"NaN"),
        json.dumps(claims()).encode().replace(b"1800000300", b"Infinity"),
        json.dumps(claims()).encode().replace(b"1800000300", b"1e999"),
    ],
)  # fmt: skip
def test_a_payload_that_is_not_a_clean_object_is_refused(payload: bytes) -> None:
    """Not JSON, not an object, too deep, or with numbers that compare false with everything."""
    with pytest.raises(BadSignature):
        check(raw_token(payload))


@pytest.mark.parametrize("header", [b'{"alg":"none"}', b'{"alg":"HS512"}', b"{}", b"[]", b'{"alg":["HS256"]}'])
def test_only_hs256_is_accepted(header: bytes) -> None:
    """Even where the rest is right."""
    with pytest.raises(BadSignature):
        check(raw_token(json.dumps(claims()).encode(), header=header))


def test_tokens_of_other_algorithms_and_without_signature_are_refused() -> None:
    """As pyjwt makes them."""
    for signature in (
        jwt.encode(claims(), "", algorithm="none"),
        jwt.encode(claims(), CURRENT * 2, algorithm="HS512"),
        jwt.encode(claims(), "a stranger's key of thirty-two bytes", algorithm="HS256"),
        token() + "A",
        token()[:-1],
        token() + "=",
        token() + ".x",
        " " + token(),
    ):
        with pytest.raises(BadSignature):
            check(signature)


@pytest.mark.parametrize("signature", [None, "", ".", "..", "a.b", "ä.ö.ü", "\ud800.a.b", "x" * (MAX_TOKEN_CHARS + 1)])
def test_what_is_not_a_token_is_refused_before_anything_is_computed(signature: str | None) -> None:
    """Missing, malformed, over-long."""
    with pytest.raises(BadSignature):
        check(signature)


def test_an_over_long_token_is_refused_though_it_is_signed() -> None:
    """The limit stands before all other checks."""
    long_url = URL + "x" * MAX_TOKEN_CHARS
    with pytest.raises(BadSignature, match="too long"):
        check(token(sub=long_url), url=long_url)


@pytest.mark.parametrize("keys", [(), ("",), ("", "")])
def test_without_a_key_nothing_is_valid(keys: tuple[str, ...]) -> None:
    """An empty key fails closed: a token that anyone can sign with it is refused."""
    with pytest.raises(BadSignature, match="No signing key"):
        verify(raw_token(json.dumps(claims()).encode(), key=""), BODY, URL, keys=keys, now=NOW)


def test_the_error_is_of_the_library_and_tells_no_key() -> None:
    """One type to catch, nothing secret in it."""
    with pytest.raises(HoldfastError) as error:
        check(token("a stranger's key"))
    assert CURRENT not in str(error.value)
    assert error.value.__cause__ is None


@given(st.text(max_size=200), st.binary(max_size=20), st.text(max_size=20))
def test_any_text_is_a_bad_signature(signature: str, body: bytes, url: str) -> None:
    """And no other error."""
    with pytest.raises(BadSignature):
        verify(signature, body, url, keys=KEYS, now=NOW)


@given(st.binary(max_size=120), st.binary(max_size=40))
def test_any_bytes_under_a_good_mac_are_a_bad_signature(payload: bytes, header: bytes) -> None:
    """Even one who knows the key cannot raise anything else."""
    with pytest.raises(BadSignature):
        check(raw_token(payload, header=header))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)


@given(st.sampled_from(["iss", "sub", "exp", "nbf", "iat", "body", "jti"]), _JSON)
def test_any_value_of_a_claim_is_accepted_or_a_bad_signature(name: str, value: Any) -> None:
    """The optional id may be anything; an accepted token has times that are numbers."""
    try:
        accepted = check(token(**{name: value}))
    except BadSignature:
        return
    assert accepted.subject == URL
    assert accepted.expires >= NOW - 10
    assert accepted.not_before <= NOW + 10


@given(st.data())
def test_one_changed_character_breaks_a_token(data: st.DataObject) -> None:
    """Wherever it is."""
    good = token()
    at = data.draw(st.integers(0, len(good) - 1))
    other = data.draw(st.characters(codec="ascii").filter(lambda character: character != good[at]))
    with pytest.raises(BadSignature):
        check(good[:at] + other + good[at + 1 :])
