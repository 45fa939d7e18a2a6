"""ask, tail, stop and status against a scripted server: what they print, remember and return."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from holdfast.cli import main
from tests.cli.scripted import COOKIE, HOST, FakeHoldfast, Refuse, Serve, Wire, serving, text_answer
from tests.processes import ROOT

TOKEN = "read-token-of-this-stream"
ANSWER = text_answer("Knots ", "hold by ", "friction 🪢\n", "\x1b[31mreally.")
TEXT = "Knots hold by friction 🪢\n\x1b[31mreally."


@contextmanager
def command(*args: str, stdin: str = "") -> Iterator[subprocess.Popen[bytes]]:
    """``holdfast …`` in a process of its own, ended by its handle."""
    process = subprocess.Popen(
        [sys.executable, "-m", "holdfast.cli", *args],
        env={**os.environ, "PYTHONPATH": str(ROOT / "lib")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        try:
            assert process.stdin is not None
            process.stdin.write(stdin.encode())
            process.stdin.close()
            process.stdin = None  # so that communicate() does not flush it
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def test_a_pipe_gets_exactly_the_answer_and_a_newline() -> None:
    """Through cuts, refusals and ends, byte for byte, with nothing on stderr."""
    fake = FakeHoldfast(ANSWER, Serve(3), Refuse(503), Serve(1, "cut"))
    with serving(fake) as base, command("ask", "-", "--url", base, stdin="Why do knots hold?\n") as process:
        out, err = process.communicate(timeout=30)
    assert (out, err, process.returncode) == (f"{TEXT}\n".encode(), b"", 0)
    assert list(fake.starts.values()) == [{"prompt": "Why do knots hold?\n"}]


def test_the_start_carries_chat_and_model(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """And the server is the one that HOLDFAST_URL names."""
    fake = FakeHoldfast(ANSWER)
    with serving(fake) as base:
        monkeypatch.setenv("HOLDFAST_URL", f"{base}/")
        assert main(["ask", "Why?", "--chat", "c1", "--model", "m1"]) == 0
    assert capsys.readouterr().out == f"{TEXT}\n"
    assert list(fake.starts.values()) == [{"prompt": "Why?", "chat_id": "c1", "model": "m1"}]


def test_a_start_whose_answer_was_lost_is_sent_again_under_the_same_key(capsys: pytest.CaptureFixture[str]) -> None:
    """One question is one answer, however often the start is sent; another question has another key."""
    fake = FakeHoldfast(ANSWER)
    fake.start_refusals = [Refuse(503, {"retry-after": "0"}), Refuse(500)]
    with serving(fake) as base:
        assert main(["ask", "Why?", "--url", base]) == 0
        assert len(fake.starts) == 1
        assert len([each for each in fake.requests if each.path.endswith("/streams")]) == 3
        assert main(["ask", "Why?", "--url", base]) == 0
    assert len(fake.starts) == 2
    assert capsys.readouterr().out == f"{TEXT}\n" * 2


def test_an_error_part_is_told_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """The partial answer stays on stdout, the message is for people, the exit code says failed."""
    fake = FakeHoldfast(text_answer("par", ending={"type": "error", "errorText": "The model is \x1b[2Jaway."}))
    with serving(fake) as base:
        assert main(["ask", "Why?", "--url", base]) == 1
    out, err = capsys.readouterr()
    assert out == "par\n"
    assert err == "holdfast: The answer failed: The model is \ufffd[2Jaway.\n"


def test_a_stopped_answer_has_an_exit_code_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    """A script can tell stopped from failed and from finished."""
    fake = FakeHoldfast(text_answer("par", ending={"type": "abort"}))
    with serving(fake) as base:
        assert main(["ask", "Why?", "--url", base]) == 3
    out, err = capsys.readouterr()
    assert (out, err) == ("par\n", "holdfast: The answer was stopped.\n")


def test_a_refused_start_shows_the_server_s_own_words(capsys: pytest.CaptureFixture[str]) -> None:
    """With every further field, since a busy chat names its live stream there; and it is not sent again."""
    starts = 0

    def answer(_request: object, wire: Wire) -> None:
        nonlocal starts
        starts += 1
        wire.reply(409, {"error": {"code": "chat_busy", "message": "This chat is live.", "stream": "s1"}})

    with serving(answer) as base:
        assert main(["ask", "Why?", "--url", base]) == 1
    out, err = capsys.readouterr()
    assert (out, err, starts) == ("", "holdfast: This chat is live. (409 chat_busy) stream: s1\n", 1)


def test_a_server_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """With the bound that the caller chose, and an exit code that says that nobody answered."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        base = f"http://{HOST}:{listener.getsockname()[1]}"
        assert main(["ask", "Why?", "--url", base, "--give-up", "0.1"]) == 4
    assert base in (err := capsys.readouterr().err)
    assert "make run" in err


