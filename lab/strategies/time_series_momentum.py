"""Time-series momentum: hold what has risen, as much of it as its volatility allows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from lab.core.compiled import njit
from lab.core.feature import Feature
from lab.core.panel import Panel
from lab.features import simple_return, volatility
from lab.strategies.protocol import Parameters, call_core, passed
from lab.strategies.registry import register
from lab.strategies.sizing import equal_share, volatility_scale
from lab.strategies.space import Choice, Dimension, Range

__all__ = ["TimeSeriesMomentum", "TimeSeriesMomentumParameters"]

Array = NDArray[np.float64]


class TimeSeriesMomentumParameters(Parameters):
    """Parameters of :class:`TimeSeriesMomentum`; windows count bars, volatilities are annualised."""

    lookback_window: int = Field(90, ge=1, le=5_000, description="bars over which the past return is taken")
    vol_window: int = Field(20, ge=2, le=5_000, description="bars of returns in the volatility estimate")
    threshold: float = Field(0.0, ge=-1.0, le=10.0, description="past return above which a market is held")
    target_volatility: float = Field(0.40, gt=0, le=10.0, description="largest volatility of a holding")
    max_volatility: float | None = Field(
        None, gt=0, le=100.0, description="volatility above which a market is not held; null: no filter"
    )


@njit(cache=True, nogil=True, error_model="numpy")
def core(
    past_return: Array,
    realised: Array,
    threshold: float,
    target_volatility: float,
    max_volatility: float,
    share: float,
) -> Array:
    """Return weights, shape (T, N); NaN where the past return or the volatility is NaN."""
    rows, columns = past_return.shape
    weights = np.empty((rows, columns))
    for t in range(rows):
        for i in range(columns):
            # Without branches: who rises is a coin toss, and a wrong guess costs more than a division.
            change, moved = past_return[t, i], realised[t, i]
            size = share * volatility_scale(moved, target_volatility)
            held = (change > threshold) & (moved <= max_volatility)
            unknown = np.isnan(change) | np.isnan(moved)
            weights[t, i] = np.nan if unknown else (size if held else 0.0)
    return weights


@register
class TimeSeriesMomentum:
    """Hold every market whose return over the past `lookback_window` bars is above `threshold`.

    **Rule.** With N markets and past return r, weight ``1 / N * min(1, target_volatility / volatility)``
    where ``r > threshold`` and the volatility is at most `max_volatility`, else 0. The volatility is the
    annualised standard deviation of the last `vol_window` one-bar log returns.

    **Source.** T. Moskowitz, Y. H. Ooi, L. H. Pedersen, "Time series momentum", Journal of Financial
    Economics 104 (2012): the sign of the past 12 months' return, sized to 40 % volatility per instrument.
    Here long or flat and without leverage; windows of 3, 6 or 12 months are 90, 180, 365 daily bars.

    **Hypothesis.** News spreads slowly and buyers follow prices, so that a market that has risen goes on
    rising for weeks to months.

    **Evidence.** B. Hurst, Y. H. Ooi, L. H. Pedersen, "A Century of Evidence on Trend-Following Investing",
    Journal of Portfolio Management 44 (2017): profits in every decade since 1880, over 67 markets. Y. Liu,
    A. Tsyvinski, "Risks and Returns of Cryptocurrency", Review of Financial Studies 34 (2021): one to four
    weeks in bitcoin, ether and ripple. D. Huang, J. Li, L. Wang, G. Zhou, "Time series momentum: Is it
    there?", Journal of Financial Economics 135 (2020): much of the older evidence is differences in mean.

    **Defaults.** 90 bars, threshold 0, volatility over 20 bars, target 40 % a year, no volatility filter.

    **Lookback.** The features' own: ``max(lookback_window, vol_window) + 1`` bars.

    **Works** in long trends in either direction, which it rides or sits out in cash (crypto 2017, 2020 to
    early 2021, and the decline of 2022). **Fails** in sideways markets, where it buys late highs and sells
    late lows, and in sharp reversals, which it notices a part of its window later.

    **Data.** Closes; no other series.

    Examples
    --------
    >>> strategy = TimeSeriesMomentum()
    >>> [feature.key for feature in strategy.features(strategy.params(lookback_window=60))]
    ['simple_return@1(column=close,window=60)', 'volatility@1(min_valid=0.8,window=20)']
    """

    family = "time_series_momentum"
    version = "1.0.0"
    per_market = True
    params = TimeSeriesMomentumParameters
    space: Mapping[str, Dimension] = MappingProxyType(
        {
            "lookback_window": Range(20, 180, step=10),
            "vol_window": Choice((10, 20, 40, 60)),
            "threshold": Range(0.0, 0.1, step=0.02),
            "target_volatility": Range(0.2, 0.8, step=0.1),
        }
    )
    core = staticmethod(core)

    def features(self, params: TimeSeriesMomentumParameters) -> tuple[Feature, ...]:
        """Return past return and volatility."""
        return simple_return("close", params.lookback_window), volatility(params.vol_window)

    def lookback(self, params: TimeSeriesMomentumParameters) -> int:
        """Return 1: the weights at t need the features at t alone."""
        return 1

    def numbers(
        self, params: TimeSeriesMomentumParameters, *, markets: int, first_bar: int
    ) -> tuple[int | float, ...]:
        """Return threshold, target and largest volatility, and each market's share."""
        largest = math.inf if params.max_volatility is None else params.max_volatility
        return params.threshold, params.target_volatility, largest, equal_share(markets)

    def signal(self, panel: Panel, params: TimeSeriesMomentumParameters) -> Array:
        """Return weights, shape (T, N); see :class:`lab.strategies.Strategy`."""
        return call_core(self, panel, params)

    def filters(self, panel: Panel, params: TimeSeriesMomentumParameters) -> dict[str, Array]:
        """Return which markets have risen, and which are calm enough; see :func:`lab.strategies.diagnose`."""
        past_return, realised = (panel[feature] for feature in self.features(params))
        largest = math.inf if params.max_volatility is None else params.max_volatility
        return {
            "risen": passed(past_return, past_return > params.threshold),
            "calm": passed(realised, realised <= largest),
        }
