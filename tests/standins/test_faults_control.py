"""Faults by option and by the control API: the same JSON, answered alike by all three stand-ins."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx
import pytest

from tests.processes import ROOT, served
from tests.standins.qstash_client import eventually
from tests.standins.receiver import receiving


@dataclass(frozen=True, slots=True)
class StandIn:
    """A stand-in: its module, a kind of fault that it knows, and what lets such a fault strike once."""

    module: str
    kind: str
    provoke: Callable[[str], None]


def ask_redis(url: str) -> None:
    httpx.post(url, json=["PING"], headers={"authorization": "Bearer local-redis-token"}, trust_env=False)


def publish(url: str) -> None:
    """Have a message delivered, and wait until it was."""
    with receiving() as receiver:
        headers = {"authorization": "Bearer local-qstash-token"}
        httpx.post(f"{url}/v2/publish/{receiver.url}", headers=headers, trust_env=False).raise_for_status()
        receiver.take()
        stats = f"{url}/__standin/stats"
        eventually(lambda: httpx.get(stats, trust_env=False).json()["active"] == 0)


def ask_model(url: str) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "standin: tokens=1 ttft=0\nhi"}]}
    httpx.post(f"{url}/v1/chat/completions", json=body, headers={"authorization": "Bearer any"}, trust_env=False)


STANDINS = [
    StandIn("standins.redis_rest", "html", ask_redis),
    StandIn("standins.qstash", "skew", publish),
    StandIn("standins.model", "error", ask_model),
]


@pytest.fixture(scope="module", params=STANDINS, ids=lambda standin: standin.module)
def running(request: pytest.FixtureRequest) -> Iterator[tuple[StandIn, httpx.Client]]:
    """A stand-in with one fault by option, that strikes two times, and its control API."""
    standin: StandIn = request.param
    option = json.dumps({"kind": standin.kind, "count": 2, "seed": 5})
    secrets = {"UPSTASH_REDIS_REST_TOKEN": "", "QSTASH_TOKEN": "", "STANDIN_MODEL_KEY": ""}
    with (
        served(standin.module, "--fault", option, env=secrets) as process,
        httpx.Client(base_url=f"{process.url}/__standin/", trust_env=False) as client,
    ):
        yield standin, client


def test_a_fault_by_option_strikes_and_is_counted_until_a_reset_brings_it_back(
    running: tuple[StandIn, httpx.Client],
) -> None:
    """GET lists it with how often it fired; spent, it is listed no more, and counted still."""
    standin, client = running
    client.post("reset").raise_for_status()
    url = str(client.base_url).removesuffix("/__standin/")
    common = {"kind": standin.kind, "name": standin.kind, "count": 2, "rate": 1.0, "skip": 0, "seed": 5}
    for fired in range(2):
        answer = client.get("faults").json()
        assert common | {"fired": fired} == {name: answer["faults"][0][name] for name in (*common, "fired")}
        standin.provoke(url)
    standin.provoke(url)
    assert client.get("faults").json() == {"faults": [], "fired": {standin.kind: 2}}
    assert client.get("stats").json()["fired"] == {standin.kind: 2}
    client.post("reset").raise_for_status()
    assert client.get("stats").json()["fired"] == {}
    assert [fault["fired"] for fault in client.get("faults").json()["faults"]] == [0]


def test_faults_are_added_and_ended_while_it_runs(running: tuple[StandIn, httpx.Client]) -> None:
    """POST answers as GET does, with the rule added; DELETE ends those of the option too."""
    standin, client = running
    client.post("reset").raise_for_status()
    added = client.post("faults", json={"kind": standin.kind, "name": "mine", "count": None, "rate": 0.5}).json()
    assert added == client.get("faults").json()
    assert [(fault["name"], fault["count"]) for fault in added["faults"]] == [(standin.kind, 2), ("mine", None)]
    assert client.delete("faults").json() == {"faults": [], "fired": {}}
    standin.provoke(str(client.base_url).removesuffix("/__standin/"))
    assert client.get("faults").json() == {"faults": [], "fired": {}}


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"kind": "fire"}', b'{"kind": "%s", "rate": 2}', b"\xff"])
def test_a_fault_that_makes_no_sense_is_400_and_not_set(running: tuple[StandIn, httpx.Client], body: bytes) -> None:
    """The answer names what is valid."""
    standin, client = running
    client.delete("faults")
    refused = client.post("faults", content=body.replace(b"%s", standin.kind.encode()))
    assert (refused.status_code, list(refused.json())) == (400, ["error"])
    assert standin.kind in refused.json()["error"] or "rate must be" in refused.json()["error"]
    assert client.get("faults").json()["faults"] == []


@pytest.mark.parametrize("module", [standin.module for standin in STANDINS])
def test_an_option_that_makes_no_sense_ends_the_start(module: str) -> None:
    """The error names the option and what is valid."""
    env = {"PYTHONPATH": str(ROOT / "lib")}
    command = [sys.executable, "-m", module, "--port", "0", "--fault", '{"kind": "fire"}']
    ended = subprocess.run(command, env=env, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 2
    assert "--fault: A fault is a JSON object whose kind is one of: " in ended.stderr
