"""API keys, JWTs and the hook: each names its owner, and none can name another's."""

from __future__ import annotations

import base64
import json
import logging
import math
from collections.abc import Callable
from typing import Any

import pytest

from holdfast.access import owner_of
from holdfast.errors import SettingsError
from holdfast.named import load_named
from tests.auth.devices import SECRET, Device, app, token, told, visitor
from tests.clocks import run, virtual
from tests.fuzz.app import App
from tests.owner import API_KEY


async def who(device: Device) -> tuple[int, str]:
    """The status of beginning, and what kind of owner it is, or the refusal's code."""
    reply = await device.ask("POST", "/api/session")
    return reply.status, told(reply)["owner_kind"] if reply.status == 200 else reply.code


@virtual
async def test_an_api_key_is_an_owner() -> None:
    """Rule U1: its name is; two keys of one name are one owner, so that a key is changed without losing anything."""
    site = app(
        api_keys=(("ci", "key-before-0123456789"), ("ci", "key-after-01234567890"), ("web", "key-of-web-0123456789"))
    )
    before, after, other = (Device(site, key) for _, key in site.services.settings.api_keys)
    stream = (await before.start())["id"]
    assert before.cookies == {}
    assert await who(before) == (200, "key")
    assert [await each.reads(f"/api/streams/{stream}") for each in (before, after, other)] == [200, 200, 404]
    first = (await site.services.log.read(stream))[0]
    assert owner_of(first) == "key:ci"


@pytest.mark.parametrize(
    "bearer", ["", "x", API_KEY[:-1], f"{API_KEY}x", API_KEY.upper(), f"tests:{API_KEY}", "tests", "é"]
)
def test_a_key_that_is_none(bearer: str) -> None:
    """Rule U2: it is 401, and never counts as nobody, who would get a session; no cookie makes up for it."""

    @virtual
    async def scenario() -> None:
        device = await visitor(app())
        stream = (await device.start())["id"]
        device.bearer = bearer
        assert await who(device) == (401, "credentials_invalid")
        assert (await device.ask("POST", "/api/streams", {"prompt": "Why?"})).status == 401
        reply = await device.ask("GET", f"/api/streams/{stream}")
        assert (reply.status, reply.headers["www-authenticate"]) == (401, "Bearer")

    scenario()


@virtual
async def test_another_scheme_is_somebody_else_s() -> None:
    """Rule U2: what a proxy in front wants is no matter of ours."""
    device = await visitor(app())
    stream = (await device.start())["id"]
    reply = await device.ask("GET", f"/api/streams/{stream}", headers={"authorization": "Basic YTpi"})
    assert reply.status == 200


@virtual
async def test_a_jwt_is_an_owner() -> None:
    """Rule U1: its subject is; and with an audience and an issuer set, only a token that has them."""
    site = app()
    alice, bob = Device(site, token(site)), Device(site, token(site, sub="bob"))
    stream = (await alice.start())["id"]
    assert await who(alice) == (200, "jwt")
    assert [await each.reads(f"/api/streams/{stream}") for each in (alice, bob)] == [200, 404]
    strict = app(site, jwt_audience="holdfast", jwt_issuer="https://issuer.example")
    claims: dict[str, Any] = {"aud": ["other", "holdfast"], "iss": "https://issuer.example"}
    assert await Device(strict, token(site, **claims)).reads(f"/api/streams/{stream}") == 200
    wrongs: list[dict[str, Any]] = [{"aud": "other"}, {"aud": None}, {"iss": "https://evil.example"}, {"iss": None}]
    for wrong in wrongs:
        assert await who(Device(strict, token(site, **(claims | wrong)))) == (401, "credentials_invalid")


@virtual
async def test_a_jwt_of_the_secret_before() -> None:
    """Rule U5: it is good while that secret is named beside the new one, and no longer."""
    site, new = app(), "the new secret of the tests 0123456789"
    bearer = token(site)
    assert await who(Device(app(site, secret=new, secret_previous=SECRET), bearer)) == (200, "jwt")
    assert await who(Device(app(site, secret=new), bearer)) == (401, "credentials_invalid")


def _unsigned(site: App) -> str:
    _, payload, _ = token(site).split(".")
    header = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
    return f"{header}.{payload}."


def _spliced(one: str, other: str) -> str:
    """What one token says, under the header and the signature of another."""
    return ".".join([one.split(".", maxsplit=1)[0], other.split(".")[1], one.split(".")[2]])


