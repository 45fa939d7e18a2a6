"""The system under chaos: stand-ins, several processes of the functions, and the switch before them."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from holdfast.adapters.qstash import QStashQueue
from standins.plan import QSTASH_TOKEN, REDIS_TOKEN, SIGNING_KEYS
from tests.chaos.plan import RETRIES, SETTINGS, Options, dice
from tests.chaos.switch import Backend, Switch
from tests.e2e.system import Functions, Standins, bare_environment
from tests.owner import API_KEYS, AUTH
from tests.processes import served

#: The chance that a connection of a reader is cut by its network.
_CUT = 0.5

_PREFIX = "chaos"


@dataclass(slots=True)
class System:
    """What runs.

    Attributes:
        at: the stand-ins.
        functions: the processes of the functions.
        switch: what stands before them.
        http: for requests of the harness and of readers.
    """

    at: Standins
    functions: list[Functions]
    switch: Switch
    http: httpx.AsyncClient

    async def control(self, service: str, what: str, method: str = "GET", body: Any = None) -> dict[str, Any]:
        """Use a stand-in's control API."""
        url = f"{getattr(self.at, service)}/__standin/{what}"
        reply = await self.http.request(method, url, json=body, timeout=60)
        assert reply.status_code == 200, f"{service} {what} {body}: {reply.text}"
        return dict(reply.json())

    async def entries(self, stream: str) -> list[tuple[str, dict[str, Any]]]:
        """A log as it is stored: ids and records. Only after the faults are over."""
        command = ["XRANGE", f"{_PREFIX}:stream:{stream}", "-", "+"]
        headers = {"authorization": f"Bearer {REDIS_TOKEN}"}
        reply = await self.http.post(self.at.redis, json=command, headers=headers, timeout=60)
        assert reply.status_code == 200, reply.text
        return [(id, json.loads(fields[1])) for id, fields in reply.json()["result"]]


@asynccontextmanager
async def running(options: Options, settings: Mapping[str, str] | None = None) -> AsyncIterator[System]:
    """Run the system until the block ends.

    Args:
        options: the run's.
        settings: of the functions, instead of the chaos run's.
    """
    with ExitStack() as stack:
        model = {"STANDIN_MODEL_SEED": f"chaos-{options.seed}", "STANDIN_MODEL_TTFT_MS": "100"}
        at = Standins(
            redis=stack.enter_context(served("standins.redis_rest", "--token", REDIS_TOKEN)).url,
            qstash=stack.enter_context(served("standins.qstash", "--seed", str(options.seed))).url,
            model=stack.enter_context(served("standins.model", env=model)).url,
        )
        listeners = [socket.create_server(("127.0.0.1", 0), backlog=1024) for _ in range(options.processes)]
        backends = [Backend(listener.getsockname()[1]) for listener in listeners]
        switch = Switch(backends, dice(options.seed, "switch"), _CUT)
        await switch.open()
        functions: list[Functions] = []
        try:
            for number, listener in enumerate(listeners):
                env = _environment(at, switch.url, SETTINGS if settings is None else settings)
                if settings is None:
                    env["HOLDFAST_QSTASH_RETRIES"] = RETRIES[number % len(RETRIES)]
                functions.append(Functions(env, listener))
            for each in functions:
                await asyncio.to_thread(each.wait_ready)
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
            timeout = httpx.Timeout(None, connect=20)
            async with httpx.AsyncClient(headers=AUTH, trust_env=False, limits=limits, timeout=timeout) as http:
                await _schedule_cleanup(at, switch.url)
                yield System(at, functions, switch, http)
        finally:
            await switch.close()
            for each in functions:
                each.close()


async def _schedule_cleanup(at: Standins, url: str) -> None:
    """Have cleanup called every minute, as a deployment does."""
    queue = QStashQueue(url=at.qstash, token=QSTASH_TOKEN, destination=f"{url}/api/publish")
    await queue.schedule("* * * * *", f"{url}/api/cleanup", "chaos-cleanup")
    await queue.close()


def _environment(at: Standins, url: str, settings: Mapping[str, str]) -> dict[str, str]:
    return {
        **bare_environment(),
        "UPSTASH_REDIS_REST_URL": at.redis,
        "UPSTASH_REDIS_REST_TOKEN": REDIS_TOKEN,
        "QSTASH_URL": at.qstash,
        "QSTASH_TOKEN": QSTASH_TOKEN,
        "QSTASH_CURRENT_SIGNING_KEY": SIGNING_KEYS[0],
        "QSTASH_NEXT_SIGNING_KEY": SIGNING_KEYS[1],
        "OPENAI_BASE_URL": f"{at.model}/v1",
        "OPENAI_API_KEY": "key-of-the-tests",
        "HOLDFAST_PUBLIC_URL": url,
        "HOLDFAST_KEY_PREFIX": _PREFIX,
        "HOLDFAST_SECRET": "secret-of-the-tests",
        "HOLDFAST_API_KEYS": API_KEYS,
        "CRON_SECRET": "secret-of-the-schedule",
        **settings,
    }
