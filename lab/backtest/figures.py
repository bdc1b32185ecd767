"""The compiled side of the metrics: from figures per bar to :data:`~lab.backtest.metrics.METRICS`.

Only what is asked for is computed: `wanted` is a sum of parts. ``figures_of`` takes one account,
``figures_alone`` many side by side; a market gets the same bits from both.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from lab.backtest.layout import Array
from lab.core.compiled import njit

__all__ = [
    "ALL",
    "COUNT",
    "GROWTH",
    "PARTS",
    "figures_alone",
    "figures_of",
    "figures_of_growth",
    "product_of_changes",
]

COUNT: Final = 18
_TOTAL: Final = 1
_MOMENTS: Final = 2
_DRAWDOWN: Final = 4
_GAINS: Final = 8
_OTHERS: Final = 16
# The one part that needs no returns: what became of the capital is enough.
GROWTH: Final = _TOTAL
ALL: Final = _TOTAL | _MOMENTS | _DRAWDOWN | _GAINS | _OTHERS
# Which parts a metric is made of, in the order of METRICS.
PARTS: Final = (
    _TOTAL,  # total_return
    _TOTAL,  # annualised_return
    _MOMENTS,  # annualised_volatility
    _MOMENTS,  # sharpe
    _MOMENTS | _GAINS,  # sortino
    _TOTAL | _DRAWDOWN,  # calmar
    _DRAWDOWN,  # max_drawdown
    _DRAWDOWN,  # max_drawdown_duration
    _GAINS,  # hit_ratio
    _GAINS,  # payoff
    _GAINS,  # profit_factor
    _OTHERS,  # turnover
    _OTHERS,  # exposure
    _OTHERS,  # cost_share
    _OTHERS,  # time_in_market
    _MOMENTS,  # skewness
    _MOMENTS,  # kurtosis
    0,  # bars
)

# Equity carries a rounding error of about 1e-16 of itself: a deviation of returns below this is rounding.
_NO_VOLATILITY: Final = 1e-14


@njit(cache=True, nogil=True, error_model="numpy")
def figures_of(returns: Array, others: Array, growth: float, periods_per_year: float, wanted: int) -> Array:
    """Return the metrics of one account, shape (COUNT,); NaN where not wanted.

    `returns` (T,); `others` (3, T): turnover, cost and exposure, and may be empty where they are not wanted;
    `growth`: equity at the end over capital.
    """
    count = returns.shape[0]
    values = np.full(COUNT, np.nan)
    values[17] = count
    if count == 0:
        return values
    mean, downside = 0.0, 0.0
    if wanted & _TOTAL:
        values[0] = growth - 1.0
    if wanted & _MOMENTS:
        mean = _mean_and_drawdowns(returns, values) if wanted & _DRAWDOWN else _mean(returns)
        _moments(returns, mean, values)
    elif wanted & _DRAWDOWN:
        _mean_and_drawdowns(returns, values)
    if wanted & _GAINS:
        downside = _gains_and_losses(returns, values)
    if wanted & _OTHERS:
        _sums(returns, others[0], others[1], others[2], periods_per_year, values)
    _finish(values, mean, downside, count, periods_per_year)
    return values


@njit(cache=True, nogil=True, error_model="numpy")
def figures_alone(
    returns: Array, others: Array, growth: Array, periods_per_year: float, wanted: int
) -> Array:
    """Return the metrics of accounts side by side, shape (N, COUNT).

    `returns` (T, N); `others` (3, T, N); `growth` (N,), see :func:`figures_of`.
    """
    rows, columns = returns.shape
    values = np.full((columns, COUNT), np.nan)
    values[:, 17] = rows
    if rows == 0:
        return values
    means, downsides = np.zeros(columns), np.zeros(columns)
    if wanted & _MOMENTS:
        _moments_alone(returns, means, values)
    if wanted & _TOTAL:
        values[:, 0] = growth - 1.0
    if wanted & _DRAWDOWN:
        _drawdowns_alone(returns, values)
    for i in range(columns):
        if wanted & _GAINS:
            downsides[i] = _gains_and_losses(returns[:, i], values[i])
        if wanted & _OTHERS:
            _sums(
                returns[:, i], others[0, :, i], others[1, :, i], others[2, :, i], periods_per_year, values[i]
            )
        _finish(values[i], means[i], downsides[i], rows, periods_per_year)
    return values


@njit(cache=True, nogil=True, error_model="numpy")
def figures_of_growth(growth: Array, count: int, periods_per_year: float, wanted: int) -> Array:
    """Return the metrics of accounts of which the growth over `count` bars is known, shape (N, COUNT)."""
    values = np.full((growth.shape[0], COUNT), np.nan)
    for i in range(growth.shape[0]):
        values[i, 17] = count
        if wanted & _TOTAL and count > 0:
            values[i, 0] = growth[i] - 1.0
            _finish(values[i], 0.0, 0.0, count, periods_per_year)
    return values


@njit(cache=True, nogil=True, error_model="numpy")
def product_of_changes(returns: Array) -> float:
    """Return the product of one plus every return: the growth of an account of which only they are known."""
    growth = 1.0
    for t in range(returns.shape[0]):
        growth *= 1.0 + returns[t]
    return growth


@njit(cache=True, nogil=True, error_model="numpy")
def _finish(values: Array, mean: float, downside: float, count: int, periods_per_year: float) -> None:
    """Annualise, and divide what is to be divided."""
    root = math.sqrt(periods_per_year)
    deviation = values[2]
    values[1] = (
        max(1.0 + values[0], 0.0) ** (periods_per_year / count) - 1.0 if values[0] == values[0] else np.nan
    )
    values[2] = deviation * root
    if deviation > _NO_VOLATILITY:
        values[3] = mean / deviation * root
    if downside > _NO_VOLATILITY:
        values[4] = mean / downside * root
    if values[6] < 0.0:
        values[5] = values[1] / -values[6]


@njit(cache=True, nogil=True, error_model="numpy")
def _mean(returns: Array) -> float:
    total = 0.0
    for t in range(returns.shape[0]):
        total += returns[t]
    return total / returns.shape[0]


@njit(cache=True, nogil=True, error_model="numpy")
def _mean_and_drawdowns(returns: Array, values: Array) -> float:
    """Write the largest drawdown and the longest time below a maximum; return the mean.

    In one pass: neither sum nor product can be hurried, but they do not wait for each other.
    """
    total, equity, peak, deepest = 0.0, 1.0, 1.0, 0.0
    below, longest = 0, 0
    for t in range(returns.shape[0]):
        total += returns[t]
        equity *= 1.0 + returns[t]
        up = equity >= peak
        peak = equity if up else peak
        below = 0 if up else below + 1
        longest = below if below > longest else longest
        depth = equity / peak - 1.0
        deepest = depth if depth < deepest else deepest
    values[6], values[7] = deepest, float(longest)
    return total / returns.shape[0]


@njit(cache=True, nogil=True, error_model="numpy")
def _moments(returns: Array, mean: float, values: Array) -> None:
    """Write deviation, skewness and raw kurtosis."""
    count = returns.shape[0]
    second, third, fourth = 0.0, 0.0, 0.0
    for t in range(count):
        distance = returns[t] - mean
        square = distance * distance
        second += square
        third += square * distance
        fourth += square * square
    _spread(second, third, fourth, count, values)


@njit(cache=True, nogil=True, error_model="numpy")
def _spread(second: float, third: float, fourth: float, count: int, values: Array) -> None:
    values[2] = math.sqrt(second / (count - 1)) if count > 1 else math.nan
    if values[2] > _NO_VOLATILITY:
        second /= count
        values[15] = third / count / second**1.5
        values[16] = fourth / count / second**2


@njit(cache=True, nogil=True, error_model="numpy")
def _moments_alone(returns: Array, means: Array, values: Array) -> None:
    rows, columns = returns.shape
    for t in range(rows):
        for i in range(columns):
            means[i] += returns[t, i]
    for i in range(columns):
        means[i] /= rows
    second, third, fourth = np.zeros(columns), np.zeros(columns), np.zeros(columns)
    for t in range(rows):
        for i in range(columns):
            distance = returns[t, i] - means[i]
            square = distance * distance
            second[i] += square
            third[i] += square * distance
            fourth[i] += square * square
    for i in range(columns):
        _spread(second[i], third[i], fourth[i], rows, values[i])


@njit(cache=True, nogil=True, error_model="numpy")
def _drawdowns_alone(returns: Array, values: Array) -> None:
    rows, columns = returns.shape
    equity, peak, deepest = np.ones(columns), np.ones(columns), np.zeros(columns)
    below, longest = np.zeros(columns), np.zeros(columns)
    for t in range(rows):
        for i in range(columns):
            equity[i] *= 1.0 + returns[t, i]
            up = equity[i] >= peak[i]
            peak[i] = equity[i] if up else peak[i]
            below[i] = 0.0 if up else below[i] + 1.0
            longest[i] = below[i] if below[i] > longest[i] else longest[i]
            depth = equity[i] / peak[i] - 1.0
            deepest[i] = depth if depth < deepest[i] else deepest[i]
    values[:, 6], values[:, 7] = deepest, longest


@njit(cache=True, nogil=True, error_model="numpy")
def _gains_and_losses(returns: Array, values: Array) -> float:
    """Write hit ratio, payoff and profit factor; return the downside deviation."""
    gains, losses, squares = 0.0, 0.0, 0.0
    winners, losers = 0, 0
    for t in range(returns.shape[0]):
        if returns[t] > 0.0:
            gains += returns[t]
            winners += 1
        elif returns[t] < 0.0:
            losses -= returns[t]
            squares += returns[t] * returns[t]
            losers += 1
    moved = winners + losers
    values[8] = winners / moved if moved > 0 else math.nan
    both = winners > 0 and losers > 0
    values[9] = (gains / winners) / (losses / losers) if both else math.nan
    values[10] = gains / losses if losers > 0 else math.nan
    return math.sqrt(squares / returns.shape[0])


@njit(cache=True, nogil=True, error_model="numpy")
def _sums(
    returns: Array, turnover: Array, cost: Array, exposure: Array, periods_per_year: float, values: Array
) -> None:
    """Write turnover, exposure, cost share and time in market."""
    count = returns.shape[0]
    traded, invested, present, paid, gross = 0.0, 0.0, 0.0, 0.0, 0.0
    for t in range(count):
        traded += turnover[t]
        invested += exposure[t]
        present += 1.0 if exposure[t] > 0.0 else exposure[t] * 0.0  # NaN stays NaN
        paid += cost[t]
        gross += returns[t] + cost[t]
    values[11] = traded / count * periods_per_year
    values[12] = invested / count
    if gross > 0.0:
        values[13] = paid / gross
    values[14] = present / count
