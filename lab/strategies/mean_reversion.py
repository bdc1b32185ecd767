"""Mean reversion: buy a sharp fall below the mean, sell at the mean or when time is up."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from lab.core.compiled import njit
from lab.core.feature import Feature
from lab.core.panel import Panel
from lab.features import zscore
from lab.strategies.protocol import Parameters, call_core
from lab.strategies.registry import register
from lab.strategies.sizing import equal_share
from lab.strategies.space import Choice, Dimension, Range

__all__ = ["MeanReversion", "MeanReversionParameters"]

Array = NDArray[np.float64]


class MeanReversionParameters(Parameters):
    """Parameters of :class:`MeanReversion`; windows count bars, z-scores are in standard deviations."""

    window: int = Field(48, ge=2, le=5_000, description="bars of mean and standard deviation")
    entry_z: float = Field(2.0, gt=0, le=20.0, description="buy at this many deviations below the mean")
    exit_z: float = Field(0.0, ge=-20.0, le=20.0, description="sell at this z-score or above")
    max_holding: int = Field(24, ge=1, le=5_000, description="bars after which a position is sold anyway")
    fall_window: int = Field(
        24, ge=1, le=5_000, description="bars within which the z-score must fall from exit_z to the entry"
    )

    @model_validator(mode="after")
    def _exit_above_entry(self) -> MeanReversionParameters:
        if self.exit_z <= -self.entry_z:
            raise ValueError(f"exit_z {self.exit_z} lies at or below the entry at {-self.entry_z}; raise it")
        return self


@njit(cache=True, nogil=True)
def core(
    score: Array, entry_z: float, exit_z: float, max_holding: int, fall_window: int, share: float
) -> Array:
    """Return weights, shape (T, N): `share` while a position is held, else 0; never NaN."""
    rows, columns = score.shape
    weights = np.zeros((rows, columns))
    for i in range(columns):
        armed = -1  # last row at or above the exit
        entered = -1  # first row at or below the entry since then
        for t in range(rows):
            if score[t, i] >= exit_z:
                armed = t
                entered = -1
            elif score[t, i] <= -entry_z and armed >= 0 and entered < 0:
                entered = t
            if entered >= 0 and entered - armed <= fall_window and t - entered < max_holding:
                weights[t, i] = share
    return weights


@register
class MeanReversion:
    """Buy when the close has fallen fast to `entry_z` deviations below its mean; sell when it is back.

    **Rule.** With z the distance of the close from its mean over `window` bars, in standard deviations, and
    N markets: a market is *armed* at every bar with ``z >= exit_z``. The first bar with ``z <= -entry_z``
    after that is the entry, if it comes at most `fall_window` bars after the last armed one; the weight is
    then ``1 / N`` from the entry bar on, and 0 from the first bar with ``z >= exit_z``, or after
    `max_holding` bars.

    **Cooldown.** One entry per arming: after a position ran out of time, or a fall was too slow to be
    bought, nothing is bought until z has been at `exit_z` or above again. Holding is therefore bounded by
    `max_holding` without exception, and what is held at t follows from the last armed bar alone, which
    matters only if it is fewer than ``max_holding + fall_window`` bars back: the rule has no hidden state.

    A bar without a z-score neither arms, enters nor exits, but counts as time.

    **Source.** The z-score form of contrarian trading: A. W. Lo, A. C. MacKinlay, "When Are Contrarian
    Profits Due to Stock Market Overreaction?", Review of Financial Studies 3 (1990); E. P. Chan,
    "Algorithmic Trading" (2013), chapter 3.

    **Hypothesis.** Forced and hasty sellers pay for speed: they push the price below what others would pay,
    and it comes back when they are done.

    **Evidence.** S. Nagel, "Evaporating Liquidity", Review of Financial Studies 25 (2012): returns of
    reversal are pay for liquidity, and highest in turmoil. Z. Wen, E. Bouri, Y. Xu, Y. Zhao, "Intraday return
    predictability in the cryptocurrency markets: Momentum, reversal, or both", North American Journal of
    Economics and Finance 62 (2022): both, by hour and after jumps. The evidence for coins is mixed.

    **Defaults.** 48 bars, entry 2 deviations below the mean, exit at the mean, at most 24 bars held, a fall
    within 24 bars: two days, one day and one day of hourly bars.

    **Lookback.** ``max_holding + fall_window`` bars of the z-score over `window` bars.

    **Works** in ranges, where forced sellers push the price away for hours. **Fails** in crashes and steady
    declines, where it buys again after every small recovery; each trade earns little, so that fees and
    slippage decide.

    **Data.** Closes; hourly bars or finer are what it is meant for.

    Examples
    --------
    >>> strategy = MeanReversion()
    >>> strategy.lookback(strategy.params(max_holding=24, fall_window=48))
    72
    """

    family = "mean_reversion"
    version = "1.0.0"
    per_market = True
    params = MeanReversionParameters
    space: Mapping[str, Dimension] = MappingProxyType(
        {
            "window": Range(24, 120, step=12),
            "entry_z": Range(1.5, 3.0, step=0.25),
            "exit_z": Range(-0.5, 0.5, step=0.25),
            "max_holding": Choice((6, 12, 24, 48)),
            "fall_window": Choice((12, 24, 48)),
        }
    )
    core = staticmethod(core)

    def features(self, params: MeanReversionParameters) -> tuple[Feature, ...]:
        """Return the z-score of the close."""
        return (zscore("close", params.window),)

    def lookback(self, params: MeanReversionParameters) -> int:
        """Return ``max_holding + fall_window``."""
        return params.max_holding + params.fall_window

    def numbers(
        self, params: MeanReversionParameters, *, markets: int, first_bar: int
    ) -> tuple[int | float, ...]:
        """Return the thresholds, the time limits, and each market's share."""
        share = equal_share(markets)
        return params.entry_z, params.exit_z, params.max_holding, params.fall_window, share

    def signal(self, panel: Panel, params: MeanReversionParameters) -> Array:
        """Return weights, shape (T, N); see :class:`lab.strategies.Strategy`."""
        return call_core(self, panel, params)
