"""The doctor's visits to Redis, QStash, the model and the public URL, each with one small request after another."""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import AsyncGenerator
from typing import Any

import httpx

from holdfast.adapters.qstash import check_reachable
from holdfast.doctor import Finding
from holdfast.errors import HoldfastError, SettingsError
from holdfast.settings import Settings

_SCRATCH_MS = 60_000
_REDIS, _QSTASH, _MODEL, _PUBLIC = "Redis", "QStash", "model", "public URL"


class _Trouble(HoldfastError):
    """A check cannot go on; the message is for the report."""


async def check_redis(client: httpx.AsyncClient, settings: Settings) -> AsyncGenerator[Finding]:
    """See that the store answers and keeps the rules that the log leans on, on a key that is removed again."""
    key = f"{settings.key_prefix}:doctor:{secrets.token_hex(8)}"

    async def run(*command: str, refusable: bool = False) -> Any:
        return await _command(client, settings, command, refusable=refusable)

    try:
        began = time.monotonic()
        if await run("PING") != "PONG":
            raise _Trouble("answers PING with something else than PONG: is UPSTASH_REDIS_REST_URL the REST URL?")
        yield Finding("OK", _REDIS, f"answers in {(time.monotonic() - began) * 1000:.0f} ms")
        try:
            if await run("XADD", key, "NOMKSTREAM", "1-0", "r", "x") is not None:
                raise _Trouble("ignores NOMKSTREAM, so a deleted answer would be written on.")
            if await run("XADD", key, "0-1", "r", "a") != "0-1" or await run("XADD", key, "1-0", "r", "b") != "1-0":
                raise _Trouble("does not take entry ids of our own.")
            if await run("XRANGE", key, "-", "+") != [["0-1", ["r", "a"]], ["1-0", ["r", "b"]]]:
                raise _Trouble(
                    "does not give back what was appended. Check that the URL and the token belong together."
                )
            yield Finding("OK", _REDIS, "entries are appended and read back")
            if await run("XADD", key, "1-0", "r", "c", refusable=True) is not _REFUSED:
                raise _Trouble("takes an entry id twice: an interrupted answer could be written by two at once.")
            yield Finding("OK", _REDIS, "an entry id out of order is refused")
            await run("PEXPIRE", key, str(_SCRATCH_MS))
            left = await run("PTTL", key)
            if not isinstance(left, int) or not 0 < left <= _SCRATCH_MS:
                raise _Trouble("does not let keys expire: nothing would ever be deleted.")
            yield Finding("OK", _REDIS, "keys expire")
        finally:
            removed = await run("DEL", key)
        if removed != 1:
            yield Finding("WARN", _REDIS, f"the scratch key {key} could not be removed; it expires by itself.")
    except _Trouble as trouble:
        yield Finding("FAIL", _REDIS, str(trouble))


async def check_qstash(client: httpx.AsyncClient, settings: Settings, *, keys_known: bool) -> AsyncGenerator[Finding]:
    """See that the token is valid, that the signing keys are those in use, and that cleanup is scheduled."""
    try:
        keys = await _qstash(client, settings, "/v2/keys")
        yield Finding("OK", _QSTASH, "the token is valid")
        if keys_known:
            yield _compare_keys(settings, keys)
        schedules = await _qstash(client, settings, "/v2/schedules")
        if settings.public_url and isinstance(schedules, list):
            wanted = f"{settings.public_url}/api/cleanup"
            if any(isinstance(each, dict) and each.get("destination") == wanted for each in schedules):
                yield Finding("OK", _QSTASH, "cleanup is scheduled")
            else:
                text = (
                    "cleanup is not scheduled here, so it runs as often as the platform's own cron: holdfast schedule"
                )
                yield Finding("WARN", _QSTASH, text)
    except _Trouble as trouble:
        yield Finding("FAIL", _QSTASH, str(trouble))


