"""Nothing jumps while an answer streams."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import NewContext
from tests.browser.person import LIMIT, Person
from tests.e2e.system import System

#: Layout shift that is still counted as good is 0.1 for a whole visit; here is what an answer may add.
MOST = 0.01
ANSWER = "standin: tokens=420 rate=120 reasoning=20\nSteady?"

_WATCH = """() => {
  window.shifts = []
  new PerformanceObserver((list) => list.getEntries().forEach((entry) => window.shifts.push({
    value: entry.value, of: entry.sources.map((source) => source.node && source.node.nodeName),
  }))).observe({type: 'layout-shift'})
}"""


@pytest.mark.parametrize("width", [1280, 360])
def test_the_layout_does_not_shift_while_an_answer_streams(profile: NewContext, system: System, width: int) -> None:
    """Measured as browsers do (Layout Instability API), from the question to the end, with tables, lists and code."""
    person = Person(profile(viewport={"width": width, "height": 760}).new_page(), system.url).open()
    page = person.page
    expect(page.get_by_role("heading", name="Ask, and let go.")).to_be_visible()
    page.evaluate("() => document.fonts.ready")
    person.ask(ANSWER)
    person.reads()
    page.evaluate(_WATCH)
    person.ends()
    shifts = page.evaluate("() => window.shifts")
    assert sum(shift["value"] for shift in shifts) < MOST, shifts
    scroll = page.locator(".scroll")
    assert scroll.evaluate("(box) => box.scrollHeight - box.clientHeight - box.scrollTop") < 4, "the end is in view"


def test_a_reader_who_scrolls_up_stays_there(person: Person) -> None:
    """What is being read does not move while the answer grows below it, and one press leads back to its end."""
    page = person.page
    person.ask("standin: tokens=1500 rate=150\nScrolled?")
    expect(person.prose.first).to_have_text(re.compile(r"[^\0]{2500,}"), timeout=LIMIT)
    scroll = page.locator(".scroll")
    scroll.hover()
    page.mouse.wheel(0, -700)
    to_end = page.get_by_role("button", name="To the newest words")
    expect(to_end).to_be_visible()
    place = "() => document.querySelector('.answer .prose > :first-child').getBoundingClientRect().top"
    before, length = page.evaluate(place), len(person.prose.last.inner_text())
    expect(person.prose.first).to_have_text(re.compile(rf"[^\0]{{{length + 600},}}"), timeout=LIMIT)
    assert abs(page.evaluate(place) - before) < 1
    to_end.click()
    expect(to_end).to_have_count(0)
    person.page.get_by_role("button", name="Stop the answer").click()
    person.ends("Stopped")
