"""The settings stand in every place that lists them: .env.example and serverless.yml."""

from __future__ import annotations

import re

import pytest
import yaml

from holdfast.settings import Settings
from tests.processes import ROOT

REQUIRED = {
    "KV_REST_API_URL": "https://redis.example",
    "KV_REST_API_TOKEN": "t",
    "QSTASH_TOKEN": "t",
    "QSTASH_CURRENT_SIGNING_KEY": "k",
    "QSTASH_NEXT_SIGNING_KEY": "k",
    "HOLDFAST_SECRET": "s" * 32,
    "CRON_SECRET": "c" * 32,
    "OPENROUTER_API_KEY": "k",
    "OPENAI_BASE_URL": "https://model.example/v1",
}
LOCAL = re.compile(r"PORT|GENERATOR|STANDIN_\w+")


class _Asked(dict[str, str]):
    """An environment that notes which names were looked up."""

    def __init__(self) -> None:
        super().__init__(REQUIRED)
        self.names: set[str] = set()

    def get(self, key: str, default: str | None = None) -> str | None:  # type: ignore[override]
        self.names.add(key)
        return super().get(key, default)


def _listed() -> dict[str, str]:
    text = (ROOT / ".env.example").read_text()
    return dict(re.findall(r"^#?([A-Z][A-Z0-9_]+)=(.*)$", text, re.MULTILINE))


def test_the_example_lists_what_is_read() -> None:
    """The names in .env.example are those that the settings look up, and those of local runs."""
    asked = _Asked()
    Settings.from_env(asked)
    assert {name for name in _listed() if not LOCAL.fullmatch(name)} == asked.names


def test_the_example_shows_the_defaults() -> None:
    """With every value of .env.example written out, the settings are those of an environment without them."""
    shown = {name: value for name, value in _listed().items() if value}
    assert len(shown) > 15
    assert Settings.from_env(shown | REQUIRED) == Settings.from_env(REQUIRED)


@pytest.mark.parametrize("function", ["web", "publish", "cleanup"])
def test_lambda_passes_every_setting_on(function: str) -> None:
    """Each Lambda function gets every setting of its deployer, but for those that only Vercel has."""
    config = yaml.load((ROOT / "serverless.yml").read_text(), _Loader)  # noqa: S506 - a safe loader with two more tags
    given = {**config["provider"]["environment"], **config["functions"][function].get("environment", {})}
    wanted = {name for name in _listed() if not LOCAL.fullmatch(name) and not name.startswith(("VERCEL_", "KV_"))}
    if function == "publish":
        wanted -= {"HOLDFAST_PUBLIC_URL"}  # it learns its own address from the request
    assert not wanted - set(given)


class _Loader(yaml.SafeLoader):
    """CloudFormation's short functions, as plain values."""


_Loader.add_constructor("!GetAtt", lambda _, node: str(node.value))
_Loader.add_constructor("!Sub", lambda _, node: str(node.value))
