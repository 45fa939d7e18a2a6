"""The doctor against the stand-ins and against services that are broken in one way each."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from holdfast.cli import main
from holdfast.doctor import VARIABLES, Finding, check_settings, examine
from holdfast.settings import Settings
from tests.cli.scripted import Request, Wire, serving
from tests.processes import served

SECRETS = {
    "UPSTASH_REDIS_REST_TOKEN": "hush-redis-token-0123456789",
    "QSTASH_TOKEN": "hush-qstash-token-0123456789",
    "QSTASH_CURRENT_SIGNING_KEY": "hush_current_0123456789abcdefghij",
    "QSTASH_NEXT_SIGNING_KEY": "hush_next_0123456789abcdefghijklm",
    "OPENAI_API_KEY": "hush-model-key-0123456789",
    "CRON_SECRET": "hush-cron-secret-0123456789",
    "HOLDFAST_SECRET": "hush-holdfast-secret-0123456789",
    "VERCEL_AUTOMATION_BYPASS_SECRET": "hush-bypass-0123456789",
}


def functions(request: Request, wire: Wire) -> None:
    """What the doctor asks of the functions, and of a model whose list is not public."""
    match request.path:
        case "/healthz":
            wire.reply(200, {"ok": True})
        case "/api/cleanup":
            wire.reply(401, {"error": {"code": "unauthorized", "message": "no"}})
        case "/v1/models" if request.headers.get("authorization") == f"Bearer {SECRETS['OPENAI_API_KEY']}":
            wire.reply(200, {"data": [{"id": "gpt-5-mini"}]})
        case _:
            wire.reply(401, {"error": {"message": "Incorrect API key provided"}})


@pytest.fixture(scope="module")
def healthy() -> Iterator[dict[str, str]]:
    """An environment in which everything is well."""
    with ExitStack() as stack:
        redis = stack.enter_context(served("standins.redis_rest", env=SECRETS))
        qstash = stack.enter_context(served("standins.qstash", env=SECRETS))
        base = stack.enter_context(serving(functions))
        yield SECRETS | {
            "UPSTASH_REDIS_REST_URL": redis.url,
            "QSTASH_URL": qstash.url,
            "OPENAI_BASE_URL": f"{base}/v1",
            "HOLDFAST_PUBLIC_URL": base,
        }


async def findings(env: dict[str, str]) -> list[Finding]:
    return [finding async for finding in examine(env)]


def worst(found: list[Finding], subject: str) -> Finding:
    """The worst finding about a subject, and of several the last."""
    levels = ["OK", "WARN", "FAIL"]
    own = [each for each in reversed(found) if each.subject == subject]
    return max(own, key=lambda each: levels.index(each.level))


def test_every_setting_that_is_read_is_checked() -> None:
    """The doctor's list and ``Settings.from_env`` agree, and a sample of each is valid."""

    class Recording(dict[str, str]):
        def get(self, name: str, default: Any = None) -> Any:
            read.add(name)
            return super().get(name, default)

    read: set[str] = set()
    samples = {variable.names[0]: variable.sample for variable in VARIABLES if variable.sample}
    Settings.from_env(Recording(samples))
    # A second name is looked for where the first one is not set.
    others = {"UPSTASH_REDIS_REST_URL": "KV_REST_API_URL", "UPSTASH_REDIS_REST_TOKEN": "KV_REST_API_TOKEN"}
    others["OPENAI_API_KEY"] = "OPENROUTER_API_KEY"
    Settings.from_env(Recording({others.get(name, name): value for name, value in samples.items()}))
    assert read == {name for variable in VARIABLES for name in variable.names}


def test_each_mistake_is_found_though_there_are_several() -> None:
    """Missing, malformed and misspelt, each named with its remedy; no default counts as a mistake."""
    env = {
        "UPSTASH_REDIS_REST_URL": "redis://db:6379",
        "KV_REST_API_TOKEN": "t",
        "HOLDFAST_FLUSH_MS": "soon",
        "HOLDFAST_RETENTION_SECOND": "5",
        "CRON_SECRET": "short",
        "HOLDFAST_GENERATOR": "nonsense",
    }
    found = {finding.subject: finding for finding, _ in check_settings(env)}
    failed = {name for name, finding in found.items() if finding.level == "FAIL"}
    assert failed == {
        "UPSTASH_REDIS_REST_URL", "QSTASH_TOKEN", "QSTASH_CURRENT_SIGNING_KEY", "QSTASH_NEXT_SIGNING_KEY",
        "CRON_SECRET", "HOLDFAST_SECRET", "HOLDFAST_FLUSH_MS", "HOLDFAST_GENERATOR",
    }  # fmt: skip
    assert found["KV_REST_API_TOKEN"] == Finding("OK", "KV_REST_API_TOKEN", "set")
    assert found["HOLDFAST_RETENTION_SECOND"].level == "WARN"
    assert "HOLDFAST_RETENTION_SECONDS" in found["HOLDFAST_RETENTION_SECOND"].text


