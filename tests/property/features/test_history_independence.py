"""A feature's value depends on its lookback alone: not on where history starts, nor on other markets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.core.feature import Feature
from lab.core.panel import Panel
from lab.features import compute, definition_of
from tests.oracle.features_catalogue import (
    EVERY,
    OF_ONE_MARKET,
    OF_THE_UNIVERSE,
    make_panel,
    same_bits,
    shipped_definitions,
)

# Their value may stay where one of their bars is revised.
IN_STEPS = frozenset(
    [
        *(
            "aroon_down",
            "aroon_oscillator",
            "aroon_up",
            "bars_since_highest",
            "bars_since_lowest",
            "breakout",
        ),
        *(
            "coarser",
            "day_of_week",
            "highest",
            "hour_of_day",
            "latest",
            "lowest",
            "median",
            "quantile",
            "rank",
        ),
        *("trend_regime", "universe_rank", "universe_zscore", "volatility_regime"),
    ]
)


def test_every_definition_is_examined_here() -> None:
    assert {feature.name for feature in EVERY} == shipped_definitions()
    assert all(definition_of(feature).per_market for feature in OF_ONE_MARKET)
    assert not any(definition_of(feature).per_market for feature in OF_THE_UNIVERSE)


@pytest.mark.parametrize("feature", EVERY, ids=str)
def test_tail_at_every_bar(feature: Feature) -> None:
    panel = make_panel(1)
    full = compute(panel, [feature])[feature]
    assert np.isfinite(full).mean() > 0.2
    for row in range(feature.lookback - 1, len(panel)):
        for bars in (feature.lookback, feature.lookback + 1, feature.lookback + 7):
            part = panel.rows(max(row + 1 - bars, 0), row + 1)
            assert same_bits(compute(part, [feature])[feature][-1], full[row]), (row, bars)


@settings(max_examples=200)
@given(
    seed=st.integers(0, 5),
    start=st.integers(0, 200),
    length=st.integers(1, 200),
    holes=st.sampled_from([0.0, 0.05, 0.3, 0.9]),
    feature=st.sampled_from(EVERY),
)
def test_any_slice_equals_the_full_history_after_its_warm_up(
    seed: int, start: int, length: int, holes: float, feature: Feature
) -> None:
    panel = make_panel(seed, holes=holes)
    part = panel.rows(start, min(start + length, len(panel)))
    values = compute(part, [feature])[feature]
    full = compute(panel, [feature])[feature][start : start + len(part)]
    warm = feature.lookback - 1
    assert np.isnan(values[:warm]).all()
    assert same_bits(values[warm:], full[warm:])


@pytest.mark.parametrize("feature", EVERY, ids=str)
def test_slices_at_every_offset(feature: Feature) -> None:
    """Sixteen neighbouring starts: every alignment of rows in memory, and of blocks to bars."""
    panel = make_panel(4, rows=feature.lookback + 40, markets=3)
    full = compute(panel, [feature])[feature]
    for start in range(17):
        values = compute(panel.rows(start, len(panel)), [feature])[feature]
        assert same_bits(values[feature.lookback - 1 :], full[start + feature.lookback - 1 :]), start


@settings(max_examples=150)
@given(data=st.data(), seed=st.integers(0, 5), feature=st.sampled_from(OF_ONE_MARKET))
def test_any_choice_of_markets_in_any_order(data: st.DataObject, seed: int, feature: Feature) -> None:
    panel = make_panel(seed)
    chosen = data.draw(st.lists(st.sampled_from(panel.markets), min_size=1, unique=True))
    index = [panel.markets.index(market) for market in chosen]
    few = compute(panel.select(chosen), [feature])[feature]
    assert same_bits(few, compute(panel, [feature])[feature][:, index])


@settings(max_examples=40)
@given(data=st.data(), seed=st.integers(0, 5), feature=st.sampled_from(OF_THE_UNIVERSE))
def test_no_order_of_the_universe_changes_a_bit(data: st.DataObject, seed: int, feature: Feature) -> None:
    panel = make_panel(seed)
    order = data.draw(st.permutations(panel.markets))
    index = [panel.markets.index(market) for market in order]
    turned = compute(panel.select(order), [feature])[feature]
    assert same_bits(turned, compute(panel, [feature])[feature][:, index])


@settings(max_examples=150)
@given(seed=st.integers(0, 5), cut=st.integers(1, 259), feature=st.sampled_from(EVERY))
def test_later_bars_change_nothing(seed: int, cut: int, feature: Feature) -> None:
    panel = make_panel(seed)
    full = compute(panel, [feature])[feature]
    fields = {key: values.copy() for key, values in panel.fields.items()}
    for values in fields.values():
        values[cut:] = np.random.default_rng(cut).uniform(1.0, 2.0, values[cut:].shape)
    changed = Panel(panel.timeframe, panel.bar, panel.ts, panel.markets, fields)
    assert same_bits(compute(changed, [feature])[feature][:cut], full[:cut])


@settings(max_examples=150)
@given(seed=st.integers(0, 5), row=st.integers(0, 150), feature=st.sampled_from(EVERY))
def test_a_revised_bar_touches_only_the_windows_that_hold_it(seed: int, row: int, feature: Feature) -> None:
    panel = make_panel(seed, holes=0.0)
    full = compute(panel, [feature])[feature]
    fields = {key: values.copy() for key, values in panel.fields.items()}
    factor = np.linspace(1.5, 2.5, len(panel.markets))
    # Each column by another factor: a ratio of two would not notice one and the same.
    for number, values in enumerate(fields.values()):
        values[row] *= factor + 0.1 * number
    revised = compute(Panel(panel.timeframe, panel.bar, panel.ts, panel.markets, fields), [feature])[feature]
    untouched = np.r_[0:row, row + feature.lookback : len(panel)].astype(np.int64)
    assert same_bits(revised[untouched], full[untouched])
    inside = slice(row, row + feature.lookback)
    if row >= feature.lookback and feature.name not in IN_STEPS and np.isfinite(full[row]).any():
        assert not same_bits(revised[inside], full[inside])


@pytest.mark.parametrize("feature", OF_ONE_MARKET, ids=str)
def test_width_of_the_panel_changes_no_bit(feature: Feature) -> None:
    """Vector lanes and the loop over what is left must round alike."""
    panel = make_panel(2, rows=feature.lookback + 30, markets=33)
    full = compute(panel, [feature])[feature]
    for markets in (1, 2, 3, 7, 8, 9, 17):
        for start in (0, 5, 33 - markets):
            chosen = panel.markets[start : start + markets]
            few = compute(panel.select(chosen), [feature])[feature]
            assert same_bits(few, full[:, start : start + markets]), (markets, start)


@pytest.mark.parametrize("rows", [1_000, 30_000])
def test_neither_threads_nor_pieces_change_a_bit(rows: int) -> None:
    panel = make_panel(3, rows=rows, markets=12)
    once = compute(panel, EVERY, workers=1)
    twice = compute(panel, EVERY, workers=3)
    for feature in EVERY:
        assert same_bits(once[feature], twice[feature]), feature
        tail = compute(panel.tail(700), [feature])[feature][feature.lookback - 1 :]
        assert same_bits(tail, once[feature][rows - len(tail) :]), feature
