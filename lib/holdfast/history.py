"""A chat's history: which messages there are, in which order, and who may answer next (docs/protocol.md, chapter H)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from holdfast.answer import Answer
from holdfast.continuing import continued, joined
from holdfast.endings import ending_chunk
from holdfast.errors import BadRecord, Rejected
from holdfast.generation import UIMessage
from holdfast.identity import digest
from holdfast.keys import Keys
from holdfast.log import GRACE_MS, Log
from holdfast.operations import Crop, Drop, Get, GetMany, Keep, Newest, Operation, Put, Rank, Ranked, Score, Unrank
from holdfast.records import EntryId, Error, Queued, Terminal
from holdfast.stored import read_json
from holdfast.titles import title_of

#: Messages of a chat that are read and sent to the model, and their bytes; older ones stay in the store (rule H7).
MAX_MESSAGES: Final = 1000
MAX_BYTES: Final = 4_000_000

#: Messages that are read in one request.
_AT_ONCE: Final = 25

#: Characters of question and answer up to which they are written in one request; of 10 MB, since a character may take
#: four bytes there. Every write is repeatable, so that nothing is lost between two requests.
_MOST_TOGETHER: Final = 2_000_000

#: What stands in the place of a message that an edit, a regeneration or a deletion removed.
DROPPED: Final = "null"

#: The member of a chat's turns that says up to which turn the chat was deleted. It sorts behind every stream's id, so
#: that of one turn's stream and its deletion the deletion is the newest.
ERASED: Final = "~erased"

#: Chats that an owner's list holds; the ones whose newest turn is the oldest leave it (rule J1).
MOST_LISTED: Final = 1000


@dataclass(frozen=True, slots=True)
class Item:
    """A message where it stands in its chat.

    Attributes:
        member: its name in the chat's sorted set, ``<turn>.0`` asked or ``<turn>.1`` answered.
        turn: the turn that wrote it.
        message: the UI message.
    """

    member: str
    turn: int
    message: UIMessage


@dataclass(frozen=True, slots=True)
class Turn:
    """A claimed turn: which stream answers, and what tells the turn from another one."""

    number: int
    stream: str
    identity: str


def chat_key(owner: str, chat_id: str) -> str:
    """The name of a chat in keys: nothing of what a client sent, and another one for every owner."""
    return digest(owner, chat_id)


@dataclass(frozen=True, slots=True)
class History:
    """The verbs on one chat.

    Attributes:
        log: the store and its names.
        owner, id: whose chat it is, and its id.
        chat: the chat's name in keys.
        ttl_ms: how long its keys live after the newest turn, in ms.
    """

    log: Log
    owner: str
    id: str
    chat: str
    ttl_ms: int

    @property
    def _keys(self) -> Keys:
        return self.log.keys

    async def load(self) -> list[Item]:
        """The messages in order: the newest ones, as many as a request may hold (rule H7)."""
        ranked = await self.members()
        items: list[Item] = []
        left = MAX_BYTES
        for end in range(len(ranked), max(0, len(ranked) - MAX_MESSAGES), -_AT_ONCE):
            page = ranked[max(0, end - _AT_ONCE) : end]
            for (member, turn), body in zip(reversed(page), reversed(await self._bodies(page)), strict=True):
                if body in (None, DROPPED):
                    continue
                left -= len(body.encode())
                if left < 0:
                    return items[::-1]
                items.append(Item(member, turn, parse_message(body)))
        return items[::-1]

    async def members(self) -> list[tuple[str, int]]:
        """The names and turns of all messages in order, but for those that a deletion is removing (rule J5)."""
        looks = (Ranked(self._keys.history(self.chat)), Score(self._keys.turns(self.chat), ERASED))
        # With a write, so that the primary answers: a lagging replica would bring back what a deletion took away.
        ranked, erased, _ = await self.log.run(*looks, Drop((self._keys.nothing,)))
        return [(member, turn) for member, turn in ranked if turn > (erased or 0)]

    async def _bodies(self, ranked: list[tuple[str, int]]) -> list[str | None]:
        keys = tuple(self._keys.message(self.chat, member) for member, _ in ranked)
        try:
            (bodies,) = await self.log.run(GetMany(keys), insist=False)
        except Rejected:  # together they are over the 10 MB of a reply
            bodies = [(await self.log.run(Get(key)))[0] for key in keys]
        return list(bodies)

    async def renew(self, items: list[Item]) -> None:
        """Give every message a new lifetime: for a chat that goes on in another period (rule H6)."""
        members = [item.member for item in items]
        keys = [self._keys.message(self.chat, member) for member in (*members, *map(title_member, members[:1]))]
        if keys:
            await self.log.run(*(Keep(key, self.ttl_ms) for key in keys))

    async def newest_turn(self) -> Turn | None:
        """The newest turn that was claimed, unless the chat was deleted since."""
        return (await self.newest())[1]

    async def newest(self) -> tuple[int, Turn | None]:
        """The highest number that a turn has had, 0 without any, and that turn, unless the chat was deleted since."""
        (newest,) = await self.log.run(Newest(self._keys.turns(self.chat)))
        if newest is None:
            return 0, None
        member, number = newest
        return number, None if member == ERASED else await self._turn(number)

    async def claim(self, number: int, stream: str, identity: str) -> Turn:
        """Claim a turn for a stream (rule H2) → the claim that stands, ours or an earlier one."""
        key, turns = self._keys.turn(self.chat, number), self._keys.turns(self.chat)
        place = {"owner": digest(self.owner), "chat": self.id}  # in the list, for cleanup
        value = json.dumps({"stream": stream, "identity": identity, **place})
        _, stored = await self.log.run(Put(key, value, self.ttl_ms, "absent"), Get(key))
        turn = parse_turn(number, stored)
        await self.log.run(Rank(turns, turn.stream, number), Keep(turns, self.ttl_ms))
        return turn

    async def unclaim(self, turn: Turn) -> None:
        """Take a claim back whose stream never was: the start failed."""
        turns = self._keys.turns(self.chat)
        await self.log.run(Drop((self._keys.turn(self.chat, turn.number),)), Unrank(turns, (turn.stream,)))

    async def _turn(self, number: int) -> Turn | None:
        (stored,) = await self.log.run(Get(self._keys.turn(self.chat, number)))
        return None if stored is None else parse_turn(number, stored)


def of(log: Log, queued: Queued) -> History | None:
    """The chat that an answer belongs to, if it has one."""
    if queued.chat_id is None:
        return None
    return of_chat(log, queued.owner, queued.chat_id, queued.chat_retention_seconds)


def of_chat(log: Log, owner: str, chat_id: str, retention_seconds: int) -> History:
    """A chat by its owner and id."""
    # Messages are renewed once a retention period, so each must live for two.
    return History(log, owner, chat_id, chat_key(owner, chat_id), 2 * retention_seconds * 1000 + GRACE_MS)


async def enter(log: Log, queued: Queued) -> None:
    """Bring a turn's question into the history: drop what it replaces, add what it asks. Repeatable (rule H4)."""
    history = of(log, queued)
    if history is not None:
        await log.run(*_entering(history, queued))


