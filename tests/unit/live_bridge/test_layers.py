"""Defaults, file, profile, variables: which wins, what is refused and how, and that the record follows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.core.errors import ConfigError
from lab.strategies import load_portfolio
from live_bridge.cli import _run
from live_bridge.config import in_force, load_config, parse_config, schema
from live_bridge.journal import Journal
from live_bridge.live_locks import require_live
from live_bridge.recorded import RecordedMarket
from live_bridge.runner import run

TEXT = """\
portfolio: small.yaml
orders: {type: limit, max_slices: 5}
profiles:
  dev:
    orders: {max_slices: 6}
  prod:
    mode: live
    orders:
      max_slices: 7
    monitoring: {logs: prod/logs}
"""
MAX_SLICES = "MNEMO_BRIDGE__ORDERS__MAX_SLICES"


@pytest.fixture
def layered(bridge: Path) -> Path:
    bridge.write_text(TEXT)
    return bridge


@pytest.mark.parametrize(
    ("environment", "slices"),
    [
        ({}, 5),
        ({"MNEMO_ENV": ""}, 5),
        ({"MNEMO_ENV": "staging"}, 5),
        ({"MNEMO_ENV": "dev"}, 6),
        ({"MNEMO_ENV": "prod"}, 7),
        ({"MNEMO_ENV": "prod", MAX_SLICES: "8"}, 8),
        ({"mnemo_bridge__Orders__max_slices": "9"}, 9),
    ],
)
def test_variables_win_over_the_profile_and_it_over_the_file(
    environment: dict[str, str], slices: int
) -> None:
    settings = parse_config(TEXT, source="f.yaml", environment=environment)
    assert settings.orders.max_slices == slices
    # Merged, not replaced: what the upper layers leave out is the file's, or the default.
    assert (settings.orders.type, settings.orders.per_minute) == ("limit", 30)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("max_slices: 7", "max_slices: 0"), r"^f\.yaml:9: profiles\.prod\.orders\.max_slices: found 0"),
        (
            ("max_slices: 7", "max_slice: 7"),
            r"^f\.yaml:9: profiles\.prod\.orders\.max_slice: unknown key; did",
        ),
        (("mode: live", "profiles: {}"), r"^f\.yaml:7: profiles\.prod\.profiles: unknown key"),
        (
            ("  prod:", "  production:"),
            r"^f\.yaml:6: profiles\.production: unknown profile; expected dev, st",
        ),
        (("profiles:", "profile:"), r"^f\.yaml:3: profile: unknown key; did you mean profiles\?"),
        (("max_slices: 5", "max_slices: 0, lag_ms: -1"), r"^f\.yaml:2: orders\.lag_ms: found -1"),
        (("mode: live", "exchange: {options: {secret: CANARY}}"), r"^f\.yaml: profiles\.prod: exchange\.opt"),
        (("orders: {max_slices: 6}", "[1]"), r"^f\.yaml:4: profiles\.dev: expected keys"),
    ],
)
def test_a_fault_in_a_profile_that_is_not_in_force_names_its_line(change: tuple[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        parse_config(TEXT.replace(*change), source="f.yaml", environment={"MNEMO_ENV": "dev"})
    assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ORDERS__MAX_SLICES", "0", r"^MNEMO_BRIDGE__ORDERS__MAX_SLICES: orders\.max_slices: found 0"),
        ("ORDERS__MAX_SLICES", "'7'", r"^MNEMO_BRIDGE__ORDERS__MAX_SLICES: .* should be a number, not text"),
        (
            "ORDER__TYPE",
            "limit",
            r"^MNEMO_BRIDGE__ORDER__TYPE: unknown setting 'order'; did you mean orders\?",
        ),
        ("ORDERS", "{type: limit}", r"^MNEMO_BRIDGE__ORDERS: names a section"),
        (
            "EXCHANGE__OPTIONS__APIKEY",
            "CANARY",
            r"^MNEMO_BRIDGE__EXCHANGE__OPTIONS__APIKEY: exchange.options is",
        ),
        ("EXCHANGE__OPTIONS", "{apiKey: CANARY}", r"^MNEMO_BRIDGE__EXCHANGE__OPTIONS: .* like a credential"),
        (
            "EXCHANGE__BASE_URL",
            "https://a:CANARY@b.org",
            r"^MNEMO_BRIDGE__EXCHANGE__BASE_URL: exchange\.base",
        ),
        ("STATE", "[CANARY", r"^MNEMO_BRIDGE__STATE: its value is not readable"),
        ("MODE", "live", r"^MNEMO_BRIDGE__MODE: no variable sets mode: it is a lock"),
        ("PROFILES", "{}", r"^MNEMO_BRIDGE__PROFILES: unknown setting"),
    ],
)
def test_a_fault_in_a_variable_names_it(name: str, value: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        parse_config(TEXT, source="f.yaml", environment={f"MNEMO_BRIDGE__{name}": value})
    assert "CANARY" not in str(caught.value)


def test_an_environment_that_is_none_of_the_three_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^MNEMO_ENV=production: expected dev, staging, prod$"):
        parse_config("portfolio: p", source="f.yaml", environment={"MNEMO_ENV": "production"})


def test_what_is_in_force_is_shown_with_its_layer_and_without_secrets(layered: Path) -> None:
    environment = {
        "MNEMO_ENV": "prod",
        "MNEMO_BRIDGE__EXCHANGE__BASE_URL": "http://127.0.0.1:8777",
        "MNEMO_BRIDGE__STATE": "data/canary-secret.sqlite",
        "MNEMO_BINANCE_API_SECRET": "canary-secret",
    }
    loaded = load_config(layered, root=layered.parent, environment=environment)
    shown = in_force(loaded, environment)
    assert shown["layers"] == {
        "portfolio": "file",
        "orders.type": "file",
        "orders.max_slices": "profiles.prod",
        "mode": "profiles.prod",
        "monitoring.logs": "profiles.prod",
        "exchange.base_url": "MNEMO_BRIDGE__EXCHANGE__BASE_URL",
        "state": "MNEMO_BRIDGE__STATE",
    }
    assert (shown["mode"], shown["exchange"]["base_url"]) == ("live", "http://127.0.0.1:8777")
    assert shown["environment"]["MNEMO_BINANCE_API_SECRET"] == "***"
    assert "canary-secret" not in json.dumps(shown)


def test_digest_and_journal_follow_what_is_in_force_and_not_the_file(
    bridge: Path, market_at: Callable[..., RecordedMarket]
) -> None:
    market = market_at(40)
    before = load_config(bridge, root=bridge.parent).digest
    assert run(bridge, root=bridge.parent, connect=lambda _: market, environment={})[1] == 0
    bridge.write_text(bridge.read_text() + "profiles: {staging: {orders: {max_slices: 6}}}\n")
    assert load_config(bridge, root=bridge.parent).digest == before
    staging = {"MNEMO_ENV": "staging"}
    loaded = load_config(bridge, root=bridge.parent, environment=staging)
    assert loaded.digest != before
    document, _ = run(bridge, root=bridge.parent, connect=lambda _: market, environment=staging)
    assert "CONFIG_CHANGED bridge.orders.max_slices: 10 -> 6" in document["reasons"]
    with Journal(loaded.state, account="main", portfolio="small") as journal:
        changed = journal.last("CONFIG_CHANGED")
        assert changed is not None
        assert changed.body["changed"] == {"bridge.orders.max_slices": [10, 6]}


def test_a_profile_at_mode_live_still_needs_the_other_locks(layered: Path) -> None:
    prod = {"MNEMO_ENV": "prod"}
    loaded = load_config(layered, root=layered.parent, environment=prod)
    portfolio = load_portfolio(loaded.portfolio)
    with pytest.raises(ConfigError, match="needs --live on the command line"):
        require_live(loaded, portfolio, live=False, environment=prod)
    with pytest.raises(ConfigError, match=r"no instance of .* is at mode: live"):
        require_live(loaded, portfolio, live=True, environment=prod)
    # And live in the wrong environment's profile opens nothing.
    layered.write_text(TEXT.replace("  dev:\n", "  dev:\n    mode: live\n"))
    dev = {"MNEMO_ENV": "dev"}
    loaded = load_config(layered, root=layered.parent, environment=dev)
    with pytest.raises(ConfigError, match="needs MNEMO_ENV=prod in the environment, found dev"):
        require_live(loaded, portfolio, live=True, environment=dev)


def test_every_command_reads_the_same_layers(
    layered: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MNEMO_BRIDGE__STATE", "elsewhere.sqlite")
    said = ["--by", "ada", "--reason", "why"]
    for command in (["status"], ["history"], ["halt", *said], ["resume", *said], ["replay", "tick"]):
        assert _run([*command, "--config", str(layered), "--root", str(layered.parent)]) == 3
        assert f"{layered.parent / 'elsewhere.sqlite'}: no journal" in capfd.readouterr().err


def test_the_schema_takes_profiles_as_parts_of_the_file() -> None:
    document = schema()
    profiles = document["properties"]["profiles"]
    assert (set(profiles["properties"]), profiles["additionalProperties"]) == (
        {"dev", "staging", "prod"},
        False,
    )
    part = document["$defs"]["Profile"]
    assert set(part["properties"]) == set(document["properties"]) - {"profiles"}
    assert "required" not in part
    assert part["additionalProperties"] is False
    assert all("default" not in entry for entry in part["properties"].values())
