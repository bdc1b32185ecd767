"""Sweeps refuse what a decision refuses, word for word, and share features even where one fails."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lab.backtest import run_backtest, simulate_many, sweep
from lab.backtest.feature_cache import FeatureCache
from lab.backtest.prices import ExecutionPrices
from lab.backtest.watching import watch_of
from lab.core.errors import ConfigError, DataError, FrameError, WeightError
from lab.core.panel import Panel
from lab.core.settings import PortfolioRiskSettings
from lab.costs import Costs
from lab.features import mean
from lab.pipeline.bench.crossing import Crossing
from lab.risk import Limits
from lab.strategies import decide, strategy_of
from tests.oracle.portfolios import panel_of

ROWS, MARKETS = 60, 2


@pytest.fixture(scope="module")
def panel() -> Panel:
    closes = 100.0 * np.cumprod(1.0 + np.random.default_rng(4).normal(0.001, 0.02, (ROWS, MARKETS)), axis=0)
    return panel_of(np.vstack([closes[:1], closes[:-1]]), closes)


class Fixed(Crossing):
    """Weights that somebody wrote down."""

    def __init__(self, weights: NDArray[np.float64]) -> None:
        self._weights = weights

    def core(self, *_: Any) -> NDArray[np.float64]:
        return self._weights.copy()


def weights(rows: int = ROWS, *, at: Sequence[int] = (), value: float = 0.0) -> NDArray[np.float64]:
    made = np.full((rows, MARKETS), 0.25)
    if at:
        made[tuple(at)] = value
    return made


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (weights(ROWS - 1), r"signal returned \(59, 2\), expected shape \(60, 2\)"),
        (weights(at=(30, 1), value=1.5), r"market synthetic:M00001/USDT: weight 1\.5"),
        (weights(at=(30, 0), value=-0.1), r"market synthetic:M00000/USDT: weight -0\.1"),
        (weights(at=(30, 1), value=0.8), r"weights sum to 1\.05"),
        (np.full((ROWS, MARKETS), np.nan), "every weight is NaN although the features are complete"),
    ],
)
def test_a_sweep_refuses_what_a_decision_refuses_in_the_same_words(
    panel: Panel, wrong: NDArray[np.float64], text: str
) -> None:
    strategy = Fixed(wrong)
    with pytest.raises(WeightError, match=text) as swept:
        sweep(strategy, {"fast": [5]}, panel, costs=Costs())
    with pytest.raises(WeightError, match=text) as decided:
        decide(strategy, panel, strategy.params(fast=5))
    assert str(swept.value) == str(decided.value)


def test_weights_of_accounts_alone_may_sum_to_more_than_one_but_none_may_be_more(panel: Panel) -> None:
    full = Fixed(np.full((ROWS, MARKETS), 0.9))
    table = sweep(full, {"fast": [5]}, panel, costs=Costs(), metrics=("exposure",), accounts="alone")
    # Of a shared account the two could not have half each, the bars before the first decision at nothing.
    assert (table["exposure"] > 0.5).all()
    with pytest.raises(WeightError, match=r"synthetic:M00001/USDT: weight 1\.5"):
        sweep(OneByOne(weights(at=(30, 1), value=1.5)), {"fast": [5]}, panel, costs=Costs(), accounts="alone")


class OneByOne(Fixed):
    """The same for a panel of one market, which is asked for again when something is wrong: its column."""

    def signal(self, panel: Panel, params: Any) -> NDArray[np.float64]:
        places = [int(market.split(":M")[1][:5]) for market in panel.markets]
        return self._weights[:, places]


def test_silence_is_no_fault_where_the_features_are_never_complete(panel: Panel) -> None:
    silent = Fixed(np.full((ROWS, MARKETS), np.nan))
    table = sweep(silent, {"fast": [ROWS + 1], "slow": [ROWS + 1]}, panel, costs=Costs())
    assert table["total_return"].to_list() == [0.0]
    assert table["exposure"].to_list() == [0.0]


def test_a_single_weight_above_one_by_rounding_is_one(panel: Panel) -> None:
    whole = np.full((ROWS, 1), np.nan)
    whole[3], whole[40] = 1.0, 0.0
    above = whole.copy()
    above[3] = 1.0 + 1e-12
    one = panel.select(panel.markets[:1])
    metrics = ("total_return", "exposure")
    exact, rounded = simulate_many(one, [whole, above], costs=Costs(), metrics=metrics).rows()
    assert rounded == pytest.approx(exact, rel=1e-9)
    assert exact[1] > 0.5


def test_an_account_alone_has_the_groups_of_its_own_market(panel: Panel) -> None:
    risk = PortfolioRiskSettings(
        max_exchange_pct=0.3,
        max_weight_per_asset=1.0,
        max_daily_loss_pct=1.0,
        max_trade_risk_pct=None,
        max_order_volume_pct=None,
        breakers=(),
    )
    strategy = strategy_of("time_series_momentum")
    grid, metrics = {"lookback_window": [5], "vol_window": [5]}, ("total_return", "exposure")
    table = sweep(strategy, grid, panel, costs=Costs(), risk=risk, metrics=metrics, accounts="alone")
    params = strategy.params(lookback_window=5, vol_window=5)
    for market, *figures in table.select("market", *metrics).iter_rows():
        part = panel.select((market,))
        result = run_backtest(part, decide(strategy, part, params), costs=Costs(), risk=risk)
        assert figures == [result.metrics[name] for name in metrics]
        assert 0.0 < figures[1] < 0.35


def test_what_limits_look_at_must_fit_the_bars(panel: Panel) -> None:
    prices = ExecutionPrices.from_panel(panel, "open")
    limits = Limits.from_settings(PortfolioRiskSettings(), markets=panel.markets)
    with pytest.raises(FrameError, match=r"parts have shape \(3, 1, 2\), expected \(60, 0, 2\)"):
        watch_of(prices, limits, np.zeros((3, 1, 2)))
    more = Limits.from_settings(PortfolioRiskSettings(), markets=(*panel.markets, "synthetic:M00009/USDT"))
    with pytest.raises(FrameError, match="limits are about 3 markets, the bars about 2"):
        watch_of(prices, more)


def test_a_feature_that_fails_takes_none_with_it_and_is_tried_again(panel: Panel) -> None:
    cache = FeatureCache(panel, float("inf"))
    good, bad = mean("close", 5), mean("funding_rate", 5)
    for _ in range(2):
        with pytest.raises(DataError, match="funding_rate"):
            cache.arrays((good, bad))
    (values,) = cache.arrays((good,))
    closes = panel["close"]
    assert values[10] == pytest.approx(closes[6:11].mean(axis=0))
    computed = cache.computed
    assert cache.arrays((good,))[0] is values
    assert cache.computed == computed


def test_features_that_need_more_than_there_is_are_refused_before_they_are_computed(panel: Panel) -> None:
    cache = FeatureCache(panel, 8.0 * ROWS * MARKETS)
    cache.arrays((mean("close", 5),))
    cache.arrays((mean("close", 6),))
    assert cache.computed == 2
    cache.arrays((mean("close", 5),))
    assert cache.computed == 3, "one that was pushed out is computed again"
    with pytest.raises(ConfigError, match="the features of a single set need"):
        cache.arrays((mean("close", 5), mean("close", 6)))
    assert cache.computed == 3


class Rivals(Crossing):
    """A family that compares markets."""

    family = "rivals"
    per_market = False


@pytest.mark.parametrize(
    ("strategy", "options", "text"),
    [
        (Crossing(), {"accounts": "apart"}, "accounts='apart' not understood: use 'shared' or 'alone'"),
        (Rivals(), {"accounts": "alone"}, "family rivals compares markets with each other"),
        (Crossing(), {"memory_mb": 0.0}, "memory_mb is 0, expected megabytes above 0"),
        (Crossing(), {"memory_mb": float("nan")}, "memory_mb is nan, expected megabytes above 0"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(
    panel: Panel, strategy: Crossing, options: dict[str, Any], text: str
) -> None:
    with pytest.raises(ConfigError, match=text):
        sweep(strategy, {"fast": [5]}, panel, costs=Costs(), **options)
