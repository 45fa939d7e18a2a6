"""Settings: a bad one stops the process and is named; what a function does not need may be absent."""

from __future__ import annotations

import pytest

from holdfast.errors import SettingsError
from holdfast.settings import ROLES, Settings

_ENV = {
    "UPSTASH_REDIS_REST_URL": "https://redis.example.com",
    "UPSTASH_REDIS_REST_TOKEN": "redis-token",
    "QSTASH_TOKEN": "qstash-token",
    "QSTASH_CURRENT_SIGNING_KEY": "sig-current",
    "QSTASH_NEXT_SIGNING_KEY": "sig-next",
    "CRON_SECRET": "cron-secret-of-the-tests",
    "HOLDFAST_SECRET": "holdfast-secret-of-the-tests",
    "OPENAI_API_KEY": "model-key",
}


def _read(roles: frozenset[str] = ROLES, /, **changes: str | None) -> Settings:
    """The settings of a good environment with some changes; None takes a variable away."""
    env = {name: value for name, value in (_ENV | changes).items() if value is not None}
    return Settings.from_env(env, roles)


def test_a_good_environment() -> None:
    """What is set is read; everything else has its default."""
    assert _read() == Settings(
        redis_url="https://redis.example.com",
        redis_token="redis-token",
        qstash_token="qstash-token",
        qstash_current_signing_key="sig-current",
        qstash_next_signing_key="sig-next",
        cron_secret="cron-secret-of-the-tests",
        secret="holdfast-secret-of-the-tests",
        openai_api_key="model-key",
    )


@pytest.mark.parametrize("empty", [None, "", "  "])
@pytest.mark.parametrize("name", _ENV)
def test_a_missing_setting_is_named(name: str, empty: str | None) -> None:
    """A required variable that is absent or empty is named in the error, which says what to do."""
    with pytest.raises(SettingsError, match=name) as caught:
        _read(**{name: empty})
    assert "Set" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("UPSTASH_REDIS_REST_URL", "redis.example.com"),
        ("UPSTASH_REDIS_REST_URL", "redis://redis.example.com"),
        ("UPSTASH_REDIS_REST_URL", "https:///path"),
        ("UPSTASH_REDIS_REST_URL", "https://example.com:port"),
        ("UPSTASH_REDIS_REST_URL", "https://[::1"),
        ("QSTASH_URL", "qstash"),
        ("QSTASH_URL", "ftp://qstash.example.com"),
        ("OPENAI_BASE_URL", "/v1"),
        ("HOLDFAST_PUBLIC_URL", "chat.example.org"),
        ("CRON_SECRET", "short"),
        ("HOLDFAST_SECRET", "fifteen-letters"),
        ("HOLDFAST_GENERATOR", "my_agent"),
        ("HOLDFAST_GENERATOR", "my agent:generate"),
        ("HOLDFAST_GENERATOR", "my_agent:generate()"),
        ("HOLDFAST_GENERATOR", "my_agent.py:generate:now"),
        ("HOLDFAST_API", "completions"),
        ("HOLDFAST_KEY_PREFIX", "a b"),
        ("HOLDFAST_KEY_PREFIX", "a:b"),
        ("HOLDFAST_KEY_PREFIX", "a" * 65),
        ("HOLDFAST_LOG_LEVEL", "debug"),
        ("HOLDFAST_TRACEBACKS", "yes"),
    ],
)
def test_a_malformed_setting_is_named(name: str, value: str) -> None:
    """A malformed variable is named, and its value, which may be a secret, is not shown."""
    with pytest.raises(SettingsError, match=name) as caught:
        _read(**{name: value})
    assert value not in str(caught.value)


