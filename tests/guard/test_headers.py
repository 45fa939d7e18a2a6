"""The headers that tell browsers what they may do with a response: on every one, and the same on Vercel's files."""

from __future__ import annotations

import base64
import hashlib
import json
import re

import pytest

from holdfast.errors import Unavailable
from holdfast.guard import HEADERS, HSTS, page_policy
from tests.clocks import virtual
from tests.fuzz.app import App
from tests.processes import ROOT

_ALWAYS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/healthz", 200),
        ("GET", "/api/nothing", 404),
        ("PUT", "/api/chat", 405),
        ("POST", "/api/streams", 400),
        ("POST", "/api/publish", 401),
        ("GET", "/api/cleanup", 401),
        ("GET", "/api/chat/c/stream", 204),
        ("OPTIONS", "/api/streams", 405),
    ],
)
def test_every_response_has_them(method: str, path: str, status: int) -> None:
    """Answers, refusals and empty replies alike; over https browsers are told to stay there."""

    @virtual
    async def check() -> None:
        reply = await App().ask(method, path)
        assert reply.status == status
        assert {name: reply.headers.get(name) for name in _ALWAYS} == _ALWAYS
        assert reply.headers["strict-transport-security"] == HSTS
        assert "frame-ancestors 'none'" in reply.headers["content-security-policy"]

    check()


@virtual
async def test_a_500_has_them_as_well() -> None:
    """What nobody foresaw is answered under the same headers, and says nothing of what it was."""
    app = App()
    app.memory.fault = ZeroDivisionError("canary")
    with pytest.raises(ZeroDivisionError):
        await app.ask("GET", "/api/chat/c")
    (reply,) = app.replies
    assert (reply.status, reply.code) == (500, "internal_error")
    assert b"canary" not in reply.body
    assert {name: reply.headers.get(name) for name in _ALWAYS} == _ALWAYS


@virtual
async def test_a_503_has_them_as_well() -> None:
    """So is an outage."""
    app = App()
    app.memory.fault = Unavailable("gone")
    reply = await app.ask("GET", "/api/chat/c")
    assert (reply.status, reply.headers["x-frame-options"]) == (503, "DENY")


@pytest.mark.parametrize(
    ("scheme", "forwarded", "told"),
    [("http", None, False), ("http", b"http", False), ("http", b"https", True), ("https", None, True)],
)
def test_https_is_asked_for_over_https_alone(scheme: str, forwarded: bytes | None, *, told: bool) -> None:
    """Behind a proxy that ends TLS too; never on plain http, as on a developer's machine."""

    @virtual
    async def check() -> None:
        headers = [] if forwarded is None else [(b"x-forwarded-proto", forwarded)]
        reply = await App().ask("GET", "/healthz", scheme=scheme, headers=headers)
        assert ("strict-transport-security" in reply.headers) is told

    check()


@virtual
async def test_the_page_runs_its_own_scripts_alone() -> None:
    """Each inline script is allowed by its digest; no other script, no foreign picture, connection or frame."""
    reply = await App().ask("GET", "/")
    policy = dict(each.strip().split(" ", 1) for each in reply.headers["content-security-policy"].split(";"))
    scripts = re.findall(r"<script[^>]*>(.*?)</script>", reply.body.decode(), re.DOTALL)
    digests = {base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts if script}
    assert policy["script-src"].split() == ["'self'", *(f"'sha256-{digest}'" for digest in digests)]
    assert policy["default-src"] == policy["connect-src"] == policy["form-action"] == "'self'"
    assert policy["img-src"] == "'self' data: blob:"
    assert policy["object-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert not re.search(r"\son\w+\s*=", reply.body.decode()), "a handler in an attribute would not run"


@virtual
async def test_answers_of_the_api_are_no_documents() -> None:
    """Opened in a tab, an answer of the API runs and loads nothing at all."""
    reply = await App().ask("GET", "/healthz")
    assert reply.headers["content-security-policy"].startswith("default-src 'none'; ")


def test_vercel_sends_the_same_with_the_files_of_the_page() -> None:
    """vercel.json names the guard's headers, for every path that is not the API's."""
    (rule,) = json.loads((ROOT / "vercel.json").read_text())["headers"]
    told = {each["key"]: each["value"] for each in rule["headers"]}
    assert told == {**HEADERS, "content-security-policy": page_policy(), "strict-transport-security": HSTS}
    # The part of path-to-regexp's grammar that is used here is that of regular expressions.
    pattern = re.compile(rule["source"])
    assert all(pattern.fullmatch(path) for path in ("/", "/index.html", "/assets/index-1a2b.js", "/apiary"))
    assert not any(pattern.fullmatch(path) for path in ("/api/streams", "/api/chat/c", "/healthz"))
