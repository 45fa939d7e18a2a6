"""What a local run consists of, as the environment decides it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from holdfast.errors import SettingsError
from holdfast.settings import Settings
from standins import plan as local
from standins import qstash, redis_rest
from standins.plan import Plan, make_plan, read_env

ROOT = Path(__file__).resolve().parent.parent.parent
BASE = {"HOLDFAST_SECRET": "s" * 32, "CRON_SECRET": "c" * 32, "PORT": "9000"}
REDIS = {"UPSTASH_REDIS_REST_URL": "https://eu1.upstash.io", "UPSTASH_REDIS_REST_TOKEN": "real-redis"}
KV = {"KV_REST_API_URL": "https://kv.upstash.io", "KV_REST_API_TOKEN": "real-kv"}
QSTASH = {
    "QSTASH_TOKEN": "real-qstash",
    "QSTASH_CURRENT_SIGNING_KEY": "sig_real_1",
    "QSTASH_NEXT_SIGNING_KEY": "sig_real_2",
    "HOLDFAST_PUBLIC_URL": "https://tunnel.example",
}


def plan_of(**env: str) -> Plan:
    """The plan for these variables beside what every run has."""
    return make_plan(BASE | env, ROOT, ROOT)


def test_without_credentials_everything_is_a_stand_in() -> None:
    """The stand-ins take the three ports after PORT, and the functions' settings are complete and point at them."""
    plan = plan_of()
    assert [service.port for service in (plan.redis, plan.qstash, plan.model)] == [9001, 9002, 9003]
    settings = Settings.from_env(plan.env)
    assert settings.redis_url == "http://127.0.0.1:9001"
    assert settings.qstash_url == "http://127.0.0.1:9002"
    assert settings.openai_base_url == "http://127.0.0.1:9003/v1"
    assert settings.public_url == "http://127.0.0.1:9000"


@pytest.mark.parametrize(
    ("env", "real"),
    [
        (REDIS, "redis"),
        (KV, "redis"),
        (QSTASH, "qstash"),
        ({"OPENAI_API_KEY": "real-openai"}, "model"),
        ({"OPENROUTER_API_KEY": "real-openrouter"}, "model"),
    ],
    ids=["redis", "kv", "qstash", "openai", "openrouter"],
)
def test_real_credentials_replace_one_stand_in(env: dict[str, str], real: str) -> None:
    """Credentials of one service make that service real and leave the others alone."""
    plan = plan_of(**env)
    ports = {"redis": plan.redis.port, "qstash": plan.qstash.port, "model": plan.model.port}
    assert [name for name, port in ports.items() if not port] == [real]
    settings = Settings.from_env(plan.env)
    text = repr(settings)
    for value in env.values():
        assert value in text, "a credential did not reach the functions"
    leaked = [name for name, value in plan.standin_env.items() if value.startswith(("real-", "sig_real"))]
    assert not leaked, "a stand-in got a real credential"


@pytest.mark.parametrize(
    ("env", "missing"),
    [
        ({"UPSTASH_REDIS_REST_URL": "https://eu1.upstash.io"}, "UPSTASH_REDIS_REST_TOKEN"),
        ({"UPSTASH_REDIS_REST_TOKEN": "t"}, "UPSTASH_REDIS_REST_URL"),
        ({"UPSTASH_REDIS_REST_URL": "https://eu1.upstash.io"} | KV, "UPSTASH_REDIS_REST_TOKEN"),
        ({"KV_REST_API_URL": "https://eu1.upstash.io"}, "KV_REST_API_TOKEN"),
        ({"QSTASH_TOKEN": "t"}, "QSTASH_CURRENT_SIGNING_KEY and QSTASH_NEXT_SIGNING_KEY"),
        ({"QSTASH_NEXT_SIGNING_KEY": "t"}, "QSTASH_TOKEN"),
        ({"QSTASH_URL": "https://qstash.upstash.io"}, "QSTASH_TOKEN"),
        ({"OPENAI_BASE_URL": "http://127.0.0.1:11434/v1"}, "OPENAI_API_KEY"),
    ],
)
def test_credentials_set_by_half_are_named(env: dict[str, str], missing: str) -> None:
    """A service with some of its settings is a mistake that names the missing ones, not a stand-in."""
    with pytest.raises(SettingsError, match=missing):
        plan_of(**env)