_NUMBERS: dict[str, tuple[str, str, str]] = {
    # name: (field, lowest, highest)
    "HOLDFAST_QSTASH_RETRIES": ("qstash_retries", "0", "100"),
    "HOLDFAST_RETENTION_SECONDS": ("retention_seconds", "1", "1000000000"),
    "HOLDFAST_CHAT_RETENTION_SECONDS": ("chat_retention_seconds", "1", "1000000000"),
    "HOLDFAST_FLUSH_MS": ("flush_ms", "1", "10000"),
    "HOLDFAST_POLL_MS": ("poll_ms", "1", "10000"),
    "HOLDFAST_HEARTBEAT_SECONDS": ("heartbeat_seconds", "0.05", "60"),
    "HOLDFAST_LEASE_SECONDS": ("lease_seconds", "0.1", "600"),
    "HOLDFAST_STALL_SECONDS": ("stall_seconds", "0.05", "600"),
    "HOLDFAST_GIVE_UP_SECONDS": ("give_up_seconds", "0.1", "86400"),
    "HOLDFAST_MAX_SECONDS": ("max_seconds", "1", "86400"),
    "HOLDFAST_REQUEST_TIMEOUT_SECONDS": ("request_timeout_seconds", "0.05", "60"),
    "HOLDFAST_MAX_BODY_BYTES": ("max_body_bytes", "1000", "8000000"),
    "HOLDFAST_MAX_ANSWER_BYTES": ("max_answer_bytes", "1000", "8000000"),
    "HOLDFAST_MAX_ANSWER_SECONDS": ("max_answer_seconds", "1", "604800"),
    "HOLDFAST_MAX_ATTEMPTS": ("max_attempts", "1", "100000"),
    "HOLDFAST_MAX_IDLE_ATTEMPTS": ("max_idle_attempts", "1", "1000"),
    "HOLDFAST_MAX_INTERRUPTIONS": ("max_interruptions", "0", "100000"),
    "HOLDFAST_MAX_TOKENS": ("max_tokens", "1", "1000000000000"),
}


@pytest.mark.parametrize("name", _NUMBERS)
def test_numbers(name: str) -> None:
    """A number is read within its bounds; outside of them, or as anything but a number, it is named."""
    field, low, high = _NUMBERS[name]
    for value in (low, high):
        assert getattr(_read(**{name: value}), field) == float(value)
    assert getattr(_read(**{name: " "}), field) == getattr(_read(), field)
    for bad in (f"-{high}", str(float(high) + 1), "ten", "1s", "nan", "inf", "-inf", "1e400", "0x10", "1,5"):
        with pytest.raises(SettingsError, match=name):
            _read(**{name: bad})


def test_every_variable_is_in_a_test() -> None:
    """Every setting with a number has its bounds checked above."""
    fields = {field for field, _, _ in _NUMBERS.values()}
    settings = _read()
    numeric = {name for name in settings.__dataclass_fields__ if type(getattr(settings, name)) in {int, float}}
    assert numeric == fields


def test_names_of_other_platforms() -> None:
    """Vercel Marketplace's names of the Redis settings are understood; ours win."""
    kv = {"KV_REST_API_URL": "https://kv.example.com/", "KV_REST_API_TOKEN": "kv-token"}
    both = _read(**kv)
    assert (both.redis_url, both.redis_token) == ("https://redis.example.com", "redis-token")
    alone = _read(UPSTASH_REDIS_REST_URL=None, UPSTASH_REDIS_REST_TOKEN=None, **kv)
    assert (alone.redis_url, alone.redis_token) == ("https://kv.example.com", "kv-token")
    with pytest.raises(SettingsError, match="UPSTASH_REDIS_REST_URL or KV_REST_API_URL"):
        _read(UPSTASH_REDIS_REST_URL=None)


def test_models_keys() -> None:
    """OpenAI's key is used where there is one; OpenRouter's brings its address, unless another one is given."""
    assert _read(OPENROUTER_API_KEY="or-key").openai_api_key == "model-key"
    router = _read(OPENAI_API_KEY=None, OPENROUTER_API_KEY="or-key")
    assert (router.openai_api_key, router.openai_base_url) == ("or-key", "https://openrouter.ai/api/v1")
    moved = _read(OPENAI_API_KEY=None, OPENROUTER_API_KEY="or-key", OPENAI_BASE_URL="http://127.0.0.1:1/v1/")
    assert (moved.openai_api_key, moved.openai_base_url) == ("or-key", "http://127.0.0.1:1/v1")


def test_a_generator_of_ones_own_needs_no_model() -> None:
    """With HOLDFAST_GENERATOR no key of a model is asked for."""
    settings = _read(OPENAI_API_KEY=None, HOLDFAST_GENERATOR="agents.mine:generate")
    assert (settings.generator, settings.openai_api_key) == ("agents.mine:generate", "")


