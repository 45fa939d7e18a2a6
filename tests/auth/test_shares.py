"""Read tokens and shares: one stream, reading alone, for a while, and shares until they are revoked."""

from __future__ import annotations

import asyncio
from datetime import datetime

import pytest

from holdfast import tokens
from holdfast.keys import Keys
from holdfast.operations import Get
from tests.auth.devices import READS, SECRET, WRITES, Device, app, told, visitor
from tests.clocks import virtual
from tests.fuzz.app import App


async def shared(site: App) -> tuple[Device, str, str, str]:
    """An owner, their stream's path, its read token and a share of it."""
    owner = await visitor(site)
    started = await owner.start()
    path = f"/api/streams/{started['id']}"
    reply = await owner.ask("POST", f"{path}/share")
    assert reply.status == 201
    return owner, path, started["read_token"], told(reply)["token"]


@virtual
async def test_tokens_read_one_stream_and_do_nothing_else() -> None:
    """Rules U9, U10: in the query and as a bearer, on routes that read, and elsewhere as if there were none."""
    site = app()
    owner, path, *both = await shared(site)
    other = (await owner.start())["id"]
    for token in both:
        for device, query in ((Device(site, bearer=token), ""), (Device(site), f"?token={token}")):
            for method, route in READS:
                assert (await device.ask(method, path + route + query)).status == 200
                assert (await device.ask(method, f"/api/streams/{other}{route}{query}")).status == 404
            for method, route in WRITES:
                assert (await device.ask(method, path + route + query)).status == 404
        assert (await Device(site, bearer=token).ask("POST", "/api/streams", {"prompt": "Why?"})).status == 401
        assert (await Device(site, bearer=token).ask("POST", "/api/session")).status == 401
        assert (await Device(site, bearer=token).ask("GET", "/api/chat/c")).status == 401
    assert told(await owner.ask("GET", f"{path}/status"))["state"] == "finished"
    assert (await Device(site).ask("GET", path, token=both[1])).status == 200, "a stranger revoked it"


@virtual
async def test_tokens_end() -> None:
    """Rules U9, U10: a read token lasts as long as the stream can be read, a share as long as was said."""
    site = app(retention_seconds=3_600)
    owner, path, read_token, _ = await shared(site)
    reply = told(await owner.ask("POST", f"{path}/share", {"seconds": 60}))
    at = site.clock.now_ms() / 1000
    assert datetime.fromisoformat(reply["expires_at"]).timestamp() == pytest.approx(at + 60, abs=1)
    reader = Device(site)
    site.clock.origin_ms += 58_000
    assert await reader.reads(path, token=reply["token"]) == 200
    site.clock.origin_ms += 3_000
    assert await reader.reads(path, token=reply["token"]) == 404
    site.clock.origin_ms += 86_400_000
    assert await reader.reads(path, token=read_token) == 200
    site.clock.origin_ms += 3_600_000
    assert await reader.reads(path, token=read_token) == 404


@virtual
async def test_tokens_that_were_made_up() -> None:
    """Rule U9: with anything changed, of another kind or secret, a token is none; nor is one of another stream."""
    site = app()
    _, path, read_token, share = await shared(site)
    stream = path.rpartition("/")[2]
    kind, (expires, generation, id, signature) = read_token[:4], read_token[4:].split(".")
    far = str(int(expires) + 1)
    forged = [
        "", "x", "hfr_", f"hfs_{read_token[4:]}", f"hfr_{share[4:]}",
        f"{kind}{far}.{generation}.{id}.{signature}",
        f"{kind}{expires}.1.{id}.{signature}",
        f"{kind}{expires}.{generation}.1.{signature}",
        f"{kind}{expires}.{generation}.{id}.{'A' * 43}",
        f"{kind}{expires}.{generation}.{id}.", f"{read_token}x", f"{read_token}\n", f" {read_token}",
        f"{kind}\u0661.{generation}.{id}.{signature}",
        tokens.mint_read("another secret of another deployment", stream, int(expires)),
        tokens.mint_read("", stream, int(expires)),
        tokens.mint_share(SECRET, stream[::-1], int(expires), "0"),
    ]  # fmt: skip
    for token in forged:
        for route in ("", "/status"):
            reply = await Device(site).ask("GET", path + route, token=token)
            assert (reply.status, reply.code) == (404, "stream_unknown"), token
    assert await Device(site).reads(path, token=read_token) == 200


@virtual
async def test_a_token_decides_alone() -> None:
    """Rule U8: with a token that is none of the stream's, not even its owner reads it: they see what others see."""
    site = app()
    owner, path, _, share = await shared(site)
    assert await owner.reads(path, token=share) == 200
    await owner.ask("DELETE", f"{path}/share")
    assert await owner.reads(path, token=share) == 404
    assert await owner.reads(path) == 200


@virtual
async def test_all_shares_are_revoked_and_new_ones_are_good() -> None:
    """Rule U11: revoking takes back what was given so far, on every process, for good; the read token stays."""
    site = app()
    owner, path, read_token, first = await shared(site)
    second = told(await owner.ask("POST", f"{path}/share"))["token"]
    for _ in range(2):
        reply = await owner.ask("DELETE", f"{path}/share")
        assert (reply.status, reply.body) == (204, b"")
    third = told(await owner.ask("POST", f"{path}/share"))["token"]
    elsewhere = Device(app(site))
    assert [await elsewhere.reads(path, token=each) for each in (first, second, third, read_token)] == [
        404, 404, 200, 200,
    ]  # fmt: skip
    await owner.ask("DELETE", f"{path}/share")
    assert [await elsewhere.reads(path, token=each) for each in (first, second, third)] == [404] * 3


