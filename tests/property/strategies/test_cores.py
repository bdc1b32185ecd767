"""The compiled cores against their plain twins, on features made to hit every edge."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from hypothesis.strategies import composite

from lab.strategies import DualMomentum, MeanReversion, TimeSeriesMomentum
from tests.oracle import strategies as oracle

# Quarters, so that values meet thresholds and each other exactly.
QUARTERS = st.integers(-12, 12).map(lambda n: n / 4)


@composite
def features(draw: Any, count: int = 1, elements: Any = QUARTERS) -> list[np.ndarray]:
    shape = (draw(st.integers(1, 40)), draw(st.integers(1, 4)))
    values = st.one_of(elements, elements, elements, st.just(math.nan))
    made = [draw(arrays(np.float64, shape, elements=values)) for _ in range(count)]
    for array in made:
        array.flags.writeable = False
    return made


@given(
    features(count=2),
    QUARTERS,
    st.sampled_from([0.25, 0.5, 1.0]),
    st.sampled_from([None, 0.5, 1.5]),
)
def test_time_series_momentum(
    both: list[np.ndarray], threshold: float, target: float, largest: float | None
) -> None:
    past_return, signed = both
    volatility = np.abs(signed)
    volatility.flags.writeable = False
    strategy = TimeSeriesMomentum()
    params = strategy.params(threshold=max(threshold, -1.0), target_volatility=target, max_volatility=largest)
    numbers = strategy.numbers(params, markets=past_return.shape[1], first_bar=0)
    expected = oracle.time_series_momentum(
        past_return.tolist(),
        volatility.tolist(),
        threshold=params.threshold,
        target_volatility=target,
        max_volatility=largest,
    )
    weights = strategy.core(past_return, volatility, *numbers)
    np.testing.assert_allclose(weights, expected, rtol=1e-15, atol=0)
    assert np.nansum(weights, axis=1).max() <= 1 + 1e-9


@given(features(), QUARTERS, st.integers(1, 5), st.integers(1, 9), st.integers(0, 20_000))
def test_dual_momentum(
    one: list[np.ndarray], threshold: float, top_k: int, rebalance_bars: int, first_bar: int
) -> None:
    strategy = DualMomentum()
    params = strategy.params(threshold=max(threshold, -1.0), top_k=top_k, rebalance_bars=rebalance_bars)
    numbers = strategy.numbers(params, markets=one[0].shape[1], first_bar=first_bar)
    expected = oracle.dual_momentum(
        one[0].tolist(),
        first_bar=first_bar,
        threshold=params.threshold,
        top_k=top_k,
        rebalance_bars=rebalance_bars,
    )
    weights = strategy.core(one[0], *numbers)
    np.testing.assert_array_equal(weights, expected)
    assert np.nansum(weights, axis=1).max() <= 1 + 1e-9


@given(
    features(),
    st.sampled_from([0.5, 1.0, 1.5]),
    st.sampled_from([-0.25, 0.0, 0.5]),
    st.integers(1, 8),
    st.integers(1, 8),
)
def test_mean_reversion(
    one: list[np.ndarray], entry_z: float, exit_z: float, max_holding: int, fall_window: int
) -> None:
    strategy = MeanReversion()
    params = strategy.params(entry_z=entry_z, exit_z=exit_z, max_holding=max_holding, fall_window=fall_window)
    numbers = strategy.numbers(params, markets=one[0].shape[1], first_bar=0)
    expected = oracle.mean_reversion(
        one[0].tolist(), entry_z=entry_z, exit_z=exit_z, max_holding=max_holding, fall_window=fall_window
    )
    weights = strategy.core(one[0], *numbers)
    np.testing.assert_array_equal(weights, expected)
    held = (weights > 0).astype(int)
    for column in held.T:
        longest = max((len(run) for run in "".join(map(str, column)).split("0")), default=0)
        assert longest <= max_holding
