"""Logs as one JSON object a line: when, what happened, to which stream; never a prompt, a secret or a foreign text."""

from __future__ import annotations

import json
import logging
import traceback
from datetime import UTC, datetime
from typing import override

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """Renders the event's name and its fields; exceptions only by type, for their text may hold anything."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        """One line of JSON, whose ``time`` is in UTC."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"time": time, "level": record.levelname.lower(), "event": record.getMessage()}
        line |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = record.exc_info[0].__name__
        # Escaped to ASCII: no value can begin a line of its own, in any viewer's idea of a line.
        return json.dumps(line, default=lambda value: type(value).__name__)


class WithoutQuery(logging.Filter):
    """Takes the query, where a reader's token may stand, out of uvicorn's access log."""

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record in place and let it pass."""
        if isinstance(record.args, tuple):
            record.args = tuple(_cut(each) if isinstance(each, str) else each for each in record.args)
        return True


def configure(level: str) -> None:
    """Send the library's log to stderr, and keep tokens out of the server's.

    Args:
        level: the least level that is written, by name.
    """
    logger = logging.getLogger("holdfast")
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(JsonFormatter())
        logger.addHandler(handler)
        logger.propagate = False
    logger.setLevel(level)
    access = logging.getLogger("uvicorn.access")
    if not any(isinstance(each, WithoutQuery) for each in access.filters):
        access.addFilter(WithoutQuery())


def place(error: BaseException) -> str:
    """Where an exception was raised, as file and line: what may be told of one whose text may hold anything."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "unknown"


def _cut(text: str) -> str:
    path, query, _ = text.partition("?")
    return f"{path}?..." if query else text
