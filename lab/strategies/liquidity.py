"""A strategy that holds liquid markets alone: any family's rule, with a least daily quote volume."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.core.compiled import njit
from lab.core.feature import Feature
from lab.core.panel import Panel
from lab.core.settings import LEAST_KNOWN, LiquiditySettings
from lab.core.timeframe import Timeframe
from lab.features import compute, dollar_volume
from lab.strategies.decide import checked_weights
from lab.strategies.protocol import Strategy, passed
from lab.strategies.space import Dimension

__all__ = ["Screened", "rule_of"]

Array = NDArray[np.float64]


@njit(cache=True, nogil=True)
def _screen(weights: Array, volume: Array, per_day: float, minimum: float) -> Array:
    """Return the weights with 0 where a market's daily volume is below `minimum` or not known."""
    result = weights.copy()
    for t in range(weights.shape[0]):
        for i in range(weights.shape[1]):
            if not volume[t, i] * per_day >= minimum:
                result[t, i] = 0.0
    return result


class Screened:
    """The rule of a family on markets that are liquid enough at each decision.

    At the close of every bar a market whose mean daily quote volume is below the least one, or not known,
    has the weight 0, also where the rule would keep its quantity: what was liquid once and no longer is, is
    sold. The rule itself sees every market; what it would have put into an illiquid one stays in cash. So a
    market's weight does not depend on how liquid the others are, and a sweep screens as the bridge does.

    The mean is a feature (:func:`lab.features.dollar_volume`), so that whatever holds for features holds for
    it: it depends on its window of complete bars alone, adds to the lookback and is part of each certificate.

    Parameters
    ----------
    rule : Strategy
        Whose weights are screened.
    settings : LiquiditySettings
        The least volume, and the window of its mean.
    timeframe : Timeframe
        Of the bars that it decides on.

    Examples
    --------
    >>> from lab.strategies import strategy_of
    >>> momentum = strategy_of("time_series_momentum")
    >>> screened = Screened(momentum, LiquiditySettings(), Timeframe.parse("1d"))
    >>> screened.version, [feature.lookback for feature in screened.features(momentum.params())]
    ('1.0.0+liquidity.1000000.0.30d', [91, 21, 30])
    """

    core: Callable[..., Array]

    def __init__(self, rule: Strategy[Any], settings: LiquiditySettings, timeframe: Timeframe) -> None:
        self.rule = rule
        self.settings = settings
        self.timeframe = timeframe
        self.family: str = rule.family
        # Another version than the rule's: trials with and without the screen are different ones.
        self.version: str = f"{rule.version}+liquidity.{settings.min_daily_volume!r}.{settings.window_days}d"
        self.per_market: bool = rule.per_market
        self.params: type[Any] = rule.params
        self.space: Mapping[str, Dimension] = rule.space
        self.conditions: Mapping[str, tuple[str, Any]] = getattr(rule, "conditions", {})
        self.core = self._core

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Screened) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash((self.family, self.version, self.timeframe))

    def __reduce__(self) -> tuple[Any, ...]:
        return Screened, self._identity()

    def _identity(self) -> tuple[Strategy[Any], LiquiditySettings, Timeframe]:
        return self.rule, self.settings, self.timeframe

    @property
    def volume(self) -> Feature:
        """The feature that is looked at: quote volume per bar."""
        return dollar_volume(self.settings.bars(self.timeframe), min_valid=LEAST_KNOWN)

    def features(self, params: Any) -> tuple[Feature, ...]:
        """Return the rule's features, and the quote volume."""
        return (*self.rule.features(params), self.volume)

    def lookback(self, params: Any) -> int:
        """Return the rule's."""
        return self.rule.lookback(params)

    def numbers(self, params: Any, *, markets: int, first_bar: int) -> tuple[int | float, ...]:
        """Return the rule's, the bars of a day, and the least volume."""
        own = self.rule.numbers(params, markets=markets, first_bar=first_bar)
        return (*own, self.settings.per_day(self.timeframe), self.settings.min_daily_volume)

    def _core(self, *arguments: Any) -> Array:
        arrays = [each for each in arguments if isinstance(each, np.ndarray)]
        numbers = arguments[len(arrays) :]
        weights = self.rule.core(*arrays[:-1], *numbers[:-2])
        return _screen(weights, arrays[-1], numbers[-2], numbers[-1])

    def signal(self, panel: Panel, params: Any) -> Array:
        """Return weights, shape (T, N); see :class:`lab.strategies.Strategy`.

        Raises
        ------
        WeightError
            If the rule's own weights cannot be held, or it never decides: zeros must not hide that.
        """
        weights = checked_weights(self.rule, panel, self.rule.signal(panel, params), params)
        per_day, minimum = self.numbers(params, markets=len(panel.markets), first_bar=0)[-2:]
        return _screen(weights, panel[self.volume], per_day, minimum)

    def filters(self, panel: Panel, params: Any) -> dict[str, Array]:
        """Return the rule's filters, and ``liquid``."""
        told = getattr(self.rule, "filters", None)
        own: dict[str, Array] = {} if told is None else told(panel, params)
        daily = panel[self.volume] * self.settings.per_day(self.timeframe)
        return {**own, "liquid": passed(daily, daily >= self.settings.min_daily_volume)}

    def daily_volumes(self, panel: Panel) -> Array:
        """Return the mean daily quote volume at the last bar of `panel`, shape (N,); NaN where not known."""
        volumes = compute(panel.tail(min(self.volume.lookback, len(panel))), (self.volume,))[self.volume]
        return np.asarray(volumes[-1] * self.settings.per_day(self.timeframe))


def rule_of(strategy: Strategy[Any]) -> Strategy[Any]:
    """Return the family's own rule, without a screen round it."""
    return strategy.rule if isinstance(strategy, Screened) else strategy
