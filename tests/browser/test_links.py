"""A second device by its link, and an answer that is shared: two profiles that know nothing of each other."""

from __future__ import annotations

import json
import re
from typing import Any

from playwright.sync_api import Locator, Route, expect

from tests.browser.conftest import NewContext
from tests.browser.person import LIMIT, Person
from tests.e2e import system as running
from tests.e2e.system import System

LONG = "standin: tokens=360 rate=60\n"
#: The button that claims a link.
CLAIM = "Go on with the other device’s conversations"  # noqa: RUF001 - as the page writes it


def _link(person: Person, button: str, label: str) -> str:
    """The link that a dialog shows, with its QR code beside it."""
    person.page.get_by_role("button", name=button).click()
    dialog = person.page.get_by_role("dialog")
    expect(dialog.get_by_role("img", name=f"QR code of the {label}")).to_be_visible(timeout=LIMIT)
    url = dialog.get_by_role("textbox", name=label).input_value()
    person.page.keyboard.press("Escape")
    return url


def _guest(url: str, profile: NewContext, system: System) -> tuple[Person, list[str]]:
    """Somebody who opens a link to an answer, and the addresses of the requests that their page makes."""
    guest = Person(profile(system.url).new_page(), system.url)
    requested: list[str] = []
    guest.page.on("request", lambda request: requested.append(request.url))
    guest.page.goto(url)
    return guest, requested


def _told(person: Person) -> Locator:
    """What a screen reader was told last."""
    return person.page.locator("#root > [role=status]")


def _only_reads(guest: Person, url: str, requested: list[str]) -> None:
    """Check that a guest is offered nothing but reading, and that no server was sent the token in an address."""
    expect(guest.page.get_by_role("textbox")).to_have_count(0)
    expect(guest.page.get_by_role("button", name=re.compile("Stop|again|Delete"))).to_have_count(0)
    token = url.rpartition(".")[2]
    assert any("/api/streams/" in each for each in requested)
    assert not [each for each in requested if token in each.partition("#")[0]]


def test_a_second_device(person: Person, profile: NewContext, system: System) -> None:
    """Another profile opens the link: it sees the conversations, follows the live answer to the same end, and asks on
    in the same conversation. The link works once."""
    question = f"{LONG}On two devices?"
    person.ask(question)
    person.reads()
    url = _link(person, "Go on with another device", "link for another device")
    assert url.startswith(f"{system.url}/#link=")
    second = Person(profile().new_page(), system.url)
    second.page.goto(url)
    second.page.get_by_role("button", name=CLAIM).click()
    second.reads()
    assert second.page.url == person.page.url, "the code is out of the address, and the live answer is open"
    for each in (person, second):
        each.ends()
        each.shows(str(system.calls(question)[0]["text"]))
    second.ask("standin: tokens=40 rate=400\nAnd from here?")
    expect(second.asked).to_contain_text("And from here?")
    second.ends()
    person.page.reload()
    expect(person.asked).to_contain_text("And from here?")
    third = Person(profile().new_page(), system.url)
    third.page.goto(url)
    third.page.get_by_role("button", name=CLAIM).click()
    expect(third.page.get_by_role("heading", name="This link was used or has expired")).to_be_visible()
    third.page.get_by_role("button", name="Close").click()
    expect(third.page.get_by_role("heading", name="Ask, and let go.")).to_be_visible()


