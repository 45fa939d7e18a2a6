"""A provider's keys: fetched when needed, kept for a while, and never mistaken for the secret."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from holdfast.adapters.jwts import BadToken, Jwks, Jwts
from holdfast.errors import IdentityUnavailable
from tests.auth.devices import SECRET
from tests.cli.scripted import Request, Wire, serving

RSA = rsa.generate_private_key(65_537, 2_048)
OTHER_RSA = rsa.generate_private_key(65_537, 2_048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()


class Time:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds


@dataclass
class Provider:
    """What serves keys, and can be made to fail."""

    keys: list[dict[str, Any]]
    status: int = 200
    body: Any = None
    fetched: int = 0
    clock: Time = field(default_factory=Time)

    def __call__(self, _request: Request, wire: Wire) -> None:
        self.fetched += 1
        wire.reply(self.status, {"keys": self.keys} if self.body is None else self.body)


def public(key: Any, kid: str | None, **more: Any) -> dict[str, Any]:
    """The JWK of a private key's public half."""
    maker: Any = {rsa.RSAPrivateKey: RSAAlgorithm, ec.EllipticCurvePrivateKey: ECAlgorithm}
    found = next((each for kind, each in maker.items() if isinstance(key, kind)), OKPAlgorithm)
    made = found.to_jwk(key.public_key(), as_dict=True)
    return {**made, **({} if kid is None else {"kid": kid}), **more}


def token(key: Any, algorithm: str, kid: str | None = "one", **claims: Any) -> str:
    """A token for an hour."""
    whole = {"sub": "alice", "exp": int(time.time()) + 3_600, **claims}
    return jwt.encode(whole, key, algorithm=algorithm, headers={} if kid is None else {"kid": kid})


@contextmanager
def checking(*keys: dict[str, Any], **settings: str) -> Iterator[tuple[Jwts, Provider]]:
    """A checker, and the provider that it asks."""
    provider = Provider(list(keys))
    with serving(provider) as url:
        jwks = Jwks(f"{url}/keys", provider.clock)
        yield Jwts([SECRET], settings.get("audience", ""), settings.get("issuer", ""), jwks), provider


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [(RSA, "RS256"), (RSA, "RS512"), (RSA, "PS256"), (EC, "ES256"), (ED, "EdDSA")],
    ids=["RS256", "RS512", "PS256", "ES256", "EdDSA"],
)
@pytest.mark.asyncio
async def test_a_token_of_the_provider(key: Any, algorithm: str) -> None:
    """Rule U1: its subject is an owner of the provider's, and the keys are fetched once for many tokens."""
    with checking(public(key, "one"), public(OTHER_RSA, "two")) as (jwts, provider):
        found = await asyncio.gather(*(jwts.subject(token(key, algorithm)) for _ in range(5)))
        assert set(found) == {("jwks", "alice")}
        assert provider.fetched == 1


@pytest.mark.asyncio
async def test_algorithms_are_not_confused() -> None:
    """Rule U2: a public key is no secret, a shared key no public one, and none is for another algorithm."""
    pem = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    oct_key = {"kty": "oct", "kid": "shared", "k": base64.urlsafe_b64encode(b"k" * 32).decode().rstrip("=")}
    with checking(public(RSA, "one", alg="RS256"), public(EC, "curve"), oct_key) as (jwts, _):
        header = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"one"}').rstrip(b"=")
        claims = json.dumps({"sub": "alice", "exp": int(time.time()) + 60}).encode()
        signed = header + b"." + base64.urlsafe_b64encode(claims).rstrip(b"=")
        for key in (pem, pem.strip(), json.dumps(public(RSA, "one")).encode()):
            mac = base64.urlsafe_b64encode(hmac.digest(key, signed, "sha256")).rstrip(b"=")
            with pytest.raises(BadToken):
                await jwts.subject((signed + b"." + mac).decode())
        for bad in (
            token(b"k" * 32, "HS256", "shared"),
            token(RSA, "RS512"),
            token(RSA, "RS256", "curve"),
            token(OTHER_RSA, "RS256"),
            token(RSA, "RS256", None),
            token(EC, "ES256"),
        ):
            with pytest.raises(BadToken):
                await jwts.subject(bad)
        assert await jwts.subject(token(RSA, "RS256")) == ("jwks", "alice")
        assert await jwts.subject(token(SECRET, "HS256", None)) == ("jwt", "alice")


