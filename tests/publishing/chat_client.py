"""A client of one chat on one stage."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast import history
from holdfast.errors import ApiError
from holdfast.publish import Verdict
from holdfast.queue import Delivery
from holdfast.records import Queued
from holdfast.requests import StartRequest
from holdfast.start import Started
from tests.publishing.stage import CHAT_RETENTION, Script, Stage, said


class Chat:
    """A client of one chat on one stage."""

    def __init__(self) -> None:
        self.stage = Stage()

    async def send(self, *messages: dict[str, Any], **fields: Any) -> Started:
        """Start an answer to the newest of some messages."""
        return await self.stage.starter().start(StartRequest("me", list(messages), chat_id="c", **fields))

    async def publish(self, started: Started, *steps: object) -> Script:
        """Deliver a started answer → the generator that was called."""
        generate = Script(steps)
        delivery = Delivery(started.stream, 1, f"m-{started.stream}", 0)
        assert await self.stage.publisher(generate).publish(delivery) is Verdict.DONE
        return generate

    async def turn(self, text: str, id: str | None, answer: str) -> Started:
        """A question and its whole answer."""
        started = await self.send(said(text, id))
        await self.publish(started, answer)
        return started

    async def items(self) -> list[str]:
        """What the history holds, as text."""
        chat = history.of_chat(self.stage.calm, "me", "c", CHAT_RETENTION)
        return [item.message["parts"][0]["text"] for item in await chat.load()]

    async def queued(self, started: Started) -> Queued:
        """What was asked of the model."""
        return (await self.stage.answer(started.stream)).queued

    async def asked(self, started: Started) -> list[str]:
        """The conversation that the model gets, as text."""
        return [message["parts"][0]["text"] for message in (await self.queued(started)).messages]

    async def refused(self, *messages: dict[str, Any], **fields: Any) -> ApiError:
        """The error with which a start is refused."""
        with pytest.raises(ApiError) as caught:
            await self.send(*messages, **fields)
        return caught.value
