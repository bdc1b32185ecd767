"""The compiled cores of the later families against their plain twins, on features that hit every edge."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import composite

from lab.core.panel import Panel
from lab.core.timeframe import Timeframe
from lab.features import compute
from lab.strategies import Carry, CrossSectionalMomentum, Ensemble, MaBreakout, ValueQuality
from lab.strategies.order_flow import close_location_imbalance, high_low_spread
from lab.strategies.sizing import atr_scale
from tests.oracle import strategies_families as oracle

# Quarters, so that values meet thresholds and each other exactly; every fourth value is unknown.
QUARTERS = np.arange(-8, 9) / 4
POSITIVE = np.arange(9) / 4
DAY = Timeframe.parse("1d")


@composite
def features(draw: Any, *pools: np.ndarray, bars: int = 30) -> list[np.ndarray]:
    shape = (draw(st.integers(1, bars)), draw(st.integers(1, 5)))
    random = np.random.default_rng(draw(st.integers(0, 10_000)))
    unknown = draw(st.sampled_from([0.0, 0.25]))
    made = []
    for pool in pools:
        array = random.choice(pool, shape)
        array[random.random(shape) < unknown] = math.nan
        array.flags.writeable = False
        made.append(array)
    return made


def rows(made: list[np.ndarray]) -> list[list[list[float]]]:
    return [array.tolist() for array in made]


@given(
    features(QUARTERS, POSITIVE),
    st.integers(0, 3),
    st.sampled_from([0.2, 0.3, 0.5, 1.0]),
    st.integers(1, 4),
    st.sampled_from([-1.0, 0.0, 0.5]),
    st.sampled_from([None, 0.5]),
    st.integers(1, 5),
    st.integers(0, 20_000),
)
def test_cross_sectional_momentum(
    made: list[np.ndarray],
    skip: int,
    top: float,
    least: int,
    threshold: float,
    target: float | None,
    every: int,
    first_bar: int,
) -> None:
    strategy = CrossSectionalMomentum()
    params = strategy.params(
        skip_window=skip,
        top_fraction=top,
        min_markets=least,
        threshold=threshold,
        target_volatility=target,
        rebalance_bars=every,
    )
    numbers = strategy.numbers(params, markets=made[0].shape[1], first_bar=first_bar)
    expected = oracle.cross_sectional_momentum(
        *rows(made),
        first_bar=first_bar,
        skip=skip,
        top_fraction=top,
        min_markets=least,
        threshold=threshold,
        target=target,
        rebalance_bars=every,
    )
    weights = strategy.core(*made, *numbers)
    np.testing.assert_allclose(weights, expected, rtol=1e-14, atol=0)
    assert np.nansum(weights, axis=1).max() <= 1 + 1e-9


@given(
    features(QUARTERS / 1095, QUARTERS, POSITIVE),
    st.sampled_from([-0.25, 0.0, 0.5]),
    st.sampled_from([0.25, 1.0]),
    st.sampled_from([-1.0, 0.0]),
    st.sampled_from([0.5, 1.0]),
)
def test_carry(made: list[np.ndarray], full: float, width: float, threshold: float, target: float) -> None:
    strategy = Carry()
    params = strategy.params(
        full_below=full, none_above=full + width, threshold=threshold, target_volatility=target
    )
    expected = oracle.carry(
        *rows(made),
        payments_per_day=3.0,
        full_below=full,
        none_above=full + width,
        threshold=threshold,
        target=target,
    )
    numbers = strategy.numbers(params, markets=made[0].shape[1], first_bar=0)
    weights = strategy.core(*made, *numbers)
    np.testing.assert_allclose(weights, expected, rtol=1e-12, atol=1e-15)
    assert np.nansum(weights, axis=1).max() <= 1 + 1e-9


@given(
    features(POSITIVE, POSITIVE, POSITIVE, POSITIVE, POSITIVE, POSITIVE),
    st.sampled_from([0.5, 1.0]),
    st.sampled_from([0.5, 1.0]),
    st.sampled_from([-0.6, 0.1]),
    st.sampled_from([0.5, 1.0]),
)
def test_value_quality(
    made: list[np.ndarray], full: float, width: float, quality: float, target: float
) -> None:
    strategy = ValueQuality()
    params = strategy.params(
        full_below=full, none_above=full + width, min_quality=quality, target_volatility=target
    )
    expected = oracle.value_quality(
        rows(made), full_below=full, none_above=full + width, min_quality=quality, target=target
    )
    numbers = strategy.numbers(params, markets=made[0].shape[1], first_bar=0)
    weights = strategy.core(*made, *numbers)
    np.testing.assert_allclose(weights, expected, rtol=1e-14, atol=0)


@given(
    features(QUARTERS, QUARTERS, QUARTERS, QUARTERS, POSITIVE, POSITIVE, POSITIVE),
    st.sampled_from([0.0, 0.25]),
    st.integers(1, 6),
    st.sampled_from([None, 0.0]),
    st.sampled_from([None, 0.5]),
    st.sampled_from(["equal", "volatility", "atr"]),
)
def test_ma_breakout(
    made: list[np.ndarray], band: float, longest: int, flow: float | None, wide: float | None, sizing: str
) -> None:
    strategy = MaBreakout()
    params = strategy.params(
        band=band, max_holding=longest, min_imbalance=flow, max_spread=wide, sizing=sizing, risk_fraction=0.25
    )
    numbers = strategy.numbers(params, markets=made[0].shape[1], first_bar=0)
    weights = strategy.core(*made, *numbers)
    held = oracle.ma_breakout(
        *rows(made[:5]), band=band, max_holding=longest, min_imbalance=flow, max_spread=wide
    )
    share = 1 / made[0].shape[1]
    for (t, i), weight in np.ndenumerate(weights):
        close, width = float(made[5][t, i]), float(made[6][t, i])
        if not held[t][i]:
            assert weight == 0.0
        elif sizing == "equal":
            assert weight == share
        elif math.isnan(width) or (sizing == "atr" and math.isnan(close)):
            assert math.isnan(weight)
        elif sizing == "volatility":
            assert weight == pytest.approx(share * min(1, 0.40 / width) if width else share, rel=1e-14)
        else:
            lost = 0.25 * close / (2 * width) if width else 1.0
            assert weight == pytest.approx(min(share, lost), rel=1e-14)


SHARES = st.lists(st.sampled_from([0.125, 0.25]), min_size=1, max_size=4)


@given(st.data(), SHARES, st.sampled_from([0.0, 0.5, 1.0]), st.integers(1, 4))
def test_ensemble(data: st.DataObject, shares: list[float], quorum: float, hold_bars: int) -> None:
    unit = np.array([0.0, 0.25, 0.5])
    made = data.draw(features(*[unit] * len(shares), bars=12))
    weights = Ensemble.core(*made, quorum, hold_bars, *shares)
    expected = oracle.ensemble(rows(made), shares, quorum=quorum, hold_bars=hold_bars)
    np.testing.assert_allclose(weights, expected, rtol=1e-14, atol=0)
    assert np.nansum(weights, axis=1).max() <= sum(shares) + 1e-12


@given(features(POSITIVE, POSITIVE, POSITIVE, POSITIVE), st.integers(1, 6), st.sampled_from([0.5, 1.0]))
def test_imbalance_of_volume(made: list[np.ndarray], window: int, share: float) -> None:
    low, width, place, volume = made
    low = low + 1.0
    fields = {"high": low + width, "low": low, "close": low + width * place / 2, "volume": volume}
    bar = np.arange(500, 500 + len(low))
    names = tuple(f"x:M{i}/Q" for i in range(low.shape[1]))
    panel = Panel(DAY, bar, DAY.open_times(bar), names, fields)
    feature = close_location_imbalance(window, min_valid=share)
    values = compute(panel, [feature])[feature]
    columns = (fields[name].tolist() for name in ("high", "low", "close", "volume"))
    expected = oracle.imbalance(*columns, window=window, least=math.ceil(share * window))
    np.testing.assert_allclose(values[:, 0], expected, rtol=0, atol=1e-14)
    assert np.nanmax(np.abs(values), initial=0.0) <= 1 + 1e-12


def test_spread_is_found_where_it_was_put() -> None:
    """Highs and lows of a fine random walk, bought at the ask and sold at the bid, give the spread back."""
    random = np.random.default_rng(3)
    steps = random.normal(0, 0.004 / math.sqrt(390), (4_000, 390))
    path = np.exp(np.cumsum(steps.reshape(-1)).reshape(4_000, 390))
    half = random.choice([1 - 0.005, 1 + 0.005], path.shape)
    traded = path * half
    fields = {"high": traded.max(axis=1)[:, None], "low": traded.min(axis=1)[:, None]}
    bar = np.arange(4_000)
    panel = Panel(DAY, bar, DAY.open_times(bar), ("x:A/Q",), fields)
    feature = high_low_spread(3_900)
    assert compute(panel, [feature])[feature][-1, 0] == pytest.approx(0.01, abs=0.001)
    without = {"high": path.max(axis=1)[:, None], "low": path.min(axis=1)[:, None]}
    panel = Panel(DAY, bar, DAY.open_times(bar), ("x:A/Q",), without)
    # Negative estimates count as 0, which biases the mean upwards; the spread still stands out.
    assert compute(panel, [feature])[feature][-1, 0] < 0.002


def test_position_that_loses_one_percent_at_two_ranges() -> None:
    price, average_range, equity = 50.0, 2.0, 10_000.0
    units = atr_scale(price, average_range, 0.01, 2.0) * equity / price
    assert units * 2 * average_range == pytest.approx(0.01 * equity)
    assert math.isnan(atr_scale(price, math.nan, 0.01, 2.0))
    assert math.isnan(atr_scale(math.nan, 1.0, 0.01, 2.0))
    assert atr_scale(price, 0.0, 0.01, 2.0) == 1.0
