"""Allowances that refill: one suite, in memory, and over the package on fakeredis and on a real engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

import pytest
import pytest_asyncio
import upstash_ratelimit.limiter as package

from holdfast.adapters import ratelimit
from holdfast.adapters.memory_rates import MemoryRates
from holdfast.adapters.ratelimit import UpstashRates
from holdfast.adapters.upstash import UpstashLog
from holdfast.errors import Rejected, Unavailable
from holdfast.limits import Rates
from tests.core import stores
from tests.standins.redis_client import TOKEN, Rest

pytestmark = pytest.mark.asyncio


@dataclass(slots=True)
class Hands:
    """A clock that stands still until a test moves it; also what ``time`` is to the package and to the adapter."""

    ms: int = 1_700_000_000_000

    def now_ms(self) -> int:
        """Epoch milliseconds."""
        return self.ms

    def time(self) -> float:
        """Epoch seconds."""
        return self.ms / 1000

    def monotonic(self) -> float:
        """Seconds."""
        return self.ms / 1000

    async def sleep(self, seconds: float) -> None:
        """Move."""
        self.ms += round(seconds * 1000)


@dataclass(slots=True)
class Case:
    """Allowances, their time, and the store that they are kept in, if there is one."""

    rates: Rates
    rest: Rest | None
    hands: Hands = field(default_factory=Hands)

    async def taken(self, times: int, key: str = "t:rate:owner:a", per_minute: int = 3) -> list[float | None]:
        """Take so often."""
        return [await self.rates.take(key, per_minute) for _ in range(times)]


@pytest.fixture(scope="module", params=stores.KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[Rest | None]:
    with stores.server(request.param) as rest:
        yield rest


@pytest.fixture(scope="module")
def redis() -> Iterator[Rest]:
    with stores.server("fakeredis") as rest:
        assert rest is not None
        yield rest


@pytest_asyncio.fixture
async def case(server: Rest | None, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Case]:
    hands = Hands()
    if server is None:
        yield Case(MemoryRates(hands), None, hands)
        return
    server.control("POST", "reset?data=1")
    monkeypatch.setattr(package, "now_ms", hands.now_ms)
    monkeypatch.setattr(ratelimit, "time", hands)
    store = UpstashLog(server.url, TOKEN)
    yield Case(UpstashRates(store), server, hands)
    await store.close()


async def test_so_many_pass_and_the_next_one_waits(case: Case) -> None:
    """Of three a minute the fourth is told to wait for the first refill; a ms before it, it is still refused."""
    assert await case.taken(4) == [None, None, None, 20.0]
    case.hands.ms += 19_999
    assert await case.taken(1) == [0.001]
    case.hands.ms += 1
    assert await case.taken(2) == [None, 20.0]


@pytest.mark.parametrize("per_minute", [1, 7, 30])
async def test_who_waits_as_told_passes(case: Case, per_minute: int) -> None:
    """The time that a refusal names is enough, also where a minute cannot be shared out evenly; and a minute gives no
    more than it says.
    """
    *passed, wait = await case.taken(per_minute + 1, per_minute=per_minute)
    assert passed == [None] * per_minute
    for _ in range(per_minute):
        assert wait is not None
        await case.hands.sleep(wait)
        again, wait = await case.taken(2, per_minute=per_minute)
        assert again is None
    assert case.hands.ms >= 1_700_000_060_000


async def test_after_a_minute_all_of_it_is_back(case: Case) -> None:
    """And no more than that, however long it was left alone."""
    await case.taken(4)
    case.hands.ms += 60_000
    assert await case.taken(4) == [None, None, None, 20.0]
    case.hands.ms += 10**7
    assert await case.taken(4) == [None, None, None, 20.0]


async def test_a_refusal_takes_nothing(case: Case) -> None:
    """Whoever goes on asking does not have to wait the longer for it."""
    await case.taken(20)
    case.hands.ms += 20_000
    assert await case.taken(1) == [None]


async def test_each_key_is_an_allowance_of_its_own(case: Case) -> None:
    """One owner's starts are no other owner's, and no address's."""
    await case.taken(4)
    assert await case.taken(1, "t:rate:owner:b") == [None]
    assert await case.taken(1, "t:rate:address:a") == [None]


async def test_of_many_at_once_only_so_many_pass(case: Case) -> None:
    """However many ask at the same time."""
    outcomes = await asyncio.gather(*(case.rates.take("t:rate:owner:a", 3) for _ in range(12)))
    assert sum(outcome is None for outcome in outcomes) == 3


async def test_a_bucket_is_one_command_and_one_key_with_a_lifetime(redis: Rest) -> None:
    """What the store is asked is one script; its key stands under the prefix and ends by itself."""
    redis.control("POST", "reset?data=1")
    store = UpstashLog(redis.url, TOKEN)
    taken = [await UpstashRates(store).take("t:rate:owner:a", 3) for _ in range(4)]
    await store.close()
    assert taken[:3] == [None] * 3
    assert 19 < (taken[3] or 0) <= 20
    assert redis.control("GET", "stats")["commands"] == {"EVAL": 4}
    assert redis.do("KEYS", "*") == ["t:rate:owner:a"]
    assert 0 < redis.do("PTTL", "t:rate:owner:a") <= 60_000


@pytest.mark.parametrize(("kind", "error"), [("html", Unavailable), ("reset", Unavailable), ("error", Rejected)])
async def test_a_store_that_fails_lets_nobody_through(redis: Rest, kind: str, error: type[Exception]) -> None:
    """Neither refused nor allowed: the caller learns that nobody knows."""
    redis.control("POST", "reset?data=1")
    redis.control("POST", "faults", {"kind": kind})
    store = UpstashLog(redis.url, TOKEN)
    with pytest.raises(error):
        await UpstashRates(store).take("t:rate:owner:a", 3)
    await store.close()
