"""What goes wrong is said plainly, with what can be done about it, and it works."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Route, expect

from tests.browser.conftest import NewContext
from tests.browser.person import LIMIT, Person
from tests.e2e import system as running
from tests.e2e.system import System


def test_a_500_from_the_model(person: Person, system: System) -> None:
    """The failure is told in words, a refresh does not hide it, and trying again answers the question."""
    question = "standin: status=500 times=4 tokens=60 rate=400\nBroken?"
    person.ask(question)
    alert = person.page.get_by_role("alert")
    expect(alert).to_contain_text("The answer failed", timeout=LIMIT)
    person.page.reload()
    expect(alert).to_contain_text("This question has no answer", timeout=LIMIT)
    alert.get_by_role("button", name="Try again").click()
    person.ends()
    expect(alert).to_have_count(0)
    person.shows(str(system.calls(question)[-1]["text"]))


def test_a_failure_in_mid_answer_keeps_what_was_written(profile: NewContext, at: running.Standins) -> None:
    """The partial stays on the page, marked as failed, with the reason; also after a refresh."""
    with running.system({"HOLDFAST_GENERATOR": "tests.browser.agents:breaks"}, at) as failing:
        person = Person(profile(failing.url).new_page(), failing.url).open()
        person.ask("Half?")
        for _ in range(2):
            person.ends("Failed")
            person.shows("The first half of a sentence, and ")
            expect(person.page.get_by_role("alert")).to_contain_text("The model is out of words.")
            person.page.reload()


@pytest.mark.parametrize(
    ("status", "code", "head"),
    [
        (429, "limit_starts_owner", "Too much at once"),
        (409, "chat_busy", "Another answer of this conversation is being written"),
        (503, "store_unavailable", "The service is not reachable right now"),
    ],
)
def test_a_refused_start(person: Person, system: System, status: int, code: str, head: str) -> None:
    """The server's own words are shown, the question stays where it is, and it can be sent again as it stands."""
    question = f"standin: tokens=40 rate=400\nRefused with {status}?"
    body = json.dumps({"error": {"code": code, "message": "These are the server's words."}})

    def refuse(route: Route) -> None:
        route.fulfill(status=status, body=body, content_type="application/json", headers={"retry-after": "12"})

    person.page.route("**/api/chat?*", refuse)
    person.page.route("**/api/chat", refuse)
    person.ask(question)
    alert = person.page.get_by_role("alert")
    expect(alert).to_contain_text(head, timeout=LIMIT)
    expect(alert).to_contain_text("These are the server's words.")
    expect(alert).to_contain_text("12 s")
    expect(person.asked).to_contain_text(f"Refused with {status}?")
    person.page.unroute_all()
    alert.get_by_role("button", name="Try again").click()
    person.ends()
    person.shows(str(system.calls(question)[-1]["text"]))
    assert len(system.calls(question)) == 1


def test_answering_again(person: Person, system: System) -> None:
    """Another answer takes the place of the one before, also after a refresh."""
    question = "standin: tokens=50 rate=400\nAgain?"
    person.ask(question)
    person.ends()
    first = person.copied()
    person.page.get_by_role("button", name="Answer again").click()
    expect(person.answer).not_to_contain_text(first[:30])
    person.ends()
    second = str(system.calls(question)[-1]["text"])
    assert second != first
    person.shows(second)
    person.page.reload()
    person.shows(second)
    expect(person.page.locator("article.answer")).to_have_count(1)


def test_deleting_a_conversation(person: Person, system: System) -> None:
    """It asks first; then the conversation is gone from the list and from its address, and a live answer is stopped."""
    question = "standin: tokens=3000 rate=50\nDelete me?"
    person.ask(question)
    person.reads()
    address = person.page.url
    entry = person.page.get_by_role("navigation").get_by_role("listitem").filter(has_text="Delete me?")
    expect(entry.get_by_role("img", name="Being answered")).to_be_visible()
    entry.get_by_role("button").click()
    person.page.get_by_role("dialog").get_by_role("button", name="Keep it").click()
    expect(entry).to_be_visible()
    entry.get_by_role("button").click()
    person.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(entry).to_have_count(0)
    expect(person.page.get_by_role("heading", name="Ask, and let go.")).to_be_visible()
    person.page.goto(address)
    expect(person.page.get_by_role("heading", name="There is no such conversation here")).to_be_visible()
    assert system.calls(question)[0]["tokens_sent"] < 3000
