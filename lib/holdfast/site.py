"""The page's files as the functions serve them, where no front door does (docs/protocol.md, chapter W)."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

#: The names of these files change with their content, so whoever has one never asks again.
FOREVER: Final = "public, max-age=31536000, immutable"
_ASK_AGAIN: Final = "no-cache"

#: Every kind of file that the build makes.
TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".woff2": "font/woff2",
}
_PACKED: Final = frozenset({".woff2"})  # compressed already


@dataclass(frozen=True)
class File:
    """One file of the page, read when it is first asked for.

    Attributes:
        path: where it is.
        hashed: whether its name changes with its content.
    """

    path: Path
    hashed: bool

    @cached_property
    def plain(self) -> bytes:
        """What is in it."""
        return self.path.read_bytes()

    @cached_property
    def packed(self) -> bytes:
        """The same compressed."""
        return gzip.compress(self.plain, mtime=0)

    @cached_property
    def tag(self) -> str:
        """What tells this content from another one (RFC 9110, section 8.8.3); weak, since it may come compressed."""
        return f'W/"{hashlib.sha256(self.plain).hexdigest()[:32]}"'

    async def answer(self, request: Request) -> Response:
        """Serve it."""
        headers = {
            "cache-control": FOREVER if self.hashed else _ASK_AGAIN,
            "content-type": TYPES[self.path.suffix],
            "etag": self.tag,
            "vary": "accept-encoding",
        }
        if self.tag in {each.strip() for each in request.headers.get("if-none-match", "").split(",")}:
            return Response(status_code=304, headers=headers)
        body = self.plain
        if "gzip" in request.headers.get("accept-encoding", "") and self.path.suffix not in _PACKED:
            body = self.packed
            headers["content-encoding"] = "gzip"
        headers["content-length"] = str(len(body))
        return Response(b"" if request.method == "HEAD" else body, headers=headers)


def routes(folder: Path) -> list[Route]:
    """A route for each file of the page, so that no path leads to any other file.

    Args:
        folder: what the page was built into. Where it is missing, as in a deployment whose platform serves it
            beside the functions, there are no routes.
    """
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix in TYPES:
            name = path.relative_to(folder).as_posix()
            file = File(path, hashed=name.startswith("assets/"))
            found.append(Route("/" if name == "index.html" else f"/{name}", file.answer))
    return found