@pytest.mark.parametrize("bad", ["example.com", "ftp://x", "http://", "http://h:99999"])
def test_a_url_that_is_none_is_refused(bad: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is sent."""
    assert main(["ask", "Why?", "--url", bad]) == 2
    assert "HOLDFAST_URL" in capsys.readouterr().err


@pytest.mark.parametrize("given", [b"", b" \n", b"\xff\xfe"])
def test_a_prompt_without_text_is_refused(
    given: bytes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Empty, blank, or bytes that are no UTF-8."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
    assert main(["ask", "-"]) == 2
    assert "prompt" in capsys.readouterr().err


def test_json_gives_each_part_with_its_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    """One line per part, in order, from which a program can resume."""
    fake = FakeHoldfast(ANSWER, Serve(4))
    with serving(fake) as base:
        assert main(["ask", "Why?", "--url", base, "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["cursor"], line["chunk"]) for line in lines] == fake.parts


def test_ctrl_c_leaves_the_answer_running_and_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 130, nothing is stopped, and the command it names shows exactly the rest."""
    fake = FakeHoldfast(ANSWER, Serve(4, "hold"))
    with serving(fake) as base:
        with command("ask", "Why?", "--url", base) as process:
            assert process.stdout is not None
            seen = os.read(process.stdout.fileno(), 65536)
            while len(seen) < len("Knots hold by "):
                seen += os.read(process.stdout.fileno(), 65536)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=30)
        assert process.returncode == 130
        assert seen + out == b"Knots hold by \n"
        hints = [line.partition("holdfast ")[2] for line in err.decode().splitlines()]
        assert hints == [f"tail {fake.id} --from {fake.parts[3][0]}", f"stop {fake.id}"]
        assert fake.stopped == 0
        assert main(hints[0].split()) == 0
    assert f"Knots hold by {capsys.readouterr().out}" == f"{TEXT}\n"


def test_sigterm_ends_it_like_ctrl_c() -> None:
    """With the exit code of that signal."""
    fake = FakeHoldfast(ANSWER, Serve(4, "hold"))
    with serving(fake) as base, command("ask", "Why?", "--url", base) as process:
        assert process.stdout is not None
        assert os.read(process.stdout.fileno(), 65536).startswith(b"Knots")
        process.terminate()
        _, err = process.communicate(timeout=30)
        assert process.returncode == 143
    assert f"holdfast tail {fake.id}" in err.decode()


def test_a_reader_of_the_pipe_that_leaves_ends_it_quietly() -> None:
    """As ``holdfast ask … | head -1`` does: no traceback."""
    fake = FakeHoldfast(text_answer(*["x" * 70_000] * 40))
    with serving(fake) as base, command("ask", "Why?", "--url", base) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        os.read(process.stdout.fileno(), 65536)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 141


