"""Deleting a chat for good, whatever is being started, written or settled meanwhile (docs/protocol.md, chapter J)."""

from __future__ import annotations

from itertools import batched
from typing import Final

from holdfast.errors import Vanished
from holdfast.history import DROPPED, ERASED, History, title_member
from holdfast.identity import digest
from holdfast.log import Log, parse
from holdfast.operations import Drop, Keep, Last, Newest, Operation, Put, Range, Rank, Ranked, Unrank
from holdfast.records import FIRST, Entry, Queued, Stop

#: How soon cleanup takes up a deletion that was left half done, in ms.
_LEFT_MS: Final = 60_000
#: How long the marks stay in the places of messages, in ms: longer than anybody who still has one to write can live,
#: and less than the number up to which the chat was deleted, or new messages could meet old marks.
_MARKED_MS: Final = 43_200_000
#: Readers look at a silent log at least once a second: after so many seconds they have seen its end.
_SEEN: Final = 1.5
#: Logs, and turns, that one request is about.
_LOGS, _TURNS = 25, 40


async def erase(chat: History) -> bool:
    """Delete a chat: its list entry, its messages, and the logs of its answers → whether there was one.

    Doing it again, also after it was left half done, is the same: True for as long as it is known that there was one.

    Raises:
        Unavailable, Rejected: the store did not answer; cleanup finishes what was begun.
    """
    log, keys, name = chat.log, chat.log.keys, chat.chat
    # With a write, so that the primary answers: a chat that was begun just now must be found.
    newest, _ = await log.run(Newest(keys.turns(name)), Drop((keys.nothing,)))
    if newest is None:
        return False
    floor = newest[1] + 1
    while True:
        *_, ranked = await log.run(
            Rank(keys.turns(name), ERASED, floor, greater=True),
            Keep(keys.turns(name), chat.ttl_ms),
            Rank(keys.erasing, name, log.clock.now_ms() + _LEFT_MS),
            Keep(keys.erasing, chat.ttl_ms),
            Unrank(keys.owned(digest(chat.owner)), (chat.id,)),
            Ranked(keys.turns(name)),
        )
        # A start may be claiming the turn after the newest one: that one, too, is of the deleted chat (rule J3).
        highest = max((turn for member, turn in ranked if member != ERASED), default=0)
        if highest < floor:
            break
        floor = highest + 1
    await finish(log, name)
    return True


async def finish(log: Log, chat: str) -> None:
    """Do what a deletion has left to do. Repeatable, and harmless beside another one of the same chat.

    Args:
        log: the verbs.
        chat: the chat's key.

    Raises:
        Unavailable, Rejected: the store did not answer.
        BadRecord: one of its logs was written by a newer release, which can end it.
    """
    keys = log.keys
    ranked, _ = await log.run(Ranked(keys.turns(chat)), Drop((keys.nothing,)))
    floor = dict(ranked).get(ERASED, 0)
    turns = {stream: turn for stream, turn in ranked if stream != ERASED and turn <= floor}
    await _delete_logs(log, list(turns))
    # Behind the newest claim that shows one may be under way; its start finds out by itself (rule J4).
    for numbers in batched(range(min(turns.values(), default=floor), floor + 1), _TURNS):
        members = [member for turn in numbers for member in (f"{turn}.0", f"{turn}.1")]
        places = [*members, *(title_member(f"{turn}.0") for turn in numbers)]
        marks: list[Operation] = [Put(keys.message(chat, place), DROPPED, _MARKED_MS) for place in places]
        claims = Drop(tuple(keys.turn(chat, turn) for turn in numbers))
        await log.run(*marks, claims, Unrank(keys.history(chat), tuple(members)))
    done = [Unrank(keys.turns(chat), tuple(turns))] if turns else []
    *_, left = await log.run(*done, Unrank(keys.erasing, (chat,)), Ranked(keys.turns(chat)))
    if is_unfinished(left):  # of a later deletion, whose place in the index was the one just given up
        await log.run(Rank(keys.erasing, chat, log.clock.now_ms() + _LEFT_MS))


def is_unfinished(ranked: list[tuple[str, int]]) -> bool:
    """Whether a chat's turns show a deletion that was left half done."""
    floor = dict(ranked).get(ERASED, 0)
    return any(turn <= floor for stream, turn in ranked if stream != ERASED)


async def _delete_logs(log: Log, streams: list[str]) -> None:
    """End the logs that have no end, and delete all (rule X4)."""
    keys = log.keys
    standing: list[str] = []
    for some in batched(streams, _LOGS):
        # From the primary: a log that a lagging replica does not show yet would stay.
        *tails, _ = await log.run(*(Last(keys.stream(stream)) for stream in some), Drop((keys.nothing,)))
        standing += [stream for stream, tail in zip(some, tails, strict=True) if tail is not None]
    if any([await _ended(log, stream) for stream in standing]):
        await log.clock.sleep(_SEEN)  # nothing but its readers, who would otherwise learn of it by a 404, needs this
    for stream in standing:
        (first,) = await log.run(Range(keys.stream(stream), FIRST, limit=1))
        gone = [keys.stream(stream), keys.away(stream)]
        places = [Unrank(keys.due, (stream,))]
        match parse(first):
            case [Entry(record=Queued() as queued)]:
                # Without its log it would pass for a start under way.
                places.append(Unrank(keys.live(digest(queued.owner)), (stream,)))
                if queued.idempotency is not None:
                    # With its log: a key that outlived it would have its stream begun anew, beside a publisher of old.
                    gone.append(keys.idempotency(queued.idempotency))
        await log.run(Drop(tuple(gone)), *places)


async def _ended(log: Log, stream: str) -> bool:
    """Have an end in a log → whether it had none before."""
    try:
        return await log.seal(stream, Stop(at=log.clock.now_ms(), by="deletion"))
    except Vanished:
        return False
