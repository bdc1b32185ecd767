"""Dual momentum: of the markets that have risen, hold the strongest."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from lab.core.compiled import njit
from lab.core.feature import Feature
from lab.core.panel import Panel
from lab.features import simple_return
from lab.strategies.protocol import Parameters, call_core, passed
from lab.strategies.registry import register
from lab.strategies.sizing import equal_share
from lab.strategies.space import Choice, Dimension, Range

__all__ = ["DualMomentum", "DualMomentumParameters"]

Array = NDArray[np.float64]


class DualMomentumParameters(Parameters):
    """Parameters of :class:`DualMomentum`; windows count bars."""

    lookback_window: int = Field(90, ge=1, le=5_000, description="bars over which the past return is taken")
    top_k: int = Field(1, ge=1, le=1_000, description="markets held at most, each with weight 1 / top_k")
    threshold: float = Field(0.0, ge=-1.0, le=10.0, description="past return that a market must exceed")
    rebalance_bars: int = Field(7, ge=1, le=1_000, description="bars between two rankings")


@njit(cache=True, nogil=True)
def core(
    past_return: Array, threshold: float, top_k: int, share: float, rebalance_bars: int, first_bar: int
) -> Array:
    """Return weights, shape (T, N); NaN before the first ranking, and where the ranked return was NaN."""
    rows, columns = past_return.shape
    weights = np.full((rows, columns), np.nan)
    for t in range(rows):
        ranked = t - (first_bar + t) % rebalance_bars
        if ranked == t:
            for i in range(columns):
                if not np.isnan(past_return[t, i]):
                    chosen = past_return[t, i] > threshold and _stronger(past_return, t, i) < top_k
                    weights[t, i] = share if chosen else 0.0
        elif ranked >= 0:
            for i in range(columns):
                weights[t, i] = weights[ranked, i]
    return weights


@njit(cache=True, nogil=True)
def _stronger(past_return: Array, t: int, i: int) -> int:
    count = 0
    for j in range(past_return.shape[1]):
        if past_return[t, j] > past_return[t, i] or (j < i and past_return[t, j] == past_return[t, i]):
            count += 1
    return count


@register
class DualMomentum:
    """Hold the `top_k` strongest markets, each only if its own past return is above `threshold`.

    **Rule.** On every bar whose absolute number is a multiple of `rebalance_bars`, rank the markets by their
    return over the past `lookback_window` bars (relative momentum; of equal ones the first in the panel's
    order is stronger). The first `top_k` get weight ``1 / top_k`` each if their return is above `threshold`
    (absolute momentum), everything else gets 0, so that cash fills the places of weak markets. The weights
    stay until the next ranking. A market without a return on the ranking bar is neither ranked nor traded
    until the next one.

    **Source.** G. Antonacci, "Risk Premia Harvesting Through Dual Momentum" (2012) and "Dual Momentum
    Investing" (2014): 12 months, ranked monthly, absolute momentum against Treasury bills; here against
    `threshold`.

    **Hypothesis.** Attention and capital follow past returns, so that leadership persists; a market that has
    not risen itself leads only in falling less.

    **Evidence.** Antonacci's own: 1974 to 2011, equities, bonds and property, better returns and smaller
    falls than either kind of momentum by itself, before costs. For coins see the evidence of
    ``cross_sectional_momentum``; of the combination none is known to be published.

    **Defaults.** 90 bars, one market, threshold 0, ranked every 7 bars (weekly on daily bars).

    **Lookback.** `rebalance_bars` bars of the return over ``lookback_window + 1`` bars.

    **Works** where leadership persists for months and bear markets are long enough to sit out. **Fails**
    when leaders alternate faster than its window, and after V-shaped falls, which it re-enters late; with
    few markets it is concentrated by design.

    **Data.** Closes of all markets of the universe; markets that were delisted belong to it, else the
    ranking carries survivor bias.

    Examples
    --------
    >>> strategy = DualMomentum()
    >>> strategy.lookback(strategy.params(rebalance_bars=30))
    30
    """

    family = "dual_momentum"
    version = "1.0.0"
    per_market = False
    params = DualMomentumParameters
    space: Mapping[str, Dimension] = MappingProxyType(
        {
            "lookback_window": Range(20, 180, step=10),
            "top_k": Range(1, 3),
            "threshold": Range(0.0, 0.1, step=0.02),
            "rebalance_bars": Choice((1, 7, 14, 30)),
        }
    )
    core = staticmethod(core)

    def features(self, params: DualMomentumParameters) -> tuple[Feature, ...]:
        """Return the past return."""
        return (simple_return("close", params.lookback_window),)

    def lookback(self, params: DualMomentumParameters) -> int:
        """Return `rebalance_bars`: the last ranking may be that long ago."""
        return params.rebalance_bars

    def numbers(
        self, params: DualMomentumParameters, *, markets: int, first_bar: int
    ) -> tuple[int | float, ...]:
        """Return threshold, places, weight of a place, bars between rankings, and where the rows start."""
        return params.threshold, params.top_k, equal_share(params.top_k), params.rebalance_bars, first_bar

    def signal(self, panel: Panel, params: DualMomentumParameters) -> Array:
        """Return weights, shape (T, N); see :class:`lab.strategies.Strategy`."""
        return call_core(self, panel, params)

    def filters(self, panel: Panel, params: DualMomentumParameters) -> dict[str, Array]:
        """Return which markets have risen by more than the threshold; see :func:`lab.strategies.diagnose`."""
        past_return = panel[self.features(params)[0]]
        return {"risen": passed(past_return, past_return > params.threshold)}
