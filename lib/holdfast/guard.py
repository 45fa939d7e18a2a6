"""What browsers are held to: CORS by allow-list, no cross-site writes, security headers (docs/protocol.md, chapter G).

One ASGI middleware, because the three share one judgement: is the page that asks one of ours? It passes bodies on as
they come, so nothing is buffered. Starlette's own CORS middleware answers refused preflights in plain text, sends
``Access-Control-Allow-Credentials`` to every origin and knows of no writes, which is why it is not used.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import re
from collections.abc import Collection
from contextlib import suppress
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from holdfast.adapters.platform import own_origin
from holdfast.errors import ApiError
from holdfast.logs import place
from holdfast.origins import is_loopback, is_same, origin_of
from holdfast.replies import error_reply, refuse, where

_logger = logging.getLogger("holdfast")

#: Sent with everything, by the functions and, from vercel.json, with the files of the page.
HEADERS: Final = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
#: Over https alone: browsers heed it nowhere else (RFC 6797, section 8.1).
HSTS: Final = "max-age=31536000"
#: For the API: nothing in an answer is ever a document.
API_POLICY: Final = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'"

_ALLOWED_METHODS: Final = "GET, HEAD, POST, DELETE"
#: ``user-agent`` is set by the AI SDK, which some browsers take for a header of the page's own.
_ALLOWED_HEADERS: Final = ("authorization", "content-type", "idempotency-key", "last-event-id", "user-agent")
_OWN_HEADER: Final = re.compile(r"x-holdfast-[a-z0-9-]{1,40}", re.ASCII)
_EXPOSED: Final = "location, retry-after, x-holdfast-stream"
_PREFLIGHT_SECONDS: Final = "600"
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
#: Their callers are no browsers and show a signature or a secret, which no browser adds by itself.
_MACHINES: Final = frozenset({"/api/publish", "/api/publish/failed", "/api/cleanup"})


def page_policy(html: str = "") -> str:
    """The Content-Security-Policy of a page: what is not served from here neither runs nor loads.

    Pictures included: an address in a model's answer would tell its owner who reads it, and carry text away.

    Args:
        html: the page, whose inline scripts are allowed by their digests and no other ones are.
    """
    inline = re.findall(r"<script[^>]*>(.*?)</script>", html, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in inline if script]
    scripts = " ".join(["'self'", *(f"'sha256-{digest}'" for digest in digests)])
    return (
        # Markdown renderers set style attributes; styles run nothing, and without foreign addresses they tell nobody.
        f"default-src 'self'; script-src {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
        "connect-src 'self'; object-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
    )


class Guard:
    """ASGI middleware around the application.

    Args:
        app: the application.
        allowed: origins, beside its own, whose pages may ask; as ``origin_of`` writes them.
        public_url: ``HOLDFAST_PUBLIC_URL``, or empty.
    """

    def __init__(self, app: ASGIApp, *, allowed: Collection[str] = (), public_url: str = "") -> None:
        self._app = app
        self._allowed = frozenset(allowed)
        self._public = origin_of(public_url)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Judge a request, pass it on, and put the headers on what comes back."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origins = headers.getlist("origin")
        listed = origins[0] if len(origins) == 1 and origins[0] in self._allowed else None
        begun = False

        async def dressed(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                _dress(scope, headers, MutableHeaders(scope=message), listed)
            await send(message)

        try:
            if scope["method"] == "OPTIONS" and origins and "access-control-request-method" in headers:
                await self._preflight(headers, listed)(scope, receive, dressed)
                return
            if scope["method"] not in _SAFE and scope["path"] not in _MACHINES:
                self._check_source(scope, headers, origins)
                receive = _check_type(headers, receive)
        except ApiError as error:
            await refuse(scope, error)(scope, receive, dressed)
            return
        try:
            await self._app(scope, receive, dressed)
        except Exception as error:
            told = {"exception": type(error).__name__, "where": place(error), **where(scope)}
            _logger.error("unforeseen_error", extra=told)
            if not begun:
                message = "Something unforeseen went wrong; the log of the function says what."
                await error_reply(ApiError(500, "internal_error", message))(scope, receive, dressed)
            raise

    def _preflight(self, headers: Headers, listed: str | None) -> Response:
        """What a page of another origin may send (Fetch standard, "CORS-preflight request")."""
        if listed is None:
            raise _origin_refused()
        asked = (name.strip().lower() for name in headers.get("access-control-request-headers", "").split(","))
        allowed = [*_ALLOWED_HEADERS, *(name for name in asked if _OWN_HEADER.fullmatch(name))]
        told = {
            "access-control-allow-methods": _ALLOWED_METHODS,
            "access-control-allow-headers": ", ".join(dict.fromkeys(allowed)),
            "access-control-max-age": _PREFLIGHT_SECONDS,
            "vary": "Access-Control-Request-Method, Access-Control-Request-Headers",
        }
        return Response(status_code=204, headers=told)

    def _check_source(self, scope: Scope, headers: Headers, origins: list[str]) -> None:
        """Refuse a write that a foreign page has a browser send (rule G1)."""
        if not origins:
            # Browsers send Origin with every write. Should one leave it out, it still says where the page is from;
            # callers that are no browsers send neither.
            if headers.get("sec-fetch-site", "none") not in {"same-origin", "none"}:
                raise _origin_refused()
            return
        if len(origins) > 1 or not self._is_ours(scope, origins[0], headers.get("host", "")):
            raise _origin_refused()

    def _is_ours(self, scope: Scope, origin: str, host: str) -> bool:
        if origin in self._allowed or origin in {self._public, origin_of(own_origin(scope) or "")}:
            return True
        if self._public is not None and is_loopback(self._public) and not is_loopback(origin):
            return False  # a foreign name that leads to this machine: its page would read and write as ours (rule G2)
        return is_same(origin, host, scope["scheme"])


class Contained:
    """ASGI middleware that keeps unforeseen exceptions from the server, which would print their text.

    The guard has logged what they are and answered. A response that had begun is cut, as it would be without this.

    Args:
        app: the application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with suppress(Exception):
            await self._app(scope, receive, send)


