"""A small HTTP server on real sockets whose every byte a test decides, and one that follows the contract with it."""

from __future__ import annotations

import json
import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

HOST = "127.0.0.1"
#: The session that the server gives.
COOKIE = "holdfast_session=v1.session-of-the-tests"
type Part = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Wire:
    """The server's end of one connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def read(self) -> Request:
        data = b""
        while b"\r\n\r\n" not in data:
            more = self._connection.recv(65536)
            if not more:
                raise ConnectionError("the client left")
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        while len(body) < int(headers.get("content-length", "0")):
            body += self._connection.recv(65536)
        method, path, _ = first.split(" ")
        return Request(method, path, headers, body)

    def head(self, status: int, headers: dict[str, str]) -> None:
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._connection.sendall(f"HTTP/1.1 {status} X\r\n{lines}connection: close\r\n\r\n".encode())

    def stream(self) -> None:
        self.head(200, {"content-type": "text/event-stream; charset=utf-8", "transfer-encoding": "chunked"})

    def chunk(self, data: bytes) -> None:
        self._connection.sendall(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def end(self) -> None:
        self._connection.sendall(b"0\r\n\r\n")

    def reply(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        own = {"content-type": "application/json", "content-length": str(len(data))}
        self.head(status, own | (headers or {}))
        self._connection.sendall(data)

    def reset(self) -> None:
        """Cut the connection hard: the client gets a reset, not an end."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._connection.close()

    def wait_closed(self) -> None:
        """Say nothing until the client leaves."""
        while self._connection.recv(65536):
            pass


@contextmanager
def serving(answer: Callable[[Request, Wire], None], listener: socket.socket | None = None) -> Iterator[str]:
    """Answer each connection's one request with ``answer`` until the block ends; gives the base URL."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            wire = Wire(self.request)
            try:
                answer(wire.read(), wire)
            except (ConnectionError, BrokenPipeError):
                return  # the client left, as some tests want it to

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = False
        request_queue_size = 32

    server = Server((HOST, 0), Handler, bind_and_activate=listener is None)
    if listener is not None:
        server.socket.close()
        server.socket = listener
        server.server_activate()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://{HOST}:{server.socket.getsockname()[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass(frozen=True, slots=True)
class Serve:
    """What one connection of a reader gets: so many parts, and then an end of some kind.

    Attributes:
        parts: how many.
        then: ``end`` cleanly, ``cut`` off in mid-event, ``reset`` hard, or ``hold`` until the reader leaves.
        retry: milliseconds to tell in a bare line at the end.
    """

    parts: int
    then: str = "end"
    retry: int | None = 1


@dataclass(frozen=True, slots=True)
class Refuse:
    """A connection that gets a status instead of a stream."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)


class FakeHoldfast:
    """One answer under the contract: session, start, read with a cursor, stop, status.

    Args:
        chunks: the parts of the answer, its ending included.
        plan: what the first connections get; every later one gets the rest and ``[DONE]``.
        heed_cursor: off for a route that replays from the start, whatever the reader says.
    """

    id = "AZfake0123456789abcdefghijklmn"

    def __init__(self, chunks: list[Part], *plan: Serve | Refuse, heed_cursor: bool = True) -> None:
        self.parts = [(f"1-{number // 2}.{number % 2}", chunk) for number, chunk in enumerate(chunks)]
        self.end_cursor = f"1-{len(chunks)}"
        self.plan = list(plan)
        self.heed_cursor = heed_cursor
        self.starts: dict[str, Any] = {}
        self.start_refusals: list[Refuse] = []
        self.start_reply: dict[str, Any] = {}
        self.requests: list[Request] = []
        self.stopped = 0

    @property
    def reads(self) -> list[str]:
        """The cursor of each read, in order; empty for none."""
        found = [each for each in self.requests if each.method == "GET" and not each.path.endswith("/status")]
        return [each.headers.get("last-event-id", "") for each in found]

    def __call__(self, request: Request, wire: Wire) -> None:
        self.requests.append(request)
        match request.method, request.path.partition("?")[0].rpartition("/")[2]:
            case "POST", "session":
                wire.reply(200, {"owner_kind": "session"}, {"set-cookie": f"{COOKIE}; Path=/; HttpOnly"})
            case "POST", "streams":
                self._start(request, wire)
            case "POST", "stop":
                self.stopped += 1
                wire.reply(200, {"id": self.id, "stopped": self.stopped == 1, "state": "stopped"})
            case "GET", "status":
                wire.reply(200, {"id": self.id, "state": "live", "characters": 1234, "usage": {"totalTokens": 7}})
            case _:
                self._read(request, wire)

    def _start(self, request: Request, wire: Wire) -> None:
        self.starts.setdefault(request.headers["idempotency-key"], json.loads(request.body))
        if self.start_refusals:
            refusal = self.start_refusals.pop(0)
            # The start has happened, only its answer is lost: a second one must be the same.
            wire.reply(refusal.status, {"error": {"code": "busy", "message": "Try again."}}, refusal.headers)
            return
        url = f"/api/streams/{self.id}"
        wire.reply(202, {"id": self.id, "url": url, "stop_url": f"{url}/stop"} | self.start_reply)

    def _read(self, request: Request, wire: Wire) -> None:
        cursor = request.headers.get("last-event-id", "") if self.heed_cursor else ""
        step = self.plan.pop(0) if self.plan else Serve(len(self.parts), "done")
        if isinstance(step, Refuse):
            wire.reply(step.status, {"error": {"code": "x", "message": "x"}}, step.headers)
            return
        if cursor == self.end_cursor:
            wire.head(204, {})
            return
        names = [name for name, _ in self.parts]
        rest = self.parts[names.index(cursor) + 1 :] if cursor else self.parts
        wire.stream()
        wire.chunk(b":\n")
        for name, chunk in rest[: step.parts]:
            wire.chunk(f"id: {name}\ndata: {json.dumps(chunk)}\n\n".encode())
        match step.then:
            case "done":
                wire.chunk(f"id: {self.end_cursor}\ndata: [DONE]\n\n".encode())
                wire.end()
            case "end":
                if step.retry is not None:
                    wire.chunk(f"retry: {step.retry}\n".encode())
                wire.end()
            case "hold":
                wire.wait_closed()
            case "reset":
                wire.reset()
            case _:
                if step.retry is not None:
                    wire.chunk(f"retry: {step.retry}\n".encode())
                # Without the last chunk of its encoding the body is cut off, as by a function that was killed.
                wire.chunk(b'id: 9-9\ndata: {"type":"text-delta","delta":"cut off in mid-ev')


def text_answer(*deltas: str, ending: Part | None = None) -> list[Part]:
    """The parts of an answer of these deltas."""
    return [
        {"type": "start", "messageId": "m"},
        {"type": "text-start", "id": "t"},
        *({"type": "text-delta", "id": "t", "delta": delta} for delta in deltas),
        {"type": "text-end", "id": "t"},
        ending or {"type": "finish", "finishReason": "stop"},
    ]
