"""Order, shape, lines and pairs of windows equal their row loops in exact arithmetic, with any holes."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from lab import features as made
from lab.core.feature import Feature
from lab.core.panel import Panel
from lab.core.timeframe import Timeframe
from lab.features import compute
from tests.oracle import features as oracle

Array = NDArray[np.float64]
DAY = Timeframe.parse("1d")

# Rounding of a few dozen additions.
TOL_SUM = 1e-12
# Sums of squares from a value inside the window lose at most log2(2 x window) bits, third powers more.
TOL_SQUARES = 1e-11
TOL_POWERS = 1e-9

windows = st.integers(2, 9)
shares = st.sampled_from([0.1, 0.5, 0.8, 1.0])


@st.composite
def prices(draw: st.DrawFn) -> tuple[Array, int]:
    """Return a (T, 2) array of positive values with holes and ties, and the number of its first bar."""
    rows = draw(st.integers(1, 30))
    scale = draw(st.sampled_from([1e-8, 1.0, 1e5, 1e12]))
    steps = arrays(np.float64, (rows, 2), elements=st.integers(0, 12).map(lambda step: 1.0 + step / 8.0))
    holes = draw(arrays(np.bool_, (rows, 2), elements=st.sampled_from([False, False, False, True])))
    return np.where(holes, np.nan, draw(steps) * scale), draw(st.integers(-50, 20_000))


def column(values: Array, market: int) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values[:, market]]


def check(
    data: tuple[Array, int],
    feature: Feature,
    expected: list[list[float | None]],
    *,
    rtol: float,
    atol: float = 0.0,
) -> None:
    values, first = data
    bar = np.arange(first, first + len(values))
    fields = {"close": values, "volume": np.ascontiguousarray(values[:, ::-1])}
    panel = Panel(DAY, bar, DAY.open_times(bar), ("x:A/USDT", "x:B/USDT"), fields)
    ours = compute(panel, [feature])[feature]
    for market, wanted in enumerate(expected):
        exact = np.array([np.nan if value is None else value for value in wanted])
        np.testing.assert_allclose(ours[:, market], exact, rtol=rtol, atol=atol)


def least(share: float, window: int) -> int:
    return next(count for count in range(1, window + 1) if count >= share * window - 1e-9)


@given(prices(), windows, shares)
def test_order(data: tuple[Array, int], window: int, share: float) -> None:
    columns, count = [column(data[0], market) for market in range(2)], least(share, window)
    half, third = Fraction(1, 2), Fraction(0.3)
    check(
        data,
        made.median("close", window, min_valid=share),
        [oracle.quantile(values, window, count, half) for values in columns],
        rtol=TOL_SUM,
    )
    check(
        data,
        made.quantile("close", window, 0.3, min_valid=share),
        [oracle.quantile(values, window, count, third) for values in columns],
        rtol=TOL_SUM,
    )
    check(
        data,
        made.rank("close", window, min_valid=share),
        [oracle.rank(values, window, count) for values in columns],
        rtol=TOL_SUM,
    )


@given(prices(), windows, shares)
def test_ages_of_extremes_are_exact(data: tuple[Array, int], window: int, share: float) -> None:
    columns, count = [column(data[0], market) for market in range(2)], least(share, window)
    highest = [oracle.age_of_highest(values, window, count) for values in columns]
    lowest = [oracle.age_of_lowest(values, window, count) for values in columns]
    check(data, made.bars_since_highest("close", window, min_valid=share), highest, rtol=0.0)
    check(data, made.bars_since_lowest("close", window, min_valid=share), lowest, rtol=0.0)


@given(prices(), st.integers(4, 9), shares)
def test_shape(data: tuple[Array, int], window: int, share: float) -> None:
    columns, count = [column(data[0], market) for market in range(2)], least(share, window)
    spread = [oracle.mean_absolute_deviation(values, window, count) for values in columns]
    size = float(np.nanmax(data[0], initial=0.0))
    check(
        data,
        made.mean_absolute_deviation("close", window, min_valid=share),
        spread,
        rtol=TOL_SUM,
        atol=1e-15 * size,
    )
    skew = [oracle.standardised_moment(values, window, count, 3) for values in columns]
    check(data, made.skewness("close", window, min_valid=share), skew, rtol=TOL_POWERS, atol=TOL_POWERS)
    tails = [oracle.standardised_moment(values, window, count, 4) for values in columns]
    check(data, made.kurtosis("close", window, min_valid=share), tails, rtol=TOL_POWERS)


@given(prices(), windows, shares)
def test_variance(data: tuple[Array, int], window: int, share: float) -> None:
    expected = [oracle.variance(column(data[0], m), window, least(share, window)) for m in range(2)]
    check(data, made.variance("close", window, min_valid=share), expected, rtol=TOL_SQUARES)


@given(prices(), windows, shares)
def test_lines(data: tuple[Array, int], window: int, share: float) -> None:
    columns, count = [column(data[0], market) for market in range(2)], least(share, window)
    size = float(np.nanmax(data[0], initial=0.0))
    weighted = [oracle.weighted_mean(values, window, count) for values in columns]
    check(data, made.weighted_mean("close", window, min_valid=share), weighted, rtol=TOL_SUM)
    fits = [oracle.line(values, window, count) for values in columns]
    slopes, ends = [fit[0] for fit in fits], [fit[1] for fit in fits]
    check(data, made.slope("close", window, min_valid=share), slopes, rtol=TOL_SUM, atol=TOL_SUM * size)
    check(
        data,
        made.linear_regression("close", window, min_valid=share),
        ends,
        rtol=TOL_SUM,
        atol=TOL_SUM * size,
    )


@given(prices(), st.integers(3, 9), shares)
def test_pairs(data: tuple[Array, int], window: int, share: float) -> None:
    columns, count = [column(data[0], market) for market in range(2)], least(share, window)
    both = [oracle.related(columns[m], columns[1 - m], window, count) for m in range(2)]
    check(
        data,
        made.correlation("close", "volume", window, min_valid=share),
        [each[0] for each in both],
        rtol=TOL_SQUARES,
        atol=TOL_SQUARES,
    )
    check(
        data,
        made.beta("close", "volume", window, min_valid=share),
        [each[1] for each in both],
        rtol=TOL_SQUARES,
        atol=TOL_SQUARES,
    )
