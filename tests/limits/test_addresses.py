"""Whose address a start is counted for: what the platform says, and nothing that a client could have written."""

from __future__ import annotations

import json
from typing import Any

import pytest

from holdfast.adapters.platform import Platform, client_address, platform_of

PEER = {"client": ("198.51.100.7", 50_000)}
#: What clients send who want to be somebody else.
FORGED = {
    "x-forwarded-for": "203.0.113.1",
    "forwarded": "for=203.0.113.2",
    "x-real-ip": "203.0.113.3",
    "x-vercel-forwarded-for": "203.0.113.4",
    "x-vercel-proxied-for": "203.0.113.5",
    "x-client-ip": "203.0.113.6",
    "cf-connecting-ip": "203.0.113.7",
    "true-client-ip": "203.0.113.8",
    "x-amzn-request-context": '{"http": {"sourceIp": "203.0.113.9"}}',
}


def at(address: Any) -> str:
    """How an address that the socket tells is limited."""
    return client_address({"client": (address, 1)}, {}, "other")


def event(context: Any) -> dict[str, Any]:
    """A request as Mangum makes it of Lambda's event."""
    return {**PEER, "aws.event": {"requestContext": context}}


def test_elsewhere_the_peer_counts_and_no_header() -> None:
    """Off the platforms every header is the client's own."""
    assert client_address(PEER, FORGED, "other") == "198.51.100.7"


@pytest.mark.parametrize("context", [{"http": {"sourceIp": "192.0.2.1"}}, {"identity": {"sourceIp": "192.0.2.1"}}])
@pytest.mark.parametrize("platform", ["lambda", "other"])
def test_on_lambda_the_event_counts(context: dict[str, Any], platform: Platform) -> None:
    """The source address of a function URL or HTTP API, or of a REST API; a header of the same content does not."""
    assert client_address(event(context), FORGED, platform) == "192.0.2.1"


def test_behind_the_lambda_web_adapter_its_header_counts() -> None:
    """The adapter sets it in the place of a client's own; on Lambda alone, since nobody else takes it away."""
    told = FORGED | {"x-amzn-request-context": json.dumps({"http": {"sourceIp": "192.0.2.2", "method": "POST"}})}
    assert client_address(PEER, told, "lambda") == "192.0.2.2"
    assert client_address(PEER, told, "vercel") == "203.0.113.4"


@pytest.mark.parametrize("context", [None, [], {}, {"http": {}}, {"http": {"sourceIp": 7}}, {"http": "192.0.2.1"}])
def test_an_event_that_does_not_say(context: Any) -> None:
    """Such callers share one allowance: none at all would be the way round the limit."""
    assert client_address(event(context), FORGED, "lambda") == "unknown"
    assert client_address(PEER, {"x-amzn-request-context": json.dumps(context)}, "lambda") == "unknown"


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '"192.0.2.1"'], ids=["none", "half", "deep", "text"])
def test_a_request_context_that_is_none(text: str) -> None:
    """Refused as an address, and not with an exception."""
    assert client_address(PEER, {"x-amzn-request-context": text}, "lambda") == "unknown"


def test_on_vercel_its_own_headers_count() -> None:
    """The one that no proxy on top of Vercel rewrites comes first; of several addresses the first is the client's."""
    headers = {"x-forwarded-for": "203.0.113.1", "x-real-ip": "192.0.2.3"}
    assert client_address(PEER, headers, "vercel") == "192.0.2.3"
    assert client_address(PEER, headers | {"x-vercel-forwarded-for": "192.0.2.4"}, "vercel") == "192.0.2.4"
    several = {"x-vercel-forwarded-for": "192.0.2.5, 192.0.2.6"}
    assert client_address(PEER, several, "vercel") == "192.0.2.5"
    assert client_address(PEER, {"x-forwarded-for": "203.0.113.1"}, "vercel") == "198.51.100.7"


def test_an_ipv6_customer_is_a_network_of_64_bits() -> None:
    """All of its addresses are one; the next network is another; the form of writing does not matter."""
    assert at("2001:db8:1:2::1") == at("2001:db8:1:2:ffff:ffff:ffff:ffff") == "2001:db8:1:2::/64"
    assert at("2001:0DB8:0001:0002:0:0:0:1") == at("2001:db8:1:2::1%eth0") == "2001:db8:1:2::/64"
    assert at("2001:db8:1:3::1") != at("2001:db8:1:2::1")
    assert at("::1") == "::/64"


def test_an_ipv4_address_is_one_however_it_is_carried() -> None:
    """A socket that takes both kinds shows IPv4 callers as mapped; all of them in one network would be one caller."""
    assert at("::ffff:192.0.2.1") == at("192.0.2.1") == at(" 192.0.2.1 ") == "192.0.2.1"
    assert at("::ffff:192.0.2.2") != at("::ffff:192.0.2.1")


@pytest.mark.parametrize("address", ["", "testclient", "192.0.2", "192.0.2.1:80", None, 7, "::g", "\u0661.1.1.1"])
def test_what_is_no_address(address: Any) -> None:
    """It is nobody's own, so its callers share one allowance."""
    assert at(address) == "unknown"


def test_a_socket_without_a_peer() -> None:
    """As behind a Unix socket."""
    assert client_address({"client": None}, FORGED, "other") == client_address({}, FORGED, "other") == "unknown"


def test_platforms_are_told_by_what_they_set() -> None:
    """Lambda and Vercel by their own variables; Vercel's functions run on Lambda, and there Vercel's headers count."""
    assert platform_of({"AWS_LAMBDA_FUNCTION_NAME": "web"}) == "lambda"
    assert platform_of({"VERCEL": "1"}) == "vercel"
    assert platform_of({"VERCEL": "1", "AWS_LAMBDA_FUNCTION_NAME": "x"}) == "vercel"
    assert platform_of({"VERCEL": ""}) == platform_of({}) == "other"
