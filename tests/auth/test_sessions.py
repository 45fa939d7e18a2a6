"""Sessions: minted by POSTs alone, signed, prolonged while they are used, and of one browser."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast import sessions
from tests.auth.devices import SECRET, Device, app, count_requests, told, visitor
from tests.clocks import virtual

HOST_COOKIE, COOKIE = "__Host-holdfast_session", "holdfast_session"


@virtual
async def test_a_get_makes_nobody_an_owner() -> None:
    """Rule U3: of two first GETs at once neither gets a session, nor finds anything, nor costs the store a request."""
    site = app()
    stream = (await (await visitor(site)).start())["id"]
    asked = count_requests(site)
    stranger = Device(site)
    for path in (f"/api/streams/{stream}", f"/api/streams/{stream}/status", "/api/chat/c", "/"):
        await stranger.ask("GET", path)
    assert await stranger.reads(f"/api/streams/{stream}") == 404
    assert await stranger.reads("/api/chat/c") == 404
    assert await stranger.reads("/api/chat/c/stream") == 204
    assert stranger.cookies == {}
    assert asked == []


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/api/session", None, 200),
        ("/api/streams", {"prompt": "Why?", "chat_id": "c"}, 202),
        ("/api/streams", {"prompt": ""}, 422),
    ],
)
def test_posts_make_an_owner(path: str, body: Any, status: int) -> None:
    """Rule U3: beginning a session does, and so does a start; a refused start makes nobody."""

    @virtual
    async def scenario() -> None:
        device = Device(app())
        assert (await device.ask("POST", path, body)).status == status
        assert list(device.cookies) == ([HOST_COOKIE] if status < 300 else [])

    scenario()


@virtual
async def test_a_chat_s_first_post_makes_an_owner_too() -> None:
    """Rule U3: the stock AI SDK begins no session first, and its answer can be read again all the same."""
    device = Device(app(max_seconds=1.0))
    body = {"id": "c", "messages": [{"id": "m1", "role": "user", "parts": [{"type": "text", "text": "Why?"}]}]}
    reply = await device.ask("POST", "/api/chat", body)
    assert (reply.status, list(device.cookies)) == (200, [HOST_COOKIE])
    assert reply.headers["cache-control"] == "no-cache, no-transform"
    assert await device.reads(f"/api/streams/{reply.headers['x-holdfast-stream']}") == 200
    assert await device.reads("/api/chat/c") == 200


@pytest.mark.parametrize(
    ("scheme", "headers", "name"),
    [
        ("https", {}, HOST_COOKIE),
        ("http", {"x-forwarded-proto": "https"}, HOST_COOKIE),
        ("http", {}, HOST_COOKIE),
        ("http", {"host": "127.0.0.1:8000"}, COOKIE),
    ],
    ids=["https", "behind a proxy", "the public https address", "plain"],
)
def test_what_the_cookie_is(scheme: str, headers: dict[str, str], name: str) -> None:
    """Rule U4: HttpOnly, SameSite=Lax, the whole site and no domain; over https Secure, and this host's alone."""

    @virtual
    async def scenario() -> None:
        device = Device(app(), scheme=scheme)
        if "host" in headers:
            device.app = app(public_url="http://127.0.0.1:8000")
        reply = await device.ask("POST", "/api/session", headers=headers)
        (cookie,) = device.given.values()
        assert cookie.key == name
        assert (cookie["httponly"], cookie["samesite"].lower(), cookie["path"]) == (True, "lax", "/")
        assert (bool(cookie["secure"]), cookie["domain"]) == (name == HOST_COOKIE, "")
        assert int(cookie["max-age"]) >= 2 * 30 * 86_400
        assert reply.headers["cache-control"] == "no-store"
        assert cookie.value not in reply.body.decode()

    scenario()


