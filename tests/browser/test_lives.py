"""An answer on the page goes on where it is, whatever happens to tab, network, device or browser."""

from __future__ import annotations

import re
import time
from pathlib import Path

from playwright.sync_api import Playwright, Route, expect

from tests.browser.browsers import browser_process
from tests.browser.conftest import NewContext
from tests.browser.person import LIMIT, Person
from tests.e2e import system as running
from tests.e2e.system import System
from tests.e2e.waiting import until

#: Six seconds of writing, with reasoning before them.
LONG = "standin: tokens=360 rate=60 reasoning=10\n"


def _said(system: System, question: str) -> str:
    """The whole text of the first call that a question led to; later calls go on from it."""
    return str(system.calls(question)[0]["text"])


def _settled(system: System, question: str) -> int:
    """How much of the first call was sent, once it is not growing any more; 0 while it is."""
    before = system.calls(question)[0]["tokens_sent"]
    time.sleep(0.3)  # a model that goes on sends fifteen tokens in it
    return int(before) if system.calls(question)[0]["tokens_sent"] == before else 0


def test_a_refresh_in_mid_answer(person: Person, system: System) -> None:
    """After a refresh the answer goes on under the same address, and no second model call was made."""
    question = f"{LONG}Refreshed?"
    person.ask(question)
    before = person.reads(200)
    expect(person.page).to_have_url(re.compile(r"\?chat=\w+$"))
    person.page.reload()
    assert person.reads(len(before)).startswith(before[:150])
    expect(person.status).to_have_text("Writing")
    person.ends()
    person.shows(_said(system, question))
    assert len(system.calls(question)) == 1


def test_two_tabs(person: Person, system: System) -> None:
    """A second tab shows what the first one is being told, and a question in one appears in the other."""
    question = f"{LONG}Twice?"
    person.ask(question)
    person.reads()
    second = Person(person.page.context.new_page(), system.url).open()
    second.reads()
    assert second.page.url == person.page.url, "whoever comes while an answer is written wants to see it"
    second.ends()
    person.ends()
    for tab in (person, second):
        tab.shows(_said(system, question))
    again = f"{LONG}And once more?"
    second.ask(again)
    person.page.bring_to_front()
    expect(person.asked).to_contain_text("And once more?", timeout=LIMIT)
    expect(person.page.locator("article.answer")).to_have_count(2, timeout=LIMIT)
    person.ends()
    person.shows(_said(system, again))


def test_offline_for_five_seconds(person: Person, system: System) -> None:
    """Without a network the page says so and loses nothing; with it the answer goes on from the same character."""
    question = f"{LONG}Offline?"
    person.ask(question)
    before = person.reads(120)
    context = person.page.context
    context.set_offline(True)
    expect(person.status).to_contain_text("No connection. The answer goes on")
    person.page.wait_for_timeout(5_000)
    held = "\n".join(person.prose.all_inner_texts())
    assert held.startswith(before[:100])
    assert len(system.calls(question)) == 1
    sent = system.calls(question)[0]["tokens_sent"]
    assert sent > 200, "the model was not kept waiting"
    context.set_offline(False)
    person.ends()
    person.shows(_said(system, question))
    assert len(system.calls(question)) == 1


def test_the_browser_is_ended_and_opened_again(playwright: Playwright, system: System, tmp_path: Path) -> None:
    """With the same profile the answer that was being written is there, and goes on."""
    question = f"{LONG}Reopened?"
    with browser_process(playwright, tmp_path) as context:
        person = Person(context.new_page(), system.url).open()
        person.ask(question)
        before = person.reads(100)
        address = person.page.url
    with browser_process(playwright, tmp_path) as context:
        context.set_default_timeout(LIMIT)
        context.grant_permissions(["clipboard-read", "clipboard-write"], origin=system.url)
        person = Person(context.new_page(), system.url).open()
        assert person.reads(len(before)).startswith(before[:80])
        assert person.page.url == address
        person.ends()
        person.shows(_said(system, question))
    assert len(system.calls(question)) == 1


def test_a_server_time_limit_of_three_seconds(profile: NewContext, at: running.Standins) -> None:
    """A 20 s answer on functions that live for 3 s: one seamless text, and the attempts are told."""
    with running.system({"HOLDFAST_MAX_SECONDS": "3"}, at) as short:
        context = profile(short.url)
        person = Person(context.new_page(), short.url).open()
        question = "standin: tokens=500 rate=25\nLonger than any function?"
        person.ask(question)
        person.ends()
        expect(person.details).to_have_text(re.compile("handed on [4-9] times|handed on [12][0-9] times"))
        person.details.click()
        expect(person.answer.locator("dt:has-text('Attempts') + dd")).to_have_text(re.compile("^([5-9]|[12][0-9])$"))
        person.shows(_said(short, question))


def test_back_and_forward(person: Person, system: System) -> None:
    """Each conversation stands under its address: back and forward lead to the live one and to the finished one."""
    first, second = "standin: tokens=80 rate=400\nThe first?", f"{LONG}The second?"
    person.ask(first)
    person.ends()
    at_first = person.page.url
    person.page.get_by_role("link", name="New chat").click()
    expect(person.page.get_by_role("heading", name="Ask, and let go.")).to_be_visible()
    person.ask(second)
    person.reads(100)
    at_second = person.page.url
    assert at_second != at_first
    person.page.go_back()  # the empty page
    expect(person.page.get_by_role("heading", name="Ask, and let go.")).to_be_visible()
    person.page.go_back()
    expect(person.asked).to_contain_text("The first?")
    assert person.page.url == at_first
    person.shows(_said(system, first))
    person.page.go_forward()
    person.page.go_forward()
    assert person.page.url == at_second
    person.reads(100)
    person.ends()
    person.shows(_said(system, second))
    assert len(system.calls(second)) == 1


def test_a_stop(person: Person, system: System) -> None:
    """Stop ends the answer on the server: the model is cancelled, what was written stays, a refresh shows the same."""
    question = "standin: tokens=3000 rate=50\nStopped?"
    person.ask(question)
    person.reads(120)
    person.page.get_by_role("button", name="Stop the answer").click()
    person.ends("Stopped")
    text = person.copied()
    assert text
    assert _said(system, question).startswith(text)
    sent = until(lambda: _settled(system, question), "end of the model's call")
    person.page.reload()
    person.ends("Stopped")
    person.shows(text)
    assert system.calls(question)[0]["tokens_sent"] == sent < 3000


def test_a_stop_before_the_start_was_answered(person: Person, system: System) -> None:
    """The second question's start is under way when it is stopped: that answer ends on the server, not the one before
    it, and does not go on unseen."""
    person.ask("standin: tokens=30 rate=400\nBefore?")
    person.ends()
    question = "standin: tokens=3000 rate=50\nToo soon?"
    held: list[Route] = []
    person.page.route("**/api/chat?*", lambda route: held.append(route))  # noqa: PLW0108 - it sets an attribute on it
    with person.page.expect_request("**/api/chat?*"):
        person.ask(question)
    # It arrives, and its answer does not come back.
    body, headers = held[0].request.post_data, held[0].request.headers
    person.page.unroute_all(behavior="ignoreErrors")
    person.page.evaluate(
        "([body, headers]) => fetch('/api/chat', {method: 'POST', body, headers}).then((r) => r.body.cancel())",
        [body, {"content-type": "application/json", "idempotency-key": headers["idempotency-key"]}],
    )
    person.page.get_by_role("button", name="Stop the answer").click()
    sent = until(lambda: _settled(system, question), "end of the model's call")
    expect(person.status).to_have_text("")
    assert sent < 3000
