"""A destination on loopback that answers as told and keeps what it was sent."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """What the destination says; with ``hold`` set, only once that event is."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b"done"
    hold: threading.Event | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it arrived."""

    method: str
    path: str
    headers: Message
    body: bytes


class Receiver:
    """Answers 200, or what ``script`` holds next; ``take`` gives the requests in the order they came."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.script: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self.received: queue.Queue[Received] = queue.Queue()

    def answers(self, *answers: Answer) -> None:
        """What to say to the next requests."""
        for answer in answers:
            self.script.put(answer)

    def take(self) -> Received:
        """The next request; fails when none comes for ten seconds."""
        return self.received.get(timeout=10)


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Run a destination until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            try:
                answer = receiver.script.get_nowait()
            except queue.Empty:
                answer = Answer()
            receiver.received.put(Received(self.command, self.path, self.headers, body))
            if answer.hold is not None:
                answer.hold.wait(10)
            try:
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)
            except ConnectionError:
                pass  # the caller gave up

        do_GET = do_POST = do_PUT = handle_any  # noqa: N815 - the names that the server looks for

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver = Receiver(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
