"""An owner's list of chats: newest first, a page at a time (docs/protocol.md, chapter J)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from holdfast.errors import BadRecord, Rejected
from holdfast.history import DROPPED, ERASED, chat_key, of_chat, parse_message, title_member
from holdfast.identity import digest
from holdfast.log import Log
from holdfast.operations import Get, GetMany, Last, Newest, Operation, Ranked, RawEntry, Unrank
from holdfast.records import Begin, decode, is_terminal
from holdfast.stored import read_json
from holdfast.titles import title_of

#: Chats that one page names.
MOST_AT_ONCE: Final = 100


@dataclass(frozen=True, slots=True)
class Listed:
    """A chat in its owner's list.

    Attributes:
        id: the chat's id.
        title: the first words of its first question; empty where it has no text.
        updated_at: when its newest turn was started, in epoch milliseconds.
        stream: the answer that is being written, if there is one.
    """

    id: str
    title: str
    updated_at: int
    stream: str | None


async def page(log: Log, owner: str, limit: int, before: int | None = None) -> tuple[list[Listed], bool]:
    """Some of an owner's chats, the newest first, in three requests (rule J2).

    Args:
        log: the verbs.
        owner: whose chats.
        limit: how many at most; more only where several were updated in one and the same millisecond.
        before: only chats that were updated earlier, in epoch milliseconds; what the last one of the page before says.

    Returns:
        The chats, and whether there may be more.
    """
    owned = log.keys.owned(digest(owner))
    while True:
        entries, more = await _entries(log, owned, limit, before)
        listed = await _look(log, owner, entries)
        if gone := set(entries) - {(chat.id, chat.updated_at) for chat in listed}:
            # One that is being begun again just now comes back with its answer's end at the latest (rule H5).
            await log.run(Unrank(owned, tuple(chat for chat, _ in gone)))
        if listed or not more:
            return listed, more
        before = entries[-1][1]


async def _entries(log: Log, owned: str, limit: int, before: int | None) -> tuple[list[tuple[str, int]], bool]:
    """Ids and times, so many that the next page can begin before the last one's time."""
    high = None if before is None else before - 1
    (ranked,) = await log.run(Ranked(owned, high, limit + 1, descending=True))
    if len(ranked) <= limit:
        return ranked, False
    border = ranked[limit][1]
    if kept := [entry for entry in ranked if entry[1] > border]:
        return kept, True
    (ranked,) = await log.run(Ranked(owned, border, descending=True))  # a page full of one and the same time
    same = [entry for entry in ranked if entry[1] == border]
    return same, len(ranked) > len(same)


async def _look(log: Log, owner: str, entries: Sequence[tuple[str, int]]) -> list[Listed]:
    """What there is to say of chats; one that is gone is left out."""
    if not entries:
        return []
    keys, names = log.keys, [chat_key(owner, chat) for chat, _ in entries]
    found = await log.run(
        *(Newest(keys.turns(name)) for name in names), *(Ranked(keys.history(name), limit=1) for name in names)
    )
    newest, firsts = found[: len(names)], found[len(names) :]
    standing = [
        (entry, name, turn[0], first[0][0] if first else "")
        for entry, name, turn, first in zip(entries, names, newest, firsts, strict=True)
        if turn is not None and turn[0] != ERASED
    ]
    if not standing:
        return []
    titles = GetMany(tuple(keys.message(name, title_member(first)) for _, name, _, first in standing))
    told, *tails = await _read(log, titles, *(Last(keys.stream(stream)) for _, _, stream, _ in standing))
    return [
        Listed(
            chat,
            await _title(log, owner, chat, title),
            updated_at,
            stream if await _is_live(log, stream, tail) else None,
        )
        for ((chat, updated_at), name, stream, _), title, tail in zip(standing, told, tails, strict=True)
    ]


async def _read(log: Log, *reads: Operation) -> Sequence[Any]:
    try:
        return await log.run(*reads, insist=False)
    except Rejected:  # together they are over the 10 MB of a reply
        return [(await log.run(read))[0] for read in reads]


async def _title(log: Log, owner: str, chat: str, stored: str | None) -> str:
    """A chat's title: as stored, or else from the question that it begins with."""
    title = None if stored is None else read_json(stored)
    if isinstance(title, str):
        return title
    # Something older stands before its first question, or the question came with others that nobody stored.
    members = await of_chat(log, owner, chat, 0).members()
    question = next((member for member, _ in members if member.endswith(".0")), None)
    if question is None:
        return ""
    (body,) = await log.run(Get(log.keys.message(chat_key(owner, chat), question)))
    return "" if body in (None, DROPPED) else title_of(parse_message(body))


async def _is_live(log: Log, stream: str, tail: RawEntry | None) -> bool:
    """Whether an answer is being written, by its newest entry."""
    if tail is None:
        return False
    with suppress(BadRecord):  # of a newer release: no reason not to list the others
        record = decode(tail[1])
        if not isinstance(record, Begin):
            return not is_terminal(record)
        last = await log.last(stream)  # a claim may stand behind the end
        return last is not None and not is_terminal(last.record)
    return False
