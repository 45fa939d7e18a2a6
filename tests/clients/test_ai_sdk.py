"""Stock chats of the AI SDK 5, 6 and 7: nothing but their own transport, at most with the package's ``fetch``."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.clients.agents import DOT, is_one_text
from tests.clients.stock import Chat, Chats, text_of
from tests.e2e.links import Link
from tests.e2e.system import System
from tests.e2e.waiting import until

LONG = "120 words of 20 ms, please."
LONGER = "200 words of 30 ms, please."


def history(system: System, chat: Chat) -> list[dict[str, Any]]:
    """The conversation as a page loads it."""
    return list(system.http.get(f"/api/chat/{chat.id}").json()["messages"])


def stream_of(system: System, chat: Chat) -> str:
    """The live stream of a chat."""
    return str(until(lambda: system.http.get(f"/api/chat/{chat.id}").json().get("stream"), "a live stream"))


def plain(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Messages without the ids that a client gives its own reasoning parts."""

    def of(part: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in part.items() if name != "id" or part["type"] != "reasoning"}

    return [{**each, "parts": [of(part) for part in each["parts"]]} for each in messages]


def ended(shown: dict[str, Any]) -> tuple[str, Any, list[str]]:
    """How a chat stands, and how its answers ended."""
    return shown["status"], shown["error"], [each.get("finishReason") for each in shown["finishes"]]


def test_an_answer_is_sent_and_shown(system: System, chats: Chats) -> None:
    """A question is answered in the response to it, and the history is what the page shows."""
    chat = chats.open(system.url)
    chat.send("30 words of 5 ms.")
    shown = chat.settled()
    assert ended(shown) == ("ready", None, ["stop"])
    assert is_one_text(text_of(shown), 30)
    assert history(system, chat) == shown["messages"]


def test_a_second_turn_knows_the_first(system: System, chats: Chats) -> None:
    """The server's history goes to the model: the page's own copy is not what counts."""
    chat = chats.open(system.url)
    chat.send("10 words of 1 ms.")
    first = text_of(chat.settled())
    chat.send("Repeat what was said.")
    told = json.loads(text_of(chat.settled()))
    assert [each["parts"][-1]["text"] for each in told] == ["10 words of 1 ms.", first, "Repeat what was said."]


def test_every_kind_of_part_is_shown_and_kept(system: System, chats: Chats) -> None:
    """Reasoning, tools with results and errors, sources, files, data, steps and metadata arrive, and come again."""
    chat = chats.open(system.url)
    chat.send("every kind")
    shown = chat.settled()
    assert ended(shown) == ("ready", None, ["stop"])
    parts = shown["messages"][1]["parts"]
    assert [part["type"] for part in parts] == [
        "step-start", "reasoning", "tool-add", "tool-divide", "step-start", "source-url", "source-document", "file",
        "data-progress", "text",
    ]  # fmt: skip
    by_type = {part["type"]: part for part in parts}
    assert by_type["reasoning"]["text"] == "The sum is asked for. A tool knows it."
    assert by_type["tool-add"]["output"] == {"sum": 5}
    assert by_type["tool-divide"]["errorText"] == "division by zero"
    assert by_type["file"]["url"] == DOT
    assert by_type["data-progress"]["data"] == {"percent": 100}
    assert by_type["text"]["text"] == "It is 5, voilà 🎉"
    assert shown["messages"][1]["metadata"]["mood"] == "calm"
    assert shown["data"][-1]["data"] == {"seen": "once"}
    kept = history(system, chat)
    assert plain(kept) == plain(shown["messages"])
    again = chats.open(system.url, chat.id, messages=kept)
    again.do("resume")
    assert plain(again.settled()["messages"]) == plain(kept)


def test_files_that_the_user_sends_reach_the_model(system: System, chats: Chats) -> None:
    """A message of a file and text is one question."""
    chat = chats.open(system.url)
    file = {"type": "file", "mediaType": "image/png", "url": DOT, "filename": "dot.png"}
    chat.do("send", message={"text": "Say what was said.", "files": [file]})
    (told,) = json.loads(text_of(chat.settled()))
    assert told["parts"] == [file, {"type": "text", "text": "Say what was said."}]


