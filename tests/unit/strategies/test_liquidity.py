"""A least volume acts the same in every path to a weight, at its edge, and not at all where it is absent."""

from __future__ import annotations

import json
import pickle
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from lab.backtest import Evaluator, run_backtest, sweep
from lab.core.errors import ConfigError, DataError, WeightError
from lab.core.frames import RECEIVED
from lab.core.panel import Panel
from lab.core.settings import LiquiditySettings
from lab.core.timeframe import Timeframe
from lab.costs import Costs
from lab.strategies import (
    DecisionReason,
    Screened,
    config_model,
    decide,
    diagnose,
    load,
    load_portfolio,
    strategy_of,
    total_lookback,
)
from lab.validation.causality_strategy import certify_strategy
from tests.oracle import liquidity as oracle
from tests.oracle.portfolios import UNLIMITED
from tests.property.strategies.test_decide import CASES
from tests.unit.strategies.test_decide import Fixed

MARKETS = ("binance:AAA/USDT", "binance:BBB/USDT", "binance:CCC/USDT")
DAY, HOUR = Timeframe.parse("1d"), Timeframe.parse("1h")
MOMENTUM = strategy_of("time_series_momentum")
PARAMS = MOMENTUM.params(lookback_window=9, vol_window=5)
RULE = LiquiditySettings(min_daily_volume=1_000.0, window_days=10)
FILE = """\
family: time_series_momentum
strategy_id: NAME
version: 1.0.0
timeframe: 1d
markets: [{exchange: binance, symbol: AAA/USDT}, {exchange: binance, symbol: BBB/USDT}, \
{exchange: binance, symbol: CCC/USDT}]
parameters: {lookback_window: 9, vol_window: 5}
"""


