"""Settings that are missing or malformed: the process does not begin to serve, and says which one it is."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.e2e.system import bare_environment
from tests.processes import ROOT

GOOD = {
    "UPSTASH_REDIS_REST_URL": "http://127.0.0.1:9",
    "UPSTASH_REDIS_REST_TOKEN": "private-redis-token",
    "QSTASH_TOKEN": "private-qstash-token",
    "QSTASH_CURRENT_SIGNING_KEY": "private-key-1",
    "QSTASH_NEXT_SIGNING_KEY": "private-key-2",
    "HOLDFAST_PUBLIC_URL": "https://example.com",
    "HOLDFAST_SECRET": "private-secret-of-holdfast",
    "CRON_SECRET": "private-secret-of-cron",
    "OPENAI_API_KEY": "private-model-key",
}
BAD = {
    "UPSTASH_REDIS_REST_URL": "redis://127.0.0.1",
    "HOLDFAST_PUBLIC_URL": "example.com",
    "QSTASH_URL": "qstash",
    "OPENAI_BASE_URL": "http://",
    "CRON_SECRET": "private-short",
    "HOLDFAST_SECRET": "private-short",
    "HOLDFAST_GENERATOR": "tests.e2e.agents:nothing",
    "HOLDFAST_API": "completions",
    "HOLDFAST_KEY_PREFIX": "a prefix",
    "HOLDFAST_FLUSH_MS": "fast",
    "HOLDFAST_LEASE_SECONDS": "nan",
    "HOLDFAST_RETENTION_SECONDS": "0",
    "HOLDFAST_MAX_BODY_BYTES": "4e6",
    "HOLDFAST_LOG_LEVEL": "loud",
}


def refusal(env: dict[str, str]) -> str:
    """What uvicorn's process says that does not begin to serve."""
    command = [sys.executable, "-m", "uvicorn", "functions.app:app", "--port", "0"]
    done = subprocess.run(
        command, cwd=ROOT, env={**bare_environment(), **env}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "private-" not in done.stderr + done.stdout
    (line,) = done.stderr.strip().splitlines()
    return line


@pytest.mark.parametrize("name", GOOD)
def test_a_setting_that_is_missing(name: str) -> None:
    """One line names the variable; an empty value counts as none."""
    assert name in refusal({**GOOD, name: ""})


@pytest.mark.parametrize(("name", "value"), BAD.items(), ids=BAD.keys())
def test_a_setting_that_is_malformed(name: str, value: str) -> None:
    """One line names the variable and what it should be."""
    line = refusal({**GOOD, name: value})
    assert name in line
    assert len(line) > len(name) + 30