async def check_model(client: httpx.AsyncClient, settings: Settings) -> AsyncGenerator[Finding]:
    """See that the key is valid and the model known: by the list of models or, where that proves nothing, one call."""
    base = settings.openai_base_url or "https://api.openai.com/v1"
    auth = {"Authorization": f"Bearer {settings.openai_api_key}"}
    try:
        listed = await _get(client, f"{base}/models", auth, "OPENAI_BASE_URL")
        if listed.status_code in {401, 403}:
            raise _Trouble("the key is refused: check OPENAI_API_KEY (or OPENROUTER_API_KEY) and OPENAI_BASE_URL.")
        # OpenRouter and others show their list to everybody, so it says nothing about the key.
        if listed.is_success and not (await _get(client, f"{base}/models", {}, "OPENAI_BASE_URL")).is_success:
            yield Finding("OK", _MODEL, "the key is valid")
            yield _find_model(settings.model, listed)
        else:
            yield await _one_call(client, settings, base, auth)
    except _Trouble as trouble:
        yield Finding("FAIL", _MODEL, str(trouble))


async def check_public_url(client: httpx.AsyncClient, settings: Settings) -> AsyncGenerator[Finding]:
    """See that QStash can reach the functions at their public URL, and that cleanup is closed to strangers."""
    url = settings.public_url
    if not url:
        text = (
            "HOLDFAST_PUBLIC_URL is not set: only on AWS Lambda do the functions find their address out by themselves."
        )
        yield Finding("WARN", _PUBLIC, text)
        return
    try:
        check_reachable(settings.qstash_url, url)
    except SettingsError as error:
        yield Finding("FAIL", _PUBLIC, str(error))
        return
    bypass = {"x-vercel-protection-bypass": settings.protection_bypass} if settings.protection_bypass else {}
    try:
        health = await _get(client, f"{url}/healthz", bypass, "HOLDFAST_PUBLIC_URL")
        if health.status_code in {401, 403}:
            raise _Trouble(
                f"/healthz answers {health.status_code}: the deployment is protected. Use the production domain, or "
                "set VERCEL_AUTOMATION_BYPASS_SECRET to the project's bypass secret."
            )
        if not health.is_success:
            raise _Trouble(f"/healthz answers {health.status_code}: is Holdfast deployed there? Look at its log.")
        yield Finding("OK", _PUBLIC, "/healthz answers")
        closed = await _get(client, f"{url}/api/cleanup", bypass, "HOLDFAST_PUBLIC_URL")
        if closed.status_code == 401:
            yield Finding("OK", "CRON_SECRET", "cleanup is closed to strangers")
        else:
            text = (
                f"cleanup answers {closed.status_code} to a call without a secret, not 401: is Holdfast deployed there?"
            )
            yield Finding("FAIL", "CRON_SECRET", text)
    except _Trouble as trouble:
        yield Finding("FAIL", _PUBLIC, str(trouble))


_REFUSED: Any = object()


async def _command(
    client: httpx.AsyncClient, settings: Settings, command: tuple[str, ...], *, refusable: bool = False
) -> Any:
    """One Redis command's result, or ``_REFUSED`` where the store said no and may."""
    headers = {"Authorization": f"Bearer {settings.redis_token}"}
    try:
        response = await client.post(settings.redis_url, json=list(command), headers=headers)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        text = f"cannot be reached ({type(error).__name__}): check UPSTASH_REDIS_REST_URL and the network."
        raise _Trouble(text) from error
    if response.status_code in {401, 403}:
        raise _Trouble("the token is refused: copy UPSTASH_REDIS_REST_TOKEN from the database's page again.")
    try:
        reply = response.json()
    except ValueError:
        reply = None
    if isinstance(reply, dict) and "result" in reply:
        return reply["result"]
    if isinstance(reply, dict) and "error" in reply and response.status_code == 400:
        if refusable:
            return _REFUSED
        raise _Trouble(f"refuses {command[0]}: is it the read-only token? Holdfast needs the standard one.")
    if response.status_code >= 500 or response.status_code == 429:
        raise _Trouble(
            f"answers {response.status_code} to {command[0]}: it is over its limit, or down. Try again later."
        )
    raise _Trouble(f"answers {response.status_code} with no result: is UPSTASH_REDIS_REST_URL the REST URL?")


