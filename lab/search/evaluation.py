"""Evaluating parameter sets on one window of a panel, with nothing after its end in reach."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from lab.backtest import Bars, Evaluator, compute_metrics, run_backtest
from lab.core.errors import ConfigError, InsufficientHistoryError
from lab.core.panel import Panel
from lab.search.objectives import FIGURES
from lab.strategies import Choice, Dimension, StrategyInstance, decide

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
    flat. Features see `warm_up` bars before `start` and none from `stop` on.

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
        self._costs = instance.costs
        self._risk = instance.risk
        complete = counted is None or len(counted) == stop - start
        self._counted = None if complete or counted is None else counted - start
        self._evaluator = None if engine == "vectorbt" else self._prepared(instance)

    def weights(self, instance: StrategyInstance) -> Array:
        """Return the weights that `instance` decides at the window's closes, shape (T, N).

        Raises
        ------
        InsufficientHistoryError
            If it looks back further than the warm-up.
        """
        self._require_warm_up(instance)
        return decide(instance.strategy, self._context, instance.params)[self._warm_up :]

    def evaluate(self, instance: StrategyInstance) -> Outcome:
        """Simulate `instance` on the window, from cash, with its costs and limits."""
        return self.evaluate_many([instance])[0]

    def evaluate_many(
        self, instances: Sequence[StrategyInstance], executor: Executor | None = None
    ) -> list[Outcome]:
        """Simulate every instance by itself; they differ in parameters alone.

        An executor shares the work; which sets run together changes nothing.
        """
        for instance in instances:
            self._require_warm_up(instance)
        run = map if executor is None else executor.map
        if self._evaluator is None:
            return list(run(self._in_vectorbt, instances))
        together = self._evaluator.together
        parts = [instances[start : start + together] for start in range(0, len(instances), together)]
        return [outcome for found in run(self._in_kernel, parts) for outcome in found]

    def _prepared(self, instance: StrategyInstance) -> Evaluator:
        rows, columns = self._context.shape
        return Evaluator(
            instance.strategy,
            self._context,
            start=self._warm_up,
            costs=self._costs,
            risk=self._risk,
            metrics=FIGURES,
            cash=CASH,
            counted=self._counted,
            memory_mb=_KEPT_FEATURES * 8 * rows * columns / 2**20,
        )

    def _in_kernel(self, instances: Sequence[StrategyInstance]) -> list[Outcome]:
        assert self._evaluator is not None  # noqa: S101 - the only caller has looked
        found = self._evaluator.evaluate([instance.params for instance in instances])
        return [
            Outcome(returns, _known(figures))
            for returns, figures in zip(found.returns, found.figures.tolist(), strict=True)
        ]

    def _in_vectorbt(self, instance: StrategyInstance) -> Outcome:
        weights = self.weights(instance)
        result = run_backtest(
            self.panel, weights, costs=self._costs, risk=self._risk, cash=CASH, engine="vectorbt"
        )
        bars, metrics = result.bars, result.metrics
        if self._counted is not None:
            bars = _chosen(bars, self._counted)
            metrics = compute_metrics(bars, periods_per_year=self.panel.timeframe.periods_per_year)
        return Outcome(bars.returns, _known([metrics[name] for name in FIGURES]))

    def _require_warm_up(self, instance: StrategyInstance) -> None:
        if instance.lookback - 1 > self._warm_up:
            raise InsufficientHistoryError(
                f"strategy {instance.strategy_id}: {instance.params!r} needs {instance.lookback} bars, the "
                f"window has {self._warm_up + 1} at its first close; start the window later"
            )


def _known(figures: Sequence[float]) -> tuple[float, ...]:
    # A set that never trades has no Sharpe ratio; it earned nothing and risked nothing.
    return tuple(0.0 if np.isnan(figure) else figure for figure in figures)


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
