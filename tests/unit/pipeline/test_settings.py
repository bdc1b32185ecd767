"""Every file that a user writes has a schema and can be printed with its defaults, no secret among them."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.core.errors import ConfigError
from lab.pipeline.settings import in_force, schema_of

RESEARCH = Path(__file__).parents[3] / "research"


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("portfolio", "instances"),
        ("campaign", "periods"),
        ("universe", "symbols"),
        ("bridge", "recv_window_ms"),
        ("quality", "policies"),
        ("outages", "outages"),
        ("retention", "days"),
    ],
)
def test_every_kind_of_file_has_a_schema_that_refuses_unknown_keys(kind: str, key: str) -> None:
    schema = schema_of(kind)
    assert key in schema["properties"]
    assert schema["additionalProperties"] is False


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match="there are strategy, bridge, portfolio"):
        schema_of("strategies")


def test_campaigns_are_shown_with_their_defaults(tmp_path: Path) -> None:
    assert in_force(RESEARCH / "campaigns" / "demo.yaml", root=tmp_path)["headline_costs"]


def test_the_bridge_is_shown_with_what_the_environment_adds_and_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MNEMO_BINANCE_API_KEY", "canary-key-of-the-test")
    shown = in_force(RESEARCH / "bridge.example.yaml", root=tmp_path)
    assert shown["orders"]["type"] == "market"
    assert shown["environment"]["MNEMO_BINANCE_API_KEY"] == "***"
    assert shown["environment"]["MNEMO_BINANCE_API_SECRET"] is None
    assert "canary" not in str(shown)
