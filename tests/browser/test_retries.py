"""Trying again repeats what failed and nothing else: what was answered is never thrown away for what was not read."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.person import LIMIT, Person
from tests.e2e.system import System
from tests.e2e.waiting import until

RESUME = re.compile(r"/api/chat/[^/]+/stream")
STREAM = re.compile(r"/api/streams/[^/?]+(\?|$)")
HISTORY = re.compile(r"/api/chat/[^/?]+$")
START = re.compile(r"/api/chat(\?|$)")
#: Three seconds of writing.
BRIEF = "standin: tokens=150 rate=50\n"
_STATES = """async (id) => (await (await fetch(`/api/streams/${id}/status`)).json()).state"""


def _refusing(status: int, code: str, message: str = "These are the server's words.") -> Callable[[Route], None]:
    body = json.dumps({"error": {"code": code, "message": message}})
    return lambda route: route.fulfill(status=status, body=body, content_type="application/json")


def _sent(page: Page) -> list[str]:
    """The bodies of the starts that a page sends from now on."""
    sent: list[str] = []
    page.on("request", lambda each: sent.append(each.post_data or "") if each.method == "POST" else None)
    return sent


def _alert(person: Person) -> Locator:
    return person.page.get_by_role("alert")


def _try_again(person: Person) -> None:
    person.page.get_by_role("button", name="Try again").click()


def _ask(person: Person, question: str) -> str:
    """Ask, wait for words, and return the stream that answers."""
    with person.page.expect_response(START) as started:
        person.ask(question)
    person.reads()
    return started.value.headers["x-holdfast-stream"]


def _lose(person: Person, stream: str) -> None:
    """Refresh, and read two words of the answer before the server shows it no more."""
    chunks: list[dict[str, Any]] = [
        {"type": "start", "messageId": f"msg_{stream}"},
        {"type": "text-start", "id": "t"},
        {"type": "text-delta", "id": "t", "delta": "Partial words."},
    ]
    ids = ("1-1.0", "1-1.1", "1-1")
    events = (f"id: {id}\ndata: {json.dumps(chunk)}\n\n" for id, chunk in zip(ids, chunks, strict=True))
    body, headers = "retry: 100\n" + "".join(events), {"x-holdfast-stream": stream}
    person.page.route(RESUME, lambda it: it.fulfill(body=body, content_type="text/event-stream", headers=headers))
    person.page.route(STREAM, _refusing(403, "auth_refused"))
    person.page.reload()


def test_an_answer_that_was_not_read_is_read_and_not_made_anew(person: Person, system: System) -> None:
    """After the connection was lost in mid-answer, the page says that the answer goes on and offers no other one in its
    place; trying again brings the whole of it, from the one call of the model that there was."""
    question = f"{BRIEF}Lost?"
    stream = _ask(person, question)
    _lose(person, stream)
    expect(_alert(person)).to_contain_text("The answer goes on", timeout=LIMIT)
    expect(person.prose).to_have_text("Partial words.")
    person.ends("Being written")
    expect(person.page.get_by_role("button", name="Answer again")).to_have_count(0)
    until(lambda: person.page.evaluate(_STATES, stream) == "finished", "end of the answer")
    person.page.unroute_all()
    sent = _sent(person.page)
    _try_again(person)
    person.ends()
    person.shows(str(system.calls(question)[0]["text"]))
    expect(person.page.get_by_role("button", name="Answer again")).to_have_count(1)
    expect(_alert(person)).to_have_count(0)
    assert sent == []
    assert len(system.calls(question)) == 1


def test_a_resume_that_was_refused_is_made_again(person: Person, system: System) -> None:
    """Where the server does not let a page read on after a refresh, trying again reads the answer that goes on."""
    question = f"{BRIEF}Refused?"
    _ask(person, question)
    person.page.route(RESUME, _refusing(409, "not_now"))
    person.page.reload()
    expect(_alert(person)).to_contain_text("These are the server's words.", timeout=LIMIT)
    person.page.unroute_all()
    sent = _sent(person.page)
    _try_again(person)
    person.ends()
    person.shows(str(system.calls(question)[0]["text"]))
    assert sent == []
    assert len(system.calls(question)) == 1


def test_a_conversation_that_was_not_loaded_is_loaded(person: Person, system: System) -> None:
    """A refresh meets an outage: trying again reads the conversation, again and again, and asks for no answer."""
    question = "standin: tokens=40 rate=400\nLoaded?"
    person.ask(question)
    person.ends()
    person.page.route(HISTORY, _refusing(503, "store_unavailable"))
    sent = _sent(person.page)
    person.page.reload()
    for _ in range(2):
        with person.page.expect_response(HISTORY):
            _try_again(person)
        expect(_alert(person)).to_contain_text("The service is not reachable right now", timeout=LIMIT)
    person.page.unroute_all()
    _try_again(person)
    person.ends()
    person.shows(str(system.calls(question)[0]["text"]))
    expect(_alert(person)).to_have_count(0)
    assert sent == []


def test_another_answer_that_was_refused_is_asked_for_again(person: Person, system: System) -> None:
    """What is repeated is the request for another answer, and not the question, whose answer is there already."""
    question = "standin: tokens=40 rate=400\nAnother?"
    person.ask(question)
    person.ends()
    person.page.route(START, _refusing(429, "limit_starts_owner"))
    person.page.get_by_role("button", name="Answer again").click()
    expect(_alert(person)).to_contain_text("Too much at once", timeout=LIMIT)
    person.page.unroute_all()
    _try_again(person)
    person.ends()
    assert len(system.calls(question)) == 2
    person.shows(str(system.calls(question)[1]["text"]))


def test_an_answer_that_somebody_else_asked_for_meanwhile(person: Person, system: System) -> None:
    """A failure stands on the page while another tab tries again: this one shows that answer and makes no third."""
    question = "standin: status=500 times=4 tokens=40 rate=400\nMeanwhile?"
    person.ask(question)
    expect(_alert(person)).to_contain_text("The answer failed", timeout=LIMIT)
    # Without the tabs' telling each other, as on two devices.
    deaf = "window.BroadcastChannel = undefined; delete window.BroadcastChannel"
    other = Person(person.page.context.new_page(), system.url)
    other.page.add_init_script(deaf)
    other.page.goto(person.page.url)
    _try_again(other)
    other.ends()
    calls = len(system.calls(question))
    _try_again(person)
    person.ends()
    person.shows(str(system.calls(question)[-1]["text"]))
    assert len(system.calls(question)) == calls


@pytest.mark.parametrize("told", [True, False], ids=["told", "untold"])
def test_a_conversation_that_was_deleted_elsewhere(person: Person, system: System, told: bool) -> None:
    """The other tab says so, or the next look at the server does: nothing is left of it, and nothing to try again."""
    _ask(person, "standin: tokens=3000 rate=50\nDeleted?" if told else "standin: tokens=40 rate=400\nDeleted?")
    other = Person(person.page.context.new_page(), system.url)
    if told:
        other.page.goto(person.page.url)
        other.reads()
        entry = other.page.get_by_role("navigation").get_by_role("listitem").filter(has_text="Deleted?")
        entry.get_by_role("button").click()
        other.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    else:
        person.ends()
        deletion = "async (id) => (await fetch(`/api/chat/${id}`, {method: 'DELETE'})).status"
        assert person.page.evaluate(deletion, person.page.url.partition("chat=")[2]) == 204
        person.page.evaluate("() => document.dispatchEvent(new Event('visibilitychange'))")
    expect(person.page.get_by_role("heading", name="There is no such conversation here")).to_be_visible(timeout=LIMIT)
    expect(person.page.get_by_role("article")).to_have_count(0)
    expect(_alert(person)).to_have_count(0)
    person.ask("standin: tokens=30 rate=400\nAnd anew?")
    person.ends()
    expect(person.page.locator("article.asked")).to_have_count(1)


def test_a_stop_before_the_first_word(person: Person, system: System) -> None:
    """The page says that it was stopped, in the place of an answer, and trying again makes one."""
    question = "standin: tokens=40 rate=400 ttft=2500\nStopped?"
    with person.page.expect_response(START):
        person.ask(question)
    system.called(question, 0)
    person.page.get_by_role("button", name="Stop the answer").click()
    stopped = person.page.locator(".trouble")
    expect(stopped).to_contain_text("Stopped", timeout=LIMIT)
    expect(person.page.locator("article.answer")).to_have_count(0)
    expect(person.asked).to_contain_text("Stopped?")
    person.page.evaluate("() => document.dispatchEvent(new Event('visibilitychange'))")
    person.page.wait_for_load_state("networkidle")
    expect(stopped).to_contain_text("Stopped")
    _try_again(person)
    person.ends()
    person.shows(str(system.calls(question)[-1]["text"]))
    assert len(system.calls(question)) == 2


def test_a_stop_of_a_start_that_never_arrived(person: Person, system: System) -> None:
    """The question stays on the page as the only place that has it, and trying again sends it."""
    question = "standin: tokens=40 rate=400\nNever arrived?"
    held: list[Route] = []
    person.page.route(START, lambda route: held.append(route))  # noqa: PLW0108 - it sets an attribute on it
    with person.page.expect_request(START):
        person.ask(question)
    person.page.get_by_role("button", name="Stop the answer").click()
    expect(person.page.locator(".trouble")).to_contain_text("Stopped", timeout=LIMIT)
    expect(person.asked).to_contain_text("Never arrived?")
    person.page.unroute_all(behavior="ignoreErrors")
    _try_again(person)
    person.ends()
    person.shows(str(system.calls(question)[-1]["text"]))
    assert len(system.calls(question)) == 1


def test_a_live_answer_that_cannot_be_resumed(person: Person) -> None:
    """A history that names a live stream, and a resume that has none: the page looks again at once, then ever more
    rarely, and stops; a person can make it look again."""
    asked = {"id": "u", "role": "user", "parts": [{"type": "text", "text": "Where is it?"}]}
    body = json.dumps({"id": "x", "messages": [asked], "stream": "z"})
    looks: list[str] = []

    def show(route: Route) -> None:
        looks.append(route.request.url)
        route.fulfill(body=body, content_type="application/json")

    person.page.clock.install()
    person.page.route("**/api/chat/x", show)
    person.page.route("**/api/chat/x/stream*", lambda route: route.fulfill(status=204))
    person.open("/?chat=x")
    until(lambda: person.page.evaluate("1") and len(looks) == 2, "second look")
    for count in (3, 4, 5):
        person.page.wait_for_load_state("networkidle")
        assert len(looks) == count - 1
        person.page.clock.run_for(6_000)
        until(lambda: person.page.evaluate("1") and len(looks) == count, "next look")  # noqa: B023 - called at once
    expect(_alert(person)).to_contain_text("cannot be read right now", timeout=LIMIT)
    person.page.clock.run_for(60_000)
    assert len(looks) == 5
    _try_again(person)
    until(lambda: person.page.evaluate("1") and len(looks) > 5, "look that was asked for")


@pytest.mark.parametrize(
    ("status", "code", "head"),
    [
        (401, "credentials_invalid", "Sign in to go on"),
        (403, "origin_refused", "The server does not take questions from this page"),
        (413, "prompt_too_large", "The question is too long"),
        (413, "conversation_too_large", "The conversation is too long"),
        (422, "field_invalid", "The question cannot be taken in as it is"),
    ],
)
def test_a_refusal_that_stays(person: Person, status: int, code: str, head: str) -> None:
    """It has a heading of its own, the server's words, and no button for what would be refused again."""
    person.page.route(START, _refusing(status, code))
    person.ask("Refused?")
    expect(_alert(person)).to_contain_text(head, timeout=LIMIT)
    expect(_alert(person)).to_contain_text("These are the server's words.")
    expect(_alert(person).get_by_role("button")).to_have_count(0)
