"""A second device by its link, and an answer that is shared: two profiles that know nothing of each other."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.browser.conftest import NewContext
from tests.browser.person import LIMIT, Person
from tests.e2e.system import System

LONG = "standin: tokens=360 rate=60\n"


def _link(person: Person, button: str, label: str) -> str:
    """The link that a dialog shows, with its QR code beside it."""
    person.page.get_by_role("button", name=button).click()
    dialog = person.page.get_by_role("dialog")
    expect(dialog.get_by_role("img", name=f"QR code of the {label}")).to_be_visible(timeout=LIMIT)
    url = dialog.get_by_role("textbox", name=label).input_value()
    person.page.keyboard.press("Escape")
    return url


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
    expect(third.page.get_by_role("heading", name="This link was used or has expired")).to_be_visible()


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
    other.page.get_by_role("button", name="Leave it").click()
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
    token = url.rpartition(".")[2]
    guest = Person(profile().new_page(), system.url)
    asked: list[str] = []
    guest.page.on("request", lambda request: asked.append(request.url))
    guest.page.goto(url)
    guest.reads()
    expect(guest.status).to_have_text("Writing")
    guest.page.reload()
    guest.reads()
    guest.ends()
    guest.shows(str(system.calls(question)[0]["text"]))
    expect(guest.page.get_by_role("textbox")).to_have_count(0)
    expect(guest.page.get_by_role("button", name=re.compile("Stop|again|Delete"))).to_have_count(0)
    assert asked
    assert not [each for each in asked if token in each.partition("#")[0]]
    person.ends()
    person.page.get_by_role("button", name="Share the newest answer").click()
    person.page.get_by_role("button", name="Withdraw every link to this answer").click()
    expect(person.page.get_by_text("has been withdrawn")).to_be_visible()
    guest.page.reload()
    expect(guest.page.get_by_role("heading", name="This link leads nowhere any more")).to_be_visible(timeout=LIMIT)
    expect(guest.answer).to_have_count(0)


def test_strangers_see_nothing(person: Person, profile: NewContext, system: System) -> None:
    """The address of a conversation alone opens nothing for another profile."""
    person.ask("standin: tokens=30 rate=400\nPrivate?")
    person.ends()
    stranger = Person(profile().new_page(), system.url)
    stranger.page.goto(person.page.url)
    expect(stranger.page.get_by_role("heading", name="There is no such conversation here")).to_be_visible()
    expect(stranger.page.get_by_role("article")).to_have_count(0)
    expect(stranger.page.get_by_role("navigation").get_by_role("listitem")).to_have_count(0)
