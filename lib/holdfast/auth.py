"""Who is asking: the one place that decides it, once for each request (docs/protocol.md, chapter U)."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import inspect
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from holdfast import sessions, tokens
from holdfast.access import Access
from holdfast.adapters.jwts import BadToken, Jwks, Jwts
from holdfast.clock import Clock
from holdfast.errors import ApiError, IdentityUnavailable
from holdfast.named import load_named
from holdfast.sessions import Session
from holdfast.settings import Settings

_logger = logging.getLogger("holdfast")

type Kind = Literal["session", "key", "jwt", "hook"]
type Hook = Callable[[Request], Any]

COOKIE: Final = "holdfast_session"
#: Browsers take a cookie of this name from this very host alone, over https (RFC 6265bis, section 4.1.3.2).
HOST_COOKIE: Final = f"__Host-{COOKIE}"
#: Browsers keep no cookie for longer, in seconds (RFC 6265bis, section 5.5).
_LONGEST_COOKIE: Final = 400 * 86_400
_LONGEST_OWNER: Final = 255
_HOOK_SECONDS: Final = 10.0
_DAY: Final = 86_400


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking.

    Attributes:
        owner: ``<kind>:<name>``, so that no kind can name another's owner.
        kind: how they showed it.
        session: theirs, if that is how.
        fresh: whether the session was made or prolonged by this request, so that its cookie must be sent.
    """

    owner: str
    kind: Kind
    session: Session | None = None
    fresh: bool = False


