"""Attacks on the queue's routes: forged signatures are refused, and a replayed one changes nothing."""

from __future__ import annotations

import base64
import json

import pytest

from tests.clocks import run, virtual
from tests.fuzz.app import CRON_SECRET, ORIGIN, App, sign
from tests.publishing.stage import Script

URL = f"{ORIGIN}/api/publish"


async def started(app: App) -> tuple[str, bytes]:
    """A stream and the body of its delivery."""
    stream = json.loads((await app.ask("POST", "/api/streams", body=b'{"prompt": "Why?"}')).body)["id"]
    return str(stream), json.dumps({"stream": stream, "attempt": 1}).encode()


async def entries(app: App, stream: str) -> int:
    """How long a log is."""
    return len(await app.services.log.read(stream))


@virtual
async def test_a_replayed_delivery_writes_and_bills_nothing() -> None:
    """While its signature is valid a recorded request is taken again: the log has its end, so no model is called."""
    generate = Script(["Once."])
    app = App(generate)
    stream, body = await started(app)
    signature = sign(body, URL, app.clock.now_ms() // 1000)
    headers = [(b"upstash-signature", signature), (b"upstash-message-id", b"m1"), (b"upstash-retried", b"0")]
    assert (await app.ask("POST", "/api/publish", headers=headers, body=body)).status == 200
    length = await entries(app, stream)
    for retried in (b"0", b"1", b"99"):
        replayed = [*headers[:2], (b"upstash-retried", retried)]
        assert (await app.ask("POST", "/api/publish", headers=replayed, body=body)).status == 200
    assert (await entries(app, stream), len(generate.requests)) == (length, 1)


@virtual
async def test_a_replay_after_its_time_is_refused() -> None:
    """A signature recorded today is worth nothing when it has expired."""
    app = App()
    stream, body = await started(app)
    signature = sign(body, URL, app.clock.now_ms() // 1000 - 400)
    reply = await app.ask("POST", "/api/publish", headers=[(b"upstash-signature", signature)], body=body)
    assert (reply.status, reply.code) == (401, "signature_invalid")
    assert await entries(app, stream) == 1


@virtual
async def test_a_signature_for_another_deployment() -> None:
    """The same keys on another address, as in a preview of the same project, sign nothing for this one."""
    app = App()
    _, body = await started(app)
    now = app.clock.now_ms() // 1000
    for url in ("https://preview.example/api/publish", f"{URL}?x=1", f"{URL}/", URL.upper(), f"http{URL[5:]}", ""):
        reply = await app.ask("POST", "/api/publish", headers=[(b"upstash-signature", sign(body, url, now))], body=body)
        assert reply.status == 401


@virtual
async def test_a_signed_delivery_with_another_body() -> None:
    """The body is part of what is signed: another stream, or one byte more, is another message."""
    app = App()
    _, mine = await started(app)
    victim, other = await started(app)
    signature = sign(mine, URL, app.clock.now_ms() // 1000)
    for body in (other, mine + b" ", b""):
        reply = await app.ask("POST", "/api/publish", headers=[(b"upstash-signature", signature)], body=body)
        assert reply.status == 401
    assert await entries(app, victim) == 1


@virtual
async def test_the_host_of_a_request_does_not_choose_what_a_signature_is_for() -> None:
    """A signature for somebody else's address is not made good by a Host header that names it."""
    app = App()
    _, body = await started(app)
    headers = [
        (b"upstash-signature", sign(body, "https://evil.example/api/publish", app.clock.now_ms() // 1000)),
        (b"x-forwarded-host", b"evil.example"),
    ]
    assert (await app.ask("POST", "/api/publish", host=b"evil.example", headers=headers, body=body)).status == 401


@pytest.mark.parametrize(
    "header",
    [b'{"alg":"none"}', b'{"alg":"HS512"}', b'{"alg":"RS256"}', b'{"alg":["HS256"]}', b'{"typ":"JWT"}', b"{}", b"[]"],
)
def test_another_algorithm(header: bytes) -> None:
    """HS256 alone, also where the signature over the header is right."""

    async def check() -> None:
        app = App()
        _, body = await started(app)
        signature = sign(body, URL, app.clock.now_ms() // 1000, header=header)
        reply = await app.ask("POST", "/api/publish", headers=[(b"upstash-signature", signature)], body=body)
        assert (reply.status, reply.code) == (401, "signature_invalid")

    run(check())


@virtual
async def test_a_forged_failure_callback_seals_nothing() -> None:
    """Without a signature nobody ends another's answer; with one for the publish route neither."""
    app = App()
    stream, body = await started(app)
    callback = json.dumps({"sourceMessageId": "m1", "sourceBody": base64.b64encode(body).decode()}).encode()
    signature = sign(callback, URL, app.clock.now_ms() // 1000)
    for headers in ([], [(b"upstash-signature", signature)], [(b"authorization", f"Bearer {CRON_SECRET}".encode())]):
        reply = await app.ask("POST", "/api/publish/failed", headers=headers, body=callback)
        assert reply.status == 401
    assert await entries(app, stream) == 1


@virtual
async def test_the_schedules_secret_opens_cleanup_alone() -> None:
    """CRON_SECRET is no signature, and neither it nor the queue's keys work in a query."""
    app = App()
    secret = CRON_SECRET.encode()
    bearer = [(b"authorization", b"Bearer " + secret)]
    assert (await app.ask("POST", "/api/publish", headers=bearer, body=b"{}")).status == 401
    assert (await app.ask("GET", "/api/cleanup", query=b"token=" + secret + b"&secret=" + secret)).status == 401
    assert (await app.ask("GET", "/api/cleanup", headers=[(b"cookie", b"authorization=" + secret)])).status == 401
    for wrong in (b"Basic " + secret, b"bearer" + secret, secret + b" ", b"Bearer " + secret.upper()):
        assert (await app.ask("GET", "/api/cleanup", headers=[(b"authorization", wrong)])).status == 401
    assert (await app.ask("GET", "/api/cleanup", headers=bearer)).status == 200