@pytest.mark.asyncio
async def test_a_healthy_deployment_has_nothing_to_fix(healthy: dict[str, str]) -> None:
    """All but the schedule, which is registered by a command of its own and then found."""
    found = await findings(healthy)
    trouble = [finding for finding in found if finding.level != "OK"]
    assert [(each.level, each.subject) for each in trouble] == [("WARN", "QStash")]
    assert "holdfast schedule" in trouble[0].text
    subjects = {finding.subject for finding in found}
    assert {"Redis", "QStash", "model", "public URL", "CRON_SECRET"} <= subjects
    async with httpx.AsyncClient(mounts={"all://127.0.0.1": None}) as client:
        auth = {"Authorization": f"Bearer {healthy['UPSTASH_REDIS_REST_TOKEN']}"}
        keys = (await client.post(healthy["UPSTASH_REDIS_REST_URL"], json=["KEYS", "*"], headers=auth)).json()
    assert keys == {"result": []}


def test_the_command_prints_lines_without_secrets(
    healthy: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``.env`` is read if it is there, ``schedule`` registers what the doctor misses, and no secret is shown."""
    (tmp_path / ".env").write_text("".join(f'{name}="{value}"\n' for name, value in healthy.items()))
    assert main(["schedule", "--cron", "*/5 * * * *"]) == 0
    assert main(["doctor"]) == 0
    out, err = capsys.readouterr()
    assert f"{healthy['HOLDFAST_PUBLIC_URL']}/api/cleanup at */5 * * * *" in out
    assert all(line[:6].strip() == "OK" for line in out.splitlines()[1:-2])
    assert out.splitlines()[-1].endswith("0 to look at, 0 to fix.")
    assert not [value for value in SECRETS.values() if value in out + err]


def test_a_failure_is_the_command_s_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1 without settings; 2 for a file that was named and is not there."""
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "FAIL  QSTASH_TOKEN " in out
    assert "make run" in out
    assert main(["doctor", "--env-file", str(tmp_path / "none.env")]) == 2
    assert main(["schedule"]) == 2
    assert "none.env does not exist" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "subject", "level", "word"),
    [
        ({"UPSTASH_REDIS_REST_TOKEN": "hush-wrong-0123456789"}, "Redis", "FAIL", "token is refused"),
        ({"UPSTASH_REDIS_REST_URL": "http://127.0.0.1:9"}, "Redis", "FAIL", "cannot be reached"),
        ({"QSTASH_TOKEN": "hush-wrong-0123456789"}, "QStash", "FAIL", "same region"),
        ({"QSTASH_CURRENT_SIGNING_KEY": "hush_x", "QSTASH_NEXT_SIGNING_KEY": "hush_y"}, "QStash", "FAIL", "not those"),
        (
            {
                "QSTASH_CURRENT_SIGNING_KEY": "hush_old",
                "QSTASH_NEXT_SIGNING_KEY": SECRETS["QSTASH_CURRENT_SIGNING_KEY"],
            },
            "QStash",
            "WARN",
            "rotated",
        ),
        ({"OPENAI_API_KEY": "hush-wrong-0123456789"}, "model", "FAIL", "key is refused"),
        ({"HOLDFAST_MODEL": "gpt-none"}, "model", "WARN", "gpt-none"),
        ({"HOLDFAST_GENERATOR": "json:dumps"}, "HOLDFAST_GENERATOR", "OK", "imported"),
        ({"HOLDFAST_GENERATOR": "json:none"}, "HOLDFAST_GENERATOR", "FAIL", "no function none"),
        ({"HOLDFAST_GENERATOR": "no_such_module:f"}, "HOLDFAST_GENERATOR", "FAIL", "cannot be imported"),
        ({"HOLDFAST_PUBLIC_URL": "http://127.0.0.1:9"}, "public URL", "FAIL", "cannot be reached"),
        ({"HOLDFAST_PUBLIC_URL": ""}, "public URL", "WARN", "Lambda"),
    ],
)
@pytest.mark.asyncio
async def test_one_thing_wrong(
    healthy: dict[str, str], change: dict[str, str], subject: str, level: str, word: str
) -> None:
    """It is found, its remedy said, and no secret of anybody's shown."""
    found = await findings(healthy | change)
    assert (worst(found, subject).level, word in worst(found, subject).text) == (level, True)
    assert not [each for each in found if "hush" in each.text]


