"""Moving averages that cross, as a strategy for measurements: what a sweep of pairs is made of."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from lab.core.compiled import njit
from lab.core.feature import Feature
from lab.core.panel import Panel
from lab.features import mean
from lab.strategies import Parameters
from lab.strategies.protocol import call_core
from lab.strategies.space import Dimension

__all__ = ["Crossing", "CrossingParameters"]

Array = NDArray[np.float64]


class CrossingParameters(Parameters):
    """Windows in bars."""

    fast: int = Field(10, ge=1, le=5_000, description="bars of the faster mean")
    slow: int = Field(20, ge=2, le=5_000, description="bars of the slower mean")
    every_bar: bool = Field(False, description="whether the share is restored on every bar")


@njit(cache=True, nogil=True)
def core(fast: Array, slow: Array, every_bar: bool, share: float) -> Array:
    """Return `share` from the bar where fast crosses above slow, 0 from the one where it falls below."""
    weights = np.empty(fast.shape)
    weights[:1] = np.nan
    if _cross(fast, slow, share, weights) > 0:
        _cross_with_lapses(fast, slow, share, weights)
    if every_bar:
        _carry(weights)
    return weights


@njit(cache=True, nogil=True)
def _cross(fast: Array, slow: Array, share: float, weights: Array) -> int:
    """Compare every bar with the one before; return how often a side was lost: then that is not enough."""
    markets = fast.shape[1]
    later_fast, later_slow = fast.reshape(-1)[markets:], slow.reshape(-1)[markets:]
    earlier_fast, earlier_slow = fast.reshape(-1), slow.reshape(-1)
    crossed, lapses = weights.reshape(-1)[markets:], 0
    for k in range(later_fast.shape[0]):
        above = 1.0 if later_fast[k] > later_slow[k] else 0.0
        below = 1.0 if later_fast[k] < later_slow[k] else 0.0
        was_above = 1.0 if earlier_fast[k] > earlier_slow[k] else 0.0
        was_below = 1.0 if earlier_fast[k] < earlier_slow[k] else 0.0
        left = 0.0 if below * was_above > 0.0 else np.nan
        crossed[k] = share if above * was_below > 0.0 else left
        lapses += above + below < was_above + was_below
    return lapses


@njit(cache=True, nogil=True)
def _cross_with_lapses(fast: Array, slow: Array, share: float, weights: Array) -> None:
    """Remember the last side of every market, through bars where the means are equal or unknown."""
    side = np.zeros(fast.shape[1])
    for t in range(fast.shape[0]):
        for i in range(fast.shape[1]):
            above, below, before = fast[t, i] > slow[t, i], fast[t, i] < slow[t, i], side[i]
            left = 0.0 if below & (before > 0.0) else np.nan
            weights[t, i] = share if above & (before < 0.0) else left
            side[i] = 1.0 if above else (-1.0 if below else before)


@njit(cache=True, nogil=True)
def _carry(weights: Array) -> None:
    for t in range(1, weights.shape[0]):
        for i in range(weights.shape[1]):
            weight = weights[t, i]
            weights[t, i] = weights[t - 1, i] if np.isnan(weight) else weight


class Crossing:
    """Hold a market from the bar where its fast mean crosses above the slow one until it crosses below."""

    family = "crossing"
    version = "1.0.0"
    per_market = True
    params = CrossingParameters
    space: Mapping[str, Dimension] = MappingProxyType({})
    core = staticmethod(core)

    def features(self, params: CrossingParameters) -> tuple[Feature, ...]:
        """Return both means."""
        return mean("close", params.fast, min_valid=1.0), mean("close", params.slow, min_valid=1.0)

    def lookback(self, params: CrossingParameters) -> int:
        """Return 2, for measurements: the last crossing may be any number of bars ago."""
        return 2

    def numbers(self, params: CrossingParameters, *, markets: int, first_bar: int) -> tuple[int | float, ...]:
        """Return whether every bar counts, and the share of a market."""
        return params.every_bar, 1.0 / markets

    def signal(self, panel: Panel, params: CrossingParameters) -> Array:
        """Return weights, shape (T, N)."""
        return call_core(self, panel, params)
