"""The file of remembered streams: bounded, atomic, and clear about what an id stands for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast._cli.kept import LIMIT, Kept, find, keep, load, state_file
from holdfast._cli.problem import Problem
from tests.processes import ROOT

BASE = "http://127.0.0.1:8000"


def stream(id_: str, base: str = BASE) -> Kept:
    url = f"{base}/api/streams/{id_}"
    return Kept(id_, url, f"{url}/stop", base, read_token="secret", at=1)


def test_the_newest_two_hundred_are_kept(tmp_path: Path) -> None:
    """Older ones are forgotten, and one that is started again becomes the newest."""
    path = tmp_path / "a" / "streams.json"
    for number in range(LIMIT + 5):
        keep(path, stream(f"s{number}"))
    keep(path, stream("s7"))
    ids = [kept.id for kept in load(path)]
    assert len(ids) == LIMIT
    assert (ids[0], ids[-2], ids[-1]) == ("s5", f"s{LIMIT + 4}", "s7")
    assert ids.count("s7") == 1
    assert load(path)[-1] == stream("s7")
    assert sorted(each.name for each in path.parent.iterdir()) == ["streams.json", "streams.lock"]


def test_starts_at_the_same_time_do_not_forget_each_other(tmp_path: Path) -> None:
    """Processes that write at once all find their streams in the file afterwards."""
    path = tmp_path / "streams.json"
    code = (
        "import sys; from pathlib import Path; from holdfast._cli.kept import Kept, keep\n"
        "for n in range(20): keep(Path(sys.argv[1]), Kept(f'{sys.argv[2]}{n}', 'u', 's', 'b'))"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(path), name], env={"PYTHONPATH": str(ROOT / "lib")})
        for name in "abc"
    ]
    assert [process.wait(30) for process in processes] == [0, 0, 0]
    assert len(load(path)) == 60


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing of the new one."""
    path = tmp_path / "streams.json"
    keep(path, stream("s1"))

    def full(*_args: object, **_options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(json, "dump", full)
    with pytest.raises(OSError, match="No space"):
        keep(path, stream("s2"))
    assert [kept.id for kept in load(path)] == ["s1"]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["streams.json", "streams.lock"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"streams": [1]}', '{"streams": [{"id": "x"}]}'])
def test_a_broken_file_is_named_and_replaced_by_the_next_start(tmp_path: Path, content: str) -> None:
    """Reading says which file to remove; starting an answer does not wait for that."""
    path = tmp_path / "streams.json"
    path.write_text(content)
    with pytest.raises(Problem, match=r"streams\.json cannot be read"):
        load(path)
    keep(path, stream("s1"))
    assert [kept.id for kept in load(path)] == ["s1"]


def test_a_prefix_stands_for_one_stream() -> None:
    """A whole id wins over a longer one that begins with it; a prefix of several is refused with their names."""
    streams = [stream("abc"), stream("abcd"), stream("xyz")]
    assert find(streams, "abc", base=BASE, chosen=False).id == "abc"
    assert find(streams, "x", base=BASE, chosen=False).id == "xyz"
    assert find(streams, None, base=BASE, chosen=False).id == "xyz"
    with pytest.raises(Problem, match="abc, abcd"):
        find(streams, "ab", base=BASE, chosen=False)


def test_an_unknown_id_is_asked_for_as_it_is() -> None:
    """It was started elsewhere: the contract says where it is, and there is no token."""
    found = find([stream("abc")], "zzz-9_9", base="http://other", chosen=False)
    assert (found.url, found.status_url, found.headers) == (
        "http://other/api/streams/zzz-9_9",
        "http://other/api/streams/zzz-9_9/status",
        {},
    )
    with pytest.raises(Problem, match="no stream id"):
        find([], "../secret?x", base=BASE, chosen=False)


def test_the_status_address_keeps_a_query() -> None:
    """A stream's URL may carry its token there."""
    kept = Kept("s", f"{BASE}/api/streams/s?token=t", "x", BASE)
    assert kept.status_url == f"{BASE}/api/streams/s/status?token=t"


def test_the_state_folder_follows_xdg(monkeypatch: pytest.MonkeyPatch) -> None:
    """Absolute, or the default under the home folder."""
    monkeypatch.setenv("HOME", "/home/u")
    assert state_file({"XDG_STATE_HOME": "/s"}) == Path("/s/holdfast/streams.json")
    for env in ({}, {"XDG_STATE_HOME": ""}, {"XDG_STATE_HOME": "relative"}):
        assert state_file(env) == Path("/home/u/.local/state/holdfast/streams.json")
