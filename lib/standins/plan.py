"""Decides from the environment what a local run consists of: which services are real, and who gets which setting."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from holdfast.adapters.qstash import check_reachable
from holdfast.envfile import merged
from holdfast.errors import SettingsError

REDIS_TOKEN = "local-redis-token"  # noqa: S105 - opens nothing but a stand-in on loopback
QSTASH_TOKEN = "local-qstash-token"  # noqa: S105 - as above
SIGNING_KEYS = ("sig_local_current_0123456789abcdefghij", "sig_local_next_0123456789abcdefghijklm")
HOST = "127.0.0.1"

#: Names whose values are no business of a stand-in's process.
_PRIVATE = (
    "UPSTASH_REDIS_REST_URL", "UPSTASH_REDIS_REST_TOKEN", "KV_REST_API_URL", "KV_REST_API_TOKEN",
    "QSTASH_URL", "QSTASH_TOKEN", "QSTASH_CURRENT_SIGNING_KEY", "QSTASH_NEXT_SIGNING_KEY",
    "OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENROUTER_API_KEY",
    "HOLDFAST_SECRET", "HOLDFAST_SECRET_PREVIOUS", "HOLDFAST_API_KEYS", "CRON_SECRET",
    "VERCEL_AUTOMATION_BYPASS_SECRET",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Service:
    """One service of the run.

    Attributes:
        name: as it is shown.
        url: where the functions find it.
        port: the stand-in's port, or 0 when the service is real.
    """

    name: str
    url: str
    port: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """A local run.

    Attributes:
        url: where the functions are served on this machine.
        public_url: the address that the queue delivers to.
        port: the functions' port; the stand-ins' follow.
        env: the whole environment of the functions' process.
        standin_env: the whole environment of the stand-ins' processes.
        redis, qstash, model: the services.
        redis_server: the ``redis://`` server behind the Redis stand-in, or empty.
        notes: what the user should know about how the environment was read.
    """

    url: str
    public_url: str
    port: int
    env: Mapping[str, str]
    standin_env: Mapping[str, str]
    redis: Service
    qstash: Service
    model: Service
    redis_server: str
    notes: tuple[str, ...]


def read_env(environ: Mapping[str, str], env_file: Path, state: Path) -> dict[str, str]:
    """The environment of the run: the real one first, then ``.env``, then the secrets kept for local runs.

    Args:
        environ: the process's environment. An empty value counts as absent.
        env_file: ``.env``; it need not exist.
        state: the folder in which secrets are kept.

    Raises:
        SettingsError: a file cannot be read.
    """
    env = _present(merged(env_file, environ))
    return local_secrets(state, env) | env


def local_secrets(state: Path, env: Mapping[str, str]) -> dict[str, str]:
    """The secrets that only this machine needs, made once and kept in ``local.env``."""
    path = state / "local.env"
    kept = _present(merged(path, {}))
    missing = [name for name in ("HOLDFAST_SECRET", "CRON_SECRET") if name not in kept and name not in env]
    if missing:
        kept |= {name: secrets.token_hex(32) for name in missing}
        path.parent.mkdir(exist_ok=True)
        # Created unreadable for others, before anything is in it.
        path.touch(mode=0o600)
        path.chmod(0o600)
        path.write_text("".join(f"{name}={value}\n" for name, value in kept.items()))
    return kept


def _present(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if value}


def make_plan(env: Mapping[str, str], root: Path, cwd: Path) -> Plan:
    """The run that an environment asks for.

    Args:
        env: what ``read_env`` gives.
        root: the project's folder.
        cwd: the user's folder, where a generator may stand too.

    Raises:
        SettingsError: a credential is set by half, a value is malformed, or the real QStash could not reach this
            machine.
    """
    port = _port(env.get("PORT", "8000"))
    url = f"http://{HOST}:{port}"
    # Whoever runs it here is its developer.
    settings: dict[str, str] = {"HOLDFAST_PUBLIC_URL": url, "HOLDFAST_TRACEBACKS": env.get("HOLDFAST_TRACEBACKS", "1")}
    notes: list[str] = []
    redis = _redis(env, port + 1, settings)
    qstash = _qstash(env, port + 2, settings, notes)
    model = _model(env, port + 3, settings)
    if generator := env.get("GENERATOR", ""):
        settings["HOLDFAST_GENERATOR"] = generator
    path = ":".join([str(root / "lib"), str(root), str(cwd), *filter(None, [env.get("PYTHONPATH")])])
    base = {**env, "PYTHONPATH": path}
    return Plan(
        url=url,
        public_url=settings["HOLDFAST_PUBLIC_URL"],
        port=port,
        env=base | settings,
        standin_env={name: value for name, value in base.items() if name not in _PRIVATE}
        | {
            "UPSTASH_REDIS_REST_TOKEN": REDIS_TOKEN,
            "QSTASH_TOKEN": QSTASH_TOKEN,
            "QSTASH_CURRENT_SIGNING_KEY": SIGNING_KEYS[0],
            "QSTASH_NEXT_SIGNING_KEY": SIGNING_KEYS[1],
        },
        redis=redis,
        qstash=qstash,
        model=model,
        redis_server=env.get("STANDIN_REDIS", ""),
        notes=tuple(notes),
    )


def _port(text: str) -> int:
    port = int(text) if text.isascii() and text.isdecimal() else 0
    if not 1 <= port <= 65_532:
        raise SettingsError("PORT must be a number from 1 to 65532; the three ports after it are used too.")
    return port


def _redis(env: Mapping[str, str], port: int, settings: dict[str, str]) -> Service:
    for url, token in (
        ("UPSTASH_REDIS_REST_URL", "UPSTASH_REDIS_REST_TOKEN"),
        ("KV_REST_API_URL", "KV_REST_API_TOKEN"),
    ):
        if _all_or_none(env, url, token):
            settings |= {"UPSTASH_REDIS_REST_URL": env[url], "UPSTASH_REDIS_REST_TOKEN": env[token]}
            return Service("Redis", env[url])
    address = f"http://{HOST}:{port}"
    settings |= {"UPSTASH_REDIS_REST_URL": address, "UPSTASH_REDIS_REST_TOKEN": REDIS_TOKEN}
    return Service("Redis", address, port)


def _qstash(env: Mapping[str, str], port: int, settings: dict[str, str], notes: list[str]) -> Service:
    public_url = env.get("HOLDFAST_PUBLIC_URL", "")
    keys = ("QSTASH_CURRENT_SIGNING_KEY", "QSTASH_NEXT_SIGNING_KEY")
    if _all_or_none(env, "QSTASH_TOKEN", *keys):
        url = env.get("QSTASH_URL", "https://qstash.upstash.io")
        settings["HOLDFAST_PUBLIC_URL"] = public_url or settings["HOLDFAST_PUBLIC_URL"]
        check_reachable(url, settings["HOLDFAST_PUBLIC_URL"])
        return Service("QStash", url)
    if env.get("QSTASH_URL"):
        raise SettingsError("QSTASH_URL is set, but QSTASH_TOKEN is not. Set both, or none for the local stand-in.")
    if public_url and public_url.rstrip("/") != settings["HOLDFAST_PUBLIC_URL"]:
        # Its deliveries would go to a deployment that does not know the stand-in's keys.
        notes.append("HOLDFAST_PUBLIC_URL is set aside: the QStash stand-in delivers on this machine.")
    address = f"http://{HOST}:{port}"
    settings |= {"QSTASH_URL": address, "QSTASH_TOKEN": QSTASH_TOKEN} | dict(zip(keys, SIGNING_KEYS, strict=True))
    return Service("QStash", address, port)


def _model(env: Mapping[str, str], port: int, settings: dict[str, str]) -> Service:
    if env.get("OPENAI_API_KEY"):
        return Service("Model", env.get("OPENAI_BASE_URL", "https://api.openai.com/v1"))
    if env.get("OPENROUTER_API_KEY"):
        return Service("Model", env.get("OPENAI_BASE_URL", "https://openrouter.ai/api/v1"))
    if env.get("OPENAI_BASE_URL"):
        raise SettingsError(
            "OPENAI_BASE_URL is set, but OPENAI_API_KEY is not. Set both (any text, if that server wants no key), "
            "or none for the local stand-in."
        )
    address = f"http://{HOST}:{port}/v1"
    settings |= {"OPENAI_BASE_URL": address, "OPENAI_API_KEY": "local-model-key"}
    return Service("Model", address, port)


def _all_or_none(env: Mapping[str, str], *names: str) -> bool:
    """Whether all of these are set. Some of them is a mistake, which a stand-in would only hide."""
    present = [name for name in names if env.get(name)]
    missing = [name for name in names if not env.get(name)]
    if present and missing:
        raise SettingsError(
            f"{present[0]} is set, but {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not. "
            "Set all of them for the real service, or none for the local stand-in."
        )
    return not missing
