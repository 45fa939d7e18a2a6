"""Checks bearer tokens of others: JWTs signed with our secret, or with a key of a provider's JWKS."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from holdfast.clock import Clock
from holdfast.errors import HoldfastError, IdentityUnavailable

if TYPE_CHECKING:
    from jwt import PyJWK

#: What a token may be signed with, by the kind of key; a token's own header only chooses among these.
_ALGORITHMS: Final = {
    ("RSA", None): ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA",),
}
_ASYMMETRIC: Final = frozenset(name for names in _ALGORITHMS.values() for name in names)
_MOST_CHARS: Final = 8_192
#: Seconds by which two clocks may differ.
_LEEWAY: Final = 10
_TIMEOUT: Final = 5.0
_MOST_BYTES: Final = 500_000
#: Seconds after which keys are fetched anew, and for which they are believed where that fails.
_FRESH: Final = 300.0
_STALE: Final = 3_600.0
#: Seconds between two fetches for the sake of keys that are not known: a stranger can make up any number of names.
_BETWEEN: Final = 10.0


class BadToken(HoldfastError):
    """A bearer token that proves nothing."""


class Jwts:
    """Checks JWTs.

    Args:
        secrets: what HS256 may be signed with; each of at least 32 bytes (RFC 7518, section 3.2), or no token is good.
        audience: what ``aud`` must be or hold; empty where no token may have one.
        issuer: what ``iss`` must be; empty for any.
        keys: the provider's keys, or None where only HS256 is good.
    """

    def __init__(self, secrets: Sequence[str], audience: str, issuer: str, keys: Jwks | None) -> None:
        self._secrets = secrets
        self._audience = audience or None
        self._issuer = issuer or None
        self._keys = keys

    async def subject(self, token: str) -> tuple[str, str]:
        """Whom a token speaks for → ``jwt`` or ``jwks``, by who signed it, and its ``sub``.

        Raises:
            BadToken: it is not valid, now and here.
            IdentityUnavailable: the provider's keys are not to be had.
        """
        import jwt

        if len(token) > _MOST_CHARS:
            raise BadToken
        try:
            header = jwt.get_unverified_header(token)
            algorithm = header.get("alg")
            # The secret for HS256 and the provider's keys for the rest: neither is ever tried with the other's.
            if algorithm == "HS256":
                return "jwt", self._signed_with_secret(token)
            if self._keys is not None and algorithm in _ASYMMETRIC:
                key = await self._keys.find(header.get("kid"), algorithm)
                return "jwks", self._claims(token, key, algorithm)
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError, AttributeError) as error:
            raise BadToken from error
        raise BadToken

    def _signed_with_secret(self, token: str) -> str:
        import jwt

        for secret in self._secrets[:-1]:
            try:
                return self._claims(token, secret, "HS256")
            except (jwt.InvalidSignatureError, jwt.InvalidKeyError):
                continue
        return self._claims(token, self._secrets[-1], "HS256")

    def _claims(self, token: str, key: str | PyJWK, algorithm: str) -> str:
        import jwt

        # A token with an audience is refused where none is set: it was made for somebody, and not provably for us.
        claims = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            audience=self._audience,
            issuer=self._issuer,
            leeway=_LEEWAY,
            options={"require": ["exp", "sub"], "enforce_minimum_key_length": True},
        )
        subject = claims["sub"]
        if not isinstance(subject, str):
            raise BadToken
        return subject


class Jwks:
    """A provider's keys, fetched when they are needed and kept for a while.

    Args:
        url: ``HOLDFAST_JWKS_URL``.
        clock: what "a while" is measured with.
    """

    def __init__(self, url: str, clock: Clock) -> None:
        self._url = url
        self._clock = clock
        self._keys: dict[str | None, dict[str, Any]] = {}
        self._fetched: float | None = None
        self._tried: float | None = None
        self._lock = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def find(self, kid: Any, algorithm: str) -> PyJWK:
        """The key of a name, for an algorithm that it is for.

        Raises:
            BadToken: there is none.
            IdentityUnavailable: the provider did not answer, and what it said before is too old.
        """
        from jwt import PyJWK

        if kid is not None and not isinstance(kid, str):
            raise BadToken
        if asyncio.get_running_loop() is not self._loop:
            self._loop, self._lock = asyncio.get_running_loop(), asyncio.Lock()
        async with self._lock:  # of many that need the keys at once, one fetches
            await self._refresh(kid)
        found = self._keys.get(kid)
        if found is None or algorithm not in _ALGORITHMS.get((found["kty"], found.get("crv")), ()):
            raise BadToken
        if found.get("alg", algorithm) != algorithm:
            raise BadToken
        return PyJWK(found, algorithm)

    async def _refresh(self, kid: str | None) -> None:
        now = self._clock.monotonic()
        age = None if self._fetched is None else now - self._fetched
        if age is not None and age < _FRESH and kid in self._keys:
            return
        if self._tried is None or now - self._tried >= _BETWEEN:
            self._tried = now
            try:
                self._keys = await self._fetch()
                self._fetched = self._clock.monotonic()
                return
            except IdentityUnavailable:
                if kid not in self._keys:
                    raise
        if age is None or age >= _STALE:
            raise IdentityUnavailable("The keys of HOLDFAST_JWKS_URL are not to be had.")

    async def _fetch(self) -> dict[str | None, dict[str, Any]]:
        import httpx

        try:
            async with (
                asyncio.timeout(_TIMEOUT),
                httpx.AsyncClient(timeout=_TIMEOUT) as client,
                client.stream("GET", self._url, headers={"accept": "application/json"}) as response,
            ):
                if response.status_code != 200:
                    raise IdentityUnavailable("HOLDFAST_JWKS_URL answers with an error.")
                body = bytearray()
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > _MOST_BYTES:
                        raise IdentityUnavailable("HOLDFAST_JWKS_URL answers with something that is no key set.")
            keys = json.loads(bytes(body))["keys"]
            found = [key for key in keys if isinstance(key, dict) and _is_usable(key)]
        except (httpx.HTTPError, TimeoutError) as error:
            raise IdentityUnavailable("HOLDFAST_JWKS_URL does not answer.") from error
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise IdentityUnavailable("HOLDFAST_JWKS_URL answers with something that is no key set.") from error
        named: dict[str | None, dict[str, Any]] = {key.get("kid"): key for key in found}
        if len(found) == 1:
            named[None] = found[0]  # a token need not name the only key there is
        return named


def _is_usable(key: dict[str, Any]) -> bool:
    """Whether a key is public, for signatures, and of a kind that we know; a shared secret never is."""
    kid, kind = key.get("kid"), (key.get("kty"), key.get("crv"))
    known = all(isinstance(each, str | None) for each in (kid, *kind)) and kind in _ALGORITHMS
    return known and key.get("use", "sig") == "sig"
