"""The unmodified @upstash/redis works against the Redis stand-in."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.standins.redis_client import ENGINES, TOKEN, rest_server

NODE = Path(__file__).parent / "node"


@pytest.fixture(scope="module")
def node() -> str:
    """The path of Node, with the script's packages installed."""
    executable, npm = shutil.which("node"), shutil.which("npm")
    assert executable, "Node 20 or newer is needed on the path"
    assert npm, "npm is needed on the path"
    if not (NODE / "node_modules" / "@upstash" / "redis").is_dir():
        subprocess.run([npm, "ci", "--no-audit", "--no-fund"], cwd=NODE, check=True, capture_output=True, timeout=120)
    return executable


@pytest.mark.parametrize("engine", ENGINES)
def test_the_node_sdk_works_unmodified(node: str, engine: str) -> None:
    """Commands, transactions, automatic pipelines and subscriptions of @upstash/redis behave as on Upstash."""
    with rest_server(engine) as rest:
        script = [node, "redis.mjs", rest.url, TOKEN]
        run = subprocess.run(script, cwd=NODE, capture_output=True, text=True, timeout=60, check=False)
    assert (run.returncode, run.stdout.strip(), run.stderr) == (0, "all holds", "")
