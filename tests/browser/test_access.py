"""The page without a mouse, without a screen, in the dark and on small screens: axe, keyboard, screen reader."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from tests.browser.conftest import NewContext
from tests.browser.packages import packages
from tests.browser.person import LIMIT, Person
from tests.e2e.system import System

WIDE, NARROW = {"width": 1280, "height": 820}, {"width": 360, "height": 740}
#: Every kind of thing that an answer shows.
RICH = "standin: tokens=330 rate=300 reasoning=30 tool=1\nEverything?"


@pytest.fixture(scope="module")
def axe() -> str:
    """axe-core, as it is injected into a page."""
    return (packages() / "axe-core/axe.min.js").read_text("utf-8")


@pytest.fixture(params=["light", "dark"])
def theme(request: pytest.FixtureRequest) -> str:
    """Both themes."""
    return str(request.param)


@pytest.fixture(params=[WIDE, NARROW], ids=["wide", "narrow"])
def seen_by(request: pytest.FixtureRequest, profile: NewContext, theme: str, axe: str) -> BrowserContext:
    """A profile with a theme and a size, and axe in each of its pages."""
    context = profile(viewport=request.param, color_scheme=theme)
    context.add_init_script(axe)
    return context


def _violations(page: Page) -> list[Any]:
    """What axe finds, with the places; every rule that it has is on."""
    found = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")["violations"]
    return [{"rule": each["id"], "where": [node["html"] for node in each["nodes"]][:3]} for each in found]


def _fits(page: Page) -> bool:
    """Whether nothing sticks out of the page sideways."""
    return bool(page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"))


def test_axe_finds_nothing(seen_by: BrowserContext, system: System) -> None:
    """No violation on the empty page, in mid-answer, at the end with all folds open, in the dialogs and in the list,
    in both themes and at 360 px; and nothing is wider than the screen."""
    page = seen_by.new_page()
    person = Person(page, system.url).open()
    expect(page.get_by_role("heading", name="Ask, and let go.")).to_be_visible()
    assert _violations(page) == []
    person.ask("standin: tokens=900 rate=40\nLong?")
    person.reads()
    assert _violations(page) == []
    page.get_by_role("button", name="Stop the answer").click()
    person.ends("Stopped")
    person.ask(RICH)
    expect(page.locator("article.answer")).to_have_count(2, timeout=LIMIT)
    person.ends()
    for summary in person.answer.locator("summary").all():
        summary.click()
    assert _violations(page) == []
    assert _fits(page)
    menu = page.get_by_role("button", name="Show the conversations")
    if menu.is_visible():
        menu.click()
        expect(page.get_by_role("navigation", name="Conversations")).to_be_visible()
        expect(page.get_by_role("link", name="New chat")).to_be_focused()
        assert _violations(page) == []
        page.keyboard.press("Escape")
        expect(menu).to_be_focused()
    page.get_by_role("button", name="Share the newest answer").click()
    expect(page.get_by_role("dialog").get_by_role("img")).to_be_visible()
    assert _violations(page) == []


def test_everything_by_keyboard(person: Person) -> None:
    """The field has the focus at once; a dialog takes the focus, keeps it and gives it back; the theme is switched
    and kept."""
    page = person.page
    field = page.get_by_label("Your question")
    expect(field).to_be_focused()
    page.keyboard.type("standin: tokens=30 rate=400")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("By keyboard?")
    page.keyboard.press("Enter")
    person.ends()
    expect(field).to_be_focused()
    device = page.get_by_role("button", name="Go on with another device")
    device.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    for _ in range(6):
        page.keyboard.press("Tab")
        inside = "() => document.activeElement === document.body || !!document.activeElement.closest('dialog')"
        assert page.evaluate(inside), "the focus left the dialog"
    page.keyboard.press("Escape")
    expect(device).to_be_focused()
    page.get_by_role("button", name="Dark theme").press("Enter")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_the_drawer_keeps_the_focus(profile: NewContext, system: System) -> None:
    """On a small screen Tab stays in the open list, which can be closed without a keyboard as well; the focus goes back
    to the button that opened it. On a screen that becomes wide meanwhile the conversation can be reached again."""
    page = Person(profile(viewport=NARROW).new_page(), system.url).open().page
    menu = page.get_by_role("button", name="Show the conversations")
    close = page.get_by_role("button", name="Hide the conversations")
    inside = "() => document.activeElement === document.body || !!document.activeElement.closest('#side')"
    menu.click()
    expect(page.get_by_role("link", name="New chat")).to_be_focused()
    for key in ["Tab"] * 4 + ["Shift+Tab"] * 6:
        page.keyboard.press(key)
        assert page.evaluate(inside), f"the focus left the drawer with {key}"
    close.click()
    expect(menu).to_be_focused()
    expect(close).to_be_hidden()
    menu.click()
    expect(page.get_by_role("link", name="New chat")).to_be_focused()
    page.set_viewport_size({"width": WIDE["width"], "height": WIDE["height"]})
    expect(close).to_be_hidden()
    page.get_by_label("Your question").click()
    expect(page.get_by_label("Your question")).to_be_focused()


def test_a_double_click_on_send(person: Person, system: System) -> None:
    """It sends and does not stop at once what it has sent; the field has the focus again, for the next question."""
    question = "standin: tokens=90 rate=60\nTwice pressed?"
    field = person.page.get_by_label("Your question")
    field.fill(question)
    person.page.get_by_role("button", name="Send").dblclick()
    person.ends()
    expect(field).to_be_focused()
    assert [call["tokens_sent"] for call in system.calls(question)] == [90]


def test_a_stop_after_a_click_on_send(person: Person) -> None:
    """Only what belongs to the same double click is ignored: a later press stops the answer."""
    person.page.get_by_label("Your question").fill("standin: tokens=3000 rate=60\nSent and stopped?")
    person.page.get_by_role("button", name="Send").click()
    person.reads(120)
    person.page.get_by_role("button", name="Stop the answer").click()
    person.ends("Stopped")


def test_whoever_writes_is_not_taken_elsewhere(person: Person) -> None:
    """The live answer is opened for who comes back, but not once they have begun to write another question."""
    person.ask("standin: tokens=3000 rate=50\nElsewhere?")
    person.reads()
    second = Person(person.page.context.new_page(), person.url)
    held: list[Route] = []

    def hold_first(route: Route) -> None:
        if held:
            route.continue_()
        else:
            held.append(route)

    second.page.route("**/api/chats?*", hold_first)
    with second.page.expect_request("**/api/chats?*"):
        second.open()
    field = second.page.get_by_label("Your question")
    field.fill("Half a question")
    held[0].continue_()
    expect(second.page.get_by_role("navigation").get_by_role("listitem")).to_have_count(1)
    expect(field).to_have_value("Half a question")
    assert second.page.url == f"{second.url}/"
    person.page.get_by_role("button", name="Stop the answer").click()
    person.ends("Stopped")


def test_a_screen_reader_hears_the_end_and_not_every_word(person: Person) -> None:
    """While an answer grows, live regions say only what happens; at the end they say that it is complete, with the
    text where it is short."""
    page = person.page
    page.evaluate("""() => {
        window.heard = []
        const live = '[aria-live], [role=status], [role=alert]'
        const hear = ({textContent: said}) => { if (window.heard.at(-1) !== said) window.heard.push(said) }
        const look = () => document.querySelectorAll(live).forEach(hear)
        new MutationObserver(look).observe(document.body, {subtree: true, childList: true, characterData: true})
    }""")
    person.ask("standin: tokens=60 rate=40\nHeard?")
    expect(person.answer).to_have_attribute("aria-busy", "true", timeout=LIMIT)
    person.ends()
    expect(person.answer).to_have_attribute("aria-busy", "false")
    heard = [text for text in json.loads(page.evaluate("() => JSON.stringify(window.heard)")) if text]
    assert len(heard) <= 4, heard
    assert heard[-1].startswith("The answer is complete. ")
    assert person.copied()[:40] in heard[-1]
