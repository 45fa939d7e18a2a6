"""``make run`` as its user sees it: the whole system in real processes on free ports."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import httpx
import pytest

from tests.local.ports import free_block
from tests.processes import ROOT

LIMIT = 60.0
#: What a developer's own environment may hold; a test must not use a real account.
COMMAND = (sys.executable, "-m", "standins.local", "--env-file", os.devnull)
_CREDENTIALS = re.compile(r"(UPSTASH|KV|QSTASH|OPENAI|OPENROUTER|HOLDFAST|STANDIN|VERCEL|CRON)_.*|PORT|GENERATOR")


@dataclass(frozen=True, slots=True)
class Run:
    """A run of the supervisor."""

    port: int
    process: subprocess.Popen[str]
    lines: Queue[str]

    @property
    def url(self) -> str:
        """Where the functions are served."""
        return f"http://127.0.0.1:{self.port}"

    def until(self, text: str) -> list[str]:
        """What is printed up to the first line with a text in it."""
        seen: list[str] = []
        while not seen or text not in seen[-1]:
            try:
                seen.append(self.lines.get(timeout=LIMIT))
            except Empty:
                pytest.fail(f"{text!r} was never printed, but: {seen}")
        return seen

    def record(self) -> dict[str, Any]:
        """The run's own account of its processes."""
        found: dict[str, Any] = json.loads((ROOT / f".holdfast/run-{self.port}.json").read_text())
        return found

    def pids(self) -> dict[str, int]:
        """The processes by name."""
        return {name: process["pid"] for name, process in self.record()["processes"].items()}


def environment(port: int, **extra: str) -> dict[str, str]:
    """An environment without credentials, but for the ones given."""
    kept = {name: value for name, value in os.environ.items() if not _CREDENTIALS.fullmatch(name)}
    return {**kept, "PYTHONPATH": str(ROOT / "lib"), "PORT": str(port), **extra}