def test_opening_a_link_alone_claims_nothing(person: Person, profile: NewContext, system: System) -> None:
    """A profile without conversations is asked as well: whoever wrote the link would read what is asked there. Until
    the button is pressed nothing is sent that changes anything, and a link that was declined is still good."""
    person.ask("standin: tokens=20 rate=400\nTheirs.")
    person.ends()
    url = _link(person, "Go on with another device", "link for another device")
    context = profile()
    visitor = Person(context.new_page(), system.url)
    sent: list[str] = []
    visitor.page.on("request", lambda request: sent.append(request.method))
    visitor.page.goto(url)
    for _ in range(2):
        expect(visitor.page.get_by_role("button", name=CLAIM)).to_be_enabled()
        expect(visitor.page.get_by_text("can read what you ask here")).to_be_visible()
        expect(visitor.page.get_by_text("will no longer be")).to_have_count(0)
        visitor.page.wait_for_load_state("networkidle")
        visitor.page.reload()
    visitor.page.get_by_role("button", name="Cancel").click()
    expect(visitor.page.get_by_role("heading", name="Ask, and let go.")).to_be_visible()
    visitor.page.wait_for_load_state("networkidle")
    assert visitor.page.url == f"{system.url}/", "the code is out of the address"
    expect(visitor.page.get_by_role("navigation").get_by_role("listitem")).to_have_count(0)
    assert set(sent) == {"GET"}
    assert context.cookies() == []
    visitor.page.goto(url)
    visitor.page.get_by_role("button", name=CLAIM).click()
    expect(visitor.page.get_by_role("navigation").get_by_role("listitem")).to_have_count(1)


def test_a_link_does_not_take_ones_own_conversations_away_unasked(
    person: Person, profile: NewContext, system: System
) -> None:
    """Whoever has conversations here is asked before another device's take their place."""
    person.ask("standin: tokens=20 rate=400\nTheirs.")
    person.ends()
    url = _link(person, "Go on with another device", "link for another device")
    other = Person(profile().new_page(), system.url).open()
    other.ask("standin: tokens=20 rate=400\nMine.")
    other.ends()
    mine = other.page.url
    other.page.goto(url)
    expect(other.page.get_by_text("will no longer be")).to_be_visible()
    other.page.get_by_role("button", name="Cancel").click()
    other.page.goto(mine)
    expect(other.asked).to_contain_text("Mine.")


def test_a_shared_answer(person: Person, profile: NewContext, system: System) -> None:
    """Somebody without an account reads the live answer to its end, can do nothing else, and no more once the links
    are withdrawn. The token stands in no address that a server sees."""
    question = f"{LONG}Shared?"
    person.ask(question)
    person.reads()
    url = _link(person, "Share the newest answer", "link to this answer")
    assert url.startswith(f"{system.url}/#share=")
    guest, requested = _guest(url, profile, system)
    guest.reads()
    expect(guest.status).to_have_text("Writing")
    guest.page.reload()
    guest.reads()
    guest.ends()
    expect(_told(guest)).to_contain_text("The answer is complete.")
    guest.shows(str(system.calls(question)[0]["text"]))
    _only_reads(guest, url, requested)
    person.ends()
    person.page.get_by_role("button", name="Share the newest answer").click()
    person.page.get_by_role("button", name="Withdraw every link to this answer").click()
    expect(person.page.get_by_text("has been withdrawn")).to_be_visible()
    guest.page.reload()
    expect(guest.page.get_by_role("heading", name="This link leads nowhere any more")).to_be_visible(timeout=LIMIT)
    expect(guest.answer).to_have_count(0)


def test_a_shared_answer_that_is_stopped(person: Person, profile: NewContext, system: System) -> None:
    """Its reader is told that it was stopped and keeps what was written, at once and after a refresh. How it ended is
    asked with the token in no address either."""
    question = "standin: tokens=3000 rate=50\nShared and stopped?"
    person.ask(question)
    person.reads(120)
    url = _link(person, "Share the newest answer", "link to this answer")
    guest, requested = _guest(url, profile, system)
    guest.reads(120)
    person.page.get_by_role("button", name="Stop the answer").click()
    person.ends("Stopped")
    text = person.copied()
    assert text
    for _ in range(2):
        guest.ends("Stopped")
        expect(_told(guest)).to_contain_text("The answer was stopped.")
        guest.shows(text)
        expect(guest.page.get_by_role("alert")).to_have_count(0)
        _only_reads(guest, url, requested)
        guest.page.reload()