@virtual
async def test_revoking_outlives_what_was_shared() -> None:
    """Rule U11: no share is good again because what revoked it has gone from the store before it."""
    site = app(retention_seconds=10 * 86_400)
    owner, path, _, _ = await shared(site)
    longest = 11 * 86_400
    one = told(await owner.ask("POST", f"{path}/share", {"seconds": longest}))["token"]
    await owner.ask("DELETE", f"{path}/share", {"token": one})
    two = told(await owner.ask("POST", f"{path}/share", {"seconds": longest}))["token"]
    await owner.ask("DELETE", f"{path}/share")
    site.clock.origin_ms += (longest - 10) * 1000
    # 410: by now its id alone says that it is old.
    assert [await Device(site).reads(path, token=each) for each in (one, two)] == [410, 410]
    three = told(await owner.ask("POST", f"{path}/share", {"seconds": longest}))["token"]
    assert await Device(site).reads(path, token=three) == 200
    # What is shared now lives on for so long, and so must the generation that it belongs to.
    site.clock.origin_ms += (longest - 10) * 1000
    stream = path.rpartition("/")[2]
    assert tokens.read(three, [SECRET], stream, site.clock.now_ms() / 1000) is not None
    (generation,) = await site.memory.apply(Get(Keys("t").shares(stream)))
    assert generation == three.split(".")[1]


@virtual
async def test_one_share_is_revoked() -> None:
    """Rule U11: in the body or in the query, and no other; what is no share of this stream is refused, not ignored."""
    site = app()
    owner, path, read_token, first = await shared(site)
    second = told(await owner.ask("POST", f"{path}/share"))["token"]
    third = told(await owner.ask("POST", f"{path}/share"))["token"]
    assert (await owner.ask("DELETE", f"{path}/share", {"token": first})).status == 204
    assert (await owner.ask("DELETE", f"{path}/share", token=second)).status == 204
    assert [await Device(site).reads(path, token=each) for each in (first, second, third)] == [404, 404, 200]
    for wrong in ("", "x", read_token, f"{third}x", 7):
        reply = await owner.ask("DELETE", f"{path}/share", {"token": wrong})
        assert (reply.status, told(reply)["error"]["field"]) == (422, "token")
    assert await Device(site).reads(path, token=third) == 200


@virtual
async def test_a_revoked_share_ends_an_open_reading() -> None:
    """Rule U11: who is reading by a share has to come back within half a minute, and is then refused."""
    site = app(max_seconds=300.0)
    owner = await visitor(site)
    stream = told(await owner.ask("POST", "/api/streams", {"prompt": "Why?"}))["id"]
    share = told(await owner.ask("POST", f"/api/streams/{stream}/share"))["token"]
    began = site.clock.monotonic()
    reading = asyncio.create_task(Device(site).ask("GET", f"/api/streams/{stream}", token=share))
    await site.clock.sleep(1)
    await owner.ask("DELETE", f"/api/streams/{stream}/share")
    reply = await reading
    assert reply.status == 200
    assert b"[DONE]" not in reply.body
    assert 29 < site.clock.monotonic() - began < 31
    assert await Device(site).reads(f"/api/streams/{stream}", token=share) == 404


@virtual
async def test_what_a_share_tells() -> None:
    """Rule U10: the page's address, as its caller sees it, with the token in the fragment that no server is sent."""
    site = app(allowed_origins=("https://front.example",))
    owner, path, _, _ = await shared(site)
    for headers, origin in (
        ({}, "https://answers.example"),
        ({"origin": "https://front.example"}, "https://front.example"),
    ):
        reply = await owner.ask("POST", f"{path}/share", headers=headers)
        body = told(reply)
        assert body.keys() == {"url", "stream_url", "token", "expires_at"}
        assert body["url"] == f"{origin}/#share={path.rpartition('/')[2]}.{body['token']}"
        assert body["stream_url"] == f"{path}?token={body['token']}"
        assert reply.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("seconds", [0, -1, 10**12, 1.5, "60", True, None, []], ids=str)
def test_a_share_for_a_time_that_is_none(seconds: object) -> None:
    """422 names the field and says what it may be."""

    @virtual
    async def scenario() -> None:
        owner, path, _, _ = await shared(app())
        reply = await owner.ask("POST", f"{path}/share", {"seconds": seconds})
        assert (reply.status, told(reply)["error"]["field"]) == (422, "seconds")

    scenario()


@virtual
async def test_a_revocation_that_names_nothing_is_refused() -> None:
    """A token that is null is no wish to revoke every share, whatever stands in the query beside it."""
    owner, path, _, share = await shared(app())
    for query in ("", f"?token={share}"):
        reply = await owner.ask("DELETE", f"{path}/share{query}", {"token": None})
        assert (reply.status, told(reply)["error"]["field"]) == (422, "token")
    assert await Device(owner.app).reads(path, token=share) == 200