def test_further_fields_of_the_body_reach_the_generator(system: System, chats: Chats) -> None:
    """``request.extra`` holds what the transport adds to all requests, and what one request adds."""
    chat = chats.open(system.url, body={"model": "small", "temperature": 0.2})
    chat.send("Say what came along.", body={"model": "large"})
    assert json.loads(text_of(chat.settled())) == {"model": "large", "temperature": 0.2}


def test_a_page_loaded_anew_resumes_the_live_answer(system: System, chats: Chats) -> None:
    """History and resume, as after a refresh: the answer is there from its first word and goes on to its last."""
    chat = chats.open(system.url)
    chat.send(LONG)
    chat.said(60)
    again = chats.open(system.url, chat.id, messages=history(system, chat))
    again.do("resume")
    shown = again.settled()
    assert ended(shown) == ("ready", None, ["stop"])
    assert is_one_text(text_of(shown), 120)
    assert shown["messages"] == chat.settled()["messages"] == history(system, chat)


def test_a_page_that_resumes_for_nothing_stays_as_it_is(system: System, chats: Chats) -> None:
    """204: a chat that never was, and one whose answer has ended."""
    chat = chats.open(system.url)
    chat.do("resume")
    shown = chat.settled()
    assert (shown["status"], shown["error"], shown["messages"]) == ("ready", None, [])
    assert system.http.get(f"/api/chat/{chat.id}/stream").status_code == 204


def test_a_page_that_resumes_just_after_the_end_shows_the_answer_once(system: System, chats: Chats) -> None:
    """Rule W6: the replay puts the very message in the place of the one that the history had."""
    chat = chats.open(system.url)
    chat.send("20 words of 1 ms.")
    shown = chat.settled()
    for loaded in (history(system, chat), history(system, chat)[:1]):
        again = chats.open(system.url, chat.id, messages=loaded)
        again.do("resume")
        assert again.settled()["messages"] == shown["messages"]


def test_an_answer_is_made_anew(system: System, chats: Chats) -> None:
    """regenerate: another answer in the place of the first, on the page and in the history."""
    chat = chats.open(system.url)
    chat.send("20 words of 1 ms.")
    first = chat.settled()
    chat.do("regenerate")
    second = chat.settled()
    assert is_one_text(text_of(second), 20)
    assert text_of(second) != text_of(first)
    assert [each["role"] for each in second["messages"]] == ["user", "assistant"]
    assert history(system, chat) == second["messages"]


def test_an_answer_that_fails_is_told(system: System, chats: Chats) -> None:
    """The model's failure is the chat's error; what was said before it stays, and the history has it."""
    chat = chats.open(system.url)
    chat.send("20 words of 5 ms, then fail.")
    shown = chat.settled()
    assert (shown["status"], shown["error"]) == ("error", "The model has failed.")
    assert text_of(shown).count(" ") == 11
    assert text_of({"messages": history(system, chat)}) == text_of(shown)


def test_a_refused_start_is_told(system: System, chats: Chats) -> None:
    """A chat that is busy: the refusal's own words are the chat's error."""
    chat = chats.open(system.url)
    chat.send(LONGER)
    live = stream_of(system, chat)
    other = chats.open(system.url, chat.id)
    other.send("Something else.")
    shown = other.settled()
    assert shown["status"] == "error"
    assert json.loads(shown["error"])["error"]["code"] == "chat_busy"
    system.stop(live)
    chat.settled()


def test_a_stop_by_the_route_ends_the_answer_for_all(system: System, chats: Chats) -> None:
    """The page that asked and one that resumed both see the end, with the same text, which the history keeps."""
    chat = chats.open(system.url)
    chat.send(LONGER)
    chat.said(60)
    again = chats.open(system.url, chat.id, messages=history(system, chat))
    again.do("resume")
    again.said(60)
    system.stop(stream_of(system, chat))
    shown = chat.settled()
    assert (shown["status"], shown["error"]) == ("ready", None)
    assert again.settled()["messages"] == shown["messages"]
    assert text_of({"messages": history(system, chat)}) == text_of(shown)
    assert not is_one_text(text_of(shown), 200)