async def settle(log: Log, answer: Answer) -> None:
    """Bring an ended answer into the history, its question included. Repeatable (rule H5)."""
    history = of(log, answer.queued)
    if history is None or answer.end is None:
        return
    if isinstance(answer.end[1], Error) and answer.end[1].by == "start":
        return  # rolled back: its turn is free for another answer
    operations = _entering(history, answer.queued)
    answer.builder.add(ending_chunk(answer.end[1]))
    message = answer.builder.settled()
    if before := continued(answer.queued):
        # One message from here on: what it was before goes with the turn's question, which it stood for.
        message = joined(before, message)
        operations += _dropping(history, [f"{answer.queued.turn}.0"])
    if message["parts"]:
        operations += _writing(history, f"{answer.queued.turn}.1", answer.queued.turn, message)
    if sum(len(each.value) for each in operations if isinstance(each, Put)) < _MOST_TOGETHER:
        await log.run(*operations)
        return
    for each in operations:
        await log.run(each)


async def repair(log: Log, answer: Answer) -> None:
    """Settle an answer whose writer died before it did, before its log is deleted (rule H5)."""
    history = of(log, answer.queued)
    if history is None:
        return
    keys, member = log.keys, f"{answer.queued.turn}.1"
    turn = Get(keys.turn(history.chat, answer.queued.turn))  # gone with a chat that was deleted
    alive, settled = await log.run(turn, Score(keys.history(history.chat), member))
    if alive is not None and settled is None:
        await settle(log, answer)


