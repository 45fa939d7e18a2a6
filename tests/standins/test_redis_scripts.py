"""Scripts run alike over fakeredis and over a real engine, and are billed as Upstash bills them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from upstash_ratelimit import TokenBucket

from standins.redis_scripts import runnable
from tests.standins.redis_client import ENGINES, Rest, rest_server

OWN = "#!lua flags=allow-key-locking\n"


@pytest.fixture(scope="module", params=ENGINES)
def rest(request: pytest.FixtureRequest) -> Iterator[Rest]:
    with rest_server(request.param) as rest:
        yield rest


def test_a_script_with_upstash_s_own_flag_runs(rest: Rest) -> None:
    """Which Redis refuses and fakeredis cannot parse; alone and in a transaction; numbers and tables come back."""
    script = f"{OWN}return {{tonumber(ARGV[1]) + 1, KEYS[1], false}}"
    assert rest.do("EVAL", script, 1, "k", 41) == [42, "k", None]
    assert rest.batch("/multi-exec", [["EVAL", script, 1, "k", 1]]) == [{"result": [2, "k", None]}]


def test_a_script_is_one_command(rest: Rest) -> None:
    """However many commands it runs inside; and the rate limiter's own script runs unchanged."""
    rest.control("POST", "reset?data=1")
    remaining = [rest.do("EVAL", TokenBucket.SCRIPT, 1, "bucket", 2, 1000, 1, 5000, 1)[0] for _ in range(3)]
    assert remaining == [1, 0, -1]
    assert rest.control("GET", "stats")["commands"] == {"EVAL": 3}


@pytest.mark.parametrize(
    ("head", "left"),
    [
        ("#!lua flags=allow-key-locking", "#!lua"),
        ("#!lua flags=no-writes,allow-key-locking", "#!lua flags=no-writes"),
        ("#!lua flags=no-writes", "#!lua flags=no-writes"),
        ("#!lua", "#!lua"),
        ("-- lua", "-- lua"),
    ],
)
def test_only_the_flag_of_its_own_is_kept_from_redis(head: str, left: str) -> None:
    """What Redis knows it gets; the lines of the script keep their numbers."""
    command = [b"eval", f"{head}\nreturn 1".encode(), b"0"]
    assert runnable(command, fake=False) == [b"eval", f"{left}\nreturn 1".encode(), b"0"]
    assert runnable([b"SET", *command[1:]], fake=True) == [b"SET", *command[1:]]
