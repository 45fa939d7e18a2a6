"""The commands about a deployment: schedule and doctor."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Mapping
from contextlib import aclosing
from pathlib import Path

from holdfast._cli.problem import FAILED, USAGE, Problem
from holdfast._cli.screen import printable
from holdfast.adapters.qstash import QStashQueue, check_reachable
from holdfast.doctor import Level, examine
from holdfast.envfile import merged
from holdfast.errors import SettingsError
from holdfast.settings import Settings

_COLOURS: dict[Level, str] = {"OK": "32", "WARN": "33", "FAIL": "31"}


async def schedule(args: Namespace, env: Mapping[str, str]) -> int:
    """Have QStash call cleanup at the times of a cron expression; done again, it replaces what was there."""
    settings = Settings.from_env(_environment(args, env), frozenset({"cleanup"}))
    if not settings.public_url:
        raise Problem("HOLDFAST_PUBLIC_URL is not set. Set it to the address of the deployed functions.", USAGE)
    check_reachable(settings.qstash_url, settings.public_url)
    destination = f"{settings.public_url}/api/cleanup"
    bypass = {"x-vercel-protection-bypass": settings.protection_bypass} if settings.protection_bypass else {}
    queue = QStashQueue(url=settings.qstash_url, token=settings.qstash_token, destination=destination, headers=bypass)
    name = args.name or f"{settings.key_prefix}-cleanup"
    try:
        await queue.schedule(args.cron, destination, name)
    finally:
        await queue.close()
    print(f"QStash calls {destination} at {args.cron} (UTC), as schedule {name}.")
    return 0


async def doctor(args: Namespace, env: Mapping[str, str]) -> int:
    """Check settings and services; fails if anything fails."""
    counts: dict[Level, int] = {"OK": 0, "WARN": 0, "FAIL": 0}
    coloured = sys.stdout.isatty() and "NO_COLOR" not in env
    async with aclosing(examine(_environment(args, env))) as findings:
        async for finding in findings:
            counts[finding.level] += 1
            level = f"{finding.level:<4}"
            if coloured:
                level = f"\x1b[{_COLOURS[finding.level]}m{level}\x1b[0m"
            print(f"{level}  {finding.subject:<30}  {printable(finding.text)}", flush=True)
    print(f"\n{counts['OK']} OK, {counts['WARN']} to look at, {counts['FAIL']} to fix.")
    if counts["FAIL"]:
        print("`make run` needs none of this: it puts a stand-in where a service has no settings.")
    return FAILED if counts["FAIL"] else 0


def _environment(args: Namespace, env: Mapping[str, str]) -> dict[str, str]:
    path = args.env_file
    try:
        return merged(Path(path or ".env"), env, needed=path is not None)
    except SettingsError as error:
        raise Problem(str(error), USAGE) from error