async def end(log: Log, stream: str, terminal: Terminal, after: EntryId | None = None) -> bool:
    """Seal a log from outside and bring its answer into the history → whether this call ended it.

    Args:
        log: the verbs.
        stream: the stream's id.
        terminal: the end.
        after: as for ``Log.seal``.

    Raises:
        Vanished: there is no such log.
    """
    sealed = await log.seal(stream, terminal, after)
    entries = await log.read(stream)
    if entries:
        await settle(log, Answer(entries))
    return sealed


def _entering(history: History, queued: Queued) -> list[Operation]:
    keys, chat = history.log.keys, history.chat
    due_ms = queued.at + queued.chat_retention_seconds * 1000
    owned = keys.owned(digest(history.owner))
    operations: list[Operation] = [
        Rank(keys.chats, chat, due_ms, greater=True),
        Keep(keys.chats, history.ttl_ms),
        Rank(owned, history.id, queued.at, greater=True),
        Keep(owned, history.ttl_ms),
    ]
    if queued.drops:
        operations += _dropping(history, queued.drops)
        titles = [title_member(member) for member in queued.drops if member.endswith(".0")]
        operations += [Put(keys.message(chat, title), DROPPED, history.ttl_ms) for title in titles]
    if queued.asks:
        member, question = f"{queued.turn}.0", queued.messages[-1]
        operations += _writing(history, member, queued.turn, question)
        if queued.turn == 1 or len(queued.messages) == 1:  # the chat begins with it, and may be new to the list
            title = json.dumps(title_of(question), ensure_ascii=False)
            operations.append(Put(keys.message(chat, title_member(member)), title, history.ttl_ms, "absent"))
            operations.append(Crop(owned, MOST_LISTED))
    return operations


def _dropping(history: History, members: list[str]) -> list[Operation]:
    keys, chat = history.log.keys, history.chat
    # The mark stays in the place of the text: whoever settles a dropped answer late writes nothing.
    marks: list[Operation] = [Put(keys.message(chat, member), DROPPED, history.ttl_ms) for member in members]
    return [*marks, Unrank(keys.history(chat), tuple(members))]


def title_member(question: str) -> str:
    """Where the title of a chat stands that begins with a question: beside it, since a question may hold megabytes."""
    return f"{question.removesuffix('.0')}.t"


def _writing(history: History, member: str, turn: int, message: UIMessage) -> list[Operation]:
    keys, chat = history.log.keys, history.chat
    body = json.dumps(message, ensure_ascii=False, separators=(",", ":"))
    return [
        # The first writer's body stands: whoever settles the same answer again writes the same.
        Put(keys.message(chat, member), body, history.ttl_ms, "absent"),
        Rank(keys.history(chat), member, turn),
        Keep(keys.history(chat), history.ttl_ms),
    ]


def parse_turn(number: int, stored: Any) -> Turn:
    """A stored claim of a turn.

    Raises:
        BadRecord: it is none.
    """
    match read_json(stored):
        case {"stream": str(stream), "identity": str(identity)}:
            return Turn(number, stream, identity)
    raise BadRecord("The chat holds a turn that is malformed.")


def parse_place(stored: str) -> tuple[str, str] | None:
    """The owner's digest and the chat's id in a stored claim of a turn; None where it is no claim or lacks them."""
    try:
        match read_json(stored):
            case {"owner": str(owner), "chat": str(chat)}:
                return owner, chat
    except BadRecord:
        pass
    return None


def parse_message(stored: str) -> UIMessage:
    """A stored message.

    Raises:
        BadRecord: it is none.
    """
    message = read_json(stored)
    if (
        isinstance(message, dict)
        and isinstance(message.get("role"), str)
        and isinstance(message.get("id", ""), str)
        and isinstance(message.get("parts"), list)
        and all(isinstance(part, dict) and isinstance(part.get("type"), str) for part in message["parts"])
    ):
        return message
    raise BadRecord("The chat holds a message that is malformed.")