class Auth:
    """Decides who is asking.

    Args:
        settings: the deployment's.
        clock: time.

    Raises:
        SettingsError: ``HOLDFAST_AUTH`` names something that is not there or cannot be called.
    """

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._hook = load_named("HOLDFAST_AUTH", settings.auth) if settings.auth else None
        # Digests are all of one length, so that a comparison tells nothing of a key's.
        self._keys = [(name, _digest(key)) for name, key in settings.api_keys]

    async def caller(self, request: Request) -> Caller | None:
        """Who is asking; None where nothing was shown, which is nobody.

        Raises:
            ApiError: 401, what was shown proves nothing; it never counts as nothing.
            IdentityUnavailable: the hook or the provider of keys did not answer.
        """
        if not hasattr(request.state, "caller"):
            request.state.caller = await self._find_out(request)
        known: Caller | None = request.state.caller
        return known

    async def owner(self, request: Request) -> str | None:
        """The owner who is asking; otherwise as ``caller``."""
        caller = await self.caller(request)
        return None if caller is None else caller.owner

    async def starting(self, request: Request) -> Caller:
        """Who is asking, for a request that makes something: who has no session yet gets one.

        For POST alone: two first GETs at once would make two owners.

        Raises:
            ApiError, IdentityUnavailable: as for ``caller``; 401 also for nobody, where there are no sessions.
        """
        caller = await self.caller(request)
        if caller is None:
            if not self._settings.sessions:
                raise _unauthorized("auth_required", "Send an API key or a JWT, as Authorization: Bearer.")
            return self.sign_in(request, sessions.new_session(self._expiry))
        if caller.session is not None and self._is_half_over(caller.session):
            return self.sign_in(request, Session(caller.session.id, self._expiry))
        return caller

    async def reader(self, request: Request, stream: str) -> Access:
        """What somebody who wants to read a stream has shown: a token of the stream, or who they are.

        A token that is sent decides alone, so that an owner who opens a share sees what others see.
        """
        bearer = _bearer(request)
        is_token = bearer is not None and tokens.is_token(bearer)
        token = bearer if is_token else request.query_params.get("token")
        if token is not None:
            return Access(token=tokens.read(token, self.secrets, stream, self._now))
        return Access(await self.owner(request))

    async def writer(self, request: Request) -> Access:
        """What somebody who wants to change a stream has shown; tokens are for reading."""
        bearer = _bearer(request)
        if bearer is not None and tokens.is_token(bearer):
            return Access()
        return Access(await self.owner(request))

    def sign_in(self, request: Request, session: Session) -> Caller:
        """Make this request a session's; ``hand_over`` sends its cookie."""
        caller = request.state.caller = Caller(session.owner, "session", session, fresh=True)
        return caller

    def session_of(self, owner: str) -> Session | None:
        """A whole new lifetime of a session, for another device; None where the owner is no session's."""
        return sessions.of_owner(owner, self._expiry) if self._settings.sessions and not self._hook else None

    def hand_over[R: Response](self, request: Request, response: R) -> R:
        """Send the caller's cookie with a response, if there is a new one."""
        caller: Caller | None = getattr(request.state, "caller", None)
        if caller is not None and caller.session is not None and caller.fresh:
            value = sessions.write(caller.session, self._settings.secret)
            secure = self._is_secure(request)
            response.set_cookie(
                HOST_COOKIE if secure else COOKIE, value, max_age=caller.session.expires - int(self._now),
                path="/", secure=secure, httponly=True, samesite="lax",
            )  # fmt: skip
            # Nobody may be given somebody else's cookie out of a cache.
            response.headers.setdefault("cache-control", "no-store")
        return response

    def page_url(self, request: Request, fragment: str) -> str:
        """The address of the page as the caller sees it, with a fragment, which browsers send to nobody."""
        origin = request.headers.get("origin", "")
        if urlsplit(origin).scheme not in {"http", "https"}:
            host = request.headers.get("host", "")
            origin = f"{'https' if self._is_secure(request) else 'http'}://{host}"
        return f"{origin}/#{fragment}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """What signs, and what is accepted beside it while the secret is changed."""
        return tuple(secret for secret in (self._settings.secret, self._settings.secret_previous) if secret)

    @property
    def _now(self) -> float:
        return self._clock.now_ms() / 1000

    @property
    def _lasts(self) -> int:
        """Seconds: at half of it a session is prolonged, which is longer than anything of its owner is kept."""
        kept = max(self._settings.chat_retention_seconds, self._settings.retention_seconds) + _DAY
        return min(2 * kept, _LONGEST_COOKIE)

    @property
    def _expiry(self) -> int:
        return int(self._now) + self._lasts

    def _is_half_over(self, session: Session) -> bool:
        return session.expires - self._now < self._lasts / 2

    async def _find_out(self, request: Request) -> Caller | None:
        bearer = _bearer(request)
        if bearer is not None and (name := self._name_of(bearer)) is not None:
            return _named("key", "key", name)
        if self._hook is not None:
            return _named("hook", "hook", await self._ask_hook(self._hook, request))
        if bearer is not None:
            try:
                signer, subject = await self._jwts.subject(bearer)
            except BadToken as error:
                raise _invalid_bearer() from error
            return _named("jwt", signer, subject)
        cookie = request.cookies.get(HOST_COOKIE if self._is_secure(request) else COOKIE)
        if cookie is None or not self._settings.sessions:
            return None
        session = sessions.read(cookie, self.secrets, self._now)
        return None if session is None else Caller(session.owner, "session", session)

    @cached_property
    def _jwts(self) -> Jwts:
        settings = self._settings
        keys = Jwks(settings.jwks_url, self._clock) if settings.jwks_url else None
        return Jwts(self.secrets, settings.jwt_audience, settings.jwt_issuer, keys)

    def _name_of(self, bearer: str) -> str | None:
        given = _digest(bearer)
        # All are compared, so that the time does not tell which one fits.
        found = [name for name, key in self._keys if hmac.compare_digest(given, key)]
        return found[0] if found else None

    async def _ask_hook(self, hook: Hook, request: Request) -> str:
        # Without its body: that is read later, within limits, by whoever needs it.
        asked = Request(request.scope)
        try:
            async with asyncio.timeout(_HOOK_SECONDS):
                if inspect.iscoroutinefunction(hook):
                    owner = await hook(asked)
                else:
                    owner = await asyncio.to_thread(hook, asked)
        except Exception as error:
            _logger.error("auth_hook_failed", extra={"exception": type(error).__name__})
            raise IdentityUnavailable("The function of HOLDFAST_AUTH failed.") from error
        if owner is None:
            raise _unauthorized("auth_refused", "Sign in, and send what shows that you did.")
        if not isinstance(owner, str):
            _logger.error("auth_hook_failed", extra={"exception": "it returned neither text nor None"})
            raise IdentityUnavailable("The function of HOLDFAST_AUTH failed.")
        return owner

    def _is_secure(self, request: Request) -> bool:
        """Whether the caller's browser speaks https with us, as far as can be known behind a proxy.

        A header that a caller makes up changes only what their own cookie is called.
        """
        forwarded = request.headers.get("x-forwarded-proto", "").partition(",")[0].strip().lower()
        public = urlsplit(self._settings.public_url)
        own = public.scheme == "https" and public.netloc == request.headers.get("host")
        return request.url.scheme == "https" or forwarded == "https" or own


def _named(kind: Kind, prefix: str, name: str) -> Caller:
    if not name or len(name) > _LONGEST_OWNER or not name.isprintable():
        raise _invalid_bearer()
    return Caller(f"{prefix}:{name}", kind)


def _bearer(request: Request) -> str | None:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    # Another scheme is somebody else's, say of a proxy in front.
    return value.strip() if scheme.lower() == "bearer" else None


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()


def _invalid_bearer() -> ApiError:
    what = "The bearer token is no API key of this server and no valid JWT: wrong, expired, or made for somebody else."
    return _unauthorized("credentials_invalid", what)


def _unauthorized(code: str, message: str) -> ApiError:
    return ApiError(401, code, message)
