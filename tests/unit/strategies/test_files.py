"""Instance and portfolio files: what loads, and the one line per fault for what does not."""

from __future__ import annotations

import hashlib
import pickle
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from lab.core.errors import ConfigError
from lab.core.settings import RiskSettings
from lab.costs import Costs
from lab.strategies import combine, config_model, load, load_portfolio

RESEARCH = Path(__file__).parents[3] / "research"

INSTANCE = """\
family: time_series_momentum
strategy_id: tsm_btc_1d_v1
version: 1.0.0                      # config_version is the hash of this file's content
mode: backtest                      # highest stage it may run at: backtest | paper | live
timeframe: 1d
markets: [{exchange: binance, symbol: BTC/USDT}]
parameters: {lookback_window: 90, vol_window: 20}
risk: {max_position_pct: 0.30, rebalance_band_pct: 0.02}
costs: {preset: base}
search: {trials: 40, splitter: rolling, train_bars: 365, test_bars: 90, purged_bars: 1, embargo_bars: 5}
"""
PORTFOLIO = """\
portfolio_id: core
reference_currency: USDT
capital: 10000
instances:
  - {config: one.yaml, allocation: 0.6}
  - {config: two.yaml, allocation: 0.4}
risk: {max_weight_per_asset: 0.5, max_daily_loss_pct: 0.05}
"""


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def pair(folder: Path, second: str = INSTANCE) -> Path:
    write(folder, "one.yaml", INSTANCE)
    write(folder, "two.yaml", second.replace("tsm_btc_1d_v1", "second"))
    return write(folder, "core.yaml", PORTFOLIO)


def test_an_instance_file(tmp_path: Path) -> None:
    path = write(tmp_path, "tsm.yaml", INSTANCE)
    instance = load(path)
    assert (instance.strategy_id, str(instance.timeframe)) == ("tsm_btc_1d_v1", "1d")
    assert instance.markets == ("binance:BTC/USDT",)
    assert instance.lookback == 91
    assert instance.risk == RiskSettings(max_position_pct=0.3, rebalance_band_pct=0.02)
    assert instance.costs == Costs.preset("base")
    assert (instance.search.trials, instance.search.embargo_bars) == (40, 5)
    assert instance.config_hash == hashlib.sha256(INSTANCE.encode()).hexdigest()
    assert instance.source == path


def test_instances_cross_process_borders(tmp_path: Path) -> None:
    instance = load(write(tmp_path, "tsm.yaml", INSTANCE))
    portfolio = load_portfolio(pair(tmp_path))
    assert pickle.loads(pickle.dumps(instance)) == instance
    assert pickle.loads(pickle.dumps(portfolio)) == portfolio


