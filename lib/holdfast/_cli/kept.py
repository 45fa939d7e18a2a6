"""The streams that this user started: a small private file, so that ``tail``, ``stop`` and ``status`` work later."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from holdfast._cli.problem import Problem

#: How many streams are remembered; older ones are forgotten.
LIMIT = 200


@dataclass(frozen=True, slots=True)
class Kept:
    """What is remembered of one start.

    Attributes:
        id: the stream's id.
        url: where it is read, absolute.
        stop_url: where it is stopped, absolute.
        base: the server it was started at.
        read_token: what the server gave to read it with; empty if it gave none.
        at: epoch milliseconds of the start.
    """

    id: str
    url: str
    stop_url: str
    base: str
    read_token: str = ""
    at: int = 0

    @property
    def status_url(self) -> str:
        """Where its state is asked for."""
        parts = urlsplit(self.url)
        return urlunsplit(parts._replace(path=parts.path.rstrip("/") + "/status"))

    @property
    def headers(self) -> dict[str, str]:
        """What proves that this user may read it."""
        return {"Authorization": f"Bearer {self.read_token}"} if self.read_token else {}

    @classmethod
    def unknown(cls, stream: str, base: str) -> Kept:
        """A stream that was started elsewhere: its URLs follow from the contract, and there is no token."""
        url = f"{base}/api/streams/{stream}"
        return cls(stream, url, f"{url}/stop", base)


def state_file(env: Mapping[str, str]) -> Path:
    """Where the streams are kept: ``$XDG_STATE_HOME/holdfast/streams.json``, by default under ``~/.local/state``."""
    home = env.get("XDG_STATE_HOME", "")
    # The XDG specification tells to ignore a relative path.
    root = Path(home) if home and Path(home).is_absolute() else Path.home() / ".local" / "state"
    return root / "holdfast" / "streams.json"


def load(path: Path) -> list[Kept]:
    """The remembered streams, oldest first.

    Raises:
        Problem: the file is there, but cannot be read.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
        return [_kept(item) for item in content["streams"]]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Problem(
            f"{path} cannot be read ({type(error).__name__}). Remove it; only remembered ids are lost."
        ) from None


def keep(path: Path, stream: Kept) -> None:
    """Remember a stream as the newest one; a file that cannot be read is replaced.

    Raises:
        OSError: the file cannot be written.
    """
    with locked(path):
        try:
            streams = [kept for kept in load(path) if kept.id != stream.id]
        except Problem:
            streams = []
        replace(path, {"v": 1, "streams": [asdict(kept) for kept in [*streams, stream][-LIMIT:]]})


def find(streams: list[Kept], wanted: str | None, *, base: str, chosen: bool) -> Kept:
    """The stream that an id, the beginning of one, or nothing stands for.

    A remembered stream is asked for at the server that it was started at, so its token goes nowhere else.

    Args:
        streams: the remembered ones, oldest first.
        wanted: an id or a prefix that only one of them has; None for the newest.
        base: the server to ask for an id that is not remembered.
        chosen: whether the user named that server for this call; if so, only its streams count.

    Raises:
        Problem: nothing is remembered, or the prefix fits several.
    """
    streams = [kept for kept in streams if not chosen or kept.base == base]
    if wanted is None:
        if not streams:
            raise Problem("No stream is remembered here. Give an id, or start one with: holdfast ask", 2)
        return streams[-1]
    fitting = [kept for kept in streams if kept.id.startswith(wanted)]
    exact = [kept for kept in fitting if kept.id == wanted]
    if len(exact or fitting) > 1:
        raise Problem(f"{wanted} fits {len(fitting)} streams: {', '.join(kept.id for kept in fitting[-5:])}.", 2)
    if not fitting and not wanted.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise Problem(f"{wanted!r} is no stream id.", 2)
    return (exact or fitting or [Kept.unknown(wanted, base)])[0]


def _kept(item: dict[str, Any]) -> Kept:
    kept = Kept(**{field.name: item[field.name] for field in fields(Kept)})
    if not all(isinstance(value, str) for value in (kept.id, kept.url, kept.stop_url, kept.base, kept.read_token)):
        raise TypeError("a field is no text")
    return kept


def replace(path: Path, content: dict[str, Any]) -> None:
    """Replace a file in one step: a reader sees the old one or the new one, and both are the user's alone."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-")  # made with mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=1)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Make the folder of a file and keep other commands from changing it: two at once must not forget each other's."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = path.with_suffix(".lock")
    try:
        import fcntl
    except ImportError:  # Windows: the write stays atomic, the newest one wins
        yield
        return
    with path.open("w") as file:
        path.chmod(0o600)
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
