"""Moving-average cross and channel breakout: hold what has crossed upwards, if order flow agrees."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from lab.core.compiled import njit
from lab.core.feature import Feature
from lab.core.panel import Panel
from lab.features import atr, highest, lowest, mean, volatility
from lab.strategies.order_flow import close_location_imbalance, high_low_spread
from lab.strategies.protocol import Parameters, call_core, passed
from lab.strategies.registry import register
from lab.strategies.sizing import atr_scale, equal_share, volatility_scale
from lab.strategies.space import Choice, Dimension, Range

__all__ = ["MaBreakout", "MaBreakoutParameters"]

Array = NDArray[np.float64]

_EQUAL: Final = 0
_VOLATILITY: Final = 1
_ATR: Final = 2
_SIZING: Final = {"equal": _EQUAL, "volatility": _VOLATILITY, "atr": _ATR}


class MaBreakoutParameters(Parameters):
    """Parameters of :class:`MaBreakout`; windows count bars, volatilities are annualised."""

    rule: Literal["cross", "breakout"] = Field("cross", description="two moving averages, or a price channel")
    fast_window: int = Field(20, ge=1, le=5_000, description="cross: bars of the fast mean")
    slow_window: int = Field(100, ge=2, le=5_000, description="cross: bars of the slow mean")
    band: float = Field(0.0, ge=0, lt=1.0, description="cross: distance of the means that counts as a cross")
    entry_window: int = Field(
        55, ge=2, le=5_000, description="breakout: bars whose highest close is the entry"
    )
    exit_window: int = Field(20, ge=1, le=5_000, description="breakout: bars whose lowest close is the exit")
    max_holding: int = Field(60, ge=1, le=5_000, description="bars after the last upward signal, then sold")
    flow_window: int = Field(20, ge=1, le=5_000, description="bars of imbalance and spread")
    min_imbalance: float | None = Field(
        None, ge=-1.0, le=1.0, description="imbalance of volume that an entry needs; null: no filter"
    )
    max_spread: float | None = Field(
        None,
        gt=0,
        le=1.0,
        description="spread above which nothing is entered, as a fraction; null: no filter",
    )
    sizing: Literal["equal", "volatility", "atr"] = Field("volatility", description="how a position is sized")
    vol_window: int = Field(20, ge=2, le=5_000, description="bars of volatility or of the average true range")
    target_volatility: float = Field(0.40, gt=0, le=10.0, description="largest volatility of a holding")
    risk_fraction: float = Field(0.01, gt=0, le=1.0, description="share of the capital lost at the stop")
    atr_multiple: float = Field(2.0, gt=0, le=100.0, description="average true ranges to the stop")

    @model_validator(mode="after")
    def _fast_is_faster(self) -> MaBreakoutParameters:
        if self.fast_window >= self.slow_window:
            raise ValueError(f"fast_window {self.fast_window} is not below slow_window {self.slow_window}")
        return self


@njit(cache=True, nogil=True)
def core(
    price: Array,
    upper: Array,
    lower: Array,
    imbalance: Array,
    spread: Array,
    close: Array,
    width: Array,
    band: float,
    max_holding: int,
    min_imbalance: float,
    max_spread: float,
    sizing: int,
    target_volatility: float,
    risk_fraction: float,
    atr_multiple: float,
    share: float,
) -> Array:
    """Return weights, shape (T, N): a sized share while held, else 0; NaN where held without a width."""
    rows, columns = price.shape
    weights = np.zeros((rows, columns))
    for i in range(columns):
        last = -1  # row of the last signal, if it was upwards
        for t in range(rows):
            above = upper[t, i] * (1.0 + band)
            below = lower[t, i] * (1.0 - band)
            if price[t, i] >= above and price[t, i] > below:
                # A signal that the filter refuses changes nothing: it neither enters nor prolongs.
                if not (imbalance[t, i] < min_imbalance or spread[t, i] > max_spread):
                    last = t
            elif price[t, i] <= below:
                last = -1
            if last >= 0 and t - last < max_holding:
                size = share
                if sizing == _VOLATILITY:
                    size = share * volatility_scale(width[t, i], target_volatility)
                elif sizing == _ATR:
                    risked = atr_scale(close[t, i], width[t, i], risk_fraction, atr_multiple)
                    size = share if risked >= share else risked
                weights[t, i] = size
    return weights


@register
class MaBreakout:
    """Hold a market from an upward signal to a downward one, at most `max_holding` bars after the last.

    **Rule.** ``rule: cross``: a bar is an upward signal where the mean of the close over `fast_window` bars
    is above ``1 + band`` times that over `slow_window`, a downward one where it is at or below ``1 - band``
    times it. ``rule: breakout``: upwards where the close is the highest of `entry_window` closes, downwards
    where it is the lowest of `exit_window`. Held at t is what had its last signal upwards, within the last
    `max_holding` bars; so the rule has no hidden state, and a trend that makes no new signal is given up.

    **Filter.** With `min_imbalance`, upward signals count only where the imbalance of volume over
    `flow_window` bars (:func:`~lab.strategies.order_flow.close_location_imbalance`) is at least that; with
    `max_spread` only where the spread (:func:`~lab.strategies.order_flow.high_low_spread`) is at most that.
    A filter that is not known does not refuse. Both are estimates from bars; they want no trades or quotes.

    **Sizing.** With N markets: ``equal`` 1 / N; ``volatility`` ``1 / N * min(1, target_volatility /
    volatility)``; ``atr`` the position that loses `risk_fraction` of the capital when the price falls
    `atr_multiple` average true ranges, at most 1 / N.

    **Hypothesis.** Trends last because information and capital arrive slowly; a new extreme draws those who
    had waited. Volume that closes at its highs says that buyers pay up, and wide spreads that they cannot.

    **Source.** W. Brock, J. Lakonishok, B. LeBaron, "Simple Technical Trading Rules and the Stochastic
    Properties of Stock Returns", Journal of Finance 47 (1992), for both rules with a band; R. Donchian's
    channel with the entries and exits of C. M. Faith, "Way of the Turtle" (2007).

    **Evidence.** R. Hudson, A. Urquhart, "Technical trading and cryptocurrencies", Annals of Operations
    Research 297 (2021): many of 15,000 such rules predicted returns after costs and a correction for data
    snooping; out of sample, none did for bitcoin. S. Corbet, V. Eraslan, B. Lucey, A. Sensoy, "The
    effectiveness of technical trading rules in cryptocurrency markets", Finance Research Letters 31 (2019):
    for bitcoin, averages do better than breakouts. R. Cont, A. Kukanov, S. Stoikov, "The Price Impact of
    Order Book Events", Journal of Financial Econometrics 12 (2014), for imbalance; the estimate from bars is
    far coarser.

    **Defaults.** 20 against 100 bars without a band, given up 60 bars after the last signal, sized to 40 % a
    year over 20 bars, no filter; the channel has 55 and 20 bars, the turtles' slower ones.

    **Lookback.** `max_holding` bars of the longest feature.

    **Works** in long trends, which it enters late and leaves late. **Fails** in ranges, where each cross is
    reversed, and in jumps that are over before the slow mean has turned.

    **Data.** Closes; highs and lows for ATR sizing and the spread; volume for the imbalance.

    Examples
    --------
    >>> strategy = MaBreakout()
    >>> params = strategy.params(rule="breakout", entry_window=55, sizing="equal")
    >>> sorted({feature.key.split("@")[0] for feature in strategy.features(params)})
    ['highest', 'lowest']
    """

    family = "ma_breakout"
    version = "1.0.0"
    per_market = True
    params = MaBreakoutParameters
    space: Mapping[str, Dimension] = MappingProxyType(
        {
            "fast_window": Range(5, 40, step=5),
            "slow_window": Range(50, 200, step=10),
            "band": Choice((0.0, 0.01, 0.02)),
            "entry_window": Range(20, 100, step=10),
            "exit_window": Range(10, 40, step=10),
            "max_holding": Choice((30, 60, 120)),
        }
    )
    conditions: Mapping[str, tuple[str, str]] = MappingProxyType(
        {
            "fast_window": ("rule", "cross"),
            "slow_window": ("rule", "cross"),
            "band": ("rule", "cross"),
            "entry_window": ("rule", "breakout"),
            "exit_window": ("rule", "breakout"),
        }
    )
    core = staticmethod(core)

    def features(self, params: MaBreakoutParameters) -> tuple[Feature, ...]:
        """Return price, upper and lower line, imbalance, spread, close, and width; the price where unused."""
        close = highest("close", 1)
        price, upper = close, highest("close", params.entry_window)
        lower = lowest("close", params.exit_window)
        if params.rule == "cross":
            price, upper = mean("close", params.fast_window), mean("close", params.slow_window)
            lower = upper
        imbalance = price if params.min_imbalance is None else close_location_imbalance(params.flow_window)
        spread = price if params.max_spread is None else high_low_spread(params.flow_window)
        width = {"equal": price, "volatility": volatility(params.vol_window), "atr": atr(params.vol_window)}
        size = (close if params.sizing == "atr" else price, width[params.sizing])
        return price, upper, lower, imbalance, spread, *size

    def lookback(self, params: MaBreakoutParameters) -> int:
        """Return `max_holding`: the last signal may be that long ago."""
        return params.max_holding

    def numbers(
        self, params: MaBreakoutParameters, *, markets: int, first_bar: int
    ) -> tuple[int | float, ...]:
        """Return band, longest holding, filters, and what sizes a position."""
        band = params.band if params.rule == "cross" else 0.0
        least = -math.inf if params.min_imbalance is None else params.min_imbalance
        most = math.inf if params.max_spread is None else params.max_spread
        sizing = (_SIZING[params.sizing], params.target_volatility, params.risk_fraction, params.atr_multiple)
        return band, params.max_holding, least, most, *sizing, equal_share(markets)

    def signal(self, panel: Panel, params: MaBreakoutParameters) -> Array:
        """Return weights, shape (T, N); see :class:`lab.strategies.Strategy`."""
        return call_core(self, panel, params)

    def filters(self, panel: Panel, params: MaBreakoutParameters) -> dict[str, Array]:
        """Return where order flow and spread would let an entry pass; see :func:`lab.strategies.diagnose`."""
        _, _, _, imbalance, spread, _, _ = (panel[feature] for feature in self.features(params))
        result = {}
        if params.min_imbalance is not None:
            result["flow"] = passed(imbalance, imbalance >= params.min_imbalance)
        if params.max_spread is not None:
            result["spread"] = passed(spread, spread <= params.max_spread)
        return result
