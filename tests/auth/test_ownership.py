"""What is somebody else's is not there: the same answer, the same headers, the same time as for what never was."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from holdfast.identity import created_ms, new_stream_id
from tests.auth.devices import READS, WRITES, Device, app, count_requests, told, unknown, visitor
from tests.clocks import virtual
from tests.fuzz.app import App, Reply

DAY_MS = 86_400_000


async def timed(device: Device, method: str, path: str) -> tuple[Reply, float]:
    """A reply, and the seconds that it took."""
    began = device.app.clock.monotonic()
    reply = await device.ask(method, path)
    return reply, device.app.clock.monotonic() - began


def slow(site: App) -> None:
    """Let the store take longer for what it finds, as a real one does."""
    whole = site.memory.apply

    async def apply(*operations: Any) -> Any:
        found = await whole(*operations)
        await site.clock.sleep(0.08 if any(found) else 0.01)
        return found

    site.memory.apply = apply  # type: ignore[method-assign]


@pytest.mark.parametrize(("method", "route"), [*READS, *WRITES])
@pytest.mark.parametrize("age_ms", [0, 9_000, 60_000, DAY_MS - 60_000, DAY_MS + 60_000], ids=str)
def test_a_stranger_s_stream_is_as_good_as_none(method: str, route: str, age_ms: int) -> None:
    """Rule U7: on every route, at every age: young ones are looked for by both, and 410 is told by the id alone."""

    @virtual
    async def scenario() -> None:
        site = app(retention_seconds=DAY_MS // 1000)
        owner, stranger = await visitor(site), await visitor(site)
        stream = (await owner.start())["id"]
        await site.clock.sleep(age_ms / 1000)
        slow(site)
        none = new_stream_id(created_ms(stream) or 0)
        (theirs, took), (nothing, would_take) = await asyncio.gather(
            *(timed(stranger, method, f"/api/streams/{id}{route}") for id in (stream, none))
        )
        assert theirs == nothing
        assert took == pytest.approx(would_take, abs=1e-6)
        assert theirs.status == (410 if age_ms > DAY_MS else 404)
        assert theirs.code in {"stream_unknown", "stream_expired"}
        # The store still has it, and for its owner it is there.
        assert (await owner.ask("GET", f"/api/streams/{stream}/status")).status == 200
        assert told(await owner.ask("GET", f"/api/streams/{stream}/status"))["state"] == "finished"

    scenario()


@pytest.mark.parametrize(("method", "route"), [*READS, *WRITES])
def test_nobody_finds_anything(method: str, route: str) -> None:
    """Rule U7: whoever shows nothing is refused at once, without a request to the store, whatever the id."""

    @virtual
    async def scenario() -> None:
        site = app()
        stream = (await (await visitor(site)).start())["id"]
        nobody = Device(site)
        asked = count_requests(site)
        replies = [
            await timed(nobody, method, f"/api/streams/{id}{route}")
            for id in (stream, unknown(site, 0), unknown(site, 3 * DAY_MS), "x")
        ]
        assert all(each == replies[0] for each in replies)
        assert (replies[0][0].status, replies[0][1], asked) == (404, 0.0, [])
        assert "API key" in told(replies[0][0])["error"]["message"]

    scenario()


@virtual
async def test_a_stream_that_this_version_cannot_read() -> None:
    """Rules R3, U7: its owner is told that it is newer; for a stranger it is not there."""
    site = app()
    owner, stranger = await visitor(site), await visitor(site)
    stream = (await owner.start())["id"]
    log = site.memory._data[f"t:stream:{stream}"]
    assert '"v":1' in log.texts[0]
    log.texts[0] = log.texts[0].replace('"v":1', '"v":99')
    site.clock.origin_ms += 60_000
    assert (await owner.ask("GET", f"/api/streams/{stream}")).status == 501
    reply = await stranger.ask("GET", f"/api/streams/{stream}")
    assert reply == await stranger.ask("GET", f"/api/streams/{unknown(site)}")
    log.texts[0] = "no record"
    assert (await owner.ask("GET", f"/api/streams/{stream}")).status == 404


@virtual
async def test_chats_of_one_name_are_each_owner_s_own() -> None:
    """Rule U7: the same chat id of two owners is two chats, and neither sees, joins or stops the other's answer."""
    site = app(max_seconds=1.0)
    first, second = await visitor(site), await visitor(site)
    mine = await first.start(prompt="The word is knot.", chat_id="c")
    theirs, nothing = [await second.ask("GET", f"/api/chat/{id}") for id in "cd"]
    assert theirs == nothing
    assert theirs.status == 404
    assert (await second.ask("GET", "/api/chat/c/stream")).status == 204
    assert (await second.start(prompt="And which word is it?", chat_id="c"))["id"] != mine["id"]
    assert b"knot" not in (await second.ask("GET", "/api/chat/c")).body
    assert b"which word" not in (await first.ask("GET", "/api/chat/c")).body
    # Whoever names another's answer in a message list takes nothing from it.
    body = {"id": "e", "messages": [
        {"id": f"msg_{mine['id']}", "role": "assistant", "parts": [{"type": "text", "text": "x"}]},
        {"id": "m2", "role": "user", "parts": [{"type": "text", "text": "Go on."}]},
    ]}  # fmt: skip
    assert (await second.ask("POST", "/api/chat", body)).status == 200
    assert told(await first.ask("GET", f"/api/streams/{mine['id']}/status"))["state"] == "finished"


@virtual
async def test_an_idempotency_key_is_each_owner_s_own() -> None:
    """Rule S2: the same key of another owner is another answer, and tells nothing of the first."""
    site = app()
    first, second = await visitor(site), await visitor(site)
    replies = [
        await device.ask("POST", "/api/streams", {"prompt": prompt}, headers={"idempotency-key": "k"})
        for device, prompt in ((first, "Why?"), (second, "Who?"), (first, "Why?"))
    ]
    ids = [told(reply)["id"] for reply in replies]
    assert [reply.status for reply in replies] == [202] * 3
    assert ids[0] == ids[2] != ids[1]


@virtual
async def test_reading_costs_no_request_more() -> None:
    """Rule U6: the owner stands in the record that is read anyway; a share is looked at in the same request."""
    site = app()
    owner = await visitor(site)
    started = await owner.start()
    path = f"/api/streams/{started['id']}"
    share = told(await owner.ask("POST", f"{path}/share"))["token"]
    asked = count_requests(site)
    await owner.ask("GET", path)
    by_owner, asked[:] = list(asked), []
    await Device(site).ask("GET", path, token=started["read_token"])
    by_token, asked[:] = list(asked), []
    await Device(site).ask("GET", path, token=share)
    assert by_owner == by_token
    assert by_owner[0] == 1
    assert asked == [2, *by_owner[1:]]
