"""A server to be supervised: healthy, or dying in the way that its arguments ask for."""

from __future__ import annotations

import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Say nothing; a test reads what is printed."""


def main() -> None:
    """``server PORT [dies CODE | needs FILE]``: serve, or end at start-up, always or until a file exists."""
    port, *trouble = sys.argv[1:]
    match trouble:
        case ["dies", code]:
            print(f"this is why: {code}", file=sys.stderr)
            sys.exit(int(code))
        case ["needs", name] if not Path(name).exists():
            sys.exit(3)
    server = HTTPServer(("127.0.0.1", int(port)), _Handler)
    print(f"listening on http://127.0.0.1:{port}", flush=True)
    print("serving " + "x" * 200_000, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
