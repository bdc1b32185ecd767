"""Value and quality from on-chain data: hold what is cheap to its holders' cost and used more and more."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from lab.core.compiled import njit
from lab.core.feature import Feature
from lab.core.panel import Panel
from lab.features import mean, volatility
from lab.strategies.protocol import Parameters, call_core, passed
from lab.strategies.registry import register
from lab.strategies.sizing import equal_share, volatility_scale
from lab.strategies.space import Choice, Dimension, Range

__all__ = ["ValueQuality", "ValueQualityParameters"]

Array = NDArray[np.float64]


class ValueQualityParameters(Parameters):
    """Parameters of :class:`ValueQuality`; windows count bars, volatilities are annualised."""

    short_window: int = Field(14, ge=1, le=5_000, description="bars over which the present state is averaged")
    long_window: int = Field(120, ge=2, le=5_000, description="bars over which its usual state is averaged")
    full_below: float = Field(
        1.5, gt=0, le=100.0, description="market to realised value at or below which the full share is held"
    )
    none_above: float = Field(
        3.0, gt=0, le=100.0, description="market to realised value at or above which nothing is held"
    )
    min_quality: float = Field(
        -0.25, ge=-1.0, le=10.0, description="change of use per value against its usual state, at least"
    )
    vol_window: int = Field(20, ge=2, le=5_000, description="bars of returns in the volatility estimate")
    target_volatility: float = Field(0.60, gt=0, le=10.0, description="largest volatility of a holding")

    @model_validator(mode="after")
    def _ordered(self) -> ValueQualityParameters:
        if self.none_above <= self.full_below:
            raise ValueError(
                f"none_above {self.none_above} is not above full_below {self.full_below}; raise it"
            )
        if self.long_window <= self.short_window:
            raise ValueError(
                f"long_window {self.long_window} is not above short_window {self.short_window}; raise it"
            )
        return self


@njit(cache=True, nogil=True)
def core(
    mvrv: Array,
    users: Array,
    value: Array,
    usual_users: Array,
    usual_value: Array,
    realised: Array,
    full_below: float,
    none_above: float,
    min_quality: float,
    target_volatility: float,
    share: float,
) -> Array:
    """Return weights, shape (T, N); NaN where a feature is NaN, or what is divided by is not positive."""
    rows, columns = mvrv.shape
    weights = np.full((rows, columns), np.nan)
    for t in range(rows):
        for i in range(columns):
            if not (value[t, i] > 0.0 and usual_value[t, i] > 0.0 and usual_users[t, i] > 0.0):
                continue
            quality = (users[t, i] / value[t, i]) / (usual_users[t, i] / usual_value[t, i]) - 1.0
            if np.isnan(mvrv[t, i]) or np.isnan(quality) or np.isnan(realised[t, i]):
                continue
            cheap = min(max((none_above - mvrv[t, i]) / (none_above - full_below), 0.0), 1.0)
            if quality < min_quality:
                cheap = 0.0
            weights[t, i] = share * cheap * volatility_scale(realised[t, i], target_volatility)
    return weights


@register
class ValueQuality:
    """Hold every market in proportion to how cheap it is, as long as its use keeps up with its value.

    **Rule.** *Value*: m is the mean of MVRV (market value over realised value, which counts every coin at the
    price of its last move) over `short_window` bars; cheapness is 1 for ``m <= full_below``, 0 for ``m >=
    none_above`` and linear between. *Quality*: q is the mean number of active addresses over the mean market
    value, both over `short_window` bars, divided by the same ratio over `long_window` bars, minus 1. With N
    markets the weight is ``1 / N * cheapness * min(1, target_volatility / volatility)`` where ``q >=
    min_quality``, else 0.

    **Hypothesis.** Realised value is what holders paid. Far above it they sit on profits and sell; near it
    sellers are exhausted. A network is worth what its use makes of it: a price that runs away from use comes
    back to it.

    **Source.** M. Mahmudov, D. Puell, "Bitcoin Market-Value-to-Realized-Value (MVRV) Ratio" (2018);
    T. Peterson, "Metcalfe's Law as a Model for Bitcoin's Value", Alternative Investment Analyst Review 7
    (2018), for value from users.

    **Evidence.** L. W. Cong, G. A. Karolyi, K. Tang, W. Zhao, "Value Premium, Network Adoption, and Factor
    Pricing of Crypto Assets" (2022): cheap coins by addresses per market value earn a premium over dear ones.
    Y. Liu, A. Tsyvinski, "Risks and Returns of Cryptocurrency", Review of Financial Studies 34 (2021):
    returns move with the growth of use, and ratios of use to value do not predict them. MVRV's bounds were
    found on two bitcoin cycles: evidence from very few independent events.

    **Defaults.** 14 bars against 120, full share up to an MVRV of 1.5, nothing from 3.0, use per value at
    most a quarter below its usual state; target volatility 60 %.

    **Lookback.** The features' own: the longer of ``long_window`` and ``vol_window + 1`` bars.

    **Works** over cycles of years: buys after declines (2015, 2018 to 2019), sells into manias (late 2017).
    **Fails** in long bull markets, which it leaves early, and for coins whose addresses are cheap to make,
    or whose transfers move to exchanges and second layers, where they are not seen.

    **Data.** Closes, and three columns of daily on-chain data, known at the bar's close: ``mvrv``,
    ``active_addresses``, ``market_cap`` (Coin Metrics: CapMVRVCur, AdrActCnt, CapMrktCurUSD). They are
    published after the day they describe and revised: give their source a publication delay of at least a
    day under ``series`` in the instance's file. Without the columns the family refuses to decide.

    Examples
    --------
    >>> strategy = ValueQuality()
    >>> sorted({feature["column"] for feature in strategy.features(strategy.params())[:5]})
    ['active_addresses', 'market_cap', 'mvrv']
    """

    family = "value_quality"
    version = "1.0.0"
    per_market = True
    params = ValueQualityParameters
    space: Mapping[str, Dimension] = MappingProxyType(
        {
            "short_window": Choice((7, 14, 28)),
            "long_window": Range(60, 180, step=30),
            "full_below": Range(1.0, 2.0, step=0.25),
            "none_above": Range(2.5, 4.0, step=0.5),
            "min_quality": Range(-0.5, 0.25, step=0.25),
        }
    )
    core = staticmethod(core)

    def features(self, params: ValueQualityParameters) -> tuple[Feature, ...]:
        """Return MVRV, use and value now, use and value as usual, and volatility."""
        return (
            mean("mvrv", params.short_window),
            mean("active_addresses", params.short_window),
            mean("market_cap", params.short_window),
            mean("active_addresses", params.long_window),
            mean("market_cap", params.long_window),
            volatility(params.vol_window),
        )

    def lookback(self, params: ValueQualityParameters) -> int:
        """Return 1: the weights at t need the features at t alone."""
        return 1

    def numbers(
        self, params: ValueQualityParameters, *, markets: int, first_bar: int
    ) -> tuple[int | float, ...]:
        """Return the ends of cheapness, the least quality, the target volatility and each share."""
        ends = (params.full_below, params.none_above)
        return *ends, params.min_quality, params.target_volatility, equal_share(markets)

    def signal(self, panel: Panel, params: ValueQualityParameters) -> Array:
        """Return weights, shape (T, N); see :class:`lab.strategies.Strategy`."""
        return call_core(self, panel, params)

    def filters(self, panel: Panel, params: ValueQualityParameters) -> dict[str, Array]:
        """Return which markets are not dear, and whose use keeps up; see :func:`lab.strategies.diagnose`."""
        mvrv, users, value, usual_users, usual_value, _ = (panel[f] for f in self.features(params))
        with np.errstate(divide="ignore", invalid="ignore"):
            quality = (users / value) / (usual_users / usual_value) - 1.0
        used = passed(quality, quality >= params.min_quality)
        return {"cheap": passed(mvrv, mvrv < params.none_above), "used": used}
