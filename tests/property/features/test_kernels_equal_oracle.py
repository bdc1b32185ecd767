"""Every feature equals its row loop in exact arithmetic, on any pattern of missing bars and any magnitude."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from lab.core.feature import Feature
from lab.core.panel import Panel
from lab.core.timeframe import Timeframe
from lab.features import (
    atr,
    compute,
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
from lab.features.windows import MEMORY_SPANS
from tests.oracle import features as oracle

Array = NDArray[np.float64]
DAY = Timeframe.parse("1d")

# Rounding of a few dozen additions of numbers of one sign.
TOL_SUM = 1e-14
# A sum of squares takes its inputs' rounding twice.
TOL_SPREAD = 1e-12
# A z-score near 0 is a difference; its error is relative to one deviation.
TOL_ZSCORE = 1e-10

windows = st.integers(2, 9)
shares = st.sampled_from([0.1, 0.5, 0.8, 1.0])


@st.composite
def prices(draw: st.DrawFn) -> tuple[Array, int]:
    """Return a (T, 2) array of positive values with holes, and the number of its first bar."""
    rows = draw(st.integers(1, 40))
    scale = draw(st.sampled_from([1e-8, 1.0, 1e5, 1e12]))
    unit = arrays(np.float64, (rows, 2), elements=st.floats(2.0**-7, 8.0, width=32))
    holes = draw(arrays(np.bool_, (rows, 2), elements=st.sampled_from([False, False, False, True])))
    values = np.where(holes, np.nan, draw(unit) * scale)
    return values, draw(st.integers(-50, 20_000))


def panel_of(first: int, **fields: Array) -> Panel:
    bar = np.arange(first, first + len(fields["close"]))
    return Panel(DAY, bar, DAY.open_times(bar), ("x:A/USDT", "x:B/USDT"), fields)


def column(values: Array, market: int) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values[:, market]]


def computed(panel: Panel, feature: Feature) -> Array:
    return compute(panel, [feature])[feature]


def assert_close(
    ours: Array, market: int, expected: list[float | None], *, relative: float, absolute: float = 0.0
) -> None:
    wanted = np.array([np.nan if value is None else value for value in expected])
    np.testing.assert_allclose(ours[:, market], wanted, rtol=relative, atol=absolute)


def least(share: float, window: int) -> int:
    return next(count for count in range(1, window + 1) if count >= share * window - 1e-9)


@given(prices(), windows, shares)
def test_total(data: tuple[Array, int], window: int, share: float) -> None:
    values, first = data
    ours = computed(panel_of(first, close=values), total("close", window, min_valid=share))
    for market in range(2):
        expected = oracle.total(column(values, market), window, least(share, window))
        assert_close(ours, market, expected, relative=TOL_SUM)


@given(prices(), windows, shares)
def test_mean(data: tuple[Array, int], window: int, share: float) -> None:
    values, first = data
    ours = computed(panel_of(first, close=values), mean("close", window, min_valid=share))
    for market in range(2):
        expected = oracle.mean(column(values, market), window, least(share, window))
        assert_close(ours, market, expected, relative=TOL_SUM * 100)


@given(prices(), windows, shares)
def test_deviation(data: tuple[Array, int], window: int, share: float) -> None:
    values, first = data
    ours = computed(panel_of(first, close=values), deviation("close", window, min_valid=share))
    for market in range(2):
        expected = oracle.deviation(column(values, market), window, least(share, window))
        assert_close(ours, market, expected, relative=TOL_SPREAD)


@given(prices(), windows, shares)
def test_zscore(data: tuple[Array, int], window: int, share: float) -> None:
    values, first = data
    ours = computed(panel_of(first, close=values), zscore("close", window, min_valid=share))
    for market in range(2):
        expected = oracle.zscore(column(values, market), window, least(share, window))
        assert_close(ours, market, expected, relative=TOL_SPREAD, absolute=TOL_ZSCORE)


@given(prices(), windows, shares)
def test_extremes_are_exact(data: tuple[Array, int], window: int, share: float) -> None:
    values, first = data
    top, bottom = highest("close", window, min_valid=share), lowest("close", window, min_valid=share)
    panel = compute(panel_of(first, close=values), [top, bottom])
    for market in range(2):
        count = least(share, window)
        assert_close(panel[top], market, oracle.highest(column(values, market), window, count), relative=0.0)
        assert_close(
            panel[bottom], market, oracle.lowest(column(values, market), window, count), relative=0.0
        )


@given(prices(), st.integers(1, 3), shares)
def test_ema(data: tuple[Array, int], span: int, share: float) -> None:
    values, first = data
    ours = computed(panel_of(first, close=values), ema("close", span, min_valid=share))
    for market in range(2):
        expected = oracle.ema(column(values, market), span, MEMORY_SPANS, share)
        assert_close(ours, market, expected, relative=TOL_SUM * 10)


@given(prices(), windows)
def test_simple_return(data: tuple[Array, int], window: int) -> None:
    values, first = data
    ours = computed(panel_of(first, close=values), simple_return("close", window))
    for market in range(2):
        expected = oracle.simple_return(column(values, market), window)
        assert_close(ours, market, expected, relative=TOL_SUM, absolute=1e-12)


@given(prices(), windows, shares)
def test_volatility(data: tuple[Array, int], window: int, share: float) -> None:
    values, first = data
    ours = computed(panel_of(first, close=values), volatility(window, min_valid=share))
    for market in range(2):
        count = least(share, window)
        expected = oracle.volatility(column(values, market), window, count, DAY.periods_per_year)
        assert_close(ours, market, expected, relative=TOL_SPREAD, absolute=1e-14)


@given(prices(), prices(), windows, shares)
def test_atr(data: tuple[Array, int], other: tuple[Array, int], window: int, share: float) -> None:
    close, first = data
    rows = min(len(close), len(other[0]))
    close, high = close[:rows], other[0][:rows]
    low = high * 0.75
    panel = panel_of(first, close=close, high=high, low=low)
    ours = computed(panel, atr(window, min_valid=share))
    for market in range(2):
        bars = (column(values, market) for values in (high, low, close))
        expected = oracle.atr(*bars, window, least(share, window))
        assert_close(ours, market, expected, relative=TOL_SUM * 100)
