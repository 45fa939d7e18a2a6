"""httpx-sse: it does not reconnect."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
from httpx_sse import connect_sse


# ---
def follow(http: httpx.Client, url: str) -> Iterator[dict[str, Any]]:
    cursor = ""
    while True:
        with suppress(httpx.TransportError), connect_sse(http, "GET", url, headers={"Last-Event-ID": cursor}) as source:
            if source.response.status_code == 200:
                for event in source.iter_sse():
                    if event.data == "[DONE]":
                        return
                    cursor = event.id
                    yield json.loads(event.data)
            elif source.response.status_code < 500 and source.response.status_code != 429:
                raise RuntimeError(f"status {source.response.status_code}")
        time.sleep(1)


# ---
