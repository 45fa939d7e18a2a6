"""Cross-site writes: what a foreign page can have a browser send starts, stops and deletes nothing (chapter G)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from holdfast.records import Stop
from tests.clocks import run, virtual
from tests.fuzz.app import App, Reply

type Headers = list[tuple[bytes, bytes]]

BODY = b'{"prompt": "Why?"}'
LISTED = "https://app.example"
JSON = (b"content-type", b"application/json")


def source(origin: str) -> tuple[bytes, bytes]:
    """The header of a page."""
    return b"origin", origin.encode()


#: What a page of another origin makes a browser send.
FOREIGN: dict[str, Headers] = {
    "another site": [source("https://evil.example")],
    "a sandboxed frame": [source("null")],
    "a name that begins alike": [source("https://answers.example.evil")],
    "a name that ends alike": [source("https://evilanswers.example")],
    "another port": [source("https://answers.example:8443")],
    "without TLS": [source("http://answers.example")],
    "an origin with a path": [source("https://answers.example/")],
    "two origins": [source("https://answers.example"), source("https://evil.example")],
    "an empty origin": [source("")],
    "no origin, from another site": [(b"sec-fetch-site", b"cross-site")],
    "no origin, from a sister": [(b"sec-fetch-site", b"same-site")],
}
OWN: dict[str, Headers] = {
    "no browser": [],
    "its own page": [source("https://answers.example"), (b"sec-fetch-site", b"same-origin")],
    "a listed page": [source(LISTED), (b"sec-fetch-site", b"cross-site")],
    "a browser without origin": [(b"sec-fetch-site", b"same-origin")],
    "typed by hand": [(b"sec-fetch-site", b"none")],
}


async def refused(app: App, reply: Reply, status: int, code: str) -> None:
    """A refusal, after which nothing has changed."""
    assert (reply.status, reply.code) == (status, code)
    assert app.queue.messages == []


@pytest.mark.parametrize("headers", FOREIGN.values(), ids=FOREIGN.keys())
@pytest.mark.parametrize("path", ["/api/streams", "/api/chat"])
def test_a_foreign_page_starts_nothing(path: str, headers: Headers) -> None:
    """Rule G1: 403 before the body is looked at, with JSON as with a form's type; nothing is written."""

    @virtual
    async def check() -> None:
        app = App(allowed_origins=(LISTED,))
        for kind in (JSON, (b"content-type", b"text/plain")):
            reply = await app.ask("POST", path, headers=[*headers, kind], body=BODY)
            await refused(app, reply, 403, "origin_refused")
        assert app.memory.keys() == []

    check()


@pytest.mark.parametrize("headers", FOREIGN.values(), ids=FOREIGN.keys())
def test_a_foreign_page_stops_nothing(headers: Headers) -> None:
    """Rule G1: a stop has no body to give it away, so its origin alone must; the answer goes on."""

    @virtual
    async def check() -> None:
        app = App(allowed_origins=(LISTED,))
        stream = json.loads((await app.ask("POST", "/api/streams", body=BODY)).body)["id"]
        reply = await app.ask("POST", f"/api/streams/{stream}/stop", headers=headers)
        assert (reply.status, reply.code) == (403, "origin_refused")
        last = await app.services.log.last(stream)
        assert last is not None
        assert not isinstance(last.record, Stop)

    check()


@pytest.mark.parametrize("headers", OWN.values(), ids=OWN.keys())
def test_own_pages_and_other_programs_start_and_stop(headers: Headers) -> None:
    """The deployment's own page, listed ones, and callers that are no browsers are let through."""

    @virtual
    async def check() -> None:
        app = App(allowed_origins=(LISTED,))
        reply = await app.ask("POST", "/api/streams", headers=headers, body=BODY)
        assert reply.status == 202
        stream = json.loads(reply.body)["id"]
        stopped = await app.ask("POST", f"/api/streams/{stream}/stop", headers=headers)
        assert (stopped.status, json.loads(stopped.body)["stopped"]) == (200, True)

    check()


