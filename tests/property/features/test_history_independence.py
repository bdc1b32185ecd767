"""A feature's value depends on its lookback alone: not on where history starts, nor on other markets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lab.core.feature import Feature
from lab.core.panel import Panel
from lab.core.timeframe import Timeframe
from lab.features import (
    atr,
    compute,
    definition_of,
    definitions,
    deviation,
    ema,
    highest,
    lowest,
    mean,
    simple_return,
    total,
    volatility,
    zscore,
)

Array = NDArray[np.float64]
HOUR = Timeframe.parse("1h")

FEATURES = (
    total("volume", 24),
    mean("close", 20),
    mean("close", 1),
    deviation("close", 7),
    zscore("close", 48),
    highest("high", 55),
    lowest("low", 7),
    ema("close", 1),
    ema("close", 5),
    simple_return("close", 30),
    volatility(20),
    atr(14),
)


def make_panel(seed: int, rows: int = 260, markets: int = 5, holes: float = 0.05) -> Panel:
    generator = np.random.default_rng(seed)
    bar = np.arange(400_003 + seed, 400_003 + seed + rows)
    scale = 10.0 ** generator.integers(-8, 6, markets)
    close = scale * np.exp(np.cumsum(generator.normal(0.0, 0.02, (rows, markets)), axis=0))
    close[generator.random((rows, markets)) < holes] = np.nan
    wick = 1.0 + 0.01 * generator.random((rows, markets))
    volume = generator.lognormal(25.0, 2.0, (rows, markets))
    fields = {"close": close, "high": close * wick, "low": close / wick, "volume": volume}
    return Panel(HOUR, bar, HOUR.open_times(bar), tuple(f"x:M{j}/USDT" for j in range(markets)), fields)


def same_bits(left: Array, right: Array) -> bool:
    both = np.isnan(left) & np.isnan(right)
    bits = np.ascontiguousarray(left).view(np.int64) == np.ascontiguousarray(right).view(np.int64)
    return bool((bits | both).all())


def test_every_definition_is_examined_here() -> None:
    assert {feature.name for feature in FEATURES} == set(definitions())


@pytest.mark.parametrize("feature", FEATURES, ids=str)
def test_tail_at_every_bar(feature: Feature) -> None:
    panel = make_panel(1)
    full = compute(panel, [feature])[feature]
    assert np.isfinite(full).mean() > 0.3
    for row in range(feature.lookback - 1, len(panel)):
        for bars in (feature.lookback, feature.lookback + 1, feature.lookback + 7):
            part = panel.rows(max(row + 1 - bars, 0), row + 1)
            assert same_bits(compute(part, [feature])[feature][-1], full[row]), (row, bars)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 5),
    start=st.integers(0, 200),
    length=st.integers(1, 200),
    feature=st.sampled_from(FEATURES),
)
def test_any_slice_equals_the_full_history_after_its_warm_up(
    seed: int, start: int, length: int, feature: Feature
) -> None:
    panel = make_panel(seed)
    part = panel.rows(start, min(start + length, len(panel)))
    values = compute(part, [feature])[feature]
    full = compute(panel, [feature])[feature][start : start + len(part)]
    warm = feature.lookback - 1
    assert np.isnan(values[:warm]).all()
    assert same_bits(values[warm:], full[warm:])


@settings(max_examples=60)
@given(data=st.data(), seed=st.integers(0, 5), feature=st.sampled_from(FEATURES))
def test_any_choice_of_markets_in_any_order(data: st.DataObject, seed: int, feature: Feature) -> None:
    assert definition_of(feature).per_market
    panel = make_panel(seed)
    chosen = data.draw(st.lists(st.sampled_from(panel.markets), min_size=1, unique=True))
    index = [panel.markets.index(market) for market in chosen]
    few = compute(panel.select(chosen), [feature])[feature]
    assert same_bits(few, compute(panel, [feature])[feature][:, index])


@settings(max_examples=40)
@given(seed=st.integers(0, 5), cut=st.integers(1, 259), feature=st.sampled_from(FEATURES))
def test_later_bars_change_nothing(seed: int, cut: int, feature: Feature) -> None:
    panel = make_panel(seed)
    full = compute(panel, [feature])[feature]
    fields = {key: values.copy() for key, values in panel.fields.items()}
    for values in fields.values():
        values[cut:] = np.random.default_rng(cut).uniform(1.0, 2.0, values[cut:].shape)
    changed = Panel(panel.timeframe, panel.bar, panel.ts, panel.markets, fields)
    assert same_bits(compute(changed, [feature])[feature][:cut], full[:cut])


@settings(max_examples=40)
@given(seed=st.integers(0, 5), row=st.integers(0, 150), feature=st.sampled_from(FEATURES))
def test_a_revised_bar_touches_only_the_windows_that_hold_it(seed: int, row: int, feature: Feature) -> None:
    panel = make_panel(seed, holes=0.0)
    full = compute(panel, [feature])[feature]
    fields = {key: values.copy() for key, values in panel.fields.items()}
    for values in fields.values():
        values[row] *= 1.5
    revised = compute(Panel(panel.timeframe, panel.bar, panel.ts, panel.markets, fields), [feature])[feature]
    untouched = np.r_[0:row, row + feature.lookback : len(panel)].astype(np.int64)
    assert same_bits(revised[untouched], full[untouched])
    if row >= feature.lookback and feature.name not in ("highest", "lowest"):
        assert not same_bits(revised[row], full[row])


@pytest.mark.parametrize("markets", [1, 2, 3, 7, 8, 9, 17, 33])
@pytest.mark.parametrize("feature", FEATURES, ids=str)
def test_width_of_the_panel_changes_no_bit(feature: Feature, markets: int) -> None:
    """Vector lanes and the loop over what is left must round alike."""
    panel = make_panel(2, rows=130, markets=33)
    full = compute(panel, [feature])[feature]
    for start in (0, 5, 33 - markets):
        chosen = panel.markets[start : start + markets]
        few = compute(panel.select(chosen), [feature])[feature]
        assert same_bits(few, full[:, start : start + markets])
