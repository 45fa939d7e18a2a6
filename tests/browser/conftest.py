"""One browser and one system for the tests of the page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Playwright, sync_playwright

from tests.browser.browsers import executable
from tests.browser.person import Person, new_context
from tests.e2e import system as running


@pytest.fixture(scope="package")
def at() -> Iterator[running.Standins]:
    """Stand-ins."""
    with running.standins() as found:
        yield found


@pytest.fixture(scope="package")
def system(at: running.Standins) -> Iterator[running.System]:
    """A system with scaled-down limits. Who uses it ends the answers that it started."""
    with running.system(at=at) as found:
        yield found


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    """Playwright's driver."""
    with sync_playwright() as found:
        yield found


@pytest.fixture(scope="package")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """Chromium, without a profile that lasts."""
    found = playwright.chromium.launch(executable_path=executable(), args=["--no-sandbox"])
    yield found
    found.close()


type NewContext = Callable[..., BrowserContext]


@pytest.fixture
def profile(browser: Browser, system: running.System) -> Iterator[NewContext]:
    """Makes profiles of the system's page that share nothing."""
    made: list[BrowserContext] = []

    def make(url: str = system.url, **options: Any) -> BrowserContext:
        made.append(new_context(browser, url, **options))
        return made[-1]

    yield make
    for context in made:
        context.close()


@pytest.fixture
def person(profile: NewContext, system: running.System) -> Person:
    """Somebody with an open page and an empty history of their own."""
    return Person(profile().new_page(), system.url).open()