def test_stop_of_the_page_leaves_and_another_question_ends_the_answer(system: System, chats: Chats) -> None:
    """``stop()`` hangs up; the next question, with the partial answer before it, goes on from there (rule H3)."""
    chat = chats.open(system.url)
    chat.send(LONGER)
    chat.said(60)
    left = stream_of(system, chat)
    chat.do("stop")
    chat.settled()
    assert system.status(left)["state"] == "live"
    chat.send("20 words of 1 ms.")
    shown = chat.settled()
    assert is_one_text(text_of(shown), 20)
    assert system.status(left)["state"] == "stopped"
    assert [each["role"] for each in history(system, chat)] == ["user", "assistant"] * 2


# -- tools that run in the page ---------------------------------------------------------------------------


def asks_for_the_place(chat: Chat) -> dict[str, Any]:
    """Ask what needs a tool of the page -> what is shown when the answer waits for it."""
    chat.send("Where am I?")
    shown = chat.settled()
    (call,) = (part for part in shown["messages"][1]["parts"] if part["type"] == "tool-locate")
    assert (call["state"], call["input"]) == ("input-available", {"exact": True})
    return shown


def continued(chat: Chat) -> dict[str, Any]:
    """What is shown once the answer that goes on has ended."""

    def look() -> dict[str, Any]:
        shown = chat.look()
        return shown if shown["status"] == "ready" and len(shown["finishes"]) == 2 else {}

    return until(look, "the end of what goes on")


def test_a_tools_result_continues_the_message(system: System, chats: Chats) -> None:
    """The page runs the tool and sends its result by itself, once: one message under one id, as in the history."""
    chat = chats.open(system.url, auto=True)
    first = asks_for_the_place(chat)
    chat.do("tool", tool="locate", toolCallId="call-1", output="Zürich")
    shown = continued(chat)
    assert shown["error"] is None
    assert [each["id"] for each in shown["messages"]] == [each["id"] for each in first["messages"]]
    assert [part["type"] for part in shown["messages"][1]["parts"]] == ["text", "tool-locate", "step-start", "text"]
    assert shown["messages"][1]["parts"][1]["output"] == "Zürich"
    assert "You are in Zürich, and that is" in text_of(shown)
    assert len(shown["requests"]) == 2
    assert history(system, chat) == shown["messages"]


def test_a_failed_tool_continues_the_message(system: System, chats: Chats) -> None:
    """Its error is the result."""
    if chats.version == "5":
        chat = chats.open(system.url)
        shown = asks_for_the_place(chat)
        call = shown["messages"][1]["parts"][1] | {"state": "output-error", "errorText": "refused"}
        message = {**shown["messages"][1], "parts": [shown["messages"][1]["parts"][0], call]}
        chat.do("open", base=system.url, id=chat.id, messages=[shown["messages"][0], message])
        chat.do("submit")
        assert "You are in refused" in text_of(chat.settled())
        return
    chat = chats.open(system.url, auto=True)
    asks_for_the_place(chat)
    chat.do("tool", tool="locate", toolCallId="call-1", state="output-error", errorText="refused")
    assert "You are in refused" in text_of(continued(chat))


def test_a_page_loaded_anew_resumes_a_message_that_goes_on(system: System, chats: Chats) -> None:
    """Rules H10, W6: the parts before and the rest are one message, as on the page that ran the tool."""
    chat = chats.open(system.url, auto=True)
    asks_for_the_place(chat)
    chat.do("tool", tool="locate", toolCallId="call-1", output="Zürich, in the east of the town, near the old zoo")
    stream_of(system, chat)
    again = chats.open(system.url, chat.id, messages=history(system, chat), follow=True)
    again.do("resume")
    shown = again.settled()
    assert (shown["status"], shown["error"]) == ("ready", None)
    assert plain(shown["messages"]) == plain(continued(chat)["messages"]) == plain(history(system, chat))