def test_with_params_replaces_what_it_names(tmp_path: Path) -> None:
    instance = load(write(tmp_path, "tsm.yaml", INSTANCE))
    changed = instance.with_params({"lookback_window": 30})
    assert changed.params.model_dump() == {**instance.params.model_dump(), "lookback_window": 30}
    assert (changed.lookback, instance.lookback) == (31, 91)
    assert changed.config_hash == instance.config_hash
    assert instance.with_params(changed.params).lookback == 31
    for wrong, message in (
        ({"lookback": 30}, "lookback: found 30, Extra inputs"),
        ({"vol_window": 1}, "vol_window: found 1, Input should be greater"),
    ):
        with pytest.raises(ConfigError, match=f"tsm_btc_1d_v1: {message}"):
            instance.with_params(wrong)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "timeframe:",
            "time_frame: 1d\ntimeframe:",
            r":5: time_frame: .*did you mean timeframe\?",
        ),
        (
            "lookback_window",
            "lookback",
            r":7: parameters\.lookback: .*did you mean lookback_window",
        ),
        ("vol_window: 20", "vol_window: 1", r":7: parameters\.vol_window: found 1, should be greater than"),
        (
            "vol_window: 20",
            "vol_window: '20'",
            r":7: parameters\.vol_window: found '20', should be",
        ),
        ("0.30", "30", r":8: risk\.max_position_pct: found 30, expected a fraction .* write 30 % as 0\.30"),
        ("preset: base", "preset: cheap", r":9: costs\.preset: found 'cheap'"),
        ("trials: 40", "trials: 0", r":10: search\.trials: found 0"),
        ("time_series_momentum", "tsm", r":1: family: found 'tsm', family 'tsm' unknown; .*families: "),
        ("tsm_btc_1d_v1", "../x", r":2: strategy_id: found '\.\./x'"),
        ("version: 1.0.0", "version: 1.0", r":3: version: found 1\.0"),
        ("mode: backtest", "mode: prod", r":4: mode: found 'prod'"),
        ("timeframe: 1d", "timeframe: 1M", r":5: timeframe: found '1M'.*use 1w"),
        ("BTC/USDT", "BTC/USDT:USDT", r":6: markets\.0\.symbol: .*derivative"),
        ("BTC/USDT", "BTCUSDT", r":6: markets\.0\.symbol: found 'BTCUSDT', expected BASE/QUOTE"),
        ("exchange: binance", "exchange: ../b", r":6: markets\.0\.exchange: .*expected CCXT's id"),
        ("[{exchange: binance, symbol: BTC/USDT}]", "[]", r":6: markets: .*at least one market"),
        ("parameters: {lookback_window: 90, vol_window: 20}\n", "", r"parameters: key missing"),
        ("mode: backtest", "flags: [Peg]\nmode: backtest", r":4: flags\.0: found 'Peg'"),
        ("mode: backtest", "flags: [peg, peg]\nmode: backtest", r":4: flags: .*peg is listed twice"),
    ],
)
def test_faults_name_file_line_and_key(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = write(tmp_path, "bad.yaml", INSTANCE.replace(old, new, 1))
    with pytest.raises(ConfigError, match=f"bad.yaml.*{message}") as error:
        load(path)
    assert len(str(error.value).splitlines()) == 1


def test_a_market_listed_twice_is_refused(tmp_path: Path) -> None:
    market = "{exchange: binance, symbol: BTC/USDT}"
    path = write(tmp_path, "bad.yaml", INSTANCE.replace(market, f"{market}, {market}"))
    with pytest.raises(ConfigError, match="binance:BTC/USDT is listed twice"):
        load(path)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no\.yaml: no such file; expected the YAML file of a strategy"):
        load(tmp_path / "no.yaml")
    with pytest.raises(ConfigError, match="not readable as the YAML file of a portfolio"):
        load_portfolio(tmp_path)
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not readable"):
        load(tmp_path / "bytes.yaml")


def test_a_portfolio_file(tmp_path: Path) -> None:
    two_markets = INSTANCE.replace("[{", "[{exchange: binance, symbol: ETH/USDT}, {")
    portfolio = load_portfolio(pair(tmp_path, two_markets))
    assert portfolio.portfolio_id == "core"
    assert (portfolio.capital, portfolio.reference_currency) == (10_000.0, "USDT")
    assert portfolio.allocations == (0.6, 0.4)
    assert portfolio.markets == ("binance:BTC/USDT", "binance:ETH/USDT")
    assert portfolio.risk.max_weight_per_asset == 0.5
    assert portfolio.costs == Costs()
    # Each instance is first cut to its own largest position, 0.30.
    combined = portfolio.combine([np.array([1.0]), np.array([0.1, 0.9])])
    np.testing.assert_allclose(combined, [0.6 * 0.3 + 0.4 * 0.3, 0.4 * 0.1])


def test_a_portfolio_changes_its_hash_with_any_of_its_files(tmp_path: Path) -> None:
    before = load_portfolio(pair(tmp_path)).config_hash
    write(tmp_path, "two.yaml", INSTANCE.replace("tsm_btc_1d_v1", "second").replace("90,", "91,"))
    assert load_portfolio(tmp_path / "core.yaml").config_hash != before


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("allocation: 0.6", "allocation: 0.7", r"core\.yaml:4: instances: .*allocations sum to 1\.1"),
        ("allocation: 0.6", "allocation: 60", r"core\.yaml:5: instances\.0\.allocation: .*fraction"),
        ("USDT", "EUR", r"core\.yaml: reference_currency: binance:BTC/USDT of tsm_btc_1d_v1 is not quoted"),
        ("two.yaml", "one.yaml", r"core\.yaml: instance tsm_btc_1d_v1 appears twice"),
        ("two.yaml", "three.yaml", r"instances\.1\.config: no such file.*three\.yaml"),
        ("max_weight_per_asset", "max_position_pct", r"core\.yaml:7: risk\.max_position_pct: unknown key"),
        ("capital: 10000", "capital: 0", r"core\.yaml:3: capital: found 0"),
    ],
)
def test_portfolio_faults(tmp_path: Path, old: str, new: str, message: str) -> None:
    pair(tmp_path)
    path = write(tmp_path, "core.yaml", PORTFOLIO.replace(old, new, 1))
    with pytest.raises(ConfigError, match=message):
        load_portfolio(path)


def test_combine_keeps_what_any_instance_keeps() -> None:
    one, two = np.array([[0.5, np.nan], [1.0, 0.0]]), np.array([[0.5], [np.nan]])
    markets, weights = combine([one, two], [("x:B/Q", "x:A/Q"), ("x:B/Q",)], [0.5, 0.5])
    assert markets == ("x:A/Q", "x:B/Q")
    np.testing.assert_array_equal(weights, [[np.nan, 0.5], [0.0, np.nan]])


def test_combine_refuses_what_does_not_match() -> None:
    with pytest.raises(ConfigError, match="one of each per instance"):
        combine([np.array([0.5])], [("x:A/Q",)], [0.5, 0.5])
    with pytest.raises(ConfigError, match="weights of shape \\(2,\\) for 1 markets"):
        combine([np.array([0.5, 0.5])], [("x:A/Q",)], [0.5])


def test_shipped_files_load_and_match_each_other() -> None:
    ids = [load(path).strategy_id for path in sorted((RESEARCH / "strategies").glob("*.yaml"))]
    assert len(ids) == len(set(ids)) >= 8
    for path in sorted((RESEARCH / "portfolios").glob("*.yaml")):
        portfolio = load_portfolio(path)
        assert sum(portfolio.allocations) == pytest.approx(1.0)
        # Nobody has to store more than a year before a portfolio can decide.
        for instance in portfolio.instances:
            assert instance.lookback * instance.timeframe.duration < timedelta(days=365)


def test_schemas_describe_every_key() -> None:
    schema = config_model("mean_reversion").model_json_schema()
    assert "parameters" in schema["required"]
    assert all("description" in field for field in schema["properties"].values())
