"""Chats on any store, made as start and publish make them, without a queue."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from holdfast import erasure, history
from holdfast.errors import Unavailable
from holdfast.history import History
from holdfast.identity import message_id
from holdfast.log import Log
from holdfast.operations import Get, Operation, Range, Ranked
from holdfast.records import FIRST, Begin, EntryId, Finish, Parts
from holdfast.requests import StartRequest
from holdfast.start import Started, Starter
from tests.core.stores import Store

RETENTION = 3_600
CHAT_RETENTION = 36_000


class Taken:
    """A queue that takes everything and delivers nothing."""

    async def enqueue(self, stream: str, attempt: int, *, dedup: str) -> None:
        """Take a message, unless it is none."""
        if not stream or attempt < 1 or not dedup:
            raise Unavailable("no message")


@dataclass
class Chats:
    """One owner's chats on a store.

    Attributes:
        store: the store.
        owner: whose chats.
        log: the verbs; by default the store's own.
    """

    store: Store
    owner: str = "me"
    log: Log = field(init=False)

    def __post_init__(self) -> None:
        self.log = self.store.log

    def of(self, chat: str) -> History:
        """The verbs on one chat."""
        return history.of_chat(self.log, self.owner, chat, CHAT_RETENTION)

    async def start(self, chat: str, text: str | list[dict[str, Any]], **more: Any) -> Started:
        """Start an answer to a text, or to a message of these parts."""
        parts = [{"type": "text", "text": text}] if isinstance(text, str) else text
        request = StartRequest(self.owner, [{"role": "user", "parts": parts}], chat_id=chat, **more)
        return await Starter(self.log, Taken(), RETENTION, CHAT_RETENTION).start(request)

    async def answer(self, stream: str, text: str, *, end: bool = True) -> None:
        """Write an answer, to its end or not."""
        now = self.store.clock.now_ms()
        begin = Begin(at=now, owner="nonce", message="m", retried=0)
        await self.log.claim(stream, 1, begin, RETENTION * 1000)
        chunks = [
            {"type": "start", "messageId": message_id(stream)},
            {"type": "text-start", "id": "t"},
            {"type": "text-delta", "id": "t", "delta": text},
        ]
        await self.log.append(stream, EntryId(1, 1), Parts(at=now, pos=0, parts=chunks))
        if end:
            finish = Finish(
                at=now, reason="stop", parts=3, characters=len(text), ttft_ms=0, duration_ms=0, attempts=1, exact=True
            )
            await history.end(self.log, stream, finish, EntryId(1, 1))

    async def turn(self, chat: str, text: str, answer: str = "Because.") -> Started:
        """A question and its whole answer."""
        started = await self.start(chat, text)
        await self.answer(started.stream, answer)
        return started

    async def erase(self, chat: str) -> bool:
        """Delete a chat."""
        return await erasure.erase(self.of(chat))

    async def texts(self, chat: str) -> list[str]:
        """What a chat says."""
        return [item.message["parts"][0]["text"] for item in await self.of(chat).load()]

    async def holds(self, text: str) -> list[str]:
        """The keys that hold a text anywhere, whatever they are."""
        return [key for key in await self.store.keys() if text in await self._content(key)]

    async def _content(self, key: str) -> str:
        read: Operation = Get(key)
        if ":stream:" in key:
            read = Range(key, FIRST)
        elif ":away:" in key or key.endswith((":chats", ":due", ":erasing", ":turns", ":history")):
            read = Ranked(key)
        return str(await self.store.one(read))