@pytest.mark.asyncio
async def test_without_a_provider_only_the_secret_signs() -> None:
    """Rule U2: a token of another algorithm is none."""
    with pytest.raises(BadToken):
        await Jwts([SECRET], "", "", None).subject(token(RSA, "RS256"))


@pytest.mark.asyncio
async def test_what_a_provider_s_token_must_say() -> None:
    """Rule U2: an end, a subject, and the audience and issuer that are set; without one set, none may be named."""
    with checking(public(RSA, "one"), audience="holdfast", issuer="https://id.example") as (jwts, _):
        good: dict[str, Any] = {"aud": "holdfast", "iss": "https://id.example"}
        assert await jwts.subject(token(RSA, "RS256", **good)) == ("jwks", "alice")
        wrong: list[dict[str, Any]] = [
            {"aud": "other"}, {"iss": "https://evil.example"}, {"exp": int(time.time()) - 60}, {"sub": 7},
        ]  # fmt: skip
        for each in wrong:
            # Signed as bytes, since PyJWT makes no token whose subject is a number.
            claims = json.dumps({"sub": "alice", "exp": int(time.time()) + 60, **good, **each}).encode()
            bad = jwt.api_jws.encode(claims, RSA, algorithm="RS256", headers={"kid": "one"})
            with pytest.raises(BadToken):
                await jwts.subject(bad)
    with checking(public(RSA, "one")) as (jwts, _), pytest.raises(BadToken):
        await jwts.subject(token(RSA, "RS256", aud="somebody else"))


@pytest.mark.asyncio
async def test_a_new_key_is_found_and_strangers_cannot_have_keys_fetched() -> None:
    """Rule U2: an unknown name has the keys fetched again, but not more than once in ten seconds."""
    with checking(public(RSA, "one")) as (jwts, provider):
        await jwts.subject(token(RSA, "RS256"))
        provider.keys.append(public(EC, "two"))
        for number in range(20):
            with pytest.raises(BadToken):
                await jwts.subject(token(OTHER_RSA, "RS256", f"made up {number}"))
        assert provider.fetched == 1
        provider.clock.seconds += 11
        assert await jwts.subject(token(EC, "ES256", "two")) == ("jwks", "alice")
        assert provider.fetched == 2


@pytest.mark.asyncio
async def test_a_key_that_was_withdrawn() -> None:
    """Rule U2: it is good for five minutes more, and no longer."""
    with checking(public(RSA, "one"), public(EC, "two")) as (jwts, provider):
        await jwts.subject(token(RSA, "RS256"))
        provider.keys = [public(EC, "two")]
        provider.clock.seconds += 301
        with pytest.raises(BadToken):
            await jwts.subject(token(RSA, "RS256"))


@pytest.mark.asyncio
async def test_a_provider_that_fails() -> None:
    """Rule U2: what it said before holds for an hour; without that nobody is let in, and it is asked rarely."""
    with checking(public(RSA, "one")) as (jwts, provider):
        provider.status = 500
        for _ in range(3):
            with pytest.raises(IdentityUnavailable):
                await jwts.subject(token(RSA, "RS256"))
        assert provider.fetched == 1
        provider.clock.seconds += 11
        provider.status = 200
        await jwts.subject(token(RSA, "RS256"))
        provider.status = 500
        provider.clock.seconds += 3_000
        assert await jwts.subject(token(RSA, "RS256")) == ("jwks", "alice")
        with pytest.raises(BadToken):
            await jwts.subject(token(OTHER_RSA, "RS256"))
        provider.clock.seconds += 700
        with pytest.raises(IdentityUnavailable):
            await jwts.subject(token(RSA, "RS256"))


@pytest.mark.parametrize("body", [[], {}, {"keys": 7}, {"keys": ["x", {}, {"kty": 7}]}, "x" * 600_000], ids=str)
@pytest.mark.asyncio
async def test_a_provider_that_answers_nonsense(body: Any) -> None:
    """Rule U2: it lets nobody in."""
    with checking() as (jwts, provider):
        provider.body = body
        with pytest.raises((IdentityUnavailable, BadToken)):
            await jwts.subject(token(RSA, "RS256"))