def test_a_shared_answer_that_failed(profile: NewContext, at: running.Standins) -> None:
    """Its reader is told why and keeps what was written, at once and after a refresh, and is offered no second try,
    which is the owner's. How it ended is asked with the token in no address either."""
    with running.system({"HOLDFAST_GENERATOR": "tests.browser.agents:breaks"}, at) as failing:
        person = Person(profile(failing.url).new_page(), failing.url).open()
        person.ask("Half, and shared?")
        person.ends("Failed")
        url = _link(person, "Share the newest answer", "link to this answer")
        guest, requested = _guest(url, profile, failing)
        for _ in range(2):
            guest.ends("Failed")
            guest.shows("The first half of a sentence, and ")
            expect(guest.page.get_by_role("alert")).to_contain_text("The model is out of words.")
            expect(_told(guest)).not_to_contain_text("complete")
            _only_reads(guest, url, requested)
            guest.page.reload()


def test_a_shared_answer_that_is_refused_for_now(person: Person, profile: NewContext, system: System) -> None:
    """The server's own words are shown to its reader, and what trying again brings takes their place."""
    question = "standin: tokens=40 rate=400\nRefused to a guest?"
    person.ask(question)
    person.ends()
    url = _link(person, "Share the newest answer", "link to this answer")
    context = profile()
    body = json.dumps({"error": {"code": "limit_readers", "message": "These are the server's words."}})
    refusal: dict[str, Any] = {"status": 429, "body": body, "headers": {"retry-after": "60"}}
    context.route("**/api/streams/*", lambda route: route.fulfill(**refusal))
    guest = Person(context.new_page(), system.url)
    guest.page.goto(url)
    alert = guest.page.get_by_role("alert")
    expect(alert).to_contain_text("These are the server's words.", timeout=LIMIT)
    context.unroute_all()
    alert.get_by_role("button", name="Try again").click()
    guest.ends()
    expect(alert).to_have_count(0)
    guest.shows(str(system.calls(question)[0]["text"]))


def test_a_withdrawal_that_fails(person: Person, profile: NewContext, system: System) -> None:
    """Whoever withdraws a link is told that it did not work, and trying again withdraws it; no other link is made."""
    person.ask("standin: tokens=20 rate=400\nWithdrawn at last?")
    person.ends()
    body = json.dumps({"error": {"code": "store_unavailable", "message": "These are the server's words."}})
    methods: list[str] = []

    def fail(route: Route) -> None:
        methods.append(route.request.method)
        if methods.count("DELETE") == 1:
            route.fulfill(status=503, body=body, content_type="application/json")
        else:
            route.continue_()

    person.page.route("**/api/streams/*/share", fail)
    person.page.get_by_role("button", name="Share the newest answer").click()
    dialog = person.page.get_by_role("dialog")
    link = dialog.get_by_role("textbox", name="link to this answer")
    url = link.input_value()
    dialog.get_by_role("button", name="Withdraw every link to this answer").click()
    expect(dialog.get_by_role("alert")).to_contain_text("These are the server's words.")
    expect(link).to_have_value(url)
    dialog.get_by_role("button", name="Try again").click()
    expect(dialog.get_by_text("has been withdrawn")).to_be_visible()
    expect(dialog.get_by_role("alert")).to_have_count(0)
    assert methods == ["POST", "DELETE", "DELETE"]
    guest, _ = _guest(url, profile, system)
    expect(guest.page.get_by_role("heading", name="This link leads nowhere any more")).to_be_visible(timeout=LIMIT)


def test_strangers_see_nothing(person: Person, profile: NewContext, system: System) -> None:
    """The address of a conversation alone opens nothing for another profile."""
    person.ask("standin: tokens=30 rate=400\nPrivate?")
    person.ends()
    stranger = Person(profile().new_page(), system.url)
    stranger.page.goto(person.page.url)
    expect(stranger.page.get_by_role("heading", name="There is no such conversation here")).to_be_visible()
    expect(stranger.page.get_by_role("article")).to_have_count(0)
    expect(stranger.page.get_by_role("navigation").get_by_role("listitem")).to_have_count(0)
