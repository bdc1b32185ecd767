"""Allocation: which share of a portfolio's capital each family gets, fixed or by its recent record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from lab.core.compiled import njit
from lab.core.settings import Fraction, Section

__all__ = ["AllocationRule", "Scores", "adaptive_shares", "cut_to_caps", "cut_to_limit"]

Array = NDArray[np.float64]

_QUARTERS: Final = 4
# An annual Sharpe ratio that counts as full marks; few strategies keep one for years.
_GREAT_SHARPE: Final = 2.0
_MIN_VALID: Final = 0.8


class AllocationRule(Section):
    """How the capital is shared among families.

    ``static`` keeps the file's allocations. ``adaptive`` moves them, every `rebalance_bars` bars of the
    coarsest timeframe, towards families with the better record over the last `window_bars` of them.

    Examples
    --------
    >>> AllocationRule(method="adaptive", window_bars=60).rebalance_bars
    30
    """

    method: Literal["static", "adaptive"] = Field("static", description="fixed, or by recent record")
    window_bars: int = Field(90, ge=8, le=5_000, description="bars of the record that is looked at")
    rebalance_bars: int = Field(30, ge=1, le=5_000, description="bars between two reallocations")
    strength: Fraction = Field(0.5, description="most that an allocation is moved, as a part of itself")
    performance: Fraction = Field(0.5, description="what the risk-adjusted return counts")
    stability: Fraction = Field(0.25, description="what gains in every quarter of the window count")
    diversification: Fraction = Field(0.25, description="what low correlation to the others counts")

    @model_validator(mode="after")
    def _at_most_one(self) -> AllocationRule:
        total = self.performance + self.stability + self.diversification
        if total > 1 + 1e-9:
            raise ValueError(
                f"performance, stability and diversification sum to {total:g}, expected at most 1"
            )
        return self


class Scores(NamedTuple):
    """Shares and what they come from, each of shape (T, F); scores are in [-1, 1], NaN between decisions.

    `known` (T,) tells which rows are decisions taken on enough history.
    """

    shares: Array
    performance: Array
    stability: Array
    diversification: Array
    known: NDArray[np.bool_]


def adaptive_shares(
    returns: Array, base: Array, rule: AllocationRule, *, first_bar: int, periods_per_year: float
) -> Scores:
    """Return each family's share at the close of every bar, before caps.

    On a bar whose absolute number is a multiple of `rebalance_bars`, each family is scored over the last
    `window_bars` bars. *Performance* is the annual Sharpe ratio over 2, *stability* twice the share of the
    window's quarters that ended in a gain (a flat one counts half) minus 1, *diversification* minus the mean
    correlation with the other families; each is cut to [-1, 1]. The file's share is multiplied by ``1 +
    strength * (weighted sum of the scores)``; then all are scaled to the sum that the file's have.

    Parameters
    ----------
    returns : ndarray of float64, shape (T, F)
        Simple returns per bar of the families' capital, known at the bar's close; NaN where unknown.
    base : ndarray of float64, shape (F,)
        The file's shares.
    rule : AllocationRule
        With ``method: adaptive``.
    first_bar : int
        Absolute number of row 0.
    periods_per_year : float
        Of the bars.

    Returns
    -------
    Scores
        Row t depends on the ``rebalance_bars + window_bars - 1`` rows up to t alone, to the last bit. `base`
        until a decision found 80 % of its window known for all families.
    """
    weights = (rule.strength, rule.performance, rule.stability, rule.diversification)
    window = (rule.window_bars, rule.rebalance_bars, first_bar, float(np.sqrt(periods_per_year)))
    return Scores(*_adaptive(np.ascontiguousarray(returns), np.ascontiguousarray(base), *window, *weights))


@njit(cache=True, nogil=True)
def _adaptive(
    returns: Array,
    base: Array,
    window: int,
    every: int,
    first_bar: int,
    root: float,
    strength: float,
    performance: float,
    stability: float,
    diversification: float,
) -> tuple[Array, Array, Array, Array, NDArray[np.bool_]]:
    rows, families = returns.shape
    shares = np.empty((rows, families))
    good = np.full((rows, families), np.nan)
    steady = np.full((rows, families), np.nan)
    apart = np.full((rows, families), np.nan)
    known = np.zeros(rows, dtype=np.bool_)
    for t in range(rows):
        decided = t - (first_bar + t) % every
        if decided == t and t >= window - 1:
            part = returns[t - window + 1 : t + 1]
            known[t] = _score(part, root, good[t], steady[t], apart[t])
        for f in range(families):
            if decided == t and not known[t]:
                shares[t, f] = base[f]
            elif decided == t:
                tilt = performance * good[t, f] + stability * steady[t, f] + diversification * apart[t, f]
                shares[t, f] = base[f] * (1.0 + strength * tilt)
            else:
                shares[t, f] = shares[decided, f] if decided >= 0 else base[f]
        if known[t]:
            total = 0.0
            wanted = 0.0
            for f in range(families):
                total += shares[t, f]
                wanted += base[f]
            for f in range(families):
                shares[t, f] = shares[t, f] * wanted / total if total > 0.0 else base[f]
    return shares, good, steady, apart, known


@njit(cache=True, nogil=True)
def _score(part: Array, root: float, good: Array, steady: Array, apart: Array) -> bool:
    """Write the three scores of each family over a window; False where too little of it is known."""
    rows, families = part.shape
    use = _known_rows(part)
    count = use.sum()
    if count < _MIN_VALID * rows or count < 2:
        return False
    mean = np.zeros(families)
    for f in range(families):
        for t in range(rows):
            if use[t]:
                mean[f] += part[t, f]
        mean[f] /= count
    shared = np.zeros((families, families))
    for f in range(families):
        for g in range(families):
            for t in range(rows):
                if use[t]:
                    shared[f, g] += (part[t, f] - mean[f]) * (part[t, g] - mean[g])
    for f in range(families):
        spread = np.sqrt(shared[f, f] / (count - 1))
        sharpe = mean[f] / spread * root if spread > 0.0 else 0.0
        good[f] = min(max(sharpe / _GREAT_SHARPE, -1.0), 1.0)
        steady[f] = 2.0 * _gaining_quarters(part[:, f], use) - 1.0
        apart[f] = -_mean_correlation(shared, f)
    return True


@njit(cache=True, nogil=True)
def _known_rows(part: Array) -> NDArray[np.bool_]:
    rows, families = part.shape
    use = np.ones(rows, dtype=np.bool_)
    for t in range(rows):
        for f in range(families):
            use[t] &= not np.isnan(part[t, f])
    return use


@njit(cache=True, nogil=True)
def _gaining_quarters(returns: Array, use: NDArray[np.bool_]) -> float:
    rows = len(returns)
    gains = 0.0
    for quarter in range(_QUARTERS):
        grown = 1.0
        for t in range(quarter * rows // _QUARTERS, (quarter + 1) * rows // _QUARTERS):
            if use[t]:
                grown *= 1.0 + returns[t]
        gains += 1.0 if grown > 1.0 else 0.5 if grown == 1.0 else 0.0
    return gains / _QUARTERS


@njit(cache=True, nogil=True)
def _mean_correlation(shared: Array, f: int) -> float:
    families = len(shared)
    total = 0.0
    for g in range(families):
        product = shared[f, f] * shared[g, g]
        if g != f and product > 0.0:
            total += min(max(shared[f, g] / np.sqrt(product), -1.0), 1.0)
    return total / (families - 1) if families > 1 else 0.0


@njit(cache=True, nogil=True)
def cut_to_limit(values: Array, priorities: NDArray[np.int64], limit: float) -> Array:
    """Return `values` cut so that their sum is at most `limit`: by priority, among equal ones pro rata.

    Parameters
    ----------
    values : ndarray of float64, shape (K,)
        Not negative.
    priorities : ndarray of int64, shape (K,)
        The smallest number is served first.
    limit : float
        Largest sum.

    Examples
    --------
    >>> cut_to_limit(np.array([0.4, 0.2, 0.2]), np.array([1, 2, 2]), 0.5).round(12)
    array([0.4 , 0.05, 0.05])
    """
    result = values.copy()
    total = 0.0
    for value in values:
        total += value
    if total <= limit:
        return result
    for k in range(len(values)):
        before = 0.0
        equal = 0.0
        for other in range(len(values)):
            if priorities[other] < priorities[k]:
                before += values[other]
            elif priorities[other] == priorities[k]:
                equal += values[other]
        room = max(limit - before, 0.0)
        if equal > room:
            result[k] = values[k] * room / equal
    return result


def cut_to_caps(
    shares: Array, families: Sequence[str], priorities: Sequence[int], caps: dict[str, float]
) -> Array:
    """Return instances' shares, shape (K,), with each family's sum cut to its cap; the rest is cash.

    Examples
    --------
    >>> cut_to_caps(np.array([0.5, 0.3, 0.2]), ["a", "a", "b"], [1, 2, 1], {"a": 0.6}).round(12)
    array([0.5, 0.1, 0.2])
    """
    result = np.array(shares, dtype=np.float64)
    for family, cap in caps.items():
        index = [k for k, name in enumerate(families) if name == family]
        if index:
            order = np.array([priorities[k] for k in index], dtype=np.int64)
            result[index] = cut_to_limit(result[index], order, float(cap))
    return result
