"""Whatever the store holds, each route reads it or says that it cannot: strangers, newer and older versions."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from holdfast.errors import BadRecord
from holdfast.identity import digest
from holdfast.keys import Keys
from holdfast.operations import Append, Operation, Put, Rank
from holdfast.records import SEAL, EntryId, Queued, decode, encode
from tests.clocks import run, virtual
from tests.fuzz.app import App, Reply
from tests.fuzz.strategies import firsts, laters, messages, nested, raw, values
from tests.owner import OWNER

FUZZ = settings.get_profile("fuzz")
KEYS = Keys("t")
#: Ids that our publishers write, and those that a stranger's ``XADD *`` gets.
steps = st.sampled_from([(0, 1), (0, 1), (0, 1), (1, 0), (1, 1), (3, 2), (SEAL.attempt, 0), (1_700_000_000_000, 0)])
QUESTION: Any = {"role": "user", "parts": [{"type": "text", "text": "Why?"}]}


def queued(**fields: Any) -> str:
    """A first record as it should be, but for some fields."""
    record = Queued(at=1_700_000_000_000, owner=OWNER, message_id="msg_1", messages=[QUESTION])
    return json.dumps({**json.loads(encode(record)), **fields})


def begin(**fields: Any) -> str:
    """A claim."""
    return json.dumps({"v": 1, "t": "begin", "at": 1, "owner": "o", "message": "m9", "retried": 0, **fields})


async def stored(app: App, entries: list[tuple[tuple[int, int], str]], first: str | None = None) -> str:
    """A stream of these records, each so many attempts or entries behind the one before."""
    stream, id = app.stream_id(), EntryId(0, 0 if first is None else 1)
    key = KEYS.stream(stream)
    operations: list[Operation] = [] if first is None else [Append(key, id, first, create=True)]
    for (attempts, seq), text in entries:
        if id.attempt + attempts >= 10**16:
            break
        id = EntryId(id.attempt + attempts, seq if attempts else id.seq + seq)
        operations.append(Append(key, id, text, create=True))
    if operations:
        await app.memory.apply(*operations)
    await app.memory.apply(Rank(KEYS.due, stream, 0))
    return stream


def fine(reply: Reply, *statuses: int) -> None:
    """Answered, and with JSON that any client can read."""
    assert reply.status in statuses, (reply.status, reply.body)
    if reply.headers.get("content-type") == "application/json":
        json.loads(reply.body, parse_constant=_never)
    for line in reply.body.split(b"\n"):
        if line.startswith(b"data: ") and line != b"data: [DONE]":
            json.loads(line[6:], parse_constant=_never)


def _never(name: str) -> Any:
    raise AssertionError(f"{name} is not JSON")


async def survives(app: App, stream: str) -> None:
    """Every route that reads a log reads this one."""
    url = f"/api/streams/{stream}"
    fine(await app.ask("GET", url), 200, 404, 501)
    fine(await app.ask("GET", url, headers=[(b"last-event-id", b"1-1.0")]), 200, 204, 400, 404, 501)
    fine(await app.ask("GET", f"{url}/status"), 200, 404, 501)
    fine(await app.clean(), 200)
    body = json.dumps({"stream": stream, "attempt": 1}).encode()
    fine(await app.deliver(body), 200, 489, 503)
    failure = {"sourceBody": "", "sourceMessageId": "m1", "retried": 3}
    failure["sourceBody"] = base64.b64encode(body).decode()
    fine(await app.deliver(json.dumps(failure).encode(), "/api/publish/failed"), 200, 501, 404)
    fine(await app.ask("GET", "/api/chat/c"), 200, 404, 501)
    fine(await app.ask("GET", "/api/chat/c/stream"), 200, 204, 404, 501)
    fine(await app.ask("POST", f"{url}/stop"), 200, 404, 501)
    fine(await app.ask("GET", url), 200, 404, 501)
    await app.clock.sleep(3_600)
    fine(await app.clean(), 200)


@settings(FUZZ, max_examples=400)
@given(first=firsts, entries=st.lists(st.tuples(steps, laters), max_size=4))
@example(first=queued(asks=True, messages=[], chat_id="c", turn=1), entries=[])
@example(first=queued(message_id="\ud800"), entries=[])
@example(first=queued(extra={"deep": json.loads(nested(900))}), entries=[])
@example(first=queued().replace('"turn": 0', '"turn": 1e999'), entries=[])
@example(first=queued(at=10**4298), entries=[((1, 0), begin(at=-(10**4298)))])
@example(first=queued(retention_seconds=10**4200), entries=[])
@example(first=begin(), entries=[])
@example(first=queued(), entries=[((1, 0), begin()), ((1_700_000_000_000, 0), begin())])
@example(
    first=queued(),
    entries=[((1, 0), begin()), ((0, 1), '{"v":1,"t":"parts","at":1,"pos":0,"parts":[{"type":"data-x","data":NaN}]}')],
)
@example(
    first=queued(),
    entries=[
        ((1, 0), begin()),
        ((0, 1), '{"v":1,"t":"parts","at":1,"pos":0,"parts":[{"type":"data-x","data":1e999}]}'),
    ],
)
@example(
    first=queued(),
    entries=[
        ((1, 0), begin()),
        ((0, 1), '{"v":1,"t":"handoff","at":1,"message":"m","checkpoint":' + nested(1_300).decode() + "}"),
    ],
)
def test_any_log(first: str, entries: list[tuple[tuple[int, int], str]]) -> None:
    """Rule R3: a log with strange entries is read as far as it can be, or refused: by readers and by publishers."""

    async def check() -> None:
        app = App(max_seconds=6.0)
        stream = await stored(app, entries, first)
        now = json.dumps({"stream": stream, "identity": "x"})
        chat = digest(OWNER, "c")
        await app.memory.apply(Put(KEYS.turn(chat, 1), now, 10**9), Rank(KEYS.turns(chat), stream, 1))
        await survives(app, stream)

    run(check())


@settings(FUZZ)
@given(text=st.one_of(laters, firsts, st.text(max_size=40)))
def test_what_can_be_read_can_be_written(text: str) -> None:
    """Rules R1, R3: a record is refused as one that cannot be read, or written again as UTF-8 JSON, the same."""
    try:
        record = decode(text)
    except BadRecord:
        return
    again = encode(record)
    json.loads(again.encode(), parse_constant=_never)
    assert decode(again) == record


@settings(FUZZ)
@given(
    turn=st.one_of(raw.map(lambda text: text.decode("utf-8", "replace")), values.map(json.dumps)),
    body=st.one_of(
        raw.map(lambda text: text.decode("utf-8", "replace")), values.map(json.dumps), messages.map(json.dumps)
    ),
    in_turn=st.booleans(),
    regenerate=st.booleans(),
)
@example(turn="{}", body="{}", in_turn=True, regenerate=False)
@example(turn="", body='{"role":"user"}', in_turn=False, regenerate=True)
@example(turn="", body='{"parts":[]}', in_turn=False, regenerate=True)
@example(turn="", body='{"role":"user","parts":[7]}', in_turn=False, regenerate=False)
@example(turn="", body='{"role":"user","parts":[],"id":[1]}', in_turn=False, regenerate=True)
@example(turn="", body='{"role":"user","parts":' + nested(1_400).decode() + "}", in_turn=False, regenerate=False)
def test_any_chat(turn: str, body: str, in_turn: bool, regenerate: bool) -> None:
    """Chapter H: a chat whose turn or messages a stranger wrote is gone on with, or refused: never a 500."""

    async def check() -> None:
        app = App(max_seconds=2.0)
        chat = digest(OWNER, "c")
        ttl = 10**9
        await app.memory.apply(
            Put(KEYS.message(chat, "1.0"), body, ttl), Rank(KEYS.history(chat), "1.0", 1), Rank(KEYS.chats, chat, 0)
        )
        if in_turn:
            await app.memory.apply(Put(KEYS.turn(chat, 1), turn, ttl), Rank(KEYS.turns(chat), app.stream_id(), 1))
        trigger = "regenerate-message" if regenerate else "submit-message"
        asked = json.dumps({"id": "c", "messages": [{**QUESTION, "id": "q"}], "trigger": trigger}).encode()
        fine(await app.ask("GET", "/api/chat/c"), 200, 404, 501)
        fine(await app.ask("GET", "/api/chat/c/stream"), 200, 204, 404, 501)
        fine(await app.ask("POST", "/api/chat", body=asked), 200, 501)
        for stream, attempt, _ in list(app.queue.messages):
            fine(await app.deliver(json.dumps({"stream": stream, "attempt": attempt}).encode()), 200)
        fine(await app.clean(), 200)

    run(check())


@settings(FUZZ)
@given(stored_key=st.one_of(raw.map(lambda text: text.decode("utf-8", "replace")), values.map(json.dumps)))
@example(stored_key='{"stream": 7, "fingerprint": "x"}')
@example(stored_key="[]")
def test_any_idempotency_key_in_the_store(stored_key: str) -> None:
    """Rule S2: what stands under a key and is none of ours is refused, and never taken for an answer."""

    async def check() -> None:
        app = App()
        await app.memory.apply(Put(KEYS.idempotency(digest(OWNER, "k")), stored_key, 10**9))
        reply = await app.ask("POST", "/api/streams", headers=[(b"idempotency-key", b"k")], body=b'{"prompt": "Why?"}')
        fine(reply, 422, 501)

    run(check())


@virtual
async def test_a_newer_versions_log_is_refused_by_name() -> None:
    """Rule R3: the reader is told that a newer Holdfast is needed, and the queue does not try again."""
    app = App()
    stream = await stored(app, [((1, 0), '{"v": 2, "t": "begin"}')], queued())
    reply = await app.ask("GET", f"/api/streams/{stream}/status")
    assert (reply.status, reply.code) == (501, "stream_unreadable")
    assert b"version 2" in reply.body
    assert (await app.deliver(json.dumps({"stream": stream, "attempt": 1}).encode())).status == 489


@settings(FUZZ)
@given(mark=st.one_of(st.text(max_size=20), st.sampled_from(["", "-1", "1e9", "\u0661", "9" * 4_400])))
@example(mark="x")
@example(mark="9" * 5_000)
def test_any_mark_of_a_lost_answer(mark: str) -> None:
    """Rule Q2: where the time of the mark is none, cleanup goes on with the next stream and a reader is told."""

    async def check() -> None:
        app = App(max_seconds=20.0)
        stream = await stored(app, [((1, 0), begin())], queued())
        await app.memory.apply(Put(KEYS.lost(stream, EntryId(1, 0)), mark, 10**9))
        fine(await app.ask("GET", f"/api/streams/{stream}"), 200)
        fine(await app.clean(), 200)

    run(check())


@virtual
async def test_a_question_without_parts_has_no_title() -> None:
    """A first record whose newest message a stranger wrote without parts is answered, settled and listed."""
    app = App()
    bare = queued(owner=OWNER, messages=[{"role": "user", "id": "q"}], chat_id="c", turn=1, asks=True)
    stream = await stored(app, [], bare)
    body = json.dumps({"stream": stream, "attempt": 1}).encode()
    assert (await app.deliver(body)).status in {200, 489}


@pytest.mark.parametrize("messages", [[], [{}], [{"role": "assistant"}], [{"role": "assistant", "parts": [7]}]])
@virtual
async def test_a_conversation_that_is_none_goes_on_with_no_message(messages: list[object]) -> None:
    """Rule H10: a chat whose newest answer a stranger wrote without its conversation is resumed, and never a 500."""
    app = App()
    stream = await stored(app, [], queued(messages=messages, chat_id="c", turn=1))
    chat, claim = digest(OWNER, "c"), json.dumps({"stream": stream, "identity": "x"})
    await app.memory.apply(Put(KEYS.turn(chat, 1), claim, 10**9), Rank(KEYS.turns(chat), stream, 1))
    fine(await app.ask("GET", "/api/chat/c/stream"), 200)
    fine(await app.ask("GET", "/api/chat/c"), 200)
