"""Logs as one JSON object a line: what happened, to which stream; never a prompt, a secret or a foreign text."""

from __future__ import annotations

import json
import logging

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """Renders the event's name and its fields; exceptions only by type, for their text may hold anything."""

    def format(self, record: logging.LogRecord) -> str:
        """One line of JSON."""
        line = {"level": record.levelname.lower(), "event": record.getMessage()}
        line |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = record.exc_info[0].__name__
        return json.dumps(line, default=str)


def configure(level: str) -> None:
    """Send the library's log to stderr.

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
