"""What ``osls package`` makes of the project."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.deploy.builders import copy_of_project, node_tool, run
from tests.local.ports import free_block
from tests.processes import ROOT
from tools.package import PLATFORM, PYTHON, build, own_sources

type Template = dict[str, dict[str, dict[str, Any]]]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with ``osls package`` done in it, without credentials."""
    folder = copy_of_project(tmp_path_factory.mktemp("lambda"))
    # Stands in for the set-up, which the tests have behind them: the same interpreter with the same packages.
    (folder / "Makefile").write_text(f"package:\n\t@{sys.executable} -m tools.package\n")
    run(node_tool("osls"), "package", cwd=folder)
    return folder


@pytest.fixture
def template(project: Path) -> Template:
    """The CloudFormation template of the deployment."""
    found: Template = json.loads((project / ".serverless/cloudformation-template-update-stack.json").read_text())
    return found


def test_the_templates_are_sound(project: Path) -> None:
    """CloudFormation's linter finds no error in them."""
    for path in project.glob(".serverless/cloudformation-template-*.json"):
        linter = Path(sys.executable).parent / "cfn-lint"
        run(str(linter), "--non-zero-exit-code", "error", str(path), cwd=project)


def test_three_functions_with_their_handlers(template: Template) -> None:
    """web streams through the adapter; publish may run for as long as Lambda allows; cleanup is on a schedule."""
    functions = {
        name.removesuffix("LambdaFunction"): resource["Properties"]
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::Lambda::Function"
    }
    handlers = {name: properties["Handler"] for name, properties in functions.items()}
    assert handlers == {
        "Web": "web.sh",
        "Publish": "functions.publish.handler",
        "Cleanup": "functions.cleanup.handler",
    }
    assert functions["Publish"]["Timeout"] == 900
    for properties in functions.values():
        assert properties["Runtime"] == f"python{PYTHON}"
        assert properties["Architectures"] == ["arm64"]
        assert PLATFORM.startswith("aarch64")
    web = functions["Web"]["Environment"]["Variables"]
    assert web["AWS_LWA_INVOKE_MODE"] == "response_stream"
    assert web["HOLDFAST_PUBLIC_URL"] == {"Fn::GetAtt": ["PublishLambdaFunctionUrl", "FunctionUrl"]}
    assert template["Resources"]["WebLambdaFunctionUrl"]["Properties"]["InvokeMode"] == "RESPONSE_STREAM"
    schedules = [each["Properties"] for each in template["Resources"].values() if each["Type"] == "AWS::Events::Rule"]
    assert [each["ScheduleExpression"] for each in schedules] == ["rate(1 minute)"]


def test_the_artifact_holds_what_it_needs_and_no_more(project: Path) -> None:
    """The library is in it once, the start script may be executed, and nothing names this machine."""
    with zipfile.ZipFile(project / "build/lambda/holdfast.zip") as archive:
        names = set(archive.namelist())
        assert {"public/index.html", "functions/publish.py", "uvicorn/__main__.py", "openai/__init__.py"} <= names
        twins = sorted(name for name in names if name.endswith("subscribe.py"))
        assert twins == ["functions/subscribe.py", "holdfast/subscribe.py"]
        assert not [name for name in names if name.startswith(("tests/", "standins/", "lib/", "bin/", "pytest"))]
        assert archive.getinfo("web.sh").external_attr >> 16 & 0o111
        machine = (str(project).encode(), str(ROOT).encode(), sys.prefix.encode())
        text = [name for name in names if not name.endswith(".so")]
        assert not [name for name in text if any(path in archive.read(name) for path in machine)]


def test_the_artifact_is_reproducible(project: Path, tmp_path: Path) -> None:
    """Built again, in another folder and at another time, it is the same file."""
    again = build(tmp_path / "again", PLATFORM, PYTHON)
    assert again.read_bytes() == (project / "build/lambda/holdfast.zip").read_bytes()


def test_the_users_generator_goes_along(tmp_path: Path) -> None:
    """Modules in the project's folder, and the generator's package, are part of what is deployed."""
    (tmp_path / "my_agent.py").touch()
    (tmp_path / "agents").mkdir()
    assert [path.name for path in own_sources(tmp_path, "")] == ["my_agent.py"]
    assert [path.name for path in own_sources(tmp_path, "agents.first:generate")] == ["my_agent.py", "agents"]


def test_the_start_script_serves() -> None:
    """The streaming function's start script serves the app, health included, on the port that the adapter asks."""
    port = free_block(1)
    env = {
        "PATH": os.environ["PATH"],
        "PYTHON": sys.executable,
        "PYTHONPATH": str(ROOT / "lib"),
        "LAMBDA_TASK_ROOT": str(ROOT),
        "AWS_LWA_PORT": str(port),
        "HOLDFAST_PUBLIC_URL": "https://publish.example/",
        "UPSTASH_REDIS_REST_URL": "https://redis.example",
        "QSTASH_CURRENT_SIGNING_KEY": "k" * 32,
        "QSTASH_NEXT_SIGNING_KEY": "k" * 32,
        "HOLDFAST_SECRET": "s" * 32,
        "CRON_SECRET": "c" * 32,
        "OPENAI_API_KEY": "k",
        "UPSTASH_REDIS_REST_TOKEN": "t",
        "QSTASH_TOKEN": "t",
    }
    process = subprocess.Popen([str(ROOT / "tools/lambda-web.sh")], env=env)
    try:
        asyncio.run(asyncio.wait_for(_healthy(f"http://127.0.0.1:{port}/healthz", process), 30))
    finally:
        process.terminate()
        assert process.wait(10) is not None


async def _healthy(url: str, process: subprocess.Popen[bytes]) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        while process.poll() is None:
            try:
                assert (await client.get(url)).status_code == 200
            except httpx.TransportError:
                await asyncio.sleep(0.05)
            else:
                return
    pytest.fail("the start script ended")
