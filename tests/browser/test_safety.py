"""Nothing that a model, or whoever speaks through it, writes runs as script or loads from elsewhere."""

from __future__ import annotations

import json
import re
from typing import Any

from playwright.sync_api import Page, expect

from tests.browser.agents import ELSEWHERE
from tests.browser.conftest import NewContext
from tests.browser.person import Person
from tests.e2e import system as running

_MADE = "article :is(script, style, iframe, object, embed, form, input, circle)"
_ATTRIBUTES = """() => [...document.querySelectorAll('*')].flatMap((element) =>
    [...element.attributes].map(({name, value}) => [element.nodeName, name, value]))"""
#: Told of all that the policy had to refuse, from the first line of the page on. What the tests themselves evaluate
#: has no file.
_REFUSALS = """
window.refused = []
document.addEventListener('securitypolicyviolation', (event) => {
    if (event.sourceFile) window.refused.push(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`)
})"""


def _is_clean(page: Page) -> None:
    attributes: list[list[str]] = page.evaluate(_ATTRIBUTES)
    links = [each for each in attributes if each[1] in {"href", "src", "action", "srcdoc", "xlink:href", "formaction"}]
    assert page.evaluate("() => 'canary' in window") is False
    assert page.locator(_MADE).count() == 0
    assert not [each for each in attributes if each[1].startswith("on")]
    assert not [each for each in links if re.match(r"\s*(java|vb)script:|file:", each[2], re.IGNORECASE)]
    assert not [each for each in links if re.match(r"data:(text/html|image/svg)", each[2], re.IGNORECASE)]
    assert not [each for each in links if each[0] == "IMG" and not each[2].startswith("data:")]


def test_canaries_in_every_part(profile: NewContext, at: running.Standins) -> None:
    """Markdown, HTML, links, pictures, code, thoughts, tools, sources and files: shown as text or left out, no request
    leaves for elsewhere, and the policy has nothing to refuse. Addresses that are none break nothing. So it is while
    streaming and after a refresh."""
    with running.system({"HOLDFAST_GENERATOR": "tests.browser.agents:canaries"}, at) as hostile:
        context = profile(hostile.url)
        context.add_init_script(_REFUSALS)
        page = context.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        person = Person(page, hostile.url).open()
        person.ask('<img src=x onerror="window.canary=1"> javascript:canary')
        person.ends()
        for _ in range(2):
            expect(person.prose.get_by_text("The last line.")).to_be_visible()
            expect(person.prose).to_contain_text("<script>window.canary=1</script>")
            expect(person.prose.get_by_role("link", name="Image: elsewhere.invalid")).to_be_visible()
            expect(person.answer.locator(".plain")).to_have_count(0)
            for summary in page.locator("article summary").all():
                summary.click()
            _is_clean(page)
            refused: list[Any] = page.evaluate("() => window.refused")
            assert refused == []
            page.reload()
            person.ends()
        for link in person.answer.get_by_role("link").all():
            assert re.match(r"https?:|data:", str(link.get_attribute("href")))
            assert {"noopener", "noreferrer"} <= set(str(link.get_attribute("rel")).split())
        assert not [url for url in asked if url.startswith(ELSEWHERE)]
        assert {url.split("/")[2] for url in asked} == {hostile.url.split("/")[2]}


def test_a_message_that_cannot_be_shown(person: Person) -> None:
    """It breaks nothing but itself: its plain text stands in its place, and the messages around it are there."""
    odd = {"type": "source-document", "sourceId": "s", "mediaType": "text/plain", "title": {"no": "text"}}

    def said(id: str, role: str, text: str, *others: dict[str, Any]) -> dict[str, Any]:
        return {"id": id, "role": role, "parts": [{"type": "text", "text": text}, *others]}

    messages = [
        said("a", "user", "Before?"), said("msg_b", "assistant", "Kept **as it is**.", odd),
        said("c", "user", "And after?"), said("msg_d", "assistant", "Whole **words**."),
    ]  # fmt: skip
    body = json.dumps({"id": "x", "messages": messages, "stream": None})
    person.page.route("**/api/chat/x", lambda route: route.fulfill(body=body, content_type="application/json"))
    person.open("/?chat=x")
    answers = person.page.locator("article.answer")
    expect(answers.first).to_contain_text("Kept **as it is**.")
    expect(answers.last.locator("p")).to_have_text("Whole words.")
    expect(person.page.locator("article.asked")).to_have_count(2)
    person.ask("standin: tokens=20 rate=400\nAnd on?")
    expect(person.asked).to_contain_text("And on?")
    person.ends()


def test_the_policy_is_in_force(person: Person) -> None:
    """Script that found its way into the document all the same would not run."""
    page = person.page
    page.evaluate("""() => {
        window.tried = 0
        document.addEventListener('securitypolicyviolation', () => { window.tried += 1 })
        const script = document.createElement('script')
        script.textContent = 'window.canary = 1'
        document.body.append(script)
        document.body.insertAdjacentHTML('beforeend', '<img src="x" onerror="window.canary = 1">')
    }""")
    expect(page.locator("img[src=x]")).to_have_count(1)
    page.wait_for_load_state("networkidle")
    assert page.evaluate("() => 'canary' in window") is False
    assert page.evaluate("() => window.tried") >= 1