@virtual
async def test_a_valid_session_is_left_as_it_is() -> None:
    """Rule U3: asked again there is no new cookie, until half of its time is over: then a POST prolongs it."""
    site = app()
    device = await visitor(site)
    stream = (await device.start())["id"]
    first = dict(device.cookies)
    reply = await device.ask("POST", "/api/session")
    assert told(reply) == {"owner_kind": "session"}
    assert "set-cookie" not in reply.headers
    lasts = int(device.given[HOST_COOKIE]["max-age"])
    site.clock.origin_ms += (lasts // 2 + 60) * 1000
    assert "set-cookie" not in (await device.ask("GET", f"/api/streams/{stream}")).headers
    assert "set-cookie" in (await device.ask("POST", "/api/session")).headers
    assert device.cookies != first
    assert device.cookies[HOST_COOKIE].split(".")[1] == first[HOST_COOKIE].split(".")[1], "another owner"


@virtual
async def test_a_session_ends() -> None:
    """Rule U4: a cookie that a browser kept beyond its time is no session; the next POST makes another owner."""
    site = app()
    device = await visitor(site)
    await device.start(chat_id="c")
    old = dict(device.cookies)
    site.clock.origin_ms += (int(device.given[HOST_COOKIE]["max-age"]) - 1) * 1000
    assert (await device.ask("POST", "/api/session")).headers["set-cookie"]
    device.cookies = dict(old)
    site.clock.origin_ms += 1_000
    assert (await device.ask("GET", "/api/chat/c")).status == 404
    await device.ask("POST", "/api/session")
    assert device.cookies[HOST_COOKIE].split(".")[1] != old[HOST_COOKIE].split(".")[1]


@virtual
async def test_a_cookie_that_was_made_up() -> None:
    """Rule U4: with anything changed, or signed by somebody else, a cookie is none: not its id, not its end."""
    site = app()
    device = await visitor(site)
    stream = (await device.start())["id"]
    good = device.cookies[HOST_COOKIE]
    version, id, expires, signature = good.split(".")
    other = sessions.new_session(int(expires))
    mine = sessions.Session(id, int(expires))
    for forged in (
        "",
        "v1",
        f"{version}.{other.id}.{expires}.{signature}",
        f"{version}.{id}.{int(expires) + 1}.{signature}",
        f"{version}.{id}.{expires}.{signature[:-1]}{'A' if signature[-1] != 'A' else 'B'}",
        f"{version}.{id}.{expires}.",
        f"v2.{id}.{expires}.{signature}",
        f"{good}.x",
        sessions.write(mine, "another secret of another deployment"),
        sessions.write(mine, ""),
    ):
        device.cookies = {HOST_COOKIE: forged}
        assert await device.reads(f"/api/streams/{stream}") == 404, forged
        assert (await device.ask("POST", f"/api/streams/{stream}/stop")).status == 404
    device.cookies = {HOST_COOKIE: good}
    assert await device.reads(f"/api/streams/{stream}") == 200


@virtual
async def test_a_cookie_that_a_neighbour_planted() -> None:
    """Rule U4: over https only the cookie that no other host can set counts, so that nobody is made somebody else."""
    site = app()
    attacker, victim = await visitor(site), Device(site)
    victim.cookies = {COOKIE: attacker.cookies[HOST_COOKIE]}
    await victim.start(chat_id="secret")
    assert victim.cookies[HOST_COOKIE] != attacker.cookies[HOST_COOKIE]
    assert await attacker.reads("/api/chat/secret") == 404


@virtual
async def test_the_secret_is_changed_without_signing_anybody_out() -> None:
    """Rule U5: sessions, tokens and JWTs of the secret before are good while it is named, and no longer."""
    before = app()
    device = await visitor(before)
    started = await device.start()
    share = told(await device.ask("POST", f"/api/streams/{started['id']}/share"))["token"]
    path, reader = f"/api/streams/{started['id']}", Device(before)

    def seen(**settings: Any) -> Device:
        device.app = reader.app = app(before, **settings)
        return device

    new = "the new secret of the tests 0123456789"
    for settings in ({"secret": SECRET, "secret_previous": new}, {"secret": new, "secret_previous": SECRET}):
        assert await seen(**settings).reads(path) == 200
        assert await reader.reads(path, token=started["read_token"]) == 200
        assert await reader.reads(path, token=share) == 200
    # What is prolonged meanwhile is signed with the new one.
    before.clock.origin_ms += 32 * 86_400_000
    assert "set-cookie" in (await device.ask("POST", "/api/session")).headers
    assert "set-cookie" not in (await seen(secret=new).ask("POST", "/api/session")).headers
    for token in (started["read_token"], share):
        assert await reader.reads(path, token=token) == 404


@virtual
async def test_sessions_can_be_switched_off() -> None:
    """Rule U3: then nobody is an owner without a key or a token; a session's cookie of before counts no more."""
    device = await visitor(app())
    device.app = app(sessions=False)
    for path, body in (("/api/session", None), ("/api/streams", {"prompt": "Why?"})):
        reply = await device.ask("POST", path, body)
        assert (reply.status, reply.code) == (401, "auth_required")
        assert "set-cookie" not in reply.headers