async def _qstash(client: httpx.AsyncClient, settings: Settings, path: str) -> Any:
    response = await _get(
        client, f"{settings.qstash_url}{path}", {"Authorization": f"Bearer {settings.qstash_token}"}, "QSTASH_URL"
    )
    if response.status_code in {401, 403}:
        raise _Trouble("the token is refused: check QSTASH_TOKEN, and that QSTASH_URL is of the same region.")
    try:
        reply = response.json() if response.is_success else None
    except ValueError:
        reply = None
    if reply is None:
        raise _Trouble(f"answers {response.status_code} to {path}: is QSTASH_URL right?")
    return reply


def _compare_keys(settings: Settings, keys: Any) -> Finding:
    real = [str(keys.get(name, "")) if isinstance(keys, dict) else "" for name in ("current", "next")]
    ours = [settings.qstash_current_signing_key, settings.qstash_next_signing_key]
    same = [[hmac.compare_digest(a.encode(), b.encode()) for b in real] for a in ours]
    if same[0][0] and same[1][1]:
        return Finding("OK", _QSTASH, "the signing keys are those in use")
    remedy = "copy QSTASH_CURRENT_SIGNING_KEY and QSTASH_NEXT_SIGNING_KEY from the QStash console again, and deploy."
    # QStash signs with its current key; knowing that one, as either of ours, lets deliveries in.
    if same[0][0] or same[1][0]:
        return Finding("WARN", _QSTASH, f"the signing keys have been rotated: {remedy}")
    return Finding(
        "FAIL", _QSTASH, f"the signing keys are not those in use, so each delivery would be refused: {remedy}"
    )


def _find_model(model: str, listed: httpx.Response) -> Finding:
    try:
        names = [each["id"] for each in listed.json()["data"]]
    except (ValueError, KeyError, TypeError):
        return Finding("WARN", _MODEL, f"the list of models cannot be read, so {model} was not looked for.")
    if model in names:
        return Finding("OK", _MODEL, f"{model} is known")
    return Finding("WARN", _MODEL, f"{model} is not in the list of models: check HOLDFAST_MODEL.")


async def _one_call(client: httpx.AsyncClient, settings: Settings, base: str, auth: dict[str, str]) -> Finding:
    """The smallest call; some providers refuse fewer than sixteen tokens."""
    body = {"model": settings.model, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 16}
    try:
        response = await client.post(f"{base}/chat/completions", json=body, headers=auth)
    except httpx.HTTPError as error:
        raise _Trouble(f"cannot be reached ({type(error).__name__}): check OPENAI_BASE_URL and the network.") from error
    status = response.status_code
    if response.is_success:
        return Finding("OK", _MODEL, f"{settings.model} answers")
    match status:
        case 401 | 403:
            raise _Trouble("the key is refused: check OPENAI_API_KEY (or OPENROUTER_API_KEY) and OPENAI_BASE_URL.")
        case 402:
            raise _Trouble("the account has no credit left.")
        case 404:
            raise _Trouble(f"does not know {settings.model}, or has no chat completions: check HOLDFAST_MODEL.")
        case 429:
            return Finding("WARN", _MODEL, "is over its rate or quota at the moment (429).")
        case 400 | 422:
            return Finding(
                "WARN", _MODEL, f"refuses a small call to {settings.model} ({status}): check HOLDFAST_MODEL."
            )
        case _:
            raise _Trouble(f"answers {status}: check OPENAI_BASE_URL, or try again later.")


async def _get(client: httpx.AsyncClient, url: str, headers: dict[str, str], setting: str) -> httpx.Response:
    try:
        return await client.get(url, headers=headers)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _Trouble(f"cannot be reached ({type(error).__name__}): check {setting} and the network.") from error
