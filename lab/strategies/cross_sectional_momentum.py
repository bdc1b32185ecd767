"""Cross-sectional momentum: hold the best fraction of the universe, whatever the market as a whole does."""

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
from lab.strategies.sizing import volatility_scale
from lab.strategies.space import Choice, Dimension, Range

__all__ = ["CrossSectionalMomentum", "CrossSectionalMomentumParameters"]

Array = NDArray[np.float64]

# Rounding of a product such as 0.3 * 10, so that it counts as the whole number it stands for.
_ROUNDING = 1e-9


class CrossSectionalMomentumParameters(Parameters):
    """Parameters of :class:`CrossSectionalMomentum`; windows count bars, volatilities are annualised."""

    lookback_window: int = Field(30, ge=1, le=5_000, description="bars over which the past return is taken")
    skip_window: int = Field(1, ge=0, le=1_000, description="latest bars left out of the past return")
    top_fraction: float = Field(0.2, gt=0, le=1.0, description="share of the ranked markets that is held")
    min_markets: int = Field(3, ge=1, le=1_000, description="fewest ranked markets; with fewer, cash")
    threshold: float = Field(-1.0, ge=-1.0, le=10.0, description="past return that a market must exceed")
    vol_window: int = Field(20, ge=2, le=5_000, description="bars of returns in the volatility estimate")
    target_volatility: float | None = Field(
        None, gt=0, le=10.0, description="largest volatility of a holding; null: equal weights"
    )
    rebalance_bars: int = Field(7, ge=1, le=1_000, description="bars between two rankings")


@njit(cache=True, nogil=True)
def core(
    past_return: Array,
    realised: Array,
    skip: int,
    top_fraction: float,
    min_markets: int,
    threshold: float,
    target_volatility: float,
    rebalance_bars: int,
    first_bar: int,
) -> Array:
    """Return weights, shape (T, N); NaN before the first ranking, and for a market that was not ranked."""
    rows, columns = past_return.shape
    weights = np.full((rows, columns), np.nan)
    for t in range(rows):
        ranked = t - (first_bar + t) % rebalance_bars
        if ranked == t and t >= skip:
            _rank(past_return[t - skip], realised[t], top_fraction, min_markets, threshold, weights[t])
            for i in range(columns):
                if weights[t, i] > 0.0:
                    weights[t, i] *= volatility_scale(realised[t, i], target_volatility)
        elif 0 <= ranked < t:
            for i in range(columns):
                weights[t, i] = weights[ranked, i]
    return weights


@njit(cache=True, nogil=True)
def _rank(
    past_return: Array, realised: Array, top_fraction: float, min_markets: int, threshold: float, out: Array
) -> None:
    """Write an equal share for each of the best markets and 0 for the others that can be ranked."""
    columns = len(past_return)
    known = 0
    for i in range(columns):
        known += not (np.isnan(past_return[i]) or np.isnan(realised[i]))
    places = max(math.floor(top_fraction * known + _ROUNDING), 1)
    for i in range(columns):
        if np.isnan(past_return[i]) or np.isnan(realised[i]):
            continue
        better = 0
        for j in range(columns):
            if not (np.isnan(past_return[j]) or np.isnan(realised[j])):
                ahead = past_return[j] == past_return[i] and j < i
                better += past_return[j] > past_return[i] or ahead
        chosen = known >= min_markets and better < places and past_return[i] > threshold
        out[i] = 1.0 / places if chosen else 0.0


