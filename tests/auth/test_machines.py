"""Routes of machines: what is signed is good once more without harm, and keys change without a pause."""

from __future__ import annotations

import base64
import hashlib
import json

import jwt
import pytest

from tests.auth.devices import app, told, visitor
from tests.clocks import virtual
from tests.fuzz.app import CRON_SECRET, ORIGIN, App

OLD, NOW, NEXT = (f"sig_of_the_tests_{name}_0123456789abcdef" for name in ("old", "now", "next"))


async def deliver(site: App, key: str, stream: str, at_ms: int | None = None, path: str = "/api/publish") -> int:
    """Deliver a message that is signed with a key, for five minutes from a time on; gives the status."""
    body = json.dumps({"stream": stream, "attempt": 1}).encode()
    now = (site.clock.now_ms() if at_ms is None else at_ms) // 1000
    digest = base64.urlsafe_b64encode(hashlib.sha256(body).digest()).decode()
    claims = {"iss": "Upstash", "sub": f"{ORIGIN}{path}", "exp": now + 300, "nbf": 0, "iat": now, "body": digest}
    signature = jwt.encode(claims, key, algorithm="HS256")
    headers = [(b"upstash-signature", signature.encode()), (b"upstash-message-id", b"m1")]
    return (await site.ask("POST", path, headers=headers, body=body, auth=False)).status


@virtual
async def test_signing_keys_are_rolled_without_a_pause() -> None:
    """Rule W3: while the old and the new keys are both in use somewhere, each delivery finds one that it fits."""
    before = app(qstash_current_signing_key=OLD, qstash_next_signing_key=NOW)
    after = app(before, qstash_current_signing_key=NOW, qstash_next_signing_key=NEXT)
    device = await visitor(before)
    stream = told(await device.ask("POST", "/api/streams", {"prompt": "Why?"}))["id"]
    # QStash signs with its current key, which the next one replaces when keys are rolled, whoever has been told.
    good = ((before, OLD), (before, NOW), (after, NOW), (after, NEXT))
    assert [await deliver(site, key, stream) for site, key in good] == [200] * 4
    assert await deliver(after, OLD, stream) == 401


@virtual
async def test_a_delivery_that_is_replayed_does_nothing() -> None:
    """Rules W3, K3: within its time a copy of a delivery finds the end, calls no model and writes nothing."""
    calls = 0

    async def generate(_request: object) -> object:
        nonlocal calls
        calls += 1
        yield "A word."

    site = app(qstash_current_signing_key=NOW, qstash_next_signing_key=NEXT)
    site.generate = generate  # type: ignore[assignment]
    stream = told(await (await visitor(site)).ask("POST", "/api/streams", {"prompt": "Why?"}))["id"]
    assert await deliver(site, NOW, stream) == 200
    entries = await site.services.log.read(stream)
    for key in (NOW, NEXT):
        assert await deliver(site, key, stream) == 200
    assert calls == 1
    assert await site.services.log.read(stream) == entries
    minute = 60_000
    for at, status in ((-4 * minute, 200), (-5 * minute - 5_000, 200), (-5 * minute - 12_000, 401)):
        assert await deliver(site, NOW, stream, site.clock.now_ms() + at) == status


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        CRON_SECRET,
        f"bearer{CRON_SECRET}",
        f"Basic {CRON_SECRET}",
        f"Bearer {CRON_SECRET} ",
    ],
    ids=str,
)
def test_cleanup_is_for_the_schedule(authorization: str | None) -> None:
    """Rule U13: the secret counts as a bearer alone, and neither an owner nor an API key cleans anything."""

    @virtual
    async def scenario() -> None:
        site = app()
        device = await visitor(site)
        cookie = "; ".join(f"{name}={value}" for name, value in device.cookies.items())
        headers = [(b"cookie", cookie.encode())]
        if authorization is not None:
            headers.append((b"authorization", authorization.encode()))
        for path in ("/api/cleanup", "/api/publish", "/api/publish/failed"):
            reply = await site.ask("POST", path, headers=headers, auth=False)
            assert (reply.status, reply.code) == (401, "signature_invalid")
            assert (await site.ask("POST", path)).status == 401
        assert told(await site.clean())["complete"] is True

    scenario()
