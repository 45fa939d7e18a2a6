"""``.env`` files: names and values, nothing executed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from holdfast.errors import SettingsError

_ASSIGNMENT = re.compile(
    r"""\s*(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*=\s*
    (?: '(?P<single>[^']*)' | "(?P<double>(?:[^"\\]|\\.)*)" | (?P<plain>[^'"\s].*?)?? )
    \s*(?:(?<=[\s'"=])\#.*)?""",
    re.VERBOSE,
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


def parse(text: str, name: str = ".env") -> dict[str, str]:
    """Read the lines of a ``.env`` file.

    ``NAME=value``, with or without ``export``; a value in single quotes is taken as it is, one in double quotes
    knows ``\\n``, ``\\t``, ``\\r``, ``\\"`` and ``\\\\``; ``#`` begins a comment at the start of a line, or after a
    space. Nothing is expanded.

    Args:
        text: the file's content.
        name: what to call it in an error.

    Returns:
        The values; of a name that occurs twice, the last one.

    Raises:
        SettingsError: a line is no assignment; the message gives its number, not its content.
    """
    values: dict[str, str] = {}
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _ASSIGNMENT.fullmatch(line)
        if match is None:
            raise SettingsError(f"{name}, line {number}: expected NAME=value, with matching quotes if there are any.")
        double = match["double"]
        if double is not None:
            value = re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), double)
        else:
            value = match["single"] or match["plain"] or ""
        values[match["name"]] = value
    return values


def merged(path: Path, env: Mapping[str, str], *, needed: bool = False) -> dict[str, str]:
    """The environment together with a ``.env`` file; what the environment sets, and is not empty, wins.

    Args:
        path: the file.
        env: the environment.
        needed: whether the file must be there.

    Raises:
        SettingsError: the file is missing though needed, or cannot be read.
    """
    try:
        values = parse(path.read_text("utf-8"), path.name)
    except FileNotFoundError:
        if needed:
            raise SettingsError(f"{path} does not exist.") from None
        values = {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read ({type(error).__name__}).") from None
    return values | {name: value for name, value in env.items() if value or name not in values}
