"""Owners over real HTTP and Redis: two cookie jars, a share and its end, and what stands in no log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from tests.e2e.reading import Reader, text_of
from tests.e2e.system import System
from tests.http.refusals import refused


@pytest.fixture
def browsers(system: System) -> Iterator[tuple[httpx.Client, httpx.Client, httpx.Client]]:
    """Three browsers, each with a cookie jar of its own."""
    with ExitStack() as stack:
        first, second, third = (
            stack.enter_context(httpx.Client(base_url=system.url, timeout=60, trust_env=False)) for _ in range(3)
        )
        yield first, second, third


def test_two_browsers_share_an_answer_and_a_session(
    system: System, browsers: tuple[httpx.Client, httpx.Client, httpx.Client]
) -> None:
    """Rules U3 to U12: a stranger finds nothing, reads by a share until it is revoked, and a link makes an owner."""
    owner, guest, phone = browsers
    assert owner.post("/api/session").json() == {"owner_kind": "session"}
    assert owner.post("/api/session").headers.get("set-cookie") is None
    text = "standin: tokens=40 rate=100\nWhose is it?"
    started = owner.post("/api/streams", json={"prompt": text, "chat_id": "mine"}).json()
    url = started["url"]
    for method, route in (("GET", ""), ("GET", "/status"), ("POST", "/stop"), ("POST", "/share"), ("DELETE", "/share")):
        refused(guest.request(method, url + route), 404, "stream_unknown")
    shared = owner.post(f"{url}/share", json={"seconds": 600})
    assert shared.status_code == 201
    assert shared.json()["url"] == f"{system.url}/#share={started['id']}.{shared.json()['token']}"
    with Reader(f"{system.url}{shared.json()['stream_url']}", auth={}) as reader:
        seen = text_of(reader.to_end())
    assert seen == system.calls(text)[0]["text"]
    with Reader(f"{system.url}{url}", auth={"authorization": f"Bearer {started['read_token']}"}) as reader:
        assert text_of(reader.to_end()) == seen
    assert owner.delete(f"{url}/share").status_code == 204
    refused(guest.get(shared.json()["stream_url"]), 404, "stream_unknown")

    code = owner.post("/api/session/link").json()["code"]
    assert phone.post("/api/session/claim", json={"code": code}).json() == {"owner_kind": "session"}
    refused(guest.post("/api/session/claim", json={"code": code}), 410, "link_expired")
    assert len(phone.get("/api/chat/mine").json()["messages"]) == 2
    assert phone.post(f"{url}/stop").json() == {"id": started["id"], "stopped": False, "state": "finished"}
    refused(guest.get("/api/chat/mine"), 404, "chat_unknown")

    log, stored = system.functions.log(), str(system.snapshot())
    for secret in (started["read_token"], shared.json()["token"], code, *owner.cookies.values()):
        assert secret
        assert secret not in log + stored


def test_curl_stops_what_it_started(browsers: tuple[httpx.Client, httpx.Client, httpx.Client]) -> None:
    """Rule U3: a start of nobody's answers with a session, whose cookie stops it; its read token does not."""
    jar, without, _ = browsers
    started = jar.post("/api/streams", json={"prompt": "standin: tokens=400 rate=20\nToo long."}).json()
    stop, token = started["stop_url"], {"authorization": f"Bearer {started['read_token']}"}
    message = refused(without.post(stop, headers=token), 404, "stream_unknown")
    assert "cookie" in message
    assert jar.post(stop).json()["state"] == "stopped"
