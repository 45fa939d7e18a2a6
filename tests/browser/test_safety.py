"""Nothing that a model, or whoever speaks through it, writes runs as script or loads from elsewhere."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.browser.agents import ELSEWHERE
from tests.browser.conftest import NewContext
from tests.browser.person import Person
from tests.e2e import system as running

#: What is looked for in the page, scripts of the page itself aside.
_LOOK = """() => {
  const all = [...document.querySelectorAll('*')]
  const attributes = all.flatMap((e) => [...e.attributes].map((a) => [e.nodeName, a.name, a.value]))
  return {
    ran: 'canary' in window,
    made: document.querySelectorAll('article :is(script, style, iframe, object, embed, form, input, svg circle)').length,
    handlers: attributes.filter(([, name]) => name.startsWith('on')),
    schemes: attributes.filter(([, name, value]) => /^(href|src|action)$/.test(name) && /^\\s*(java|vb)script|^file:/i.test(value)),
    outside: [...document.images].map((image) => image.src).filter((src) => !src.startsWith('data:')),
    html: attributes.filter(([, name, value]) => name === 'href' && /^data:(text\\/html|image\\/svg)/i.test(value)),
  }
}"""


def _is_clean(page: Page) -> None:
    seen = page.evaluate(_LOOK)
    assert seen == {"ran": False, "made": 0, "handlers": [], "schemes": [], "outside": [], "html": []}


def test_canaries_in_every_part(profile: NewContext, at: running.Standins) -> None:
    """Markdown, HTML, links, pictures, code, thoughts, tools, sources and files: shown as text or left out, no request
    leaves for elsewhere, and the policy has nothing to refuse. So it is while streaming, after a refresh and shared."""
    with running.system({"HOLDFAST_GENERATOR": "tests.browser.agents:canaries"}, at) as hostile:
        context = profile(hostile.url)
        context.add_init_script(
            "document.addEventListener('securitypolicyviolation', (e) => { window.refused = e.blockedURI })"
        )
        page = context.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        person = Person(page, hostile.url).open()
        person.ask('<img src=x onerror="window.canary=1"> javascript:canary')
        person.ends()
        for _ in range(2):
            expect(page.get_by_text("The last line.").last).to_be_visible()
            for summary in page.locator("article summary").all():
                summary.click()
            _is_clean(page)
            expect(person.prose.first).to_contain_text("<script>window.canary=1</script>")
            assert page.evaluate("() => window.refused") is None
            page.reload()
            person.ends()
        for link in person.answer.get_by_role("link").all():
            assert re.match(r"https?:", str(link.get_attribute("href")))
            assert {"noopener", "noreferrer"} <= set(str(link.get_attribute("rel")).split())
        assert not [url for url in asked if url.startswith(ELSEWHERE)]
        assert {url.split("/")[2] for url in asked} == {hostile.url.split("/")[2]}


def test_the_policy_is_in_force(person: Person) -> None:
    """Script that found its way into the document all the same would not run."""
    page = person.page
    page.evaluate("""() => {
        const script = document.createElement('script'); script.textContent = 'window.canary = 1'
        document.body.append(script)
        document.body.insertAdjacentHTML('beforeend', '<img src="x" onerror="window.canary = 1">')
    }""")
    page.wait_for_timeout(300)
    assert page.evaluate("() => 'canary' in window") is False
