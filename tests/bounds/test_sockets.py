"""The same bounds over real sockets: a reader that stands still, answers through REST, requests of absurd size."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

from standins.plan import REDIS_TOKEN
from tests.bounds.agents import BLOCK
from tests.e2e.reading import parse, text_of
from tests.e2e.system import System
from tests.http.refusals import refused
from tests.owner import API_KEY

#: Entries of a log that no answer reaches, and characters of each: twelve pages of 2.5 MB.
ENTRIES, SIZE = 3_072, 10_000


def connect(system: System) -> socket.socket:
    """A connection whose buffer is small."""
    at = urlsplit(system.url)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    client.settimeout(20)
    client.connect((at.hostname, at.port))
    return client


def ranges(system: System) -> int:
    """How many pages the store was asked for."""
    return int(system.stats()["commands"].get("XRANGE", 0))


def memory_mb(system: System) -> float:
    """What the process of the functions holds, in MB."""
    with open(f"/proc/{system.functions.process.pid}/statm") as statm:  # noqa: PTH123 - not a file of ours
        return int(statm.read().split()[1]) * 4_096 / 1e6


def test_readers_that_stand_still_do_not_make_the_process_grow(system: System) -> None:
    """Ten readers of a log of 30 MB who never read: the store is asked for a few pages for each, and the process
    holds those.
    """
    stream = system.ask("blocks=1")
    assert system.finished(stream)["state"] == "finished"
    _fill(system, stream)
    url = f"/api/streams/{stream}"
    whole = _pages_of(system, lambda: system.http.get(url).content)
    assert whole > 10
    before = memory_mb(system)
    clients = [connect(system) for _ in range(10)]
    try:
        for client in clients:
            client.sendall(f"GET {url} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {API_KEY}\r\n\r\n".encode())
            assert client.recv(12) == b"HTTP/1.1 200"
        # Another reader gets everything meanwhile: time enough for the others' buffers to fill.
        asked = _pages_of(system, lambda: (system.http.get(url), system.http.get(url)))
        assert asked < 2 * whole + 10 * whole / 2, "who does not read is read for all the same"
        assert _pages_of(system, lambda: system.http.get(url)) <= whole + 2, "it goes on in silence"
        assert memory_mb(system) - before < 200
    finally:
        for client in clients:
            client.close()


def _pages_of(system: System, work: Callable[[], object]) -> int:
    before = ranges(system)
    work()
    return ranges(system) - before


def _fill(system: System, stream: str) -> None:
    """Write a long log in the place of a short one."""
    key = f"{system.prefix}:stream:{stream}"
    first = system.entries(stream)[0][1]
    system.redis_do("DEL", key)
    system.redis_do("XADD", key, "0-1", "r", first)
    begin = {"v": 1, "t": "begin", "at": 1, "owner": "o", "message": "m", "retried": 0}
    system.redis_do("XADD", key, "1-0", "r", json.dumps(begin))
    for start in range(0, ENTRIES, 512):
        commands = []
        for number in range(start, start + 512):
            delta = {"type": "text-delta", "id": "a", "delta": f"{number:05}" + "x" * SIZE}
            record = {"v": 1, "t": "parts", "at": 1, "pos": number, "parts": [delta]}
            commands.append(["XADD", key, f"1-{number + 1}", "r", json.dumps(record)])
        headers = {"authorization": f"Bearer {REDIS_TOKEN}"}
        assert system.side.post(f"{system.at.redis}/pipeline", json=commands, headers=headers).status_code == 200
    system.redis_do("XADD", key, "1099511627776-0", "r", '{"v":1,"t":"stop","at":2,"by":"request"}')


def test_an_answer_of_six_megabytes_through_rest(system: System) -> None:
    """Rules B3, D1: over the REST stand-in with its 10 MB, every byte of a large answer comes back."""
    count = 6_000_000 // (len(BLOCK.encode()) + 1_600)
    stream = system.ask(f"blocks={count}")
    told = system.finished(stream)
    assert told["state"] == "finished", told
    assert text_of(parse(system.http.get(f"/api/streams/{stream}").content)) == BLOCK * count


def test_twenty_thousand_parts_through_rest(system: System) -> None:
    """Rule B3: parts that do not merge come back one by one."""
    stream = system.ask("parts=20000")
    assert system.finished(stream)["state"] == "finished"
    events = parse(system.http.get(f"/api/streams/{stream}").content)
    assert [each.chunk["data"] for each in events if each.chunk.get("type") == "data-n"] == list(range(20_000))


@pytest.mark.parametrize("size", [1_000, 60_000])
def test_a_cursor_of_absurd_size(system: System, size: int) -> None:
    """Rule C2: 400 while the server reads the header at all."""
    url = f"/api/streams/{system.ask('blocks=1')}"
    reply = system.http.get(url, headers={"last-event-id": "1-" + "1" * size})
    if size < 8_000:
        refused(reply, 400, "cursor_malformed")
    else:
        assert reply.status_code in {400, 431}
    reply = system.http.get(url, params={"last_event_id": "1-" + "1" * size})
    assert reply.status_code in {400, 414, 431}


@pytest.mark.parametrize(
    "head",
    [
        "GET /healthz HTTP/1.1\r\nhost: x\r\nx-long: " + "y" * 1_000_000 + "\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nhost: x\r\n" + "x-many: y\r\n" * 50_000 + "\r\n",
        "GET /" + "a" * 1_000_000 + " HTTP/1.1\r\nhost: x\r\n\r\n",
        "\0" * 200_000,
    ],
    ids=["long", "many", "path", "garbage"],
)
def test_a_head_of_absurd_size(system: System, head: str) -> None:
    """A server refuses it with a 4xx or hangs up, and goes on serving."""
    with connect(system) as client:
        try:
            client.sendall(head.encode())
            reply = client.recv(100)
        except (BrokenPipeError, ConnectionResetError):
            reply = b""
    assert reply == b"" or reply.startswith(b"HTTP/1.1 4"), reply
    assert system.http.get("/healthz").status_code == 200
