"""Stock chats of the AI SDK in a Node program, and what they show."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

from tests.clients import node
from tests.e2e.waiting import until
from tests.owner import AUTH

VERSIONS = ("5", "6", "7")


@dataclass(frozen=True, slots=True)
class Chat:
    """One chat of a page.

    Attributes:
        id: the chat's id.
        name: what the program calls it.
    """

    remote: node.Remote
    id: str
    name: str

    def do(self, command: str, **args: Any) -> Any:
        """Begin something, without waiting for its end."""
        return self.remote.ask(command, chat=self.name, **args)

    def send(self, text: str, **more: Any) -> None:
        """Ask a question as a page does."""
        self.do("send", message={"text": text}, **more)

    def look(self) -> dict[str, Any]:
        """What it shows now."""
        return dict(self.do("look"))

    def settled(self) -> dict[str, Any]:
        """What it shows at the end of what was begun."""
        return dict(self.do("settled"))

    def said(self, characters: int) -> str:
        """The text of the newest answer, once it is so long."""
        return until(
            lambda: text if len(text := text_of(self.look())) >= characters else "", f"{characters} characters"
        )


@dataclass(frozen=True, slots=True)
class Chats:
    """A program of one version."""

    version: str
    remote: node.Remote

    @classmethod
    @contextmanager
    def of(cls, version: str) -> Iterator[Self]:
        """Run it until the block ends."""
        node.installed()
        executable = node.recent() if version == "7" else node.tool("node")
        with node.remote(executable, "chat.mjs", version, str(node.client()), AUTH["authorization"]) as remote:
            yield cls(version, remote)

    def open(self, base: str, id: str | None = None, **options: Any) -> Chat:
        """Make a chat, a new one or another reader's of the same."""
        chat = Chat(self.remote, id or f"{self.version}/{secrets.token_hex(4)}", secrets.token_hex(4))
        chat.do("open", base=base, id=chat.id, **options)
        return chat


def text_of(shown: dict[str, Any]) -> str:
    """The text of the newest answer, if the newest message is one."""
    newest = shown["messages"][-1]
    parts = newest["parts"] if newest["role"] == "assistant" else []
    return "".join(part["text"] for part in parts if part["type"] == "text")
