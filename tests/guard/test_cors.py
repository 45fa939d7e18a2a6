"""Which pages of other origins may read and write: those that are listed, with credentials, and no other ones."""

from __future__ import annotations

import json

import pytest

from tests.clocks import virtual
from tests.fuzz.app import App, Reply

LISTED = "https://app.example"
STRANGERS = (
    "https://evil.example", "null", "https://app.example.evil", "http://app.example", "https://app.example:8443", "*",
)  # fmt: skip


def origin(value: str) -> tuple[bytes, bytes]:
    """The header of a page."""
    return b"origin", value.encode()


async def preflight(app: App, source: str, method: str = "POST", headers: str = "content-type") -> Reply:
    """Ask as a browser does before it sends what a form could not."""
    asked = [
        origin(source),
        (b"access-control-request-method", method.encode()),
        (b"access-control-request-headers", headers.encode()),
    ]
    return await app.ask("OPTIONS", "/api/streams", headers=asked)


def permissions(reply: Reply) -> dict[str, str]:
    """What a response allows other origins."""
    return {name: value for name, value in reply.headers.items() if name.startswith("access-control-")}


@virtual
async def test_a_listed_origin_may_read_with_credentials() -> None:
    """The origin itself is named, never ``*``, and what readers need is exposed; on errors as on answers."""
    app = App(allowed_origins=(LISTED, "https://other.example"))
    wanted = {
        "access-control-allow-origin": LISTED,
        "access-control-allow-credentials": "true",
        "access-control-expose-headers": "location, retry-after, x-holdfast-stream",
    }
    for path in ("/healthz", f"/api/streams/{app.stream_id()}/status", "/api/nothing"):
        reply = await app.ask("GET", path, headers=[origin(LISTED)])
        assert permissions(reply) == wanted
        assert reply.headers["cross-origin-resource-policy"] == "cross-origin"
        assert "Origin" in reply.headers["vary"]
    start = await app.ask("POST", "/api/streams", headers=[origin(LISTED)], body=b'{"prompt": "Why?"}')
    assert (start.status, permissions(start)) == (202, wanted)


@pytest.mark.parametrize("stranger", STRANGERS)
def test_an_origin_that_is_not_listed_may_read_nothing(stranger: str) -> None:
    """Not one permission stands on its responses; they vary by origin, so that no cache gives it another's."""

    @virtual
    async def check() -> None:
        app = App(allowed_origins=(LISTED,))
        reply = await app.ask("GET", "/healthz", headers=[origin(stranger)])
        assert (reply.status, permissions(reply)) == (200, {})
        assert reply.headers["vary"] == "Origin"
        assert reply.headers["cross-origin-resource-policy"] == "same-origin"
        refused = await preflight(app, stranger)
        assert (refused.status, refused.code, permissions(refused)) == (403, "origin_refused", {})

    check()


@virtual
async def test_without_a_list_nobody_else_may_read() -> None:
    """The default allows no origin but the server's own."""
    app = App()
    assert permissions(await app.ask("GET", "/healthz", headers=[origin(LISTED)])) == {}
    assert (await preflight(app, LISTED)).status == 403


@virtual
async def test_a_preflight_allows_what_clients_send() -> None:
    """Cursor, idempotency key, bearer and the project's own headers; nothing that was not foreseen."""
    app = App(allowed_origins=(LISTED,))
    asked = "Authorization, content-type,last-event-id, idempotency-key, x-holdfast-trace, cookie, x-other"
    reply = await preflight(app, LISTED, "DELETE", asked)
    assert (reply.status, reply.body) == (204, b"")
    assert set(reply.headers["access-control-allow-headers"].split(", ")) == {
        "authorization",
        "content-type",
        "idempotency-key",
        "last-event-id",
        "user-agent",
        "x-holdfast-trace",
    }
    assert set(reply.headers["access-control-allow-methods"].split(", ")) == {"GET", "HEAD", "POST", "DELETE"}
    assert int(reply.headers["access-control-max-age"]) > 0
    assert reply.headers["access-control-allow-origin"] == LISTED
    assert set(reply.headers["vary"].split(", ")) == {
        "Origin",
        "Access-Control-Request-Method",
        "Access-Control-Request-Headers",
    }


@virtual
async def test_two_origins_at_once_are_none() -> None:
    """A listed origin beside another one is no permission."""
    app = App(allowed_origins=(LISTED,))
    both = [origin(LISTED), origin("https://evil.example")]
    assert permissions(await app.ask("GET", "/healthz", headers=both)) == {}
    reply = await app.ask("POST", "/api/streams", headers=both, body=b'{"prompt": "Why?"}')
    assert (reply.status, reply.code, app.queue.messages) == (403, "origin_refused", [])


@virtual
async def test_a_stream_is_not_held_back() -> None:
    """A listed page gets what there is while the answer is still to be written."""
    app = App(allowed_origins=(LISTED,), max_seconds=5.0)
    started = await app.ask("POST", "/api/streams", body=b'{"prompt": "Why?"}')
    seen: list[float] = []
    stream = json.loads(started.body)["id"]
    reply = await app.ask(
        "GET", f"/api/streams/{stream}", headers=[origin(LISTED)], told=lambda: seen.append(app.clock.monotonic())
    )
    assert reply.status == 200
    assert reply.headers["access-control-allow-origin"] == LISTED
    assert seen[0] < 0.1 < 3 < seen[-1], "the body came in one piece"
