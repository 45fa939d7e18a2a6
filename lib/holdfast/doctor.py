"""Checks a deployment's settings and services, and says what to fix; prints no secret and no foreign text."""

from __future__ import annotations

import asyncio
import difflib
import sys
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import urlsplit, urlunsplit

from holdfast.errors import SettingsError
from holdfast.settings import Settings

type Level = Literal["OK", "WARN", "FAIL"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's report.

    Attributes:
        level: ``FAIL``: it will not work. ``WARN``: it may work, but look at it. ``OK``.
        subject: the setting or service.
        text: what was found and, unless it is well, what to do.
    """

    level: Level
    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class Variable:
    """A setting as the environment has it.

    Attributes:
        names: the names it may have; the first one that is set counts.
        sample: a value that is valid, to check the others by themselves; empty where absence is valid.
        secret: whether its value must not be shown.
    """

    names: tuple[str, ...]
    sample: str = ""
    secret: bool = False


_URL = "https://sample.invalid"
_TEXT = "sample-sample-sample-sample"

#: Every setting that ``Settings.from_env`` reads; a test keeps it complete.
VARIABLES: Final = (
    Variable(("UPSTASH_REDIS_REST_URL", "KV_REST_API_URL"), _URL),
    Variable(("UPSTASH_REDIS_REST_TOKEN", "KV_REST_API_TOKEN"), _TEXT, secret=True),
    Variable(("QSTASH_URL",)),
    Variable(("QSTASH_TOKEN",), _TEXT, secret=True),
    Variable(("QSTASH_CURRENT_SIGNING_KEY",), _TEXT, secret=True),
    Variable(("QSTASH_NEXT_SIGNING_KEY",), _TEXT, secret=True),
    Variable(("HOLDFAST_PUBLIC_URL", "VERCEL_PROJECT_PRODUCTION_URL")),
    Variable(("VERCEL_AUTOMATION_BYPASS_SECRET",), secret=True),
    Variable(("CRON_SECRET",), _TEXT, secret=True),
    Variable(("HOLDFAST_SECRET",), _TEXT, secret=True),
    Variable(("HOLDFAST_SECRET_PREVIOUS",), secret=True),
    Variable(("HOLDFAST_API_KEYS",), secret=True),
    Variable(("HOLDFAST_GENERATOR",)),
    Variable(("OPENAI_API_KEY", "OPENROUTER_API_KEY"), _TEXT, secret=True),
    Variable(("OPENAI_BASE_URL",)),
    *(
        Variable((f"HOLDFAST_{name}",))
        for name in (
            "SESSIONS", "JWKS_URL", "JWT_AUDIENCE", "JWT_ISSUER", "AUTH",
            "API", "CONTINUATION", "MODEL", "SYSTEM", "KEY_PREFIX", "RETENTION_SECONDS", "CHAT_RETENTION_SECONDS",
            "FLUSH_MS", "POLL_MS", "HEARTBEAT_SECONDS", "LEASE_SECONDS", "STALL_SECONDS", "GIVE_UP_SECONDS",
            "MAX_SECONDS", "REQUEST_TIMEOUT_SECONDS", "MAX_BODY_BYTES", "MAX_ANSWER_BYTES",
            "MAX_ANSWER_SECONDS", "MAX_ATTEMPTS", "MAX_IDLE_ATTEMPTS", "MAX_INTERRUPTIONS", "MAX_TOKENS",
            "QSTASH_RETRIES", "ALLOWED_ORIGINS", "LOG_LEVEL", "LOG_PROMPTS", "TRACEBACKS",
        )
    ),
)  # fmt: skip

#: Read by others than ``Settings``, so no mistake where they are set.
_ELSEWHERE = frozenset({"HOLDFAST_URL", "HOLDFAST_API_KEY"})
_GENERATOR_SECONDS = 30.0


async def examine(env: Mapping[str, str]) -> AsyncGenerator[Finding]:
    """Check settings, then the services that they lead to.

    Args:
        env: the environment, with what ``.env`` adds to it.

    Yields:
        One finding after another, as they are made.
    """
    import httpx

    from holdfast import doctor_services as services
    from holdfast.client_reader import DIRECT

    broken = set[str]()
    for finding, names in check_settings(env):
        if finding.level == "FAIL":
            broken.update(names)
        yield finding
    settings = usable(env, broken)
    keys_known = not broken & {"QSTASH_CURRENT_SIGNING_KEY", "QSTASH_NEXT_SIGNING_KEY"}
    async with httpx.AsyncClient(timeout=10.0, mounts=DIRECT) as client:
        model = (
            check_generator(settings.generator, env) if settings.generator else services.check_model(client, settings)
        )
        visits = (
            (services.check_redis(client, settings), {"UPSTASH_REDIS_REST_URL", "UPSTASH_REDIS_REST_TOKEN"}),
            (services.check_qstash(client, settings, keys_known=keys_known), {"QSTASH_URL", "QSTASH_TOKEN"}),
            (model, {"HOLDFAST_GENERATOR", "OPENAI_API_KEY", "OPENAI_BASE_URL"}),
            (services.check_public_url(client, settings), {"HOLDFAST_PUBLIC_URL", "QSTASH_URL"}),
        )
        for findings, needed in visits:
            async with aclosing(findings):
                # What a broken setting leads to was not meant: a visit there would only confuse.
                if not broken & needed:
                    async for finding in findings:
                        yield finding


def check_settings(env: Mapping[str, str]) -> Iterator[tuple[Finding, tuple[str, ...]]]:
    """Check each setting by itself, so that one mistake does not hide the next.

    Yields:
        A finding, and the names of the setting that it is about.
    """
    defaults = 0
    for variable in VARIABLES:
        name = _present(variable, env)
        try:
            Settings.from_env(_alone(variable, env))
        except SettingsError as error:
            yield Finding("FAIL", name or variable.names[0], str(error)), variable.names
            continue
        if name:
            shown = "set" if variable.secret else _shown(env[name].strip())
            yield Finding("OK", name, shown), variable.names
        else:
            defaults += 1
    yield Finding("OK", "other settings", f"{defaults} are not set and have their defaults"), ()
    known = {name for variable in VARIABLES for name in variable.names} | _ELSEWHERE
    for name in sorted(name for name in env if name.startswith("HOLDFAST_") and name not in known):
        close = difflib.get_close_matches(name, known, 1)
        hint = f" Did you mean {close[0]}?" if close else ""
        yield Finding("WARN", name, f"is no setting and has no effect.{hint}"), (name,)


def usable(env: Mapping[str, str], broken: set[str]) -> Settings:
    """The settings, with something valid in place of what is broken, to check the rest with."""
    mended = dict(env)
    for variable in VARIABLES:
        if broken & set(variable.names):
            mended |= dict.fromkeys(variable.names, "") | {variable.names[0]: variable.sample}
    return Settings.from_env(mended)


async def check_generator(target: str, env: Mapping[str, str]) -> AsyncGenerator[Finding]:
    """See whether ``module:function`` can be imported, in a process of its own with the whole environment."""
    module, _, name = target.partition(":")
    code = (
        "import importlib, sys; sys.path.insert(0, '')\n"
        "found = getattr(importlib.import_module(sys.argv[1]), sys.argv[2], None)\n"
        "sys.exit(0 if callable(found) else 3)"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, module, name,
        env=dict(env), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with asyncio.timeout(_GENERATOR_SECONDS):
            code_returned = await process.wait()
    except TimeoutError:
        process.kill()
        code_returned = await process.wait()
    if not code_returned:
        yield Finding("OK", "HOLDFAST_GENERATOR", f"{target} can be imported")
    elif code_returned == 3:
        yield Finding("FAIL", "HOLDFAST_GENERATOR", f"{module} has no function {name}.")
    else:
        text = f"{module} cannot be imported. See why with: python -c 'import {module}'"
        yield Finding("FAIL", "HOLDFAST_GENERATOR", text)


def _alone(variable: Variable, env: Mapping[str, str]) -> dict[str, str]:
    """An environment in which only this setting is the user's."""
    samples = {other.names[0]: other.sample for other in VARIABLES if other.sample and other is not variable}
    own = {name: env[name] for name in variable.names if name in env}
    if "OPENAI_API_KEY" in variable.names and env.get("HOLDFAST_GENERATOR", "").strip():
        # With a generator of one's own no key is needed; whether its name is right is another line.
        own["HOLDFAST_GENERATOR"] = "sample:generate"
    return samples | own


def _present(variable: Variable, env: Mapping[str, str]) -> str:
    return next((name for name in variable.names if env.get(name, "").strip()), "")


def _shown(value: str) -> str:
    """A value for the report: one short line, and no user name or password of a URL."""
    parts = urlsplit(value) if "://" in value else None
    if parts and (parts.username or parts.password or parts.query):
        value = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=""))
    value = " ".join(value.split())
    return value if len(value) <= 60 else f"{value[:57]}..."
