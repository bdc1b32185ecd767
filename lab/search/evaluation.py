"""Evaluating parameter sets on one window of a panel, with nothing after its end in reach."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from lab.backtest import Bars, ExecutionPrices, compute_metrics, run_backtest, simulate_weights
from lab.core.errors import ConfigError, InsufficientHistoryError
from lab.core.feature import Feature
from lab.core.panel import Panel
from lab.features import compute
from lab.risk import Limits
from lab.search.objectives import FIGURES
from lab.strategies import Choice, Dimension, StrategyInstance, decide_on_features

__all__ = ["CASH", "FIGURES", "Outcome", "SearchEngine", "Window", "longest_lookback"]

Array = NDArray[np.float64]

CASH: Final = 10_000.0
SearchEngine = Literal["fused", "vectorbt"]
# Features kept for later trials on the same window; 64 of 33 markets x 5,000 bars are 84 MB.
_KEPT_FEATURES: Final = 64


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What one parameter set did on a window.

    Parameters
    ----------
    returns : ndarray, shape (n,)
        Simple returns of the counted bars, costs included.
    figures : tuple of float
        :data:`FIGURES` of those bars; ratios annualised, and 0 where they have no value: a set that never
        moves.
    """

    returns: Array
    figures: tuple[float, ...]

    @property
    def sharpe(self) -> float:
        """Annualised Sharpe ratio."""
        return self.figures[0]


class Window:
    """Bars ``start … stop - 1`` of a panel, and the warm-up bars before them.

    Decisions are those at the closes of the window's own bars, the account starts in cash: its first bar is
    flat. Features see `warm_up` bars before `start` and none from `stop` on. Safe to use from threads.

    Parameters
    ----------
    panel : Panel
        Bars, in the order of the instance's markets.
    start, stop : int
        Positions; `start` is at least `warm_up`.
    warm_up : int
        Bars before `start` that features may read.
    instance : StrategyInstance
        For the strategy, costs and limits.
    counted : ndarray of int64, optional
        Positions of the bars whose returns count; all of the window by default.
    engine : {"fused", "vectorbt"}
        What simulates; vectorbt is a hundred times slower and there to check.
    """

    def __init__(
        self,
        panel: Panel,
        start: int,
        stop: int,
        *,
        warm_up: int,
        instance: StrategyInstance,
        counted: NDArray[np.int64] | None = None,
        engine: SearchEngine = "fused",
    ) -> None:
        self.panel = panel.rows(start, stop)
        self._context = panel.rows(start - warm_up, stop)
        self._warm_up = warm_up
        self._prices = ExecutionPrices.from_panel(self.panel)
        self._strategy = instance.strategy
        self._costs = instance.costs
        self._risk = instance.risk
        self._limits = Limits.from_settings(instance.risk, instance.costs, panel.markets)
        self._engine = engine
        complete = counted is None or len(counted) == stop - start
        self._counted = None if complete or counted is None else counted - start
        self._features: dict[Feature, Array] = {}
        self._guard = threading.Lock()

    def weights(self, instance: StrategyInstance) -> Array:
        """Return the weights that `instance` decides at the window's closes, shape (T, N).

        Raises
        ------
        InsufficientHistoryError
            If it looks back further than the warm-up.
        """
        if instance.lookback - 1 > self._warm_up:
            raise InsufficientHistoryError(
                f"strategy {instance.strategy_id}: {instance.params!r} needs {instance.lookback} bars, the "
                f"window has {self._warm_up + 1} at its first close; start the window later"
            )
        fields: dict[str | Feature, Array] = {
            feature: self._feature(feature) for feature in self._strategy.features(instance.params)
        }
        panel = self._context.with_fields(fields)
        return decide_on_features(self._strategy, panel, instance.params)[self._warm_up :]

    def evaluate(self, instance: StrategyInstance) -> Outcome:
        """Simulate `instance` on the window, from cash, with its costs and limits."""
        bars, metrics = self._simulated(self.weights(instance))
        if self._counted is not None:
            bars = _chosen(bars, self._counted)
            metrics = compute_metrics(bars, periods_per_year=self.panel.timeframe.periods_per_year)
        # A set that never trades has no Sharpe ratio; it earned nothing and risked nothing.
        figures = tuple(0.0 if np.isnan(metrics[name]) else metrics[name] for name in FIGURES)
        return Outcome(bars.returns, figures)

    def _simulated(self, weights: Array) -> tuple[Bars, Mapping[str, float]]:
        if self._engine == "vectorbt":
            result = run_backtest(
                self.panel, weights, costs=self._costs, risk=self._risk, cash=CASH, engine="vectorbt"
            )
            return result.bars, result.metrics
        simulation = simulate_weights(
            self._prices, weights, costs=self._costs, limits=self._limits, cash=CASH
        )
        return simulation.bars, simulation.metrics

    def _feature(self, feature: Feature) -> Array:
        with self._guard:
            known = self._features.get(feature)
        if known is not None:
            return known
        values = compute(self._context, [feature])[feature]
        with self._guard:
            if len(self._features) >= _KEPT_FEATURES:
                del self._features[next(iter(self._features))]
            self._features[feature] = values
        return values


def longest_lookback(instance: StrategyInstance, space: Mapping[str, Dimension]) -> StrategyInstance:
    """Return the instance with that corner of `space` whose decisions look back furthest.

    Corners that the parameter model refuses are left out.
    """
    names = sorted(space)
    longest = instance
    for corner in itertools.product(*(_ends(space[name]) for name in names)):
        try:
            candidate = instance.with_params(dict(zip(names, corner, strict=True)))
        except ConfigError:
            continue
        longest = max(longest, candidate, key=lambda one: one.lookback)
    return longest


def _ends(dimension: Dimension) -> Sequence[Any]:
    if isinstance(dimension, Choice):
        return tuple(dict.fromkeys((min(dimension.options), max(dimension.options))))
    return tuple(dict.fromkeys((dimension.low, dimension.high)))


def _chosen(bars: Bars, positions: NDArray[np.int64]) -> Bars:
    return Bars(
        bars.returns[positions], bars.turnover[positions], bars.cost[positions], bars.exposure[positions]
    )
