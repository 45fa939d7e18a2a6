"""Who the user of the command is to a server: an API key, or a session that is kept in a private file."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path

import httpx

from holdfast._cli import kept
from holdfast._cli.problem import USAGE, Problem

#: What a server calls the cookie of a session: over https, and elsewhere.
_NAMES = ("__Host-holdfast_session", "holdfast_session")


class Identity:
    """What shows a server who asks.

    Args:
        args, env: the command's.
        base: the server that the command was pointed at: the API key is for this one alone.

    Raises:
        Problem: the API key is no text that a header can carry.
    """

    def __init__(self, args: Namespace, env: Mapping[str, str], base: str) -> None:
        self._base = base
        self._key = args.api_key or env.get("HOLDFAST_API_KEY", "")
        self._given = ""
        self._file = kept.state_file(env).with_name("sessions.json")
        if self._key and not (self._key.isascii() and self._key.isprintable() and " " not in self._key):
            raise Problem("The API key is not one: it must be printable ASCII without blanks.", USAGE)

    def headers(self, base: str) -> dict[str, str]:
        """What to send to a server; empty where this user is nobody there.

        A kept stream may be another server's, which must not be shown the key that the user gave for this one.
        """
        if self._key and base == self._base:
            return {"Authorization": f"Bearer {self._key}"}
        cookie = self._given if self._given and base == self._base else _load(self._file).get(base, "")
        return {"Cookie": cookie} if cookie else {}

    @property
    def needs_session(self) -> bool:
        """Whether a session is what shows who asks."""
        return not self._key

    def keep(self, response: httpx.Response) -> None:
        """Keep the session that a server gave with this response, if it gave one.

        Raises:
            OSError: the file cannot be written.
        """
        for line in response.headers.get_list("set-cookie"):
            cookie = line.partition(";")[0].strip()
            if _is_cookie(cookie):
                self._given = cookie
                with kept.locked(self._file):
                    kept.replace(self._file, {"v": 1, "sessions": _load(self._file) | {self._base: cookie}})


def _load(path: Path) -> dict[str, str]:
    """The kept cookies by server; a file that cannot be read is as good as none, for the next session replaces it."""
    try:
        found = json.loads(path.read_text("utf-8"))["sessions"]
        return {str(base): str(cookie) for base, cookie in found.items() if _is_cookie(cookie)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _is_cookie(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and value.isprintable() and value.partition("=")[0] in _NAMES
