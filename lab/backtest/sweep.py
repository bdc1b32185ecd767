"""Many parameter sets on the same bars: one row of metrics each, nothing kept but the row."""

from __future__ import annotations

import difflib
import itertools
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl
from pydantic import ValidationError

from lab.backtest.metrics import METRICS
from lab.backtest.prices import ExecutionPrices, PriceName
from lab.backtest.run import Risk, limits_of
from lab.backtest.simulate import check_account, simulate_weights
from lab.core.errors import ConfigError
from lab.core.feature import Feature
from lab.core.panel import Panel
from lab.costs import Costs
from lab.features import compute
from lab.strategies import Strategy, decide_on_features

__all__ = ["Grid", "sweep"]

Grid = Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Any]]

# Sets a thread takes at a time: enough to forget what handing them out costs.
_CHUNK: Final = 16


def sweep(
    strategy: Strategy[Any],
    grid: Grid,
    panel: Panel,
    *,
    costs: Costs,
    risk: Risk | None = None,
    metrics: Sequence[str] = METRICS,
    cash: float = 10_000.0,
    price: PriceName = "open",
    lag: int = 1,
    workers: int = 1,
) -> pl.DataFrame:
    """Simulate every parameter set of `grid` and return its metrics.

    Parameters
    ----------
    strategy : Strategy
        Asked for the weights of every set, through the function that backtest and live use.
    grid : mapping of str to sequence, or sequence of mappings
        Values per parameter, of which all combinations are run (the last parameter varies fastest), or the
        sets themselves. Parameters not named have the family's defaults.
    panel : Panel
        Bars. The features of the whole grid are computed once; memory grows with the number of distinct
        features, not with the number of sets.
    costs, risk, cash, price, lag
        See :func:`~lab.backtest.run_backtest`.
    metrics : sequence of str
        Some of :data:`~lab.backtest.metrics.METRICS`.
    workers : int
        Threads. The result does not depend on it.

    Returns
    -------
    polars.DataFrame
        One row per set, in the grid's order: its parameters, then `metrics`. The figures have the bits that
        a backtest of that set on the same panel has.

    Raises
    ------
    ConfigError
        If a parameter set or a metric is not understood.
    WeightError
        If a set's weights cannot be held.
    """
    _check_metrics(metrics)
    sets = _Sets.of(strategy, grid)
    prices = ExecutionPrices.from_panel(panel, price)
    check_account(cash, lag, prices.at)
    limits = limits_of(risk, costs)
    features: dict[Feature, None] = {}
    for index in range(len(sets)):
        features.update(dict.fromkeys(strategy.features(sets.params(index))))
    featured = compute(panel, features)
    values = np.empty((len(metrics), len(sets)))

    def run(indices: range) -> None:
        for index in indices:
            weights = decide_on_features(strategy, featured, sets.params(index))
            figures = simulate_weights(
                prices, weights, costs=costs, limits=limits, cash=cash, lag=lag
            ).metrics
            values[:, index] = [figures[name] for name in metrics]

    chunks = [range(start, min(start + _CHUNK, len(sets))) for start in range(0, len(sets), _CHUNK)]
    if workers <= 1:
        for chunk in chunks:
            run(chunk)
    else:
        with ThreadPoolExecutor(workers) as threads:
            list(threads.map(run, chunks))
    return pl.DataFrame({**sets.columns(), **dict(zip(metrics, values, strict=True))})


def _check_metrics(metrics: Sequence[str]) -> None:
    for name in metrics:
        if name not in METRICS:
            near = difflib.get_close_matches(name, METRICS, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise ConfigError(f"metric {name!r} unknown; {hint}metrics are {', '.join(METRICS)}")


@dataclass(frozen=True, slots=True)
class _Sets:
    """Parameter sets by index; a product of values is never spelled out."""

    strategy: Strategy[Any]
    names: tuple[str, ...]
    axes: tuple[tuple[Any, ...], ...]
    listed: tuple[Mapping[str, Any], ...] | None

    @classmethod
    def of(cls, strategy: Strategy[Any], grid: Grid) -> _Sets:
        if isinstance(grid, Mapping):
            return cls(strategy, tuple(grid), tuple(tuple(values) for values in grid.values()), None)
        return cls(strategy, tuple(dict.fromkeys(itertools.chain(*grid))), (), tuple(grid))

    def __len__(self) -> int:
        return math.prod(len(axis) for axis in self.axes) if self.listed is None else len(self.listed)

    def values(self, index: int) -> Mapping[str, Any]:
        if self.listed is not None:
            return self.listed[index]
        chosen = {}
        for name, axis in zip(reversed(self.names), reversed(self.axes), strict=True):
            index, place = divmod(index, len(axis))
            chosen[name] = axis[place]
        return {name: chosen[name] for name in self.names}

    def params(self, index: int) -> Any:
        values = self.values(index)
        try:
            return self.strategy.params(**values)
        except ValidationError as error:
            fault = error.errors()[0]
            where = ".".join(str(part) for part in fault["loc"]) or "parameters"
            raise ConfigError(
                f"{self.strategy.family}: parameter set {index} {dict(values)}: {where}: "
                f"{fault['msg'].removeprefix('Value error, ')}"
            ) from None

    def columns(self) -> dict[str, list[Any]]:
        indices = range(len(self))
        return {name: [self.values(index).get(name) for index in indices] for name in self.names}
