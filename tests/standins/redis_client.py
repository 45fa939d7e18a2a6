"""How the tests speak to the Redis stand-in: plain HTTP, on fakeredis or a real engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from tests.processes import served
from tests.redis_server import redis_server

TOKEN = "token-of-the-tests"
ENGINES = ("fakeredis", "valkey")

OK = "OK"
SMALLER = "ERR The ID specified in XADD is equal or smaller than the target stream top item"


@dataclass(frozen=True, slots=True)
class Err:
    """An expected error."""

    message: str


@dataclass(frozen=True, slots=True)
class Rest:
    """The stand-in as an HTTP client with the right token sees it."""

    url: str
    http: httpx.Client

    def post(self, body: Any, path: str = "/", **headers: str) -> httpx.Response:
        """Send a JSON body; ``_`` in header names stands for ``-``."""
        return self.http.post(
            path, json=body, headers={name.replace("_", "-"): value for name, value in headers.items()}
        )

    def do(self, *command: Any) -> Any:
        """Run one command; an error is an ``Err``."""
        response = self.post(list(command))
        outcome = response.json()
        assert (response.status_code == 200) == ("result" in outcome)
        return outcome["result"] if "result" in outcome else Err(outcome["error"])

    def transcript(self, *lines: tuple[str, Any]) -> None:
        """Run each line's command, whose words are its arguments, and compare its outcome with the line's."""
        for command, expected in lines:
            assert (command, self.do(*command.split())) == (command, expected)

    def batch(self, path: str, commands: Sequence[Sequence[Any]], **headers: str) -> Any:
        """Send a pipeline or transaction."""
        return self.post(commands, path, **headers).json()

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """Use the control API, without the token."""
        response = httpx.request(method, f"{self.url}/__standin/{path}", json=body)
        assert response.status_code == 200, response.text
        return response.json()


@contextmanager
def rest_server(engine: str = "fakeredis") -> Iterator[Rest]:
    """Run the stand-in over ``fakeredis`` or ``valkey`` until the block ends."""
    with ExitStack() as stack:
        args = ["--token", TOKEN]
        if engine == "valkey":
            args += ["--redis", stack.enter_context(redis_server())]
        url = stack.enter_context(served("standins.redis_rest", *args)).url
        http = stack.enter_context(httpx.Client(base_url=url, headers={"authorization": f"Bearer {TOKEN}"}))
        yield Rest(url, http)
