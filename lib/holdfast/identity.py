"""Ids that cannot be guessed, and what they tell: a stream's id embeds when it was made (docs/protocol.md, I5)."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
from typing import Any

_STREAM_ID = re.compile(r"[A-Za-z0-9_-]{30}", re.ASCII)
_TIME_BYTES, _RANDOM_BYTES = 6, 16


def new_stream_id(now_ms: int) -> str:
    """A new stream id of 30 characters: the time in epoch milliseconds, then 128 random bits."""
    raw = now_ms.to_bytes(_TIME_BYTES, "big") + secrets.token_bytes(_RANDOM_BYTES)
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def is_stream_id(text: str) -> bool:
    """Whether a text has the form of a stream id, and so can stand in a header or a log line."""
    return _STREAM_ID.fullmatch(text) is not None


def created_ms(stream: str) -> int | None:
    """When a stream id was made, in epoch milliseconds; None if it is not a stream id at all."""
    if not is_stream_id(stream):
        return None
    return int.from_bytes(base64.urlsafe_b64decode(stream + "==")[:_TIME_BYTES], "big")


def message_id(stream: str) -> str:
    """The id of a stream's answer as a UI message: the same in every replay."""
    return f"msg_{stream}"


def digest(*values: Any) -> str:
    """A short fingerprint of JSON values, for keys: the same values in any order of keys give the same text."""
    text = json.dumps(values, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]