def test_the_public_address() -> None:
    """The public address is the one that is set, else Vercel's production domain, else none."""
    assert _read().public_url == ""
    vercel = {"VERCEL_PROJECT_PRODUCTION_URL": "chat.example.com", "VERCEL_URL": "chat-abc.vercel.app"}
    assert _read(**vercel).public_url == "https://chat.example.com"
    assert _read(**vercel, HOLDFAST_PUBLIC_URL="https://own.example.com/").public_url == "https://own.example.com"


@pytest.mark.parametrize(
    ("role", "unneeded"),
    [
        ("start", {"QSTASH_CURRENT_SIGNING_KEY", "QSTASH_NEXT_SIGNING_KEY", "CRON_SECRET", "OPENAI_API_KEY"}),
        ("subscribe", {"QSTASH_CURRENT_SIGNING_KEY", "QSTASH_NEXT_SIGNING_KEY", "CRON_SECRET", "OPENAI_API_KEY"}),
        ("publish", {"CRON_SECRET"}),
        ("cleanup", {"OPENAI_API_KEY"}),
    ],
)
def test_roles(role: str, unneeded: set[str]) -> None:
    """A function starts without what only the others need, and not without what it needs itself."""
    roles = frozenset({role})
    bare: dict[str, str | None] = dict.fromkeys(unneeded)
    assert _read(roles, **bare).redis_token == "redis-token"
    for name in _ENV.keys() - unneeded:
        with pytest.raises(SettingsError, match=name):
            _read(roles, **bare | {name: None})


def test_api_keys_are_pairs() -> None:
    """Commas, blanks or both stand between them; a name may have two keys, and a key may hold a colon."""
    keys = _read(HOLDFAST_API_KEYS=" ci:0123456789abcdef, ci:fedcba9876543210\n web@x:with:colon:0123456789 ,").api_keys
    assert keys == (("ci", "0123456789abcdef"), ("ci", "fedcba9876543210"), ("web@x", "with:colon:0123456789"))
    assert _read().api_keys == ()


@pytest.mark.parametrize(
    "keys", ["0123456789abcdef", "ci:", "ci:short", ":0123456789abcdef", "a b:0123456789abcdef", "ci:0123456789abcdéf",
             "a:0123456789abcdef,b:0123456789abcdef", "x" * 65 + ":0123456789abcdef"]
)  # fmt: skip
def test_api_keys_that_are_none(keys: str) -> None:
    """The item is numbered, and nothing of it is shown; one key for two owners is refused."""
    with pytest.raises(SettingsError, match=r"HOLDFAST_API_KEYS: .*item [12]") as caught:
        _read(HOLDFAST_API_KEYS=keys)
    assert "0123" not in str(caught.value)
    assert "short" not in str(caught.value)


def test_where_a_provider_s_keys_may_be() -> None:
    """Over https, or on this machine; and not beside a hook, which would decide alone."""
    for good in ("https://id.example/keys?x=1", "http://127.0.0.1:9/keys", "http://localhost/keys"):
        assert _read(HOLDFAST_JWKS_URL=good).jwks_url == good
    for bad in ("http://id.example/keys", "id.example", "http://127.0.0.1.evil.example/keys"):
        with pytest.raises(SettingsError, match="HOLDFAST_JWKS_URL"):
            _read(HOLDFAST_JWKS_URL=bad)
    with pytest.raises(SettingsError, match="HOLDFAST_AUTH"):
        _read(HOLDFAST_JWKS_URL="https://id.example/keys", HOLDFAST_AUTH="my_app:owner")


def test_a_provider_s_keys_need_cryptography(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is not installed, the process says so when it starts, and not to the first user."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(SettingsError, match=r"pyjwt\[crypto\]"):
        _read(HOLDFAST_JWKS_URL="https://id.example/keys")


def test_the_secret_before_is_as_long_as_the_secret() -> None:
    """A short one would sign sessions just as well."""
    assert _read(HOLDFAST_SECRET_PREVIOUS="0123456789abcdef").secret_previous == "0123456789abcdef"
    with pytest.raises(SettingsError, match="HOLDFAST_SECRET_PREVIOUS"):
        _read(HOLDFAST_SECRET_PREVIOUS="short")