@virtual
async def test_the_page_of_another_name_of_the_deployment_is_its_own() -> None:
    """A preview or a second domain: origin and host agree, whatever HOLDFAST_PUBLIC_URL is."""
    app = App()
    headers = [source("https://preview.example")]
    assert (await app.ask("POST", "/api/streams", host=b"preview.example", headers=headers, body=BODY)).status == 202
    assert (await app.ask("POST", "/api/streams", host=b"other.example", headers=headers, body=BODY)).status == 403


@virtual
async def test_the_public_url_is_the_servers_own_origin_behind_a_proxy_that_changes_the_host() -> None:
    """HOLDFAST_PUBLIC_URL names the page's origin where the proxy in front sends another host."""
    headers = [source("https://answers.example")]
    reply = await App().ask("POST", "/api/streams", host=b"10.0.0.1:8080", scheme="http", headers=headers, body=BODY)
    assert reply.status == 202


@virtual
async def test_a_forwarded_host_is_not_believed() -> None:
    """Rule G1: X-Forwarded-Host and Forwarded are anybody's to write; they make no page one's own."""
    app = App()
    forwarded = [
        source("https://evil.example"),
        (b"x-forwarded-host", b"evil.example"),
        (b"forwarded", b"host=evil.example;proto=https"),
        (b"x-original-host", b"evil.example"),
    ]
    await refused(app, await app.ask("POST", "/api/streams", headers=forwarded, body=BODY), 403, "origin_refused")


@virtual
async def test_a_foreign_name_that_leads_to_a_developers_machine() -> None:
    """Rule G2: a page that has its own name lead to 127.0.0.1 is same-origin to the browser, and is refused here."""
    app = App(public_url="http://127.0.0.1:8000")
    there: dict[str, Any] = {"scheme": "http", "body": BODY}
    rebound = [source("http://evil.example:8000")]
    reply = await app.ask("POST", "/api/streams", host=b"evil.example:8000", headers=rebound, **there)
    await refused(app, reply, 403, "origin_refused")
    own = [source("http://localhost:8000")]
    assert (await app.ask("POST", "/api/streams", host=b"localhost:8000", headers=own, **there)).status == 202


@pytest.mark.parametrize(
    "kind",
    [b"text/plain", b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=x", b"application/jsonp", b"",
     b"text/plain; application/json", b"application/json, text/plain"],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/api/streams", "/api/chat", "/api/streams/{id}/stop"])
def test_a_body_of_another_type(path: str, kind: bytes) -> None:
    """Rule G3: 415, and the message says what to send; also where the route would not read the body."""

    async def check() -> None:
        app = App()
        reply = await app.ask(
            "POST", path.format(id=app.stream_id()), headers=[(b"content-type", kind), (b"content-length", b"18")],
            body=BODY,
        )  # fmt: skip
        await refused(app, reply, 415, "content_type")
        assert b"application/json" in reply.body
        assert b"--json" in reply.body

    run(check())


@pytest.mark.parametrize(
    "announced",
    [[], [(b"content-length", b"18")], [(b"transfer-encoding", b"chunked")]],
    ids=["h2", "length", "chunks"],
)
def test_a_body_without_a_type(announced: Headers) -> None:
    """Rule G3: 415, as a page can send one of no type; also where nothing announces the body, as in HTTP/2."""

    async def check() -> None:
        app = App()
        reply = await app.ask("POST", "/api/streams", headers=announced, body=BODY, typed=False)
        await refused(app, reply, 415, "content_type")

    run(check())


@pytest.mark.parametrize("kind", [b"application/json", b"Application/JSON", b"application/json; charset=utf-8"])
def test_a_body_of_json(kind: bytes) -> None:
    """The type in any case and with any parameter."""

    async def check() -> None:
        reply = await App().ask("POST", "/api/streams", headers=[(b"content-type", kind)], body=BODY)
        assert reply.status == 202

    run(check())


@virtual
async def test_machines_are_judged_by_their_signature_alone() -> None:
    """QStash and schedules send what types and headers they like: what counts is what they sign or know."""
    app = App()
    for path in ("/api/publish", "/api/publish/failed", "/api/cleanup"):
        headers = [source("https://evil.example"), (b"content-type", b"text/plain")]
        reply = await app.ask("POST", path, headers=headers, body=b"{}")
        assert (reply.status, reply.code) == (401, "signature_invalid")
