"""The status line on a real terminal: there while the answer comes, gone afterwards."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from holdfast._cli.screen import printable
from tests.cli.scripted import FakeHoldfast, Serve, serving, text_answer
from tests.processes import ROOT

ROWS, COLUMNS = 10, 60
DELTAS = ["A line that is a good deal longer than the terminal is wide, ", "so it wraps.\n", "\x1b[2JEnd."]
SEQUENCE = re.compile(r"\x1b(?:[78DM]|\[[0-9;]*[A-Za-z])")


@contextmanager
def terminal() -> Iterator[tuple[int, int]]:
    """Both ends of a pseudo-terminal of a known size."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    try:
        yield ours, theirs
    finally:
        os.close(ours)


def drained(ours: int, theirs: int) -> str:
    """Everything written to the terminal, up to the writer's end."""
    os.close(theirs)
    data = b""
    while True:
        try:
            more = os.read(ours, 65536)
        except OSError:  # Linux: EIO once nobody has the other end open
            more = b""
        if not more:
            return data.decode()
        data += more


def run(base: str, out: int, err: int, *options: str, term: str = "xterm") -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "holdfast.cli", "ask", "Why?", "--url", base, *options],
        env={**os.environ, "PYTHONPATH": str(ROOT / "lib"), "TERM": term, "LANG": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=err,
    )


def shown(raw: str) -> tuple[str, list[str]]:
    """The text that stays, and the status lines that were drawn over the bottom row."""
    status = rf"\x1b7\x1b\[{ROWS};1H\x1b\[2K\x1b\[2m(.*?)\x1b\[22m\x1b8"
    lines = re.findall(status, raw)
    return SEQUENCE.sub("", re.sub(status, "", raw)).replace("\r\n", "\n"), lines


def test_on_a_terminal_the_status_has_the_bottom_row_and_leaves_it() -> None:
    """The answer scrolls above it, cannot steer the terminal, and the terminal is given back whole."""
    fake = FakeHoldfast(text_answer(*DELTAS), Serve(3))
    with serving(fake) as base, terminal() as (ours, theirs):
        with run(base, theirs, theirs) as process:
            raw = drained(ours, theirs)
        assert process.returncode == 0
    text, lines = shown(raw)
    assert text == "".join(DELTAS).replace("\x1b", "\ufffd") + "\n"
    untimed = [line.rpartition(" · ")[0] for line in lines]
    assert f"answering · {len(DELTAS[0])} characters" in untimed
    assert f"finished · {len(''.join(DELTAS))} characters · 1 reconnect" in untimed
    assert all(len(line) < COLUMNS for line in lines)
    assert raw.index(f"\x1b[1;{ROWS - 1}r") < raw.index("A line")
    assert raw.endswith(f"\x1b7\x1b[{ROWS};1H\x1b[2K\x1b[r\x1b8")


def test_with_the_answer_in_a_file_the_status_is_a_line_that_is_erased(tmp_path: Path) -> None:
    """The file is exact, stderr ends on an empty line."""
    fake = FakeHoldfast(text_answer(*DELTAS), Serve(3))
    answer = (tmp_path / "answer").open("wb")
    with serving(fake) as base, terminal() as (ours, theirs), answer, run(base, answer.fileno(), theirs):
        raw = drained(ours, theirs)
    assert (tmp_path / "answer").read_text("utf-8") == "".join(DELTAS) + "\n"
    assert "connecting" in raw
    assert "finished" in raw
    assert raw.endswith("\r\x1b[2K")


def test_with_the_answer_in_a_pipe_there_is_none() -> None:
    """What reads the pipe may write to the same terminal."""
    fake = FakeHoldfast(text_answer(*DELTAS), Serve(3))
    with serving(fake) as base, terminal() as (ours, theirs), run(base, subprocess.PIPE, theirs) as process:
        assert drained(ours, theirs) == ""
        assert process.stdout is not None
        assert process.stdout.read().decode() == "".join(DELTAS) + "\n"


@pytest.mark.parametrize(("options", "term"), [(("--quiet",), "xterm"), ((), "dumb")])
def test_without_a_status_line_nothing_is_drawn(options: tuple[str, ...], term: str) -> None:
    """As asked for, or as a terminal without the means needs it."""
    fake = FakeHoldfast(text_answer(*DELTAS))
    with serving(fake) as base, terminal() as (ours, theirs), run(base, theirs, theirs, *options, term=term):
        raw = drained(ours, theirs)
    assert raw.replace("\r\n", "\n") == printable("".join(DELTAS)) + "\n"


def test_ctrl_c_gives_the_terminal_back() -> None:
    """The scrolling region is undone before the hint is printed."""
    fake = FakeHoldfast(text_answer(*DELTAS), Serve(3, "hold"))
    with serving(fake) as base, terminal() as (ours, theirs):
        with run(base, theirs, theirs) as process:
            raw = until(ours, lambda seen: "wide, " in seen)
            process.send_signal(2)
            raw += drained(ours, theirs)
        assert process.returncode == 130
    assert raw.rindex("\x1b[r") < raw.index("holdfast tail")
    assert f"holdfast stop {fake.id}" in raw


def until(ours: int, enough: Callable[[str], bool]) -> str:
    data = b""
    while not enough(data.decode(errors="ignore")):
        data += os.read(ours, 65536)
    return data.decode()