# -- connections that end in the middle -------------------------------------------------------------------


def test_cuts_in_the_middle_are_not_seen(system: System, chats: Chats, link: Link) -> None:
    """With the package's ``fetch``: connections are reset again and again, and the page shows the whole text, once."""
    chat = chats.open(link.url, follow=True)
    chat.send(LONGER)
    for characters in (100, 500, 900):
        chat.said(characters)
        link.set("cut")
        link.set("open")
    shown = chat.settled()
    assert ended(shown) == ("ready", None, ["stop"])
    assert is_one_text(text_of(shown), 200)
    assert shown["states"].count("reconnecting") >= 3
    assert history(system, chat) == shown["messages"]


def test_a_resumed_answer_survives_cuts_too(system: System, chats: Chats, link: Link) -> None:
    """With the package's ``fetch``, after a refresh."""
    chat = chats.open(system.url)
    chat.send(LONGER)
    chat.said(60)
    again = chats.open(link.url, chat.id, messages=history(system, chat), follow=True)
    again.do("resume")
    for characters in (300, 900):
        again.said(characters)
        link.set("cut")
        link.set("open")
    assert again.settled()["messages"] == chat.settled()["messages"]


def test_the_time_limit_is_not_seen(limited: System, chats: Chats) -> None:
    """With the package's ``fetch``: the platform ends every function after 3 s, and the answer of 7 s is whole."""
    chat = chats.open(limited.url, follow=True)
    chat.send("230 words of 30 ms, please.")
    shown = chat.settled()
    assert ended(shown) == ("ready", None, ["stop"])
    assert is_one_text(text_of(shown), 230)
    assert shown["states"].count("reconnecting") >= 2


def test_without_the_package_a_clean_end_looks_like_the_end(limited: System, chats: Chats) -> None:
    """What the package is for: the stock chat shows the partial as if it were all. The documented recipe mends it, and
    so does a reload of the page.
    """
    chat = chats.open(limited.url)
    chat.send("180 words of 30 ms, please.")
    shown = chat.settled()
    assert (shown["status"], shown["error"]) == ("ready", None)
    assert not is_one_text(text_of(shown), 180)
    again = chats.open(limited.url, chat.id, messages=history(limited, chat), recipe=True)
    again.do("resume")
    assert is_one_text(text_of(again.settled()), 180)


def test_what_is_final_ends_the_chat(system: System, chats: Chats, link: Link) -> None:
    """The answer is deleted in its middle: the chat fails once, and nothing is asked any more."""
    chat = chats.open(link.url, follow=True)
    chat.send(LONGER)
    chat.said(100)
    stream = stream_of(system, chat)
    link.set("cut")
    system.stop(stream)
    system.redis_do("DEL", f"{system.prefix}:stream:{stream}")
    link.set("open")
    shown = chat.settled()
    assert shown["status"] == "error"
    assert "no such stream" in shown["error"].lower()
    asked = httpx.get(f"{link.url}/api/streams/{stream}", trust_env=False).status_code
    assert asked == 404


@pytest.mark.parametrize("code", ["408", "503"])
def test_a_start_that_was_lost_is_sent_again(system: System, chats: Chats, link: Link, code: str) -> None:
    """The server takes the question and its answer is lost on the way: the same answer is read all the same."""
    chat = chats.open(link.url, follow=True)
    prompt = f"40 words of 20 ms, {code}{chats.version}."
    link.set("deaf" if code == "408" else "cut")
    chat.send(prompt)
    if code == "408":
        until(lambda: system.http.get(f"/api/chat/{chat.id}").status_code == 200, "a start that arrived")
    link.set("open")
    shown = chat.settled()
    assert ended(shown) == ("ready", None, ["stop"])
    assert is_one_text(text_of(shown), 40)
    assert [each["role"] for each in history(system, chat)] == ["user", "assistant"]
