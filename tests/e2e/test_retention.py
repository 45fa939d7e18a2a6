"""Retention: what is over disappears by itself, and nothing else does."""

from __future__ import annotations

import asyncio
from typing import Any

from holdfast.adapters.qstash import QStashQueue
from holdfast.identity import digest
from standins.plan import QSTASH_TOKEN
from tests.e2e.reading import Reader, text_of
from tests.e2e.system import Standins, System, system
from tests.e2e.waiting import until
from tests.owner import OWNER

SCHEDULE = "cleanup-of-the-tests"


def test_what_is_over_disappears_and_what_lives_stays() -> None:
    """Rules X3 and X4: the schedule's deliveries delete a sealed stream with every key that belongs to it and to its
    chat, and it answers 410; a live stream older than its retention goes on to its end, and a stranger's key stays.
    """
    settings = {"HOLDFAST_RETENTION_SECONDS": "2", "HOLDFAST_CHAT_RETENTION_SECONDS": "2"}
    with system(settings) as running:
        running.redis_do("SET", "somebody-elses", "value")
        asyncio.run(_schedule(running))
        prompt = "standin: tokens=320 rate=40\nOutlive it."
        live = running.ask(prompt)
        body = {"prompt": "Pass away.", "chat_id": "a chat"}
        sealed = running.http.post("/api/streams", json=body).json()["id"]
        url = f"/api/streams/{sealed}"
        with Reader(f"{running.url}/api/streams/{live}") as reader:
            assert running.finished(sealed)["state"] == "finished"
            until(lambda: _fired(running) and running.http.get(url).status_code == 410, "410 of the sealed stream")
            assert running.status(live)["state"] == "live"
            until(lambda: _fired(running) and not _of_chats(running), "end of the chat")
            stays = {f"{running.prefix}:due", "somebody-elses", f"{running.prefix}:stream:{live}"}
            # Of the live one there are its log, its lease while it lives, and its place among its owner's live ones.
            stays.add(f"{running.prefix}:live:{digest(OWNER)}")
            until(lambda: {key for key in running.key_names() if ":lease:" not in key} == stays, "end of all else")
            until(lambda: not any(sealed in key for key in running.key_names()), "end of the sealed one's lease")
            text = text_of(reader.to_end())
        assert text == running.calls(prompt)[0]["text"]
        gone = running.http.get(url)
        assert (gone.status_code, gone.json()["error"]["code"]) == (410, "stream_expired")
        for path in ("status", "stop"):
            assert running.http.request("POST" if path == "stop" else "GET", f"{url}/{path}").status_code == 410
        assert running.http.get("/api/chat/a chat").status_code == 404


async def _schedule(running: System) -> None:
    """Register cleanup with the queue, as a deployment does."""
    url = f"{running.door.url}/api/cleanup"
    queue = QStashQueue(url=running.at.qstash, token=QSTASH_TOKEN, destination=url)
    await queue.schedule("* * * * *", url, SCHEDULE)
    await queue.close()


def _fired(running: System) -> bool:
    """Let the schedule's minute pass: the stand-in delivers the message that it would deliver then."""
    message = running.control_queue("POST", f"fire?schedule={SCHEDULE}")["messageId"]

    def delivered() -> bool:
        messages = running.control_queue("GET", "messages")["messages"]
        return any(each["id"] == message and each["state"] == "DELIVERED" for each in messages)

    return until(delivered, "delivery of the schedule's message")


def _of_chats(running: System) -> list[str]:
    return [key for key in running.key_names() if ":chat" in key]


def test_a_key_serves_again_when_its_answer_is_gone(at: Standins) -> None:
    """Rule S2: an ``Idempotency-Key`` stands for its answer as long as that can be read; then it is as good as new."""
    with system({"HOLDFAST_RETENTION_SECONDS": "1"}, at) as running:
        asyncio.run(_schedule(running))

        def start() -> dict[str, Any]:
            headers = {"idempotency-key": "again and again"}
            return dict(running.http.post("/api/streams", json={"prompt": "Once more."}, headers=headers).json())

        first = start()
        running.finished(first["id"])
        until(lambda: _fired(running) and running.http.get(first["url"]).status_code == 410, "410")
        second = start()
        assert (second["created"], second["id"] != first["id"]) == (True, True)
        assert running.finished(second["id"])["state"] == "finished"
        for key in running.key_names():
            if key.startswith(running.prefix):
                assert running.redis_do("PTTL", key) > 0, f"{key} lives for ever"
