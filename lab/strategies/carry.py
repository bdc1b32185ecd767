"""Carry: hold spot where leverage is not crowded, less of it the more the longs pay in funding."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from lab.core.compiled import njit
from lab.core.feature import Feature
from lab.core.panel import Panel
from lab.features import mean, simple_return, volatility
from lab.strategies.protocol import Parameters, call_core, passed
from lab.strategies.registry import register
from lab.strategies.sizing import equal_share, volatility_scale
from lab.strategies.space import Choice, Dimension, Range

__all__ = ["Carry", "CarryParameters"]

Array = NDArray[np.float64]

_DAYS = 365.0


class CarryParameters(Parameters):
    """Parameters of :class:`Carry`; windows count bars, rates and volatilities are annualised."""

    funding_window: int = Field(
        21, ge=1, le=5_000, description="bars over which the funding rate is averaged"
    )
    payments_per_day: float = Field(3.0, gt=0, le=48.0, description="funding payments in a day")
    full_below: float = Field(
        0.10, ge=-10.0, le=10.0, description="yearly funding at or below which the full share is held"
    )
    none_above: float = Field(
        0.40, ge=-10.0, le=10.0, description="yearly funding at or above which nothing is held"
    )
    trend_window: int = Field(30, ge=1, le=5_000, description="bars of the past return in the trend filter")
    threshold: float = Field(-1.0, ge=-1.0, le=10.0, description="past return above which a market is held")
    vol_window: int = Field(20, ge=2, le=5_000, description="bars of returns in the volatility estimate")
    target_volatility: float = Field(0.60, gt=0, le=10.0, description="largest volatility of a holding")

    @model_validator(mode="after")
    def _falls(self) -> CarryParameters:
        if self.none_above <= self.full_below:
            raise ValueError(
                f"none_above {self.none_above} is not above full_below {self.full_below}; raise it"
            )
        return self


@njit(cache=True, nogil=True)
def core(
    funding: Array,
    past_return: Array,
    realised: Array,
    payments_per_year: float,
    full_below: float,
    none_above: float,
    threshold: float,
    target_volatility: float,
    share: float,
) -> Array:
    """Return weights, shape (T, N); NaN where funding, past return or volatility is NaN."""
    rows, columns = funding.shape
    weights = np.full((rows, columns), np.nan)
    for t in range(rows):
        for i in range(columns):
            if np.isnan(funding[t, i]) or np.isnan(past_return[t, i]) or np.isnan(realised[t, i]):
                continue
            tilt = (none_above - funding[t, i] * payments_per_year) / (none_above - full_below)
            tilt = min(max(tilt, 0.0), 1.0)
            if past_return[t, i] <= threshold:
                tilt = 0.0
            weights[t, i] = share * tilt * volatility_scale(realised[t, i], target_volatility)
    return weights


@register
class Carry:
    """Hold every market in proportion to how little its perpetual's longs pay.

    **Rule.** With N markets and f the mean funding rate of the market's perpetual over `funding_window` bars,
    times the payments of a year: the weight is ``1 / N * tilt * min(1, target_volatility / volatility)``,
    where the tilt is 1 for ``f <= full_below``, 0 for ``f >= none_above`` and linear between. With
    `threshold` above -1 a market must also have risen by more than that over `trend_window` bars.

    **Hypothesis.** Funding is what leveraged buyers pay to be long. When it is high, the trade is crowded and
    financed on credit: expected returns are low and liquidations make falls deep. When it is low or negative,
    somebody pays to be short, and the holder of spot bears a risk that others pay to be rid of.

    **Source.** R. Koijen, T. Moskowitz, L. H. Pedersen, E. Vrugt, "Carry", Journal of Financial Economics 127
    (2018), for carry as a predictor. The textbook trade, long spot and short perpetual, needs a short
    position, which this project does not take; this is its long leg, tilted.

    **Evidence.** M. Schmeling, A. Schrimpf, K. Todorov, "Crypto carry", BIS Working Paper 1087 (2023): carry
    averages 7 to 8 % a year, comes from trend-chasing small investors, and a high one predicts liquidations
    and larger falls. Of the level's power to predict the direction of spot there is little evidence.

    **Defaults.** Mean over 21 bars, three payments a day, full share up to 10 % a year (0.01 % per 8 hours,
    the exchanges' neutral rate, is 11 %), nothing from 40 %; no trend filter, target volatility 60 %.

    **Lookback.** The features' own: the longest of ``funding_window``, ``trend_window + 1`` and
    ``vol_window + 1`` bars.

    **Works** in markets that overheat on leverage and clear it (spring and autumn 2021). **Fails** in strong
    bull markets, whose funding stays high for months while prices rise, and in steady declines with low
    funding, where it holds what falls unless the trend filter is on.

    **Data.** Closes, and the column ``funding_rate``: the last funding rate of the market's perpetual known
    at the bar's close, per payment and as a fraction (0.0001 is 0.01 %). Name its source under ``series`` in
    the instance's file; without it the family refuses to decide. A market without a rate keeps its quantity.

    Examples
    --------
    >>> strategy = Carry()
    >>> [feature["window"] for feature in strategy.features(strategy.params(funding_window=9))]
    [9, 30, 20]
    """

    family = "carry"
    version = "1.0.0"
    per_market = True
    params = CarryParameters
    space: Mapping[str, Dimension] = MappingProxyType(
        {
            "funding_window": Choice((3, 9, 21, 63)),
            "full_below": Range(0.0, 0.2, step=0.05),
            "none_above": Range(0.3, 1.0, step=0.1),
            "target_volatility": Range(0.2, 1.0, step=0.2),
        }
    )
    core = staticmethod(core)

    def features(self, params: CarryParameters) -> tuple[Feature, ...]:
        """Return mean funding rate, past return and volatility."""
        return (
            mean("funding_rate", params.funding_window),
            simple_return("close", params.trend_window),
            volatility(params.vol_window),
        )

    def lookback(self, params: CarryParameters) -> int:
        """Return 1: the weights at t need the features at t alone."""
        return 1

    def numbers(self, params: CarryParameters, *, markets: int, first_bar: int) -> tuple[int | float, ...]:
        """Return payments per year, the ends of the tilt, threshold, target volatility and each share."""
        ends = (params.full_below, params.none_above)
        sizing = (params.target_volatility, equal_share(markets))
        return params.payments_per_day * _DAYS, *ends, params.threshold, *sizing

    def signal(self, panel: Panel, params: CarryParameters) -> Array:
        """Return weights, shape (T, N); see :class:`lab.strategies.Strategy`."""
        return call_core(self, panel, params)

    def filters(self, panel: Panel, params: CarryParameters) -> dict[str, Array]:
        """Return which markets are not crowded, and which have risen; see :func:`lab.strategies.diagnose`."""
        funding, past_return, _ = (panel[feature] for feature in self.features(params))
        crowded = funding * (params.payments_per_day * _DAYS) >= params.none_above
        risen = past_return > params.threshold
        return {"uncrowded": passed(funding, ~crowded), "risen": passed(past_return, risen)}
