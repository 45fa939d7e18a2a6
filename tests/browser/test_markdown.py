"""Markdown on the page: what a person sees of headings, lists, tables and code, while it comes and afterwards."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.browser.agents import ESSAY
from tests.browser.conftest import NewContext
from tests.browser.person import LIMIT, Person
from tests.e2e import system as running


def test_an_essay_with_everything(profile: NewContext, at: running.Standins) -> None:
    """The structure is there, code is coloured and copied to the character, and the page heard nothing of elsewhere."""
    with running.system({"HOLDFAST_GENERATOR": "tests.browser.agents:writes"}, at) as writing:
        person = Person(profile(writing.url).new_page(), writing.url).open()
        person.ask("Why do answers break off?")
        expect(person.answer.locator("figure.code")).to_be_visible(timeout=LIMIT)
        person.ends()
        person.shows(ESSAY)
        answer = person.answer
        expect(answer.get_by_role("heading", level=3)).to_have_text("Why an answer breaks off")
        expect(answer.get_by_role("heading", level=4)).to_have_count(2)
        expect(answer.get_by_role("row")).to_have_count(4)
        expect(answer.get_by_role("listitem")).to_have_count(3)
        expect(answer.locator("blockquote")).to_contain_text("A reply that was lost")
        expect(answer.locator(".hljs-keyword").first).to_have_text("async")
        person.answer.get_by_role("button", name="Copy code").click()
        copied = person.page.evaluate("() => navigator.clipboard.readText()")
        (code,) = re.findall(r"```python\n(.*?)\n```", ESSAY, re.DOTALL)
        assert copied == code
        thoughts = answer.get_by_text("Who breaks it, what helps")
        expect(thoughts).to_be_hidden()
        answer.get_by_text("Thoughts").click()
        expect(thoughts).to_be_visible()
