"""What holds for every registered family: bounded memory to the last bit, legal weights, the hold rules."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.core.frames import RECEIVED
from lab.core.panel import Panel
from lab.core.timeframe import Timeframe
from lab.features import compute
from lab.strategies import decide, families, total_lookback
from tests.oracle import strategies as oracle

# Short windows, so that every family acts often on a short panel.
SHORT = {
    "time_series_momentum": [
        {"lookback_window": 11, "vol_window": 5},
        {"lookback_window": 3, "vol_window": 20, "threshold": 0.02, "max_volatility": 0.6},
    ],
    "dual_momentum": [
        {"lookback_window": 10, "rebalance_bars": 7, "top_k": 2},
        {"lookback_window": 5, "rebalance_bars": 1},
    ],
    "mean_reversion": [
        {"window": 12, "entry_z": 1.0, "max_holding": 6, "fall_window": 5},
        {"window": 8, "entry_z": 1.5, "exit_z": -0.5, "max_holding": 3, "fall_window": 9},
    ],
    "ma_breakout": [
        {"fast_window": 3, "slow_window": 9, "max_holding": 8, "vol_window": 5, "band": 0.01},
        {
            "rule": "breakout",
            "entry_window": 8,
            "exit_window": 5,
            "max_holding": 6,
            "flow_window": 4,
            "min_imbalance": -0.2,
            "max_spread": 0.05,
            "sizing": "atr",
            "vol_window": 7,
        },
    ],
    "cross_sectional_momentum": [
        {"lookback_window": 9, "skip_window": 2, "top_fraction": 0.5, "rebalance_bars": 5, "vol_window": 6},
        {
            "lookback_window": 5,
            "skip_window": 0,
            "rebalance_bars": 1,
            "min_markets": 1,
            "target_volatility": 0.3,
            "vol_window": 9,
        },
    ],
    "carry": [
        {"funding_window": 5, "trend_window": 9, "vol_window": 6, "none_above": 0.3},
        {"funding_window": 12, "trend_window": 3, "vol_window": 4, "threshold": 0.0},
    ],
    "value_quality": [
        {"short_window": 4, "long_window": 11, "vol_window": 5},
        {"short_window": 1, "long_window": 3, "vol_window": 12, "min_quality": 0.0},
    ],
    "ensemble": [
        {
            "members": [
                {
                    "family": "time_series_momentum",
                    "parameters": {"lookback_window": 7, "vol_window": 5},
                    "weight": 0.6,
                },
                {
                    "family": "mean_reversion",
                    "parameters": {"window": 8, "entry_z": 1.0, "max_holding": 4, "fall_window": 4},
                    "weight": 0.4,
                },
            ],
            "hold_bars": 3,
        },
        {
            "members": [
                {"family": "dual_momentum", "parameters": {"lookback_window": 6, "top_k": 2}, "weight": 0.5},
                {
                    "family": "time_series_momentum",
                    "parameters": {"lookback_window": 4, "vol_window": 5},
                    "weight": 0.5,
                },
            ],
            "quorum": 1.0,
            "hold_bars": 9,
        },
    ],
}
CASES = [(family, values) for family, listed in SHORT.items() for values in listed]


def market_panel(seed: int, *, bars: int = 220, markets: int = 3, gaps: bool = True) -> Panel:
    """Random walks with outages of one market and of all, a late listing and a delisting."""
    random = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(random.normal(0, 0.03, (bars, markets)), axis=0))
    if gaps:
        close[70:73] = np.nan
        close[100:112, 0] = np.nan
        close[150, 1] = np.nan
        close[:40, markets - 1] = np.nan
        close[random.random((bars, markets)) < 0.01] = np.nan
        close[200:, 0] = np.nan
    frame = Timeframe.parse("1d")
    bar = np.arange(18_000 + seed, 18_000 + seed + bars)
    names = tuple(f"synthetic:M{i}/USDT" for i in range(markets))
    received = close.copy()
    if gaps:
        received[180, 2] = np.nan  # received as BAD or filled: features see a price, nobody can trade it
    fields = {"close": close, RECEIVED["close"]: received, **_columns(close, random)}
    return Panel(frame, bar, frame.open_times(bar), names, fields)


def _columns(close: np.ndarray, random: np.random.Generator) -> dict[str, np.ndarray]:
    """Everything else that some family reads, where there is a close."""
    there = np.where(np.isnan(close), np.nan, 1.0)
    spans = {name: random.uniform(0.0, 0.03, close.shape) for name in ("high", "low")}
    made = {
        "volume": random.uniform(1e3, 1e4, close.shape),
        "funding_rate": random.normal(1e-4, 2e-4, close.shape),
        "mvrv": random.uniform(0.5, 4.0, close.shape),
        "active_addresses": random.uniform(1e5, 2e5, close.shape),
    }
    bars = {"high": close * (1 + spans["high"]), "low": close * (1 - spans["low"]), "market_cap": close * 1e7}
    return {**bars, **{name: values * there for name, values in made.items()}}


def test_every_family_is_covered() -> None:
    shipped = {name for name, one in families().items() if type(one).__module__.startswith("lab.")}
    assert set(SHORT) == shipped


@pytest.mark.parametrize(("family", "values"), CASES)
@pytest.mark.parametrize("extra", [0, 1, 7])
def test_weights_need_the_declared_lookback_and_no_more(
    family: str, values: dict[str, float], extra: int
) -> None:
    strategy = families()[family]
    params = strategy.params(**values)
    panel = market_panel(1)
    lookback = total_lookback(strategy, params)
    full = decide(strategy, panel, params)
    for end in range(lookback + extra, len(panel) + 1):
        last = decide(strategy, panel.rows(end - lookback - extra, end), params)[-1]
        assert last.tobytes() == full[end - 1].tobytes(), f"bar {end - 1}"


@pytest.mark.parametrize(("family", "values"), CASES)
def test_one_bar_less_than_the_lookback_decides_nothing(family: str, values: dict[str, float]) -> None:
    strategy = families()[family]
    params = strategy.params(**values)
    panel = market_panel(2, gaps=False)
    lookback = total_lookback(strategy, params)
    assert np.isnan(decide(strategy, panel.tail(lookback - 1), params)).all()
    assert not np.isnan(decide(strategy, panel.tail(lookback), params)[-1]).any()


@pytest.mark.parametrize(("family", "values"), CASES)
def test_the_future_changes_nothing(family: str, values: dict[str, float]) -> None:
    strategy = families()[family]
    params = strategy.params(**values)
    panel = market_panel(3)
    full = decide(strategy, panel, params)
    for cut in (30, 69, 71, 150, 219):
        close = panel["close"].copy()
        close[cut:] *= np.random.default_rng(cut).uniform(0.5, 2.0, close[cut:].shape)
        changed = decide(strategy, panel.with_fields({"close": close}), params)
        assert changed[:cut].tobytes() == full[:cut].tobytes()


@pytest.mark.parametrize(("family", "values"), CASES)
def test_every_family_acts_and_stays_legal(family: str, values: dict[str, float]) -> None:
    strategy = families()[family]
    weights = decide(strategy, market_panel(4), strategy.params(**values))
    known = weights[~np.isnan(weights)]
    assert known.min() == 0.0
    assert 0.0 < known.max() <= 1.0
    assert np.nansum(weights, axis=1).max() <= 1.0 + 1e-9


@pytest.mark.parametrize("family", sorted(SHORT))
def test_per_market_families_see_each_market_alone(family: str) -> None:
    strategy = families()[family]
    params = strategy.params(**SHORT[family][0])
    panel = market_panel(5)
    features = strategy.features(params)
    numbers = strategy.numbers(params, markets=3, first_bar=int(panel.bar[0]))
    full = strategy.core(*(compute(panel, features)[f] for f in features), *numbers)
    same = []
    for column, market in enumerate(panel.markets):
        alone = compute(panel.select([market]), features)
        weights = strategy.core(*(alone[f] for f in features), *numbers)
        same.append(weights[:, 0].tobytes() == full[:, column].tobytes())
    assert all(same) == strategy.per_market


@given(st.data())
def test_hold_rules(data: st.DataObject) -> None:
    strategy = families()["mean_reversion"]
    params = strategy.params(window=2, entry_z=0.5, exit_z=0.0, max_holding=2, fall_window=2)
    bars = data.draw(st.integers(5, 25))
    cells = st.lists(st.booleans(), min_size=2 * bars, max_size=2 * bars)
    close = np.random.default_rng(bars).uniform(90, 110, (bars, 2))
    lost = np.array(data.draw(cells)).reshape(bars, 2) & np.array(data.draw(cells)).reshape(bars, 2)
    received = np.where(lost, np.nan, close)
    panel = market_panel(6, bars=bars, markets=2, gaps=False)
    panel = panel.with_fields({"close": close, RECEIVED["close"]: received})
    feature = strategy.features(params)
    raw = strategy.signal(compute(panel, feature), params)
    expected = oracle.hold(raw.tolist(), received.tolist(), total_lookback(strategy, params))
    np.testing.assert_array_equal(decide(strategy, panel, params), expected)
