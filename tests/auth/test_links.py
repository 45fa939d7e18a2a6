"""A second device: a code makes another browser the same owner, once, within five minutes."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import pytest

from holdfast.errors import Unavailable
from tests.auth.devices import Device, app, count_requests, token, told, visitor
from tests.clocks import virtual
from tests.owner import API_KEY


async def code_of(device: Device) -> str:
    """A new code."""
    reply = await device.ask("POST", "/api/session/link")
    assert reply.status == 201
    return str(told(reply)["code"])


@virtual
async def test_two_devices_are_one_owner() -> None:
    """Rule U12: with two cookie jars, the second reads, stops and continues what the first began."""
    site = app(max_seconds=1.0)
    phone, laptop = await visitor(site), Device(site)
    stream = (await phone.start(chat_id="c"))["id"]
    live = told(await phone.ask("POST", "/api/streams", {"prompt": "Why?"}))["id"]
    assert await laptop.reads("/api/chat/c") == 404
    reply = await laptop.ask("POST", "/api/session/claim", {"code": await code_of(phone)})
    assert (reply.status, told(reply)) == (200, {"owner_kind": "session"})
    (cookie,) = laptop.given.values()
    assert (cookie["httponly"], cookie["samesite"].lower(), cookie["secure"]) == (True, "lax", True)
    assert await laptop.reads(f"/api/streams/{stream}") == 200
    assert len(told(await laptop.ask("GET", "/api/chat/c"))["messages"]) == 2
    assert (await laptop.ask("POST", f"/api/streams/{live}/stop")).status == 200
    assert told(await phone.ask("GET", f"/api/streams/{live}/status"))["state"] == "stopped"
    await laptop.start(chat_id="c", prompt="And then?")
    assert len(told(await phone.ask("GET", "/api/chat/c"))["messages"]) == 4


@virtual
async def test_a_code_is_used_once() -> None:
    """Rule U12: of many that claim it at once one becomes the owner, and nobody does later."""
    site = app()
    phone = await visitor(site)
    stream = (await phone.start())["id"]
    code = await code_of(phone)
    devices = [Device(site) for _ in range(5)]
    replies = await asyncio.gather(*(each.ask("POST", "/api/session/claim", {"code": code}) for each in devices))
    assert sorted(reply.status for reply in replies) == [200, 410, 410, 410, 410]
    assert sorted([await each.reads(f"/api/streams/{stream}") for each in devices]) == [200, 404, 404, 404, 404]
    reply = await Device(site).ask("POST", "/api/session/claim", {"code": code})
    assert (reply.status, reply.code) == (410, "link_expired")


@virtual
async def test_a_code_expires() -> None:
    """Rule U12: after five minutes it is 410, and says so beforehand."""
    site = app()
    phone = await visitor(site)
    reply = told(await phone.ask("POST", "/api/session/link"))
    assert reply["url"] == f"https://answers.example/#link={reply['code']}"
    at = site.clock.now_ms() / 1000
    assert datetime.fromisoformat(reply["expires_at"]).timestamp() == pytest.approx(at + 300, abs=1)
    site.clock.origin_ms += 301_000
    assert (await Device(site).ask("POST", "/api/session/claim", {"code": reply["code"]})).status == 410


@virtual
async def test_a_used_code_stays_used() -> None:
    """Rule U12: also when what says so has outlived the code."""
    site = app()
    phone, laptop = await visitor(site), Device(site)
    code = await code_of(phone)
    assert (await laptop.ask("POST", "/api/session/claim", {"code": code})).status == 200
    for minutes in (2, 4, 6, 11):
        site.clock.origin_ms += minutes * 60_000
        assert (await Device(site).ask("POST", "/api/session/claim", {"code": code})).status == 410


@virtual
async def test_a_claim_whose_reply_from_the_store_was_lost() -> None:
    """Rule U12: it is asked again by itself, and the code is not used up by the first try."""
    site = app()
    phone, laptop = await visitor(site), Device(site)
    code = await code_of(phone)
    whole = site.memory.apply
    lost: list[Any] = []

    async def apply(*operations: Any) -> Any:
        found = await whole(*operations)
        if len(operations) == 3 and not lost:
            lost.append(operations)
            raise Unavailable
        return found

    site.memory.apply = apply  # type: ignore[method-assign]
    assert (await laptop.ask("POST", "/api/session/claim", {"code": code})).status == 200
    assert lost
    assert (await Device(site).ask("POST", "/api/session/claim", {"code": code})).status == 410


@virtual
async def test_what_the_store_holds_opens_nothing() -> None:
    """Rule U12: the store has a digest of the code; and a code that never was leaves nothing there."""
    site = app()
    code = await code_of(await visitor(site))
    before = site.memory.keys()
    assert not any(code in key for key in before)
    asked = count_requests(site)
    for wrong in ("x", code[:-1], code + "x", "t:link:x", "*", "é" * 5_000):
        assert (await Device(site).ask("POST", "/api/session/claim", {"code": wrong})).status in {410, 413}
    assert site.memory.keys() == before
    assert set(asked) == {1}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [(None, 422, "field_invalid"), ({}, 422, "field_invalid"), ({"code": 7}, 422, "field_invalid"),
     ({"code": ""}, 422, "field_invalid"), ([], 400, "body_not_object")],
)  # fmt: skip
def test_a_claim_without_a_code(body: Any, status: int, code: str) -> None:
    """A bad body is named."""

    @virtual
    async def scenario() -> None:
        reply = await Device(app()).ask("POST", "/api/session/claim", body)
        assert (reply.status, reply.code) == (status, code)

    scenario()


@virtual
async def test_only_sessions_are_taken_along() -> None:
    """Rule U12: a key or a JWT is not given away by a link, and nobody has nothing to give."""
    site = app()
    for bearer in (None, token(site), API_KEY):
        device = Device(site, bearer)
        reply = await device.ask("POST", "/api/session/link")
        assert (reply.status, reply.code) == (403, "session_required")


@virtual
async def test_a_claim_with_credentials_that_prove_nothing_is_refused() -> None:
    """Rule U2 holds here too: 401, and the code is still good for its one use."""
    site = app()
    code = told(await (await visitor(site)).ask("POST", "/api/session/link"))["code"]
    assert (await Device(site, bearer="nonsense").ask("POST", "/api/session/claim", {"code": code})).status == 401
    assert (await Device(site).ask("POST", "/api/session/claim", {"code": code})).status == 200
