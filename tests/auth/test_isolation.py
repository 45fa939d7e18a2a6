"""Two deployments on one Redis: neither reads, ends nor cleans what is the other's."""

from __future__ import annotations

import json
from typing import Any

import pytest

from holdfast.errors import SettingsError
from holdfast.settings import Settings
from tests.auth.devices import READS, WRITES, Device, app, told, visitor
from tests.clocks import virtual
from tests.deploy.test_settings_listed import REQUIRED
from tests.fuzz.app import App


def own(site: App, prefix: str) -> dict[str, Any]:
    """What a deployment has in the store, lifetimes included; leases end by themselves."""
    memory = site.memory
    names = [name for name in memory.keys() if name.startswith(f"{prefix}:") and ":lease:" not in name]  # noqa: SIM118 - no dictionary
    return {name: (memory._data[name], memory._expires.get(name)) for name in names}


@pytest.mark.parametrize(("one", "other"), [("a", "b"), ("a", "a.b"), ("a", "a-"), ("ab", "a"), ("a_", "a")])
def test_neither_reaches_the_other_s(one: str, other: str) -> None:
    """Rule X7: also with one secret, one user and one prefix that begins as the other does."""

    @virtual
    async def scenario() -> None:
        first = app(key_prefix=one, retention_seconds=60, chat_retention_seconds=60, max_seconds=10.0)
        second = app(first, key_prefix=other, retention_seconds=60, chat_retention_seconds=60, max_seconds=10.0)
        device = await visitor(first)
        started = await device.start(chat_id="c", prompt="Why?")
        live = told(await device.ask("POST", "/api/streams", {"prompt": "Live"}, headers={"idempotency-key": "k"}))
        path = f"/api/streams/{started['id']}"
        share = told(await device.ask("POST", f"{path}/share"))["token"]
        code = told(await device.ask("POST", "/api/session/link"))["code"]
        await device.ask("DELETE", f"{path}/share", {"token": share})
        before = own(first, one)
        assert all(key.startswith(f"{one}:") for key in first.memory.keys())  # noqa: SIM118 - no dictionary

        # The same user, whose session is good there as well, since the secret is the same.
        device.app = second
        for method, route in (*READS, *WRITES):
            for stream in (started["id"], live["id"]):
                assert (await device.ask(method, f"/api/streams/{stream}{route}")).status == 404
        assert await Device(second).reads(path, token=started["read_token"]) == 404
        assert await device.reads("/api/chat/c") == 404
        assert (await Device(second).ask("POST", "/api/session/claim", {"code": code})).status == 410
        again = await device.ask("POST", "/api/streams", {"prompt": "Other"}, headers={"idempotency-key": "k"})
        assert told(again)["id"] != live["id"]
        body = json.dumps({"stream": started["id"], "attempt": 1}).encode()
        assert (await second.deliver(body)).status == 503, "rule L6: so young, it may only not be seen yet"
        assert own(first, one) == before

        # Everything is over its time, and only its own deployment deletes it.
        first.clock.origin_ms += 3_600_000
        before = own(first, one)
        assert before
        assert (await second.clean()).status == 200
        assert own(first, one) == before
        theirs = own(second, other)
        counts = told(await first.clean())
        assert counts["streams_deleted"] == counts["chats_deleted"] == 1
        assert own(second, other) == theirs

    scenario()


@pytest.mark.parametrize("prefix", ["a:b", "a:", ":", "a*", "a b", "a\nb", "a[b]", "ä", "a" * 65])
def test_a_prefix_that_could_reach_into_another(prefix: str) -> None:
    """Rule X7: it ends at the first colon, so it has none; nor has it what means more than itself in a pattern."""
    with pytest.raises(SettingsError, match="HOLDFAST_KEY_PREFIX"):
        Settings.from_env({**REQUIRED, "HOLDFAST_KEY_PREFIX": prefix})


@pytest.mark.parametrize("name", ["x:stream:y", "a:stream:x", "*", "../due", "x\r\nDEL due", "due"])
def test_a_name_reaches_no_other_key(name: str) -> None:
    """Rule X2: a chat's id is no part of a key, and what is no stream's id is not looked for."""

    @virtual
    async def scenario() -> None:
        site = app(key_prefix="a")
        device = await visitor(site)
        await device.start(chat_id="c")
        before = own(site, "a")
        for route in ("", "/status"):
            assert (await device.ask("GET", f"/api/streams/{name}{route}")).status == 404
        assert (await device.ask("GET", f"/api/chat/{name}")).status == 404
        assert own(site, "a") == before

    scenario()