@contextmanager
def running(cwd: Path = ROOT, env: Mapping[str, str] | None = None) -> Iterator[Run]:
    """``python -m standins.local`` on free ports, until the block ends."""
    port = free_block()
    process = subprocess.Popen(
        COMMAND,
        cwd=cwd,
        env=environment(port, **(env or {})),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines: Queue[str] = Queue()

    def read() -> None:
        for line in process.stdout or ():
            lines.put(line.rstrip("\n"))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield Run(port, process, lines)
    finally:
        process.terminate()
        try:
            process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
        reader.join()
        if process.stdout is not None:
            process.stdout.close()


def refused(port: int, **extra: str) -> str:
    """What a run says that does not begin."""
    done = subprocess.run(
        COMMAND,
        cwd=ROOT,
        env=environment(port, **extra),
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    return done.stderr


def alive(pid: int) -> bool:
    """Whether a process is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def start(run: Run, prompt: str) -> str:
    """Ask; returns where the answer is read."""
    reply = httpx.post(f"{run.url}/api/streams", json={"prompt": prompt}, timeout=LIMIT, trust_env=False)
    assert reply.status_code == 202, reply.text
    return f"{run.url}{reply.json()['url']}?token={reply.json()['read_token']}"


def text_of(body: str) -> str:
    """The answer in the bytes of a stream."""
    parts = [json.loads(line[6:]) for line in body.splitlines() if line.startswith("data: {")]
    return "".join(part["delta"] for part in parts if part["type"] == "text-delta")


class TestRun:
    """One machine, no account."""

    def test_a_killed_function_is_replaced_and_the_answer_goes_on(self) -> None:
        """The block names what serves; a SIGKILL in mid-answer costs the reader nothing; SIGTERM ends every process."""
        with running(env={"STANDIN_MODEL_TOKENS": "80", "STANDIN_MODEL_TTFT_MS": "0"}) as run:
            shown = "\n".join(run.until("Try:"))
            for port in range(run.port, run.port + 4):
                assert f"http://127.0.0.1:{port}" in shown
            assert shown.count("stand-in") == 3
            before = run.pids()
            assert set(before) == {"functions", "Redis", "QStash", "Model"}
            schedules = httpx.get(
                f"http://127.0.0.1:{run.port + 2}/v2/schedules",
                headers={"authorization": "Bearer local-qstash-token"},
                trust_env=False,
            ).json()
            assert [(each["cron"], each["destination"]) for each in schedules] == [
                ("* * * * *", f"{run.url}/api/cleanup")
            ]
            url = start(run, "Why do knots hold?")
            body, cursor = "", ""
            with httpx.stream("GET", url, timeout=LIMIT, trust_env=False) as reply:
                for line in reply.iter_lines():
                    body += line + "\n"
                    cursor = line[4:] if line.startswith("id: ") else cursor
                    if '"text-delta"' in line:
                        break
                os.kill(before["functions"], signal.SIGKILL)
            run.until("functions is ready again")
            assert run.pids()["functions"] != before["functions"]
            assert httpx.get(f"{run.url}/healthz", trust_env=False).status_code == 200
            while "[DONE]" not in body:
                reply = httpx.get(url, headers={"last-event-id": cursor}, timeout=LIMIT, trust_env=False)
                body += reply.text
                cursor = re.findall(r"^id: (.*)$", body, re.MULTILINE)[-1]
            calls = httpx.get(f"http://127.0.0.1:{run.port + 3}/__standin/calls", trust_env=False).json()["calls"]
            assert text_of(body) == calls[0]["text"]
            pids = [*run.pids().values(), run.process.pid]
            run.process.terminate()
            assert run.process.wait(LIMIT) == 0
            assert not [pid for pid in pids[:-1] if alive(pid)]
            assert not (ROOT / f".holdfast/run-{run.port}.json").exists()

    @pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="another's child can be waited for on Linux alone")
    def test_a_killed_supervisor_leaves_nobody_behind(self) -> None:
        """When the supervisor itself is killed with SIGKILL, its processes end by themselves."""
        with running() as run:
            run.until("Try:")
            pids = run.pids()
            run.process.kill()
            run.process.wait(LIMIT)
            for pid in pids.values():
                _wait_gone(pid)
            (ROOT / f".holdfast/run-{run.port}.json").unlink()

    def test_a_generator_of_the_users_own(self, tmp_path: Path) -> None:
        """GENERATOR runs the user's code; a failure shows its traceback here and a plain error part to the reader; a
        save starts the functions anew.
        """
        agent = tmp_path / "my_own_agent.py"
        agent.write_text("async def generate(request):\n    raise RuntimeError('my secret mistake')\n    yield ''\n")
        with running(cwd=tmp_path, env={"GENERATOR": "my_own_agent:generate"}) as run:
            assert "my_own_agent:generate" in "\n".join(run.until("Try:"))
            failed = httpx.get(start(run, "Hello?"), timeout=LIMIT, trust_env=False).text
            assert '"type":"error"' in failed
            assert "secret mistake" not in failed
            traceback = run.until("RuntimeError: my secret mistake")
            assert any("my_own_agent.py" in line for line in traceback)
            agent.write_text("def generate(request)\n    yield 'unfinished'\n")
            assert any("SyntaxError" in line for line in run.until("Waiting for a change"))
            agent.write_text("def generate(request):\n    yield 'Mended.'\n")
            run.until("functions is ready again")
            mended = httpx.get(start(run, "Hello?"), timeout=LIMIT, trust_env=False).text
            assert text_of(mended) == "Mended."

    @pytest.mark.parametrize(
        ("name", "why"),
        [("no_such_agent:generate", "no module no_such_agent"), ("json:generate", "json has no function generate")],
    )
    def test_a_generator_that_is_not_there_is_named(self, name: str, why: str) -> None:
        """A generator that cannot be found ends the run with one clear line of its own."""
        with running(env={"GENERATOR": name}) as run:
            assert why in run.until("HOLDFAST_GENERATOR")[-1]
            assert run.process.wait(LIMIT) == 1

    def test_wrong_settings_are_said_once(self) -> None:
        """A malformed setting ends the run, with the variable named one time."""
        with running(env={"HOLDFAST_FLUSH_MS": "soon"}) as run:
            said = run.until("setting named above")
            assert len([line for line in said if "HOLDFAST_FLUSH_MS" in line]) == 1
            assert run.process.wait(LIMIT) == 1


@pytest.mark.parametrize(("offset", "owner"), [(0, "functions"), (1, "Redis"), (2, "QStash"), (3, "Model")])
def test_a_port_in_use_is_named(offset: int, owner: str) -> None:
    """A taken port is named with whose it would be, and PORT as the remedy."""
    port = free_block()
    with socket.create_server(("127.0.0.1", port + offset)):
        said = refused(port)
    assert f"port {port + offset}" in said
    assert owner in said
    assert "PORT" in said


def test_half_set_credentials_are_named() -> None:
    """A URL without its token ends the run with the missing variable's name."""
    said = refused(free_block(), UPSTASH_REDIS_REST_URL="https://eu1.upstash.io")
    assert "UPSTASH_REDIS_REST_TOKEN" in said


def test_the_real_qstash_with_a_loopback_address_is_refused() -> None:
    """The real QStash with nothing but loopback to deliver to ends the run and names a tunnel."""
    keys = {"QSTASH_CURRENT_SIGNING_KEY": "sig_a", "QSTASH_NEXT_SIGNING_KEY": "sig_b"}
    said = refused(free_block(), QSTASH_TOKEN="real", **keys)
    assert "tunnel" in said
    assert "real" not in said.replace("really", "")


def _wait_gone(pid: int) -> None:
    """Return when a process that is not a child of this one has ended."""
    if not alive(pid):
        return
    descriptor = os.pidfd_open(pid)
    try:
        ready, _, _ = select.select([descriptor], [], [], LIMIT)
        assert ready, f"process {pid} is still there"
    finally:
        os.close(descriptor)