BAD_TOKENS: dict[str, Callable[[App], str]] = {
    "another secret": lambda site: token(site, "another secret of somebody else 0123"),
    "unsigned": _unsigned,
    "another algorithm": lambda site: token(site, SECRET * 2, "HS512"),
    "cut": lambda site: token(site)[:-2],
    "tampered": lambda site: _spliced(token(site), token(site, sub="bob")),
    "expired": lambda site: token(site, exp=site.clock.now_ms() // 1000 - 11),
    "endless": lambda site: token(site, exp=None),
    "never": lambda site: token(site, exp=math.inf),
    "no number": lambda site: token(site, exp="tomorrow"),
    "not yet": lambda site: token(site, nbf=site.clock.now_ms() // 1000 + 60),
    "nobody": lambda site: token(site, sub=None),
    "empty": lambda site: token(site, sub=""),
    "long": lambda site: token(site, sub="x" * 256),
    "newline": lambda site: token(site, sub="alice\nbob"),
    "for somebody": lambda site: token(site, aud="another service"),
    "huge": lambda site: token(site, more="x" * 9_000),
    "three dots": lambda _: "a.b.c",
    "deep": lambda _: base64.urlsafe_b64encode(b'{"alg":' + b"[" * 3_000).decode() + ".e30.e30",
}  # fmt: skip


@pytest.mark.parametrize("make", BAD_TOKENS.values(), ids=BAD_TOKENS.keys())
def test_a_jwt_that_proves_nothing(make: Callable[[App], str]) -> None:
    """Rule U2: 401, whatever is wrong with it."""

    async def scenario() -> None:
        site = app()
        assert await who(Device(site, make(site))) == (401, "credentials_invalid")
        assert await who(Device(site, token(site))) == (200, "jwt")

    run(scenario())


@virtual
async def test_a_short_secret_signs_no_jwt() -> None:
    """RFC 7518, section 3.2: a secret of fewer bytes than the hash signs no token; sessions are good all the same."""
    short = "s" * 31
    site = app(secret=short)
    with pytest.warns(Warning, match="below the minimum"):
        bearer = token(site, short)
    assert await who(Device(site, bearer)) == (401, "credentials_invalid")
    assert await who(Device(site)) == (200, "session")


@virtual
async def test_no_kind_can_name_another_kind_s_owner() -> None:
    """Rule U1: a session's id as a JWT's subject, a key's name, a hook's answer: each is an owner of its own kind."""
    site = app()
    browser = await visitor(site)
    id = next(iter(browser.cookies.values())).split(".")[1]
    stream = (await browser.start())["id"]
    theirs = (await Device(site, API_KEY).start())["id"]
    hooked = app(site, auth="tests.auth.hooks:from_header")
    for name in (id, f"session:{id}", "tests", "key:tests"):
        for each in (stream, theirs):
            assert await Device(site, token(site, sub=name)).reads(f"/api/streams/{each}") == 404
            reply = await Device(hooked).ask("GET", f"/api/streams/{each}", headers={"x-user": name})
            assert reply.status == 404


# -- the hook -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["from_header", "later"])
def test_a_hook_says_who_it_is(name: str) -> None:
    """Rule U1: async or not; what it returns is the owner, None is 401, and beside it count no sessions and no JWTs."""

    @virtual
    async def scenario() -> None:
        site = app(auth=f"tests.auth.hooks:{name}")
        device = Device(site)
        alice = {"x-user": "alice"}
        reply = await device.ask("POST", "/api/streams", {"prompt": "Why?"}, headers=alice)
        assert (reply.status, device.cookies) == (202, {})
        started = told(reply)
        path = f"/api/streams/{started['id']}/status"
        assert (await device.ask("GET", path, headers=alice)).status == 200
        assert (await device.ask("GET", path, headers={"x-user": "bob"})).status == 404
        assert (await device.ask("GET", path, token=started["read_token"])).status == 200
        assert (await device.ask("POST", "/api/session", headers=alice)).body == b'{"owner_kind":"hook"}'
        assert (await device.ask("POST", "/api/session/link", headers=alice)).status == 403
        before = await visitor(app(site))
        for stranger in (device, Device(site, token(site)), before):
            stranger.app = site
            for method, route in (
                ("GET", path),
                ("POST", "/api/streams"),
                ("POST", "/api/session"),
                ("GET", "/api/chat/c"),
            ):
                reply = await stranger.ask(method, route)
                assert (reply.status, reply.code) == (401, "auth_refused")
        assert await who(Device(site, API_KEY)) == (200, "key")

    scenario()


@pytest.mark.parametrize("name", ["failing", "confused", "never", "from_body"])
def test_a_hook_that_fails(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """Rule U2: nobody is let in, the caller may try again, an EventSource comes back, and its words do not get out."""

    @virtual
    async def scenario() -> None:
        site = app(auth=f"tests.auth.hooks:{name}")
        device = Device(site)
        reply = await device.ask("POST", "/api/streams", {"prompt": "Why?"})
        assert (reply.status, reply.code, reply.headers["retry-after"]) == (503, "auth_unavailable", "2")
        reply = await device.ask("GET", f"/api/streams/{site.stream_id()}")
        assert (reply.status, reply.body) == (200, b"retry: 2000\n")
        assert site.memory.keys() == []

    with caplog.at_level(logging.INFO, "holdfast"):
        scenario()
    failures = [record.message for record in caplog.records if record.message != "refused"]
    assert failures == ["auth_hook_failed"] * 2
    assert "hunter2" not in json.dumps([str(record.__dict__) for record in caplog.records])


@pytest.mark.parametrize(
    "target", ["tests.auth.hooks:nothing", "tests.auth.nowhere:hook", "tests.auth.hooks:NOT_CALLABLE"]
)
def test_a_hook_that_leads_nowhere_stops_the_start(target: str) -> None:
    """The application is not even made."""
    with pytest.raises(SettingsError, match="HOLDFAST_AUTH"):
        run(_made(target))
    with pytest.raises(SettingsError):
        load_named("HOLDFAST_AUTH", target)


async def _made(target: str) -> Any:
    return app(auth=target)
