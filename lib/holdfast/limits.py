"""How much one owner or address may start, and how large a request may be (docs/protocol.md, chapter N)."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from holdfast.errors import ApiError
from holdfast.generation import UIMessage

#: Seconds after which somebody with too many live answers may look again: nobody knows when one ends.
_LIVE_SECONDS: Final = 5


class Rates(Protocol):
    """Allowances that refill by themselves: so many at once, and then so many a minute, evenly."""

    async def take(self, key: str, per_minute: int) -> float | None:
        """Take one from an allowance.

        Args:
            key: its name in the store, prefix included.
            per_minute: what a full one holds, and what it gets back in a minute; at least 1.

        Returns:
            None if there was one, else the seconds until there is one again. A refusal takes nothing.

        Raises:
            Unavailable, Rejected: the store did not answer; one may be taken.
        """


@dataclass(frozen=True, slots=True)
class Limits:
    """What starts may cost. 0 is no limit where it says so.

    Attributes:
        owner_starts: starts of one owner in a minute, or 0.
        address_starts: starts from one network address in a minute, or 0.
        live_answers: answers of one owner that may be written at the same time, or 0.
        prompt_chars: characters that one request may bring into a conversation, or 0.
        history_messages: messages of a chat that are given to the model, the new one included.
        history_bytes: bytes of them, as JSON.
    """

    owner_starts: int = 0
    address_starts: int = 0
    live_answers: int = 0
    prompt_chars: int = 0
    history_messages: int = 1_000
    history_bytes: int = 4_000_000

    def check_prompt(self, brought: Sequence[UIMessage]) -> None:
        """Refuse what is too long to be asked (rule N5).

        Args:
            brought: what the conversation takes from the request.

        Raises:
            ApiError: 413.
        """
        size = sum(_characters(part) for message in brought for part in message["parts"]) if self.prompt_chars else 0
        if size > self.prompt_chars:
            what = f"The request holds {size} characters of text; at most {self.prompt_chars} are taken. Send less."
            raise ApiError(413, "prompt_too_large", what)

    def trimmed(self, messages: list[UIMessage]) -> list[UIMessage]:
        """The newest messages of a chat that the limits let through (rule H7).

        The newest question always stays, and what follows it: the answer that is gone on with (rule H10).
        """
        asked = [index for index, message in enumerate(messages) if message["role"] != "assistant"]
        least = len(messages) - asked[-1] if asked else 1
        left = self.history_bytes
        for count, message in enumerate(reversed(messages)):
            left -= len(json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode())
            if count >= least and (count >= self.history_messages or left < 0):
                kept = messages[-count:]
                # Some providers refuse a conversation that begins with an answer.
                first = next((index for index, each in enumerate(kept) if each["role"] != "assistant"), 0)
                return kept[first:]
        return messages


def too_many_starts(kind: str, per_minute: int, seconds: float) -> ApiError:
    """429: the allowance of an ``owner`` or ``address`` is used up (rule N1)."""
    wait = max(1, math.ceil(seconds))
    whose = "you" if kind == "owner" else "this network address"
    what = f"More than {per_minute} answers a minute were started by {whose}. Nothing was started; {_again(wait)}"
    return ApiError(429, f"limit_starts_{kind}", what, retry_after=wait)


def too_many_live(most: int) -> ApiError:
    """429: too many answers of one owner are being written (rule N2)."""
    what = f"{most} of your answers are being written already. Nothing was started; wait for one to end, or stop one."
    return ApiError(429, "limit_live", what, retry_after=_LIVE_SECONDS)


def _characters(part: dict[str, Any]) -> int:
    """What counts of a part: text as it is, of a file only one of text, and all of anything else, as JSON."""
    kind, media = part.get("type"), part.get("mediaType")
    if kind == "text":
        return len(part["text"])
    if kind == "file" and not (isinstance(media, str) and media.lower().startswith("text/")):
        part = {name: value for name, value in part.items() if name != "url"}
    return len(json.dumps(part, ensure_ascii=False, separators=(",", ":")))


def _again(seconds: int) -> str:
    return f"try again in {seconds} second{'' if seconds == 1 else 's'}."