@pytest.mark.parametrize("public", [{}, {"HOLDFAST_PUBLIC_URL": "http://localhost:9000"}], ids=["unset", "loopback"])
def test_the_real_qstash_needs_a_way_in(public: dict[str, str]) -> None:
    """The real QStash cannot deliver to loopback: refused, with the tunnel named."""
    env = {name: value for name, value in QSTASH.items() if name != "HOLDFAST_PUBLIC_URL"}
    with pytest.raises(SettingsError, match="tunnel"):
        plan_of(**env, **public)


def test_the_stand_in_queue_delivers_here() -> None:
    """With the QStash stand-in, the public URL of a deployment is set aside, and that is said."""
    plan = plan_of(HOLDFAST_PUBLIC_URL="https://my-app.example")
    assert Settings.from_env(plan.env).public_url == "http://127.0.0.1:9000"
    assert "HOLDFAST_PUBLIC_URL" in plan.notes[0]


@pytest.mark.parametrize("port", ["", "0", "65533", "80a", "-1", "²"])
def test_a_bad_port_is_refused(port: str) -> None:
    """PORT needs room for the three ports after it."""
    with pytest.raises(SettingsError, match="PORT"):
        plan_of(PORT=port)


def test_a_generator_of_the_users_own_is_found_from_the_project() -> None:
    """GENERATOR becomes the functions' setting, and the project's folder is where it is looked for."""
    plan = plan_of(GENERATOR="my_agent:generate")
    assert Settings.from_env(plan.env).generator == "my_agent:generate"
    assert str(ROOT) in plan.env["PYTHONPATH"].split(":")


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    """A variable of the environment beats ``.env``, an empty one does not, and values are taken as they stand."""
    (tmp_path / ".env").write_text("HOLDFAST_MODEL=from-file\nHOLDFAST_API=responses\nHOLDFAST_SYSTEM='say ${HOME}'\n")
    env = read_env({"HOLDFAST_MODEL": "from-environment", "HOLDFAST_API": ""}, tmp_path / ".env", tmp_path)
    assert env["HOLDFAST_MODEL"] == "from-environment"
    assert env["HOLDFAST_API"] == "responses"
    assert env["HOLDFAST_SYSTEM"] == "say ${HOME}"


def test_local_secrets_are_made_once(tmp_path: Path) -> None:
    """The secrets of local runs stay the same from run to run, and only their owner may read them."""
    first = read_env({}, tmp_path / ".env", tmp_path)
    assert len(first["HOLDFAST_SECRET"]) >= 32
    assert first["HOLDFAST_SECRET"] != first["CRON_SECRET"]
    assert read_env({}, tmp_path / ".env", tmp_path) == first
    assert stat.S_IMODE((tmp_path / "local.env").stat().st_mode) == 0o600
    own = {"HOLDFAST_SECRET": "x" * 32}
    assert read_env(own, tmp_path / ".env", tmp_path)["HOLDFAST_SECRET"] == "x" * 32


def test_stand_ins_started_by_hand_take_the_same_credentials() -> None:
    """What the functions are given is what a stand-in started alone expects."""
    assert local.REDIS_TOKEN == redis_rest.DEFAULT_TOKEN
    assert local.QSTASH_TOKEN == qstash.LOCAL_TOKEN
    assert local.SIGNING_KEYS == (qstash.LOCAL_CURRENT_KEY, qstash.LOCAL_NEXT_KEY)
