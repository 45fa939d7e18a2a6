"""Origins: one spelling for each, and none for what is no origin."""

from __future__ import annotations

import pytest

from holdfast.origins import is_loopback, is_same, origin_of


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://Chat.Example.com", "https://chat.example.com"),
        ("https://chat.example.com:443/path?query", "https://chat.example.com"),
        ("http://chat.example.com:80", "http://chat.example.com"),
        ("http://chat.example.com:443", "http://chat.example.com:443"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("http://[::1]", "http://[::1]"),
        ("null", None),
        ("*", None),
        ("", None),
        ("https://", None),
        ("https://user@chat.example.com", None),
        ("https://chat.example.com:99999", None),
        ("https://chat.example.com, https://other.example", None),
        ("https://chat.exa\nmple.com\r\nx: y", None),
        ("ftp://chat.example.com", None),
        ("file:///etc", None),
        ("https://[::1", None),
    ],
)
def test_the_spelling_of_an_origin(text: str, origin: str | None) -> None:
    """Scheme, host in lower case, and a port that is not the scheme's own; anything else is none."""
    assert origin_of(text) == origin


@pytest.mark.parametrize(
    ("origin", "host", "scheme", "same"),
    [
        ("https://a.example", "a.example", "https", True),
        ("https://a.example", "a.example:443", "https", True),
        ("https://a.example", "A.example", "http", True),
        ("http://a.example", "a.example", "https", False),
        ("http://a.example:8000", "a.example:8000", "http", True),
        ("http://a.example:8000", "a.example", "http", False),
        ("https://a.example.evil", "a.example", "https", False),
        ("https://evil.a.example", "a.example", "https", False),
        ("https://a.example/", "a.example", "https", False),
        ("null", "null", "https", False),
        ("null", "", "https", False),
        ("https://", "", "https", False),
        ("https://a.example", "x@a.example", "https", False),
    ],
)
def test_the_servers_own_origin(origin: str, host: str, scheme: str, *, same: bool) -> None:
    """Scheme, host and port are compared as a whole; behind a proxy that ends TLS the scheme is not known."""
    assert is_same(origin, host, scheme) is same


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("http://localhost:8000", True),
        ("http://app.localhost", True),
        ("http://127.1.2.3", True),
        ("http://[::1]:8000", True),
        ("http://localhost.evil.example", False),
        ("http://127.0.0.1.evil.example", False),
        ("https://192.168.1.2", False),
    ],
)
def test_loopback(url: str, *, loopback: bool) -> None:
    """Names and addresses of this very machine, and no name that merely looks like one."""
    assert is_loopback(url) is loopback
