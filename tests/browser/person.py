"""Somebody in front of the page: asks, reads, presses, and looks at what is there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

#: Milliseconds for what must happen; a busy machine needs a fraction of them.
LIMIT = 40_000


def words(markdown: str) -> list[str]:
    """The words that are seen of a markdown text, in order; a list's numbers are drawn by the browser."""
    return re.findall(r"\w+", re.sub(r"^\d+\. ", "", markdown, flags=re.MULTILINE))


def new_context(browser: Browser, url: str, **options: Any) -> BrowserContext:
    """A profile of its own, which may use the clipboard."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 820}, **options})
    context.set_default_timeout(LIMIT)
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=url)
    return context


@dataclass(frozen=True, slots=True)
class Person:
    """One open tab.

    Attributes:
        page: the tab.
        url: where the system is.
    """

    page: Page
    url: str

    def open(self, path: str = "/") -> Person:
        """Go to an address of the page."""
        self.page.goto(self.url + path)
        return self

    def ask(self, question: str) -> None:
        """Write a question and send it by the Enter key."""
        field = self.page.get_by_label("Your question")
        field.fill(question)
        field.press("Enter")

    # -- what is seen ---------------------------------------------------------------------------------

    @property
    def answer(self) -> Locator:
        """The newest answer."""
        return self.page.locator("article.answer").last

    @property
    def asked(self) -> Locator:
        """The newest question."""
        return self.page.locator("article.asked").last

    @property
    def prose(self) -> Locator:
        """Its text, without its thoughts."""
        return self.answer.locator(":scope > .prose")

    @property
    def status(self) -> Locator:
        """The line above the field."""
        return self.page.locator(".status")

    @property
    def details(self) -> Locator:
        """The line below the answer that tells how it ended."""
        return self.answer.locator("details.details > summary")

    def reads(self, least: int = 40) -> str:
        """Wait until so many characters of an answer are there -> all that are."""
        expect(self.prose.first).to_have_text(re.compile(rf"[^\0]{{{least},}}"), timeout=LIMIT)
        return "\n".join(self.prose.all_inner_texts())

    def ends(self, how: str = "Complete") -> None:
        """Wait until the answer has ended in this way."""
        expect(self.details).to_have_text(re.compile(rf"^{how}"), timeout=LIMIT)

    def copied(self) -> str:
        """The answer's text as its copy button gives it: what the model wrote, to the character."""
        self.page.bring_to_front()
        self.answer.get_by_role("button", name="Copy answer").click()
        expect(self.answer.get_by_text("Copied")).to_be_visible()
        return str(self.page.evaluate("() => navigator.clipboard.readText()"))

    def shows(self, text: str) -> None:
        """Check the text to the character as it is copied, and word by word as it is seen."""
        assert self.copied() == text
        seen = "\n".join(self.prose.all_inner_texts())
        assert words(seen) == words(text)