@register
class CrossSectionalMomentum:
    """Hold the `top_fraction` of the markets with the largest past return, ranked every few bars.

    **Rule.** On every bar whose absolute number is a multiple of `rebalance_bars`, rank the markets by their
    return over `lookback_window` bars that ended `skip_window` bars ago (of equal ones the first in the
    panel's order is stronger). With K ranked markets the first ``max(1, floor(top_fraction * K))`` get equal
    weights that sum to 1, everything else gets 0; with `target_volatility` each weight is scaled by
    ``min(1, target_volatility / volatility)``, and a market whose past return is not above `threshold`
    leaves its place to cash. Fewer than `min_markets` ranked ones are no cross-section: all get 0. The
    weights stay until the next ranking; a market without a return or a volatility is not traded until then.

    **Hypothesis.** Investors under-react to news of one coin and chase what has risen, so that differences
    between coins persist for weeks, independently of the market's direction.

    **Source.** N. Jegadeesh, S. Titman, "Returns to Buying Winners and Selling Losers", Journal of Finance
    48 (1993), with one period skipped; here the winners alone, for there is no shorting.

    **Evidence.** Y. Liu, A. Tsyvinski, X. Wu, "Common Risk Factors in Cryptocurrency", Journal of Finance 77
    (2022): winners of one to four weeks beat losers by about 3 % a week in 2014 to 2020, most of it in large
    coins. K. Grobys, N. Sapkota, "Cryptocurrencies and momentum", Economics Letters 180 (2019) find none in
    monthly data: the effect is short-lived and depends on the sample.

    **Defaults.** 30 bars, the latest left out, the best fifth, ranked every 7 bars, equal weights, no
    threshold.

    **Lookback.** ``rebalance_bars + skip_window`` bars of the return over ``lookback_window + 1`` bars (or
    of the volatility over ``vol_window + 1``, if that is longer).

    **Works** when leadership lasts for weeks and coins differ (2017, early 2021). **Fails** when leaders
    reverse within its window, when all coins fall together (it stays invested unless `threshold` keeps it
    out), and where costs of turning over small coins eat the difference.

    **Data.** Closes of all markets of the universe, at least `min_markets`, better 20; delisted markets
    belong to it, else the ranking carries survivor bias.

    Examples
    --------
    >>> strategy = CrossSectionalMomentum()
    >>> strategy.lookback(strategy.params(rebalance_bars=7, skip_window=1))
    8
    """

    family = "cross_sectional_momentum"
    version = "1.0.0"
    per_market = False
    params = CrossSectionalMomentumParameters
    space: Mapping[str, Dimension] = MappingProxyType(
        {
            "lookback_window": Range(10, 100, step=10),
            "skip_window": Choice((0, 1, 2)),
            "top_fraction": Range(0.1, 0.5, step=0.1),
            "rebalance_bars": Choice((1, 7, 14, 30)),
        }
    )
    core = staticmethod(core)

    def features(self, params: CrossSectionalMomentumParameters) -> tuple[Feature, ...]:
        """Return past return and volatility."""
        return simple_return("close", params.lookback_window), volatility(params.vol_window)

    def lookback(self, params: CrossSectionalMomentumParameters) -> int:
        """Return the bars back to the earliest past return that the last ranking may have read."""
        return params.rebalance_bars + params.skip_window

    def numbers(
        self, params: CrossSectionalMomentumParameters, *, markets: int, first_bar: int
    ) -> tuple[int | float, ...]:
        """Return skip, fraction, fewest markets, threshold, target, bars between rankings, and the start."""
        target = math.inf if params.target_volatility is None else params.target_volatility
        ranking = (params.skip_window, params.top_fraction, params.min_markets, params.threshold)
        return *ranking, target, params.rebalance_bars, first_bar

    def signal(self, panel: Panel, params: CrossSectionalMomentumParameters) -> Array:
        """Return weights, shape (T, N); see :class:`lab.strategies.Strategy`."""
        return call_core(self, panel, params)

    def filters(self, panel: Panel, params: CrossSectionalMomentumParameters) -> dict[str, Array]:
        """Return which markets have risen by more than the threshold, and where there are enough to rank."""
        past_return, realised = (panel[feature] for feature in self.features(params))
        late = np.full(past_return.shape, np.nan)
        late[params.skip_window :] = past_return[: len(late) - params.skip_window]
        known = ~np.isnan(late) & ~np.isnan(realised)
        enough = np.broadcast_to(known.sum(axis=1, keepdims=True) >= params.min_markets, known.shape)
        return {"risen": passed(late, late > params.threshold), "ranked": passed(late, enough)}