def _dress(scope: Scope, asked: Headers, headers: MutableHeaders, listed: str | None) -> None:
    """Set the headers of a response; those that a handler set itself stay."""
    policy = API_POLICY if scope["path"].startswith(("/api/", "/healthz")) else page_policy()
    for name, value in {**HEADERS, "content-security-policy": policy}.items():
        headers.setdefault(name, value)
    if scope["scheme"] == "https" or asked.get("x-forwarded-proto") == "https":
        headers.setdefault("strict-transport-security", HSTS)
    headers.add_vary_header("Origin")
    if listed is not None:
        headers["access-control-allow-origin"] = listed
        headers["access-control-allow-credentials"] = "true"
        headers["access-control-expose-headers"] = _EXPOSED
        # The page of a listed origin is meant to read it.
        headers["cross-origin-resource-policy"] = "cross-origin"


def _check_type(headers: Headers, receive: Receive) -> Receive:
    """Refuse a body that is not declared as JSON: a form of any page could send one of another type (rule G3)."""
    types = headers.getlist("content-type")
    if [kind.partition(";")[0].strip().lower() for kind in types] == ["application/json"]:
        return receive
    if types or headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
        raise _type_refused()

    async def empty() -> Message:
        """What was announced without a body must have none; HTTP/2 announces nothing."""
        message = await receive()
        if message.get("body"):
            raise _type_refused()
        return message

    return empty


def _origin_refused() -> ApiError:
    message = "A page of this origin may not do that. List its origin in HOLDFAST_ALLOWED_ORIGINS if it is yours."
    return ApiError(403, "origin_refused", message)


def _type_refused() -> ApiError:
    message = "Send the body as JSON with the header content-type: application/json; with curl: --json instead of -d."
    return ApiError(415, "content_type", message)
