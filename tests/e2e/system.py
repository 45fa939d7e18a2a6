"""The whole system in real processes on free ports: stand-ins, and the functions as ``make run`` serves them."""

from __future__ import annotations

import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from standins.plan import QSTASH_TOKEN, REDIS_TOKEN, SIGNING_KEYS
from tests.e2e.links import Link
from tests.e2e.waiting import until
from tests.owner import API_KEYS, AUTH
from tests.processes import ROOT, served

CRON_SECRET = "secret-of-the-schedule"
#: What a developer's own environment may hold; a test must not use a real account.
_CREDENTIALS = re.compile(r"(UPSTASH|KV|QSTASH|OPENAI|OPENROUTER|HOLDFAST|STANDIN|VERCEL|CRON)_.*|PORT|GENERATOR")

#: Limits scaled down; what is not here is as deployed. The lease is longer than a busy machine needs to load the
#: model's SDK, during which nothing is renewed.
SCALED = {
    "HOLDFAST_FLUSH_MS": "50",
    "HOLDFAST_POLL_MS": "40",
    "HOLDFAST_LEASE_SECONDS": "4",
    "HOLDFAST_STALL_SECONDS": "0.5",
    "HOLDFAST_REQUEST_TIMEOUT_SECONDS": "2",
}


def bare_environment() -> dict[str, str]:
    """This process's environment without credentials and settings, and with the project on the path."""
    kept = {name: value for name, value in os.environ.items() if not _CREDENTIALS.fullmatch(name)}
    return {**kept, "PYTHONPATH": f"{ROOT / 'lib'}:{ROOT}"}


@dataclass(frozen=True, slots=True)
class Standins:
    """The URLs of the services' stand-ins."""

    redis: str
    qstash: str
    model: str


@contextmanager
def standins() -> Iterator[Standins]:
    """Run the three stand-ins until the block ends. The model says 60 tokens at 200 a second unless asked otherwise."""
    model = {"STANDIN_MODEL_TOKENS": "60", "STANDIN_MODEL_RATE": "200", "STANDIN_MODEL_TTFT_MS": "0"}
    with ExitStack() as stack:
        redis = stack.enter_context(served("standins.redis_rest", "--token", REDIS_TOKEN))
        qstash = stack.enter_context(served("standins.qstash"))
        yield Standins(redis.url, qstash.url, stack.enter_context(served("standins.model", env=model)).url)


