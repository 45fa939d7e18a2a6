"""Every setting, read once from a mapping; a bad value names the variable and the remedy."""

from __future__ import annotations

import importlib.util
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from holdfast.errors import SettingsError
from holdfast.origins import origin_of

#: The functions a process serves; each needs only some of the settings.
ROLES = frozenset({"start", "publish", "subscribe", "cleanup"})

_NEEDS_QUEUE = frozenset({"start", "publish", "subscribe", "cleanup"})
_CONTINUATIONS = ("auto", "prefill", "prefix", "continue_final_message", "instruct")
_PREFIX = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_API_KEY = re.compile(r"(?P<name>[A-Za-z0-9_.@-]{1,64}):(?P<key>[!-+\--~]{16,200})", re.ASCII)
_GENERATOR = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of a deployment. Durations are in the unit that the name says.

    Made by ``from_env``; the fields' order follows ``.env.example``.
    """

    redis_url: str
    redis_token: str
    qstash_token: str
    qstash_url: str = "https://qstash.upstash.io"
    qstash_current_signing_key: str = ""
    qstash_next_signing_key: str = ""
    qstash_retries: int = 3
    public_url: str = ""
    protection_bypass: str = ""
    cron_secret: str = ""
    secret: str = ""
    secret_previous: str = ""
    api_keys: tuple[tuple[str, str], ...] = ()
    sessions: bool = True
    jwks_url: str = ""
    jwt_audience: str = ""
    jwt_issuer: str = ""
    auth: str = ""
    generator: str = ""
    openai_api_key: str = ""
    openai_base_url: str = ""
    api: str = "chat"
    continuation: str = "auto"
    model: str = "gpt-5-mini"
    system: str = ""
    key_prefix: str = "holdfast"
    retention_seconds: int = 86_400
    chat_retention_seconds: int = 30 * 86_400
    flush_ms: int = 200
    poll_ms: int = 150
    heartbeat_seconds: float = 15.0
    lease_seconds: float = 10.0
    stall_seconds: float = 4.0
    give_up_seconds: float = 120.0
    max_seconds: float = 300.0
    request_timeout_seconds: float = 5.0
    max_body_bytes: int = 4_000_000
    max_answer_bytes: int = 8_000_000
    max_answer_seconds: float = 86_400.0
    max_attempts: int = 300
    max_idle_attempts: int = 6
    max_interruptions: int = 50
    max_tokens: int = 5_000_000
    allowed_origins: tuple[str, ...] = ()
    log_level: str = "INFO"
    log_prompts: bool = False
    tracebacks: bool = False

    @property
    def longest_reading_seconds(self) -> int:
        """How long after its start a stream can be read: through the longest answer, and its retention."""
        return math.ceil(self.max_answer_seconds) + self.retention_seconds

    @classmethod
    def from_env(cls, env: Mapping[str, str], roles: frozenset[str] = ROLES) -> Settings:
        """Read and check the settings.

        Args:
            env: the environment, or any mapping of names to text. Empty values count as absent.
            roles: which functions this process serves; what only the others need may be absent.

        Returns:
            The settings, complete and valid.

        Raises:
            SettingsError: a variable is missing or malformed; the message names it and says what to do.
        """
        read = _Reader(env)
        redis_url = read.url("UPSTASH_REDIS_REST_URL", "KV_REST_API_URL")
        redis_token = read.required("UPSTASH_REDIS_REST_TOKEN", "KV_REST_API_TOKEN")
        queue = bool(roles & _NEEDS_QUEUE)
        machine = bool(roles & {"publish", "cleanup"})
        generator = read.matching("HOLDFAST_GENERATOR", _GENERATOR, "package.module:function")
        api_key, base_url = "", ""
        if "publish" in roles and not generator:
            api_key, base_url = read.model()
        return cls(
            redis_url=redis_url,
            redis_token=redis_token,
            qstash_url=read.url("QSTASH_URL", default="https://qstash.upstash.io"),
            qstash_token=read.required("QSTASH_TOKEN") if queue else "",
            qstash_current_signing_key=read.required("QSTASH_CURRENT_SIGNING_KEY") if machine else "",
            qstash_next_signing_key=read.required("QSTASH_NEXT_SIGNING_KEY") if machine else "",
            qstash_retries=read.number("HOLDFAST_QSTASH_RETRIES", int, 3, low=0, high=100),
            public_url=read.public_url(),
            protection_bypass=read.text("VERCEL_AUTOMATION_BYPASS_SECRET"),
            cron_secret=read.long_secret("CRON_SECRET") if "cleanup" in roles else "",
            secret=read.long_secret("HOLDFAST_SECRET"),
            secret_previous=read.long_secret("HOLDFAST_SECRET_PREVIOUS", optional=True),
            api_keys=read.api_keys(),
            sessions=read.choice("HOLDFAST_SESSIONS", ("0", "1"), "1") == "1",
            jwks_url=read.jwks_url(),
            jwt_audience=read.text("HOLDFAST_JWT_AUDIENCE"),
            jwt_issuer=read.text("HOLDFAST_JWT_ISSUER"),
            auth=read.matching("HOLDFAST_AUTH", _GENERATOR, "package.module:function"),
            generator=generator,
            openai_api_key=api_key,
            openai_base_url=base_url,
            api=read.choice("HOLDFAST_API", ("chat", "responses", "background"), "chat"),
            continuation=read.choice("HOLDFAST_CONTINUATION", _CONTINUATIONS, "auto"),
            model=read.text("HOLDFAST_MODEL") or "gpt-5-mini",
            system=read.text("HOLDFAST_SYSTEM"),
            key_prefix=read.matching("HOLDFAST_KEY_PREFIX", _PREFIX, "letters, digits, '_', '.', '-'") or "holdfast",
            retention_seconds=read.number("HOLDFAST_RETENTION_SECONDS", int, 86_400, low=1, high=10**9),
            chat_retention_seconds=read.number("HOLDFAST_CHAT_RETENTION_SECONDS", int, 2_592_000, low=1, high=10**9),
            flush_ms=read.number("HOLDFAST_FLUSH_MS", int, 200, low=1, high=10_000),
            poll_ms=read.number("HOLDFAST_POLL_MS", int, 150, low=1, high=10_000),
            heartbeat_seconds=read.number("HOLDFAST_HEARTBEAT_SECONDS", float, 15.0, low=0.05, high=60),
            lease_seconds=read.number("HOLDFAST_LEASE_SECONDS", float, 10.0, low=0.1, high=600),
            stall_seconds=read.number("HOLDFAST_STALL_SECONDS", float, 4.0, low=0.05, high=600),
            give_up_seconds=read.number("HOLDFAST_GIVE_UP_SECONDS", float, 120.0, low=0.1, high=86_400),
            max_seconds=read.number("HOLDFAST_MAX_SECONDS", float, 300.0, low=1, high=86_400),
            request_timeout_seconds=read.number("HOLDFAST_REQUEST_TIMEOUT_SECONDS", float, 5.0, low=0.05, high=60),
            max_body_bytes=read.number("HOLDFAST_MAX_BODY_BYTES", int, 4_000_000, low=1_000, high=8_000_000),
            max_answer_bytes=read.number("HOLDFAST_MAX_ANSWER_BYTES", int, 8_000_000, low=1_000, high=8_000_000),
            max_answer_seconds=read.number("HOLDFAST_MAX_ANSWER_SECONDS", float, 86_400.0, low=1, high=604_800),
            max_attempts=read.number("HOLDFAST_MAX_ATTEMPTS", int, 300, low=1, high=100_000),
            max_idle_attempts=read.number("HOLDFAST_MAX_IDLE_ATTEMPTS", int, 6, low=1, high=1_000),
            max_interruptions=read.number("HOLDFAST_MAX_INTERRUPTIONS", int, 50, low=0, high=100_000),
            max_tokens=read.number("HOLDFAST_MAX_TOKENS", int, 5_000_000, low=1, high=10**12),
            allowed_origins=read.origins("HOLDFAST_ALLOWED_ORIGINS"),
            log_prompts=read.choice("HOLDFAST_LOG_PROMPTS", ("0", "1"), "0") == "1",
            tracebacks=read.choice("HOLDFAST_TRACEBACKS", ("0", "1"), "0") == "1",
            log_level=read.choice("HOLDFAST_LOG_LEVEL", ("DEBUG", "INFO", "WARNING", "ERROR"), "INFO"),
        )


class _Reader:
    """Typed look-ups in an environment, with errors that name the variable."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env

    def text(self, *names: str) -> str:
        return next((value for name in names if (value := self._env.get(name, "").strip())), "")

    def required(self, *names: str) -> str:
        value = self.text(*names)
        if not value:
            what = " or ".join(names)
            raise SettingsError(f"{what} is not set. Set it in the environment or in .env (see .env.example).")
        return value

    def url(self, *names: str, default: str = "") -> str:
        value = self.text(*names) or default
        if not value:
            return self.required(*names)
        return self.checked_url(value, " or ".join(names))

    def checked_url(self, value: str, name: str) -> str:
        try:
            parts = urlsplit(value)
            good = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            good = False
        if not good:
            raise SettingsError(f"{name} must be an absolute http(s) URL such as https://example.com.")
        return value.rstrip("/")

    def public_url(self) -> str:
        if value := self.text("HOLDFAST_PUBLIC_URL"):
            return self.checked_url(value, "HOLDFAST_PUBLIC_URL")
        # Only the production domain is open to QStash; deployment URLs are protected (Vercel documentation).
        host = self.text("VERCEL_PROJECT_PRODUCTION_URL")
        return f"https://{host}" if host else ""

    def origins(self, name: str) -> tuple[str, ...]:
        found = []
        for text in filter(None, (each.strip() for each in self.text(name).split(","))):
            origin = origin_of(text)
            # A path would be taken for a limit, and there is none.
            if origin is None or urlsplit(text).path not in {"", "/"} or {"?", "#"} & set(text):
                raise SettingsError(f"{name} must be origins such as https://app.example.com, separated by commas.")
            found.append(origin)
        return tuple(found)

    def long_secret(self, name: str, *, optional: bool = False) -> str:
        value = self.text(name)
        if not value and optional:
            return ""
        value = self.required(name)
        if len(value) < 16:
            raise SettingsError(f"{name} must have at least 16 characters; make one with: openssl rand -hex 32")
        return value

    def api_keys(self) -> tuple[tuple[str, str], ...]:
        found: list[tuple[str, str]] = []
        for number, item in enumerate(self.text("HOLDFAST_API_KEYS").replace(",", " ").split(), 1):
            match = _API_KEY.fullmatch(item)
            if match is None:
                raise SettingsError(
                    f"HOLDFAST_API_KEYS: item {number} must have the form name:key, the key of at least 16 characters; "
                    "make one with: openssl rand -hex 32"
                )
            if match["key"] in [key for _, key in found]:
                raise SettingsError(f"HOLDFAST_API_KEYS: the key of item {number} stands there twice.")
            found.append((match["name"], match["key"]))
        return tuple(found)

    def jwks_url(self) -> str:
        value = self.text("HOLDFAST_JWKS_URL")
        if not value:
            return ""
        parts = urlsplit(self.checked_url(value, "HOLDFAST_JWKS_URL"))
        # Whoever can change the keys on their way can be anybody.
        if parts.scheme != "https" and parts.hostname not in {"127.0.0.1", "localhost", "::1"}:
            raise SettingsError("HOLDFAST_JWKS_URL must be an https URL.")
        if self.text("HOLDFAST_AUTH"):
            raise SettingsError("HOLDFAST_JWKS_URL has no effect beside HOLDFAST_AUTH, which decides alone. Set one.")
        if importlib.util.find_spec("cryptography") is None:
            raise SettingsError(
                "HOLDFAST_JWKS_URL needs the package cryptography. Put pyjwt[crypto] in the place of pyjwt in "
                "pyproject.toml's dependencies and run make lock, or install holdfast[jwks]."
            )
        return value

    def model(self) -> tuple[str, str]:
        base_url = self.text("OPENAI_BASE_URL")
        if base_url:
            base_url = self.checked_url(base_url, "OPENAI_BASE_URL")
        if key := self.text("OPENAI_API_KEY"):
            return key, base_url
        if key := self.text("OPENROUTER_API_KEY"):
            return key, base_url or "https://openrouter.ai/api/v1"
        raise SettingsError(
            "OPENAI_API_KEY or OPENROUTER_API_KEY is not set. Set one, or name a generator in HOLDFAST_GENERATOR."
        )

    def matching(self, name: str, pattern: re.Pattern[str], wanted: str) -> str:
        value = self.text(name)
        if value and not pattern.fullmatch(value):
            raise SettingsError(f"{name} must have the form {wanted}.")
        return value

    def choice(self, name: str, allowed: tuple[str, ...], default: str) -> str:
        value = self.text(name) or default
        if value not in allowed:
            raise SettingsError(f"{name} must be one of: {', '.join(allowed)}.")
        return value

    def number[N: (int, float)](self, name: str, kind: Callable[[str], N], default: N, *, low: float, high: float) -> N:
        value = self.text(name)
        if not value:
            return default
        try:
            number = kind(value)
        except ValueError:
            number = None
        if number is None or not low <= number <= high:
            raise SettingsError(f"{name} must be a number from {low:g} to {high:g}.")
        return number
