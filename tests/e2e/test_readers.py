"""What readers see of one answer, whenever they come and however often they are cut off."""

from __future__ import annotations

import random
import time

import httpx

from tests.e2e.reading import Event, Reader, kinds, parse, text_of
from tests.e2e.system import System
from tests.e2e.waiting import until

CUTS = 20


def test_an_early_a_late_and_a_last_reader_end_byte_identical(system: System) -> None:
    """Rule C3: who reads from the start, who comes in the middle and who comes after the end get the same bytes, and
    their text is the model's.
    """
    prompt = "standin: tokens=120 rate=60\nWhy do knots hold?"
    stream = system.ask(prompt)
    url = f"{system.url}/api/streams/{stream}"
    with Reader(url) as early:
        until(lambda: len(early.events) > 10, "events of the early reader")
        assert system.status(stream)["state"] == "live"
        with Reader(url) as late:
            early.to_end()
            late.to_end()
    after = system.http.get(url).content
    assert early.bodies == [after]
    assert late.bodies == [after]
    assert text_of(parse(after)) == system.calls(prompt)[0]["text"]
    seen = kinds(parse(after))
    assert (seen[:3], seen[-2:]) == (["start", "text-start", "text-delta"], ["finish", "[DONE]"])
    assert len(set(seen)) == len(seen), "something came twice"


def test_a_reader_cut_twenty_times_gets_every_part_once(system: System) -> None:
    """Rule C3: a reader that is cut at random bytes and comes back with the id of its last whole event misses nothing
    and sees nothing twice; with the end's cursor it gets 204 (rule D3).
    """
    seed = time.time_ns()
    print(f"seed {seed}")
    rng = random.Random(seed)  # noqa: S311 - where it cuts is no secret
    prompt = "standin: tokens=180 rate=45\nWhat is a good rope?"
    url = f"/api/streams/{system.ask(prompt)}"
    got: list[Event] = []
    for _ in range(CUTS):
        # A few whole events, and then some bytes of the next one, which are lost.
        got += _cut(system.http, url, got, events=rng.randrange(4), more=rng.randrange(120))
    assert got[-1].data != b"[DONE]", "the answer was over before the last cut"
    got += parse(_get(system.http, url, got).content)
    assert got == parse(system.http.get(url).content)
    assert len({event.id for event in got}) == len(got)
    assert text_of(got) == system.calls(prompt)[0]["text"]
    last = _get(system.http, url, got)
    assert (last.status_code, last.content) == (204, b"")


def _get(http: httpx.Client, url: str, got: list[Event]) -> httpx.Response:
    return http.get(url, headers={"last-event-id": got[-1].id} if got else {})


def _cut(http: httpx.Client, url: str, got: list[Event], *, events: int, more: int) -> list[Event]:
    """Read so many events and bytes, and hang up -> the events that are whole."""
    body = b""
    with http.stream("GET", url, headers={"last-event-id": got[-1].id} if got else {}) as reply:
        assert reply.status_code == 200
        for block in reply.iter_raw(1):
            body += block
            whole = body.rfind(b"\n\n") + 2 if b"\n\n" in body else 0
            if body.count(b"\n\n") > events or (body.count(b"\n\n") == events and len(body) - whole >= more):
                break
    return parse(body, cut=True)
