"""``bridge.yaml``: what is accepted, and what is said about the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.core.errors import ConfigError
from lab.strategies import load_portfolio
from live_bridge.cli import _run
from live_bridge.config import BridgeConfig, load_config, parse_config


def test_defaults_are_a_paper_account_on_binance() -> None:
    settings = parse_config("portfolio: core.yaml", source="bridge.yaml")
    assert (settings.account, settings.exchange.id, settings.mode) == ("main", "binance", "paper")
    assert settings.exchange.base_url is None


def test_a_mode_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(
        ConfigError, match=r"bridge\.yaml:2: mode: found 'real', .*'paper' or 'live'"
    ) as caught:
        parse_config("portfolio: core.yaml\nmode: real\n", source="bridge.yaml")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("portfolio: a\nportfolo: b", r"f\.yaml:2: portfolo: unknown key; did you mean portfolio\?"),
        ("account: main", r"f\.yaml:1: portfolio: key missing"),
        ("portfolio: a\naccount: ../main", r"f\.yaml:2: account: found '\.\./main'"),
        ("portfolio: a\nrecv_window_ms: 1", r"f\.yaml:2: recv_window_ms: found 1"),
        ("portfolio: a\nmarket_map: {'bitstamp:BTC/USD': 'BTCUSD'}", "expected BASE/QUOTE"),
        ("portfolio: a\nmarket_map: {'BTC': 'BTC/USD'}", "expected exchange:BASE/QUOTE"),
        ("portfolio: a\nexchange: {id: '../evil'}", r"f\.yaml:2: exchange\.id: found '\.\./evil'"),
        ("portfolio: [", r"f\.yaml:\d: not readable as plain YAML"),
        ("", r"f\.yaml:1: expected lines"),
    ],
)
def test_faults_name_file_line_and_key(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_config(text, source="f.yaml")


@pytest.mark.parametrize(
    "options", ["{apiKey: hunter2}", "{api_secret: hunter2}", "{headers: {X-MBX-APIKEY: hunter2}}"]
)
def test_a_credential_among_the_options_is_refused_and_not_shown(options: str) -> None:
    with pytest.raises(ConfigError, match=r"exchange\.options: .* looks like a credential") as caught:
        parse_config(f"portfolio: a\nexchange: {{options: {options}}}", source="f.yaml")
    assert "hunter2" not in str(caught.value)
    assert caught.value.exit_code == 2
    ordinary = "portfolio: a\nexchange: {options: {defaultType: spot}}"
    assert parse_config(ordinary, source="f.yaml").exchange.options == {"defaultType": "spot"}


def test_a_market_of_another_venue_needs_an_entry_in_the_map() -> None:
    settings = BridgeConfig(portfolio="p", market_map={"bitstamp:BTC/USD": "BTC/USDC"})
    assert settings.symbol("binance:ETH/USDT") == "ETH/USDT"
    assert settings.symbol("bitstamp:BTC/USD") == "BTC/USDC"
    with pytest.raises(ConfigError, match=r'market_map: \{"bitstamp:ETH/USD": "ETH/USD"\}'):
        settings.symbol("bitstamp:ETH/USD")
    with pytest.raises(ConfigError, match="derivatives are data"):
        settings.symbol("binance:BTC/USDT:USDT")


def test_paths_lie_beside_the_file_or_under_the_root(tmp_path: Path) -> None:
    folder, root = tmp_path / "a", tmp_path / "b"
    folder.mkdir()
    root.mkdir()
    (folder / "bridge.yaml").write_text("portfolio: p.yaml")
    with pytest.raises(
        ConfigError, match=r"portfolio 'p\.yaml' not found; looked for .*a/p\.yaml and .*b/p\.yaml"
    ):
        load_config(folder / "bridge.yaml", root=root)
    (root / "p.yaml").touch()
    assert load_config(folder / "bridge.yaml", root=root).portfolio == root / "p.yaml"
    (folder / "p.yaml").touch()
    loaded = load_config(folder / "bridge.yaml", root=root)
    assert loaded.portfolio == folder / "p.yaml"
    assert loaded.state == root / "data/live/main.sqlite"


def test_a_file_that_is_not_there_or_not_text_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / "none.yaml", root=tmp_path)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8 text"):
        load_config(tmp_path / "binary.yaml", root=tmp_path)


@pytest.mark.parametrize("name", ["bridge.example.yaml", "bridge.loopback.yaml"])
def test_the_example_files_name_portfolios_whose_markets_they_can_trade(name: str) -> None:
    root = Path(__file__).parents[3]
    loaded = load_config(root / "research" / name, root=root)
    portfolio = load_portfolio(loaded.portfolio)
    assert [loaded.settings.symbol(market) for market in portfolio.markets]


@pytest.mark.parametrize(
    "address",
    [
        "https://ada:CANARYpw@testnet.binance.vision",
        "https://CANARYpw@testnet.binance.vision",
        "https://testnet.binance.vision?key=CANARYpw",
        "https://testnet.binance.vision/#CANARYpw",
        "http://ada:CANARYpw@[::1",
        "http://127.0.0.1:CANARYpw",
    ],
)
def test_an_address_that_may_hold_a_secret_is_refused_and_not_repeated(
    tmp_path: Path, address: str, capfd: pytest.CaptureFixture[str]
) -> None:
    bridge = tmp_path / "bridge.yaml"
    bridge.write_text(f"exchange: {{base_url: '{address}'}}\nportfolio: p.yaml\n")
    (tmp_path / "p.yaml").write_text("portfolio_id: p\n")
    for command in ("run", "status", "health", "history"):
        assert _run([command, "--config", str(bridge), "--root", str(tmp_path)]) == 2
    said = capfd.readouterr()
    assert "exchange.base_url" in said.err
    written = [
        path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file() and path != bridge
    ]
    assert "CANARYpw" not in "".join([said.out, said.err, *written])