class Functions:
    """The process of the functions. Its socket outlives it, so a connection made between two of them waits.

    Args:
        env: its whole environment.
        listener: where it serves.
    """

    def __init__(self, env: Mapping[str, str], listener: socket.socket) -> None:
        self._env = env
        self._listener = listener
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self.process = self._spawn()

    def _spawn(self) -> subprocess.Popen[bytes]:
        number = self._listener.fileno()
        command = [sys.executable, "-m", "standins.functions", str(number)]
        return subprocess.Popen(command, cwd=ROOT, env=self._env, pass_fds=(number,), stderr=self._log)

    def wait_ready(self) -> None:
        """Return when it answers."""
        until(self._answers, "answer of the functions")

    def _answers(self) -> bool:
        assert self.process.poll() is None, f"the functions ended at once:\n{self.log()}"
        try:
            return httpx.get(f"{self.url}/healthz", timeout=1, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        """Start it anew after it was killed."""
        self.process = self._spawn()

    def pause(self) -> None:
        """SIGSTOP: it stands still and keeps its connections."""
        self.process.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        """SIGCONT."""
        self.process.send_signal(signal.SIGCONT)

    def log(self) -> str:
        """What it wrote on stderr."""
        self._log.seek(0)
        return self._log.read()

    def close(self) -> None:
        """End it for good."""
        self.kill()
        self._log.close()
        self._listener.close()


@dataclass(frozen=True, slots=True)
class System:
    """A running system.

    Attributes:
        http: asks the functions.
        side: asks the services, beside the functions.
        functions: their process.
        door: how QStash reaches the functions: their public URL.
        redis, qstash, model: how the functions reach the services.
        at: the services themselves.
        prefix: of every key that the functions write.
        settings: the functions' settings.
    """

    http: httpx.Client
    side: httpx.Client
    functions: Functions
    door: Link
    redis: Link
    qstash: Link
    model: Link
    at: Standins
    prefix: str
    settings: Mapping[str, str]

    @property
    def url(self) -> str:
        """Where the functions are."""
        return self.functions.url

    # -- asking ---------------------------------------------------------------------------------------

    def ask(self, prompt: str, **body: Any) -> str:
        """Start an answer and return its stream."""
        reply = self.http.post("/api/streams", json={"prompt": prompt, **body})
        assert reply.status_code == 202, reply.text
        return str(reply.json()["id"])

    def status(self, stream: str) -> dict[str, Any]:
        """What the status route says."""
        reply = self.http.get(f"/api/streams/{stream}/status")
        assert reply.status_code == 200, reply.text
        return dict(reply.json())

    def finished(self, stream: str) -> dict[str, Any]:
        """The status, once the answer has its end."""
        return until(lambda: (now := self.status(stream))["endedAt"] and now, f"end of {stream}")

    def stop(self, stream: str) -> dict[str, Any]:
        """Stop an answer."""
        reply = self.http.post(f"/api/streams/{stream}/stop")
        assert reply.status_code == 200, reply.text
        return dict(reply.json())

    # -- what the services saw --------------------------------------------------------------------------

    def calls(self, prompt: str | None = None) -> list[dict[str, Any]]:
        """The model's calls, oldest first: all, or those of a prompt."""
        found: list[dict[str, Any]] = self._seen(self.at.model, "calls")["calls"]
        return [call for call in found if prompt in {None, call["prompt"]}]

    def called(self, prompt: str, tokens: int, calls: int = 1) -> list[dict[str, Any]]:
        """The calls of a prompt, once there are so many and the newest of them has sent so many tokens."""

        def look() -> list[dict[str, Any]]:
            found = self.calls(prompt)
            return found if len(found) >= calls and found[calls - 1]["tokens_sent"] >= tokens else []

        return until(look, f"{tokens} tokens of call {calls} for {prompt!r}")

    def messages(self, stream: str) -> list[dict[str, Any]]:
        """The queue's messages about a stream, oldest first."""
        return [each for each in self._seen(self.at.qstash, "messages")["messages"] if stream in each["body"]]

    def stats(self) -> dict[str, Any]:
        """The Redis stand-in's counters."""
        return self._seen(self.at.redis, "stats")

    def refused_appends(self) -> int:
        """How many of the latest requests were appends that the store refused."""
        calls = self._seen(self.at.redis, "calls")["calls"]
        return sum(call["commands"] == ["XADD"] and call["status"] == 400 for call in calls)

    def enqueued(self) -> int:
        """How many messages the queue has taken."""
        return int(self._seen(self.at.qstash, "stats")["published"])

    def control_queue(self, method: str, what: str, body: Any = None) -> dict[str, Any]:
        """Use the control API of the queue's stand-in."""
        reply = self.side.request(method, f"{self.at.qstash}/__standin/{what}", json=body)
        assert reply.status_code == 200, reply.text
        return dict(reply.json())

    def _seen(self, at: str, what: str) -> dict[str, Any]:
        return dict(self.side.get(f"{at}/__standin/{what}").json())

    # -- the store ----------------------------------------------------------------------------------------

    def redis_do(self, *command: Any) -> Any:
        """Run a Redis command, beside the functions."""
        return self._redis("", command)["result"]

    def key_names(self) -> list[str]:
        """The name of every key in the store."""
        cursor, found = "0", set()
        while True:
            cursor, page = self.redis_do("SCAN", cursor, "COUNT", 1000)
            found |= set(page)
            if cursor == "0":
                return sorted(found)

    def snapshot(self) -> dict[str, Any]:
        """Every key in the store with what it holds."""
        read = {"string": ("GET",), "stream": ("XRANGE", "-", "+"), "zset": ("ZRANGE", 0, -1, "WITHSCORES")}
        keys = self.key_names()
        kinds = self._redis("/pipeline", [("TYPE", key) for key in keys]) if keys else []
        wanted = [(key, *read[kind["result"]]) for key, kind in zip(keys, kinds, strict=True)]
        held = self._redis("/pipeline", [(verb, key, *rest) for key, verb, *rest in wanted]) if keys else []
        return {key: each["result"] for key, each in zip(keys, held, strict=True)}

    def _redis(self, path: str, body: Any) -> Any:
        headers = {"authorization": f"Bearer {REDIS_TOKEN}"}
        reply = self.side.post(f"{self.at.redis}{path}", json=body, headers=headers)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def entries(self, stream: str) -> list[tuple[str, str]]:
        """A log as it is stored: ids and records."""
        return [(id, fields[1]) for id, fields in self.redis_do("XRANGE", f"{self.prefix}:stream:{stream}", "-", "+")]


@contextmanager
def system(env: Mapping[str, str] | None = None, at: Standins | None = None) -> Iterator[System]:
    """Run the system until the block ends.

    Args:
        env: settings of the functions, beside ``SCALED`` ones; an empty value is none.
        at: stand-ins that run already; without them there are own ones.
    """
    with ExitStack() as stack:
        at = at or stack.enter_context(standins())
        door, redis, qstash, model = (
            stack.enter_context(Link(target)) for target in ("http://127.0.0.1:9", at.redis, at.qstash, at.model)
        )
        prefix = f"test-{secrets.token_hex(4)}"
        settings = {
            "UPSTASH_REDIS_REST_URL": redis.url,
            "UPSTASH_REDIS_REST_TOKEN": REDIS_TOKEN,
            "QSTASH_URL": qstash.url,
            "QSTASH_TOKEN": QSTASH_TOKEN,
            "QSTASH_CURRENT_SIGNING_KEY": SIGNING_KEYS[0],
            "QSTASH_NEXT_SIGNING_KEY": SIGNING_KEYS[1],
            "OPENAI_BASE_URL": f"{model.url}/v1",
            "OPENAI_API_KEY": "key-of-the-tests",
            "HOLDFAST_PUBLIC_URL": door.url,
            "HOLDFAST_KEY_PREFIX": prefix,
            "HOLDFAST_SECRET": "secret-of-the-tests",
            "HOLDFAST_API_KEYS": API_KEYS,
            "CRON_SECRET": CRON_SECRET,
            **SCALED,
            **(env or {}),
        }
        functions = stack.enter_context(serving(settings))
        door.lead_to(functions.url)
        http = stack.enter_context(httpx.Client(base_url=functions.url, headers=AUTH, timeout=60, trust_env=False))
        side = stack.enter_context(httpx.Client(timeout=60, trust_env=False))
        yield System(http, side, functions, door, redis, qstash, model, at, prefix, settings)


@contextmanager
def serving(settings: Mapping[str, str]) -> Iterator[Functions]:
    """Serve the functions with these settings and no other, until the block ends."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    functions = Functions({**bare_environment(), **settings}, listener)
    try:
        functions.wait_ready()
        yield functions
    finally:
        functions.close()
