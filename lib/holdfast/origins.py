"""Web origins: their one spelling, and which of them is the server's own."""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import urlsplit

_PORTS: Final = {"http": 80, "https": 443}
#: A host's name or IPv4 address, or an IPv6 address in brackets, and a port.
_HOST: Final = re.compile(r"(?:[a-z0-9_.-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::[0-9]{1,5})?", re.ASCII | re.IGNORECASE)


def origin_of(text: str) -> str | None:
    """The origin of an http(s) URL as browsers write it (RFC 6454, section 6.2), or None where it has none.

    Args:
        text: ``https://chat.example.com``, with or without a path; ``null`` and ``*`` are no origins.
    """
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _PORTS or not _HOST.fullmatch(parts.netloc):
        return None
    host = parts.netloc.lower().rpartition(":")[0] if port is not None else parts.netloc.lower()
    return f"{parts.scheme}://{host}" if port in {None, _PORTS[parts.scheme]} else f"{parts.scheme}://{host}:{port}"


def is_same(origin: str, host: str, scheme: str) -> bool:
    """Whether a request's ``Origin`` is that of the server that its ``Host`` names.

    A page cannot choose the ``Host`` that its browser sends, so equality tells that the page came from here.

    Args:
        origin: the header as it was sent.
        host: the ``Host`` header.
        scheme: how the request reached this process; behind a proxy that ends TLS it is ``http`` for both.
    """
    if origin != origin_of(origin):
        return False
    schemes = ("https",) if scheme == "https" else ("http", "https")
    return any(origin == origin_of(f"{each}://{host}") for each in schemes)


def is_loopback(origin: str) -> bool:
    """Whether an origin or URL is on this very machine."""
    host = (urlsplit(origin).hostname or "").rstrip(".").lower()
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