def bars(seed: int = 1, *, rows: int = 120, timeframe: Timeframe = DAY) -> Panel:
    """Random walks whose volumes wander across the least one; gaps in bars, and in volumes alone."""
    random = np.random.default_rng(seed)
    shape = (rows, len(MARKETS))
    close = 100 * np.exp(np.cumsum(random.normal(0.002, 0.03, shape), axis=0))
    money = 1_000.0 * timeframe.seconds / 86_400 * np.exp(np.cumsum(random.normal(0, 0.15, shape), axis=0))
    volume = money / close
    volume[40:44, 1] = np.nan
    close[60:63, 2] = volume[60:63, 2] = np.nan
    bar = np.arange(19_000, 19_000 + rows) * (86_400 // timeframe.seconds)
    bar = np.arange(bar[0], bar[0] + rows)
    prices = dict.fromkeys(("open", "high", "low", "close"), close)
    received = {RECEIVED[name]: values for name, values in {**prices, "volume": volume}.items()}
    fields = {**prices, "volume": volume, **received}
    return Panel(timeframe, bar, timeframe.open_times(bar), MARKETS, fields)


def screened(family: str = "time_series_momentum", rule: LiquiditySettings = RULE) -> Screened:
    return Screened(strategy_of(family), rule, DAY)


def expected(panel: Panel, plain: np.ndarray, rule: LiquiditySettings, *, window: int) -> np.ndarray:
    """The oracle's weights, where the plain strategy's hold rules let it decide."""
    per_day = Fraction(86_400, panel.timeframe.seconds)
    close, volume = panel["close"].tolist(), panel["volume"].tolist()
    minimum = rule.min_daily_volume
    rows = oracle.screened(plain.tolist(), close, volume, window=window, per_day=per_day, minimum=minimum)
    return np.array(rows)


@pytest.mark.parametrize(("timeframe", "days", "window"), [(DAY, 10, 10), (HOUR, 1, 24)])
def test_weights_are_the_row_loops(timeframe: Timeframe, days: int, window: int) -> None:
    panel = bars(3, timeframe=timeframe)
    rule = LiquiditySettings(min_daily_volume=1_000.0, window_days=days)
    strategy = Screened(MOMENTUM, rule, timeframe)
    plain, found = decide(MOMENTUM, panel, PARAMS), decide(strategy, panel, PARAMS)
    first = total_lookback(strategy, PARAMS) - 1
    waits = np.isnan(plain[first:]) & np.isnan(found[first:])
    wanted = expected(panel, plain, rule, window=window)[first:]
    np.testing.assert_array_equal(found[first:][~waits], wanted[~waits])
    assert np.isnan(found[:first]).all()
    assert (found[first:][plain[first:] > 0] == 0).any(), "some are blocked"
    assert (found[first:] > 0).any(), "some are not"


@pytest.mark.parametrize(
    ("quantity", "weight"),
    [(10.0, 0.25), (np.nextafter(10.0, 0.0), 0.0), (np.nextafter(10.0, 20.0), 0.25), (np.nan, 0.0)],
)
def test_at_under_and_over_the_least_volume(quantity: float, weight: float) -> None:
    rows = 12
    close, volume = np.full((rows, 2), 128.0), np.full((rows, 2), 64.0)
    volume[:, 0] = quantity
    bar = np.arange(19_000, 19_000 + rows)
    panel = Panel(DAY, bar, DAY.open_times(bar), MARKETS[:2], {"close": close, "volume": volume})
    strategy = screened_rule(Fixed(np.full((rows, 2), 0.25)), 1_280.0, days=8)
    found = decide(strategy, panel, strategy.params())
    assert found[7:].tolist() == [[weight, 0.25]] * 5
    assert np.isnan(found[:7]).all()


def screened_rule(rule: Fixed, minimum: float, *, days: int) -> Screened:
    return Screened(rule, LiquiditySettings(min_daily_volume=minimum, window_days=days), DAY)


def test_what_the_rule_would_keep_is_sold_where_its_market_dried_up() -> None:
    rows = 12
    weights = np.full((rows, 2), np.nan)
    weights[:, 1] = 0.5
    volume = np.full((rows, 2), 64.0)
    volume[8:, 0] = 0.0
    bar = np.arange(19_000, 19_000 + rows)
    fields = {"close": np.ones((rows, 2)), "volume": volume}
    panel = Panel(DAY, bar, DAY.open_times(bar), MARKETS[:2], fields)
    strategy = screened_rule(Fixed(weights, window=2), 40.0, days=2)
    found = decide(strategy, panel, strategy.params())
    np.testing.assert_array_equal(found[6:10], [[np.nan, 0.5], [np.nan, 0.5], [0.0, 0.5], [0.0, 0.5]])


def test_a_rule_that_never_decides_or_decides_nonsense_is_refused_behind_the_screen() -> None:
    panel = bars()
    silent = Fixed(np.full(panel.shape, np.nan))
    with pytest.raises(WeightError, match="every weight is NaN"):
        decide(screened_rule(silent, 1e12, days=2), panel, silent.params())
    wrong = Fixed(np.full(panel.shape, 2.0))
    with pytest.raises(WeightError, match=r"weight 2\.0"):
        decide(screened_rule(wrong, 1e12, days=2), panel, wrong.params())


@pytest.mark.parametrize(("family", "values"), CASES[:9:2])
def test_the_certificate_covers_the_screen(family: str, values: dict[str, float]) -> None:
    strategy = screened(family)
    certificate = certify_strategy(strategy, bars(5, rows=90), strategy.params(**values))
    assert (certificate.ok, certificate.mismatches, certificate.findings) == (True, 0, ())
    assert certificate.lookback_declared >= RULE.window_days


def test_sweep_evaluator_and_backtest_agree_with_both_engines() -> None:
    panel, strategy, costs = bars(3), screened(), Costs()
    grid = {"lookback_window": [9, 20], "vol_window": [5]}
    rows = sweep(strategy, grid, panel, costs=costs, metrics=("sharpe", "turnover"))
    plain = sweep(MOMENTUM, grid, panel, costs=costs, metrics=("sharpe", "turnover"))
    assert (rows["turnover"] != plain["turnover"]).all(), "the screen changes the account"
    for place, window in enumerate(grid["lookback_window"]):
        params = strategy.params(lookback_window=window, vol_window=5)
        result = run_backtest(panel, decide(strategy, panel, params), costs=costs, engine="both")
        assert result.engine_difference < 1e-9
        assert rows["sharpe"][place] == result.metrics["sharpe"]
        assert rows["turnover"][place] == result.metrics["turnover"]
    start = 40
    evaluator = Evaluator(strategy, panel, start=start, costs=costs, metrics=("sharpe",))
    figures = evaluator.evaluate([PARAMS]).figures
    seen = run_backtest(panel.rows(start, 120), decide(strategy, panel, PARAMS)[start:], costs=costs)
    assert figures[0, 0] == seen.metrics["sharpe"] != 0.0


def test_accounts_alone_are_screened_one_by_one() -> None:
    panel, strategy = bars(3), screened()
    grid = {"lookback_window": [9], "vol_window": [5]}
    rows = sweep(strategy, grid, panel, costs=Costs(), metrics=("turnover",), accounts="alone")
    for market, turnover in rows.select("market", "turnover").iter_rows():
        part = panel.select((market,))
        result = run_backtest(part, decide(strategy, part, PARAMS), costs=Costs())
        assert turnover == result.metrics["turnover"]
    assert rows["turnover"].max() > 0


def test_diagnostics_name_the_reason() -> None:
    panel, strategy = bars(3), screened()
    told = diagnose(strategy, panel, PARAMS)
    blocked = (told.reasons & DecisionReason.ILLIQUID) != 0
    assert blocked.any()
    assert (told.weights[blocked] == 0.0).all()
    decided = ~np.isnan(told.weights)
    daily = told.scores[strategy.volume.key]
    np.testing.assert_array_equal(blocked[decided], ~(daily >= 1_000.0)[decided])
    assert set(np.unique(told.filters["liquid"][decided & ~np.isnan(daily)])) == {0.0, 1.0}
    assert {"risen", "liquid"} <= set(told.filters)
    plain = diagnose(MOMENTUM, panel, PARAMS)
    assert not (plain.reasons & DecisionReason.ILLIQUID).any()


def test_a_file_with_the_section_and_one_without(tmp_path: Path) -> None:
    (tmp_path / "plain.yaml").write_text(FILE.replace("NAME", "plain"))
    (tmp_path / "thick.yaml").write_text(FILE.replace("NAME", "thick") + "liquidity: {}\n")
    plain, thick = load(tmp_path / "plain.yaml"), load(tmp_path / "thick.yaml")
    assert plain.strategy is MOMENTUM
    assert plain.lookback == 10
    assert plain.daily_volumes(bars()) is None
    assert thick.config.liquidity == LiquiditySettings(min_daily_volume=1_000_000.0, window_days=30)
    assert thick.lookback == 30
    assert (thick.strategy.family, thick.space) == (MOMENTUM.family, plain.space)
    assert thick.strategy.version != plain.strategy.version, "its trials are others than the plain rule's"
    again = pickle.loads(pickle.dumps(thick))
    assert again == thick
    assert again.decide(bars()).tobytes() == thick.decide(bars()).tobytes()
    assert (thick.decide(bars())[29:] == 0.0).any()
    without = bars()
    fields = {name: values for name, values in without.fields.items() if name != "volume"}
    lacking = Panel(DAY, without.bar, without.ts, MARKETS, fields)
    with pytest.raises(DataError, match="volume"):
        thick.decide(lacking)


def test_a_portfolio_screens_each_instance_by_its_own_section(tmp_path: Path) -> None:
    (tmp_path / "plain.yaml").write_text(FILE.replace("NAME", "plain"))
    section = "liquidity: {min_daily_volume: 1000, window_days: 10}\n"
    (tmp_path / "thick.yaml").write_text(FILE.replace("NAME", "thick") + section)
    (tmp_path / "both.yaml").write_text(
        "portfolio_id: both\nreference_currency: USDT\ncapital: 10000\ninstances:\n"
        "  - {config: plain.yaml, allocation: 0.5}\n  - {config: thick.yaml, allocation: 0.5}\n" + UNLIMITED
    )
    portfolio, panel = load_portfolio(tmp_path / "both.yaml"), bars(3)
    parts = portfolio.decide([panel, panel]).parts
    np.testing.assert_array_equal(parts[80:, 0], 0.5 * portfolio.instances[0].decide(panel)[80:])
    np.testing.assert_array_equal(parts[80:, 1], 0.5 * portfolio.instances[1].decide(panel)[80:])
    needed = [portfolio.bars_needed(one) for one in portfolio.instances]
    tail = portfolio.decide([panel.tail(bars_) for bars_ in needed])
    assert tail.weights[-1].tobytes() == portfolio.decide([panel, panel]).weights[-1].tobytes()


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (
            "{min_daily_volume: -1}",
            r"thick\.yaml:7: liquidity\.min_daily_volume: .*greater than or equal to 0",
        ),
        ("{min_daily_volume: lots}", r"thick\.yaml:7: liquidity\.min_daily_volume: .*number"),
        ("{min_daily_volume: .inf}", r"thick\.yaml:7: liquidity\.min_daily_volume: .*finite"),
        ("{window_days: 0}", r"thick\.yaml:7: liquidity\.window_days: .*greater than or equal to 1"),
        ("{window_days: 1.5}", r"thick\.yaml:7: liquidity\.window_days: "),
        ("{min_volume: 5}", r"thick\.yaml:7: liquidity\.min_volume: "),
        ("yes", r"thick\.yaml:7: liquidity: "),
    ],
)
def test_impossible_values_are_refused_by_file_and_key(tmp_path: Path, section: str, message: str) -> None:
    path = tmp_path / "thick.yaml"
    path.write_text(FILE.replace("NAME", "thick") + f"liquidity: {section}\n")
    with pytest.raises(ConfigError, match=message):
        load(path)


def test_the_section_is_in_the_schema() -> None:
    schema = json.dumps(config_model("carry").model_json_schema())
    assert all(name in schema for name in ('"liquidity"', '"min_daily_volume"', '"window_days"'))