def test_a_started_stream_is_remembered_privately(state_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With its token, which tail, status and stop send; the file is the user's alone."""
    fake = FakeHoldfast(ANSWER)
    fake.start_reply = {"read_token": TOKEN}
    with serving(fake) as base:
        assert main(["ask", "Why?", "--url", base]) == 0
        file = state_home / "holdfast" / "streams.json"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
        capsys.readouterr()
        assert main(["tail"]) == 0
        assert capsys.readouterr().out == f"{TEXT}\n"
        assert main(["tail", fake.id[:10], "--from", fake.parts[2][0]]) == 0
        assert capsys.readouterr().out == f"{TEXT.removeprefix('Knots ')}\n"
        assert main(["status", fake.id]) == 0
        assert main(["stop", fake.id[:10]]) == 0
        assert main(["stop", fake.id]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[-2:] == [f"{fake.id} was stopped.", f"{fake.id} had ended before: stopped."]
    begun, started, *later = fake.requests
    assert [each.headers.get("authorization") for each in later] == [*[f"Bearer {TOKEN}"] * 4, None, None]
    # The token only reads; stopping is for the session that started.
    cookies = [each.headers.get("cookie") for each in (begun, started, *later)]
    assert cookies == [None, COOKIE, COOKIE, None, None, None, COOKIE, COOKIE]
    assert stat.S_IMODE(file.with_name("sessions.json").stat().st_mode) == 0o600
    assert "authorization" not in begun.headers | started.headers


def test_an_api_key_is_shown_to_its_own_server_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a key there is no session; and a stream that was started elsewhere is asked for without the key."""
    here, there = FakeHoldfast(ANSWER), FakeHoldfast(ANSWER)
    monkeypatch.setenv("HOLDFAST_API_KEY", "key-of-here")
    with serving(here) as base, serving(there) as other:
        monkeypatch.setenv("HOLDFAST_URL", base)
        assert main(["ask", "Why?"]) == 0
        assert main(["stop", here.id]) == 0
        monkeypatch.setenv("HOLDFAST_URL", other)
        assert main(["stop", here.id]) == 0
        assert main(["status", here.id, "--url", other, "--api-key", "key-of-there"]) == 0
    assert capsys.readouterr().err == ""
    shown = [each.headers.get("authorization") for each in here.requests]
    assert shown == ["Bearer key-of-here"] * 3 + [None]
    assert [each.headers.get("authorization") for each in there.requests] == ["Bearer key-of-there"]
    assert not [each for each in here.requests if each.path.endswith("/session")]


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "schlüssel"])
def test_an_api_key_that_no_header_can_carry(key: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It is refused before anything is sent, and not printed."""
    assert main(["ask", "Why?", "--api-key", key]) == 2
    assert key not in (err := capsys.readouterr().err)
    assert "API key" in err


def test_a_session_is_kept_for_the_next_question(state_home: Path) -> None:
    """So that all of a user's chats are one owner's; a session file that is broken is replaced."""
    fake = FakeHoldfast(ANSWER)
    file = state_home / "holdfast" / "sessions.json"
    with serving(fake) as base:
        assert main(["ask", "Why?", "--url", base]) == 0
        assert main(["ask", "And then?", "--url", base]) == 0
        file.write_text("{broken")
        assert main(["ask", "And now?", "--url", base]) == 0
    begun = [each.headers.get("cookie") for each in fake.requests if each.path == "/api/session"]
    assert begun == [None, COOKIE, None]
    assert json.loads(file.read_text())["sessions"] == {base: COOKIE}


def test_a_token_goes_to_no_other_server(capsys: pytest.CaptureFixture[str]) -> None:
    """A remembered id that is asked for elsewhere is asked for as a stranger's."""
    here, there = FakeHoldfast(ANSWER), FakeHoldfast(ANSWER)
    here.start_reply = {"read_token": TOKEN}
    with serving(here) as base, serving(there) as other:
        assert main(["ask", "Why?", "--url", base]) == 0
        assert main(["tail", here.id, "--url", other]) == 0
        assert main(["tail", "--url", other]) == 2
    assert ["authorization" in each.headers for each in there.requests] == [False]
    assert "No stream is remembered" in capsys.readouterr().err


def test_a_cursor_at_the_end_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """There is no rest, not even a newline."""
    fake = FakeHoldfast(ANSWER)
    with serving(fake) as base:
        assert main(["tail", fake.id, "--url", base, "--from", fake.end_cursor]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("status", "code", "word"), [(404, 1, "no such stream"), (410, 1, "expired"), (503, 4, "tail")]
)
def test_what_cannot_be_followed_is_told(status: int, code: int, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Unknown and expired fail; a server that stays away is given up, with the way to go on."""
    fake = FakeHoldfast(ANSWER, *[Refuse(status)] * 50)
    with serving(fake) as base:
        assert main(["tail", fake.id, "--url", base, "--give-up", "0.3"]) == code
    assert word in capsys.readouterr().err


def test_status_is_a_table_or_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Inner fields by their path, numbers readable; ``--json`` is what the server said."""
    fake = FakeHoldfast(ANSWER)
    with serving(fake) as base:
        assert main(["status", fake.id, "--url", base]) == 0
        table = capsys.readouterr().out
        assert main(["status", fake.id, "--url", base, "--json"]) == 0
    rows = [line.split(maxsplit=1) for line in table.splitlines()]
    assert rows == [["id", fake.id], ["state", "live"], ["characters", "1,234"], ["usage.totalTokens", "7"]]
    assert json.loads(capsys.readouterr().out)["usage"] == {"totalTokens": 7}


def test_what_cannot_be_remembered_does_not_cost_the_answer(
    state_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The answer is printed, and the trouble is said."""
    state_home.write_text("in the way of the folder")
    fake = FakeHoldfast(ANSWER)
    with serving(fake) as base:
        assert main(["ask", "Why?", "--url", base]) == 0
    out, err = capsys.readouterr()
    assert out == f"{TEXT}\n"
    assert f"{fake.id} cannot be remembered" in err


def test_the_version_and_a_wrong_command(capsys: pytest.CaptureFixture[str]) -> None:
    """As every command has them."""
    with pytest.raises(SystemExit) as shown:
        main(["--version"])
    assert shown.value.code == 0
    assert capsys.readouterr().out.startswith("holdfast ")
    with pytest.raises(SystemExit) as wrong:
        main(["nonsense"])
    assert wrong.value.code == 2


def test_the_command_loads_nothing_heavy() -> None:
    """No SDK and no HTTP client until a command needs it, and following needs no SDK at all."""
    code = (
        "import sys, {}\n"
        "print(*sorted({{'httpx', 'openai', 'qstash', 'pydantic', 'upstash_redis'}} & set(sys.modules)))"
    )
    loaded = [
        subprocess.run(
            [sys.executable, "-c", code.format(module)],
            env={**os.environ, "PYTHONPATH": str(ROOT / "lib")},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for module in ("holdfast.cli", "holdfast._cli.answers", "holdfast._cli.operate")
    ]
    assert loaded == ["", "httpx", ""]
