"""What ``vercel build`` makes of the project, and that it works."""

from __future__ import annotations

import json
import re
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from standins.plan import QSTASH_TOKEN, REDIS_TOKEN, SIGNING_KEYS
from tests.deploy.builders import copy_of_project, node_tool, run
from tests.deploy.vercel_function import Door, base_python, serving
from tests.processes import ROOT, served

LIMIT = 60.0


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with ``vercel build`` done in it, without an account."""
    folder = copy_of_project(tmp_path_factory.mktemp("vercel"))
    (folder / ".vercel").mkdir()
    (folder / ".vercel/project.json").write_text('{"settings":{}}')
    run(node_tool("vercel"), "build", "--prod", "--standalone", cwd=folder)
    return folder


@pytest.fixture
def function(project: Path) -> Path:
    """The folder of the one function."""
    (found,) = project.glob(".vercel/output/functions/*.func")
    return found


def test_one_function_serves_every_path(project: Path, function: Path) -> None:
    """The build has one streaming function with the time limit asked for, behind every path, and the cron."""
    config = json.loads((function / ".vc-config.json").read_text())
    assert re.fullmatch(r"python3\.1[2-9]", config["runtime"])
    assert config["maxDuration"] == 300
    assert config["supportsResponseStreaming"] is True
    output = json.loads((project / ".vercel/output/config.json").read_text())
    assert {"src": "/(.*)", "dest": "/" + function.stem} in [
        {name: route.get(name) for name in ("src", "dest")} for route in output["routes"]
    ]
    assert output["crons"] == [{"path": "/api/cleanup", "schedule": "0 5 * * *"}]


def test_the_page_is_served_beside_the_function(project: Path, function: Path) -> None:
    """What is in public/ is at the root of the site, and not in the function."""
    static = project / ".vercel/output/static"
    assert (static / "index.html").read_bytes() == (ROOT / "public/index.html").read_bytes()
    assert list(static.glob("assets/*.js"))
    assert not (function / "public").exists()


def test_the_function_holds_what_it_needs_and_no_more(function: Path) -> None:
    """The library is there once, the functions are there, and nothing of development is."""
    libraries = [path.relative_to(function).as_posix() for path in function.rglob("publish.py")]
    assert sorted(libraries) == ["_vendor/holdfast/publish.py", "functions/publish.py"]
    kept = {path.name for path in function.iterdir()}
    assert not kept & {"lib", "tests", "docs", "benchmarks", "tools", "web", "Makefile", "README.md", ".env.example"}
    vendored = {path.name for path in (function / "_vendor").iterdir()}
    assert not vendored & {"standins", "fakeredis", "pytest", "uvicorn", "hypothesis"}
    wanted = {line.split("==")[0] for line in (ROOT / "requirements.lock").read_text().splitlines() if "==" in line}
    assert {"openai", "starlette"} <= wanted & vendored


def test_the_function_has_the_pinned_versions(function: Path) -> None:
    """What the builder resolved by itself is what the lock says."""
    pinned = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    built = dict(
        re.findall(r"^Name: (\S+)\nVersion: (\S+)", path.read_text(), re.MULTILINE)[0]
        for path in function.glob("_vendor/*.dist-info/METADATA")
    )
    common = {name.lower().replace("_", "-"): version for name, version in built.items()}
    ours = {name: common[name] for name in pinned if name in common}
    assert len(ours) > 15
    assert ours == {name: pinned[name] for name in ours}


def test_the_built_function_carries_an_answer(project: Path, function: Path, tmp_path: Path) -> None:
    """From start to the last part, through QStash, with a reader that leaves in the middle and resumes."""
    with ExitStack() as stack:
        keys = {"QSTASH_CURRENT_SIGNING_KEY": SIGNING_KEYS[0], "QSTASH_NEXT_SIGNING_KEY": SIGNING_KEYS[1]}
        redis = stack.enter_context(served("standins.redis_rest", "--token", REDIS_TOKEN))
        qstash = stack.enter_context(served("standins.qstash", env={"QSTASH_TOKEN": QSTASH_TOKEN, **keys}))
        pace = {"STANDIN_MODEL_TOKENS": "60", "STANDIN_MODEL_TTFT_MS": "0", "STANDIN_MODEL_KEY": ""}
        model = stack.enter_context(served("standins.model", env=pace))
        door = Door()
        env = {
            "UPSTASH_REDIS_REST_URL": redis.url,
            "UPSTASH_REDIS_REST_TOKEN": REDIS_TOKEN,
            "QSTASH_URL": qstash.url,
            "QSTASH_TOKEN": QSTASH_TOKEN,
            **keys,
            "OPENAI_BASE_URL": f"{model.url}/v1",
            "OPENAI_API_KEY": "any",
            "HOLDFAST_SECRET": "s" * 32,
            "CRON_SECRET": "c" * 32,
            "HOLDFAST_PUBLIC_URL": door.url,
        }
        stack.enter_context(serving(function, base_python(project), door, env, tmp_path))
        client = stack.enter_context(httpx.Client(base_url=door.url, timeout=LIMIT, trust_env=False))
        started = client.post("/api/streams", json={"prompt": "Why do knots hold?"})
        assert started.status_code == 202, started.text
        first, cursor = _read_some(client, started.json()["url"])
        assert '"type":"finish"' not in first, "there was nothing left to resume"
        rest = client.get(started.json()["url"], headers={"last-event-id": cursor})
        assert rest.text.rstrip().endswith("data: [DONE]")
        (call,) = httpx.get(f"{model.url}/__standin/calls", trust_env=False).json()["calls"]
        assert _text(first) + _text(rest.text) == call["text"]
        assert _text(first)
        assert _text(rest.text)


def _read_some(client: httpx.Client, url: str) -> tuple[str, str]:
    """What a reader gets up to the first text, and its cursor there."""
    body, cursor = "", ""
    with client.stream("GET", url) as reply:
        assert reply.headers["content-type"].startswith("text/event-stream")
        for line in reply.iter_lines():
            body += line + "\n"
            if line.startswith("id: "):
                cursor = line[4:]
            if '"text-delta"' in line:
                break
    return body, cursor


def _text(body: str) -> str:
    parts: list[dict[str, Any]] = [json.loads(line[6:]) for line in body.splitlines() if line.startswith("data: {")]
    return "".join(part["delta"] for part in parts if part["type"] == "text-delta")