@pytest.mark.asyncio
async def test_the_real_qstash_cannot_reach_this_machine(healthy: dict[str, str]) -> None:
    """A loopback address is refused, naming a tunnel; the service itself is not asked for it."""
    broken = {"QSTASH_URL": "https://qstash.invalid", "HOLDFAST_PUBLIC_URL": "http://localhost:8000"}
    found = await findings(healthy | broken)
    assert worst(found, "public URL").level == "FAIL"
    assert "tunnel" in worst(found, "public URL").text


def redis(change: Callable[[list[str]], Any]) -> Callable[[Request, Wire], None]:
    """A store that is well but for what ``change`` answers instead of None."""
    good: dict[str, Any] = {"PING": "PONG", "PEXPIRE": 1, "PTTL": 60_000, "DEL": 1}
    seen: list[str] = []

    def answer(request: Request, wire: Wire) -> None:
        command = json.loads(request.body)
        entry = command[2] if command[0] == "XADD" else ""
        reply = change(command)
        if reply is None and command[0] == "XRANGE":
            reply = {"result": [["0-1", ["r", "a"]], ["1-0", ["r", "b"]]]}
        elif reply is None and entry == "NOMKSTREAM":
            reply = {"result": None}
        elif reply is None and entry and entry in seen:
            reply = {"error": "ERR equal or smaller"}
        elif reply is None:
            reply = {"result": entry or good[command[0]]}
        seen.append(entry)
        wire.reply(400 if "error" in reply else 200, reply)

    return answer


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda _: None, ""),
        (lambda c: {"result": "hi"} if c[0] == "PING" else None, "PONG"),
        (lambda c: {"error": "NOPERM hush"} if c[0] == "XADD" else None, "read-only"),
        (lambda c: {"result": "1-0"} if "NOMKSTREAM" in c else None, "NOMKSTREAM"),
        (lambda c: {"result": "1-0"} if c[-1] == "c" else None, "twice"),
        (lambda c: {"result": []} if c[0] == "XRANGE" else None, "give back"),
        (lambda c: {"result": -1} if c[0] == "PTTL" else None, "expire"),
        (lambda _: {"hello": 1}, "REST URL"),
    ],
)
@pytest.mark.asyncio
async def test_a_store_that_breaks_a_rule_is_found_out(
    healthy: dict[str, str], change: Callable[[list[str]], Any], word: str
) -> None:
    """Each rule that the log leans on is tried; the one that is broken is named."""
    with serving(redis(change)) as base:
        found = worst(await findings(healthy | {"UPSTASH_REDIS_REST_URL": base}), "Redis")
    assert (found.level, word in found.text) == ("FAIL" if word else "OK", True)
    assert "hush" not in found.text


@pytest.mark.parametrize(
    ("status", "level", "word"),
    [(200, "OK", "answers"), (401, "FAIL", "refused"), (402, "FAIL", "credit"), (404, "FAIL", "HOLDFAST_MODEL"),
     (429, "WARN", "quota"), (400, "WARN", "HOLDFAST_MODEL"), (500, "FAIL", "500")],
)  # fmt: skip
@pytest.mark.asyncio
async def test_a_public_list_of_models_proves_no_key(
    healthy: dict[str, str], status: int, level: str, word: str
) -> None:
    """So the key is tried with one small call, whose status decides."""

    def answer(request: Request, wire: Wire) -> None:
        if request.path == "/models":
            wire.reply(200, {"data": []})
        else:
            assert json.loads(request.body)["max_tokens"] == 16
            wire.reply(status, {"error": {"message": "hush"}})

    with serving(answer) as base:
        found = worst(await findings(healthy | {"OPENAI_BASE_URL": base}), "model")
    assert (found.level, word in found.text) == (level, True)
    assert "hush" not in found.text


@pytest.mark.parametrize(
    ("health", "cleanup", "subject", "word"),
    [(401, 401, "public URL", "BYPASS"), (404, 401, "public URL", "deployed"), (200, 200, "CRON_SECRET", "not 401")],
)
@pytest.mark.asyncio
async def test_functions_that_are_not_as_they_should_be(
    healthy: dict[str, str], health: int, cleanup: int, subject: str, word: str
) -> None:
    """Protected, not there, or open to strangers."""

    def answer(request: Request, wire: Wire) -> None:
        assert request.headers["x-vercel-protection-bypass"] == SECRETS["VERCEL_AUTOMATION_BYPASS_SECRET"]
        wire.reply(health if request.path == "/healthz" else cleanup, {})

    with serving(answer) as base:
        found = worst(await findings(healthy | {"HOLDFAST_PUBLIC_URL": base}), subject)
    assert (found.level, word in found.text) == ("FAIL", True)
