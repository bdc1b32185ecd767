"""The parameter sets that a result was, or might have been, chosen from, and what all of them did."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lab.backtest import Sweep
from lab.core.errors import ConfigError
from lab.pipeline.parts import parameters_of
from lab.pipeline.validation.strategy import JudgedStrategy
from lab.search import TrialBatch, parameter_hash, sketch
from lab.strategies import StrategyInstance
from lab.validation.neighbourhood import neighbours
from lab.validation.overfitting import sharpe_statistics

__all__ = ["Candidates", "neighbouring_sets", "run_candidates", "searched_sets", "trials_of"]

Array = NDArray[np.float64]

# Sets that tests of many returns look at, evenly chosen when there are more.
LARGEST: Final = 200


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Parameter sets and their returns over the same bars.

    Attributes
    ----------
    instances : tuple of StrategyInstance
    returns : ndarray, shape (T, sets)
        Simple, per bar, over the whole history.
    warm_up : int
        Bars before the first on which every set can decide.
    """

    instances: tuple[StrategyInstance, ...]
    returns: Array
    warm_up: int

    @property
    def compared(self) -> Array:
        """Returns of the bars on which every set can decide."""
        return self.returns[self.warm_up :]

    def sharpes(self, periods_per_year: float) -> list[float]:
        """Return the annualised Sharpe ratios; 0 for a set that never moves."""
        root = math.sqrt(periods_per_year)
        return [sharpe_statistics(column).sharpe * root for column in self.returns.T]


def searched_sets(judged: JudgedStrategy) -> list[StrategyInstance]:
    """Return the distinct sets that a search evaluated, at most 200, evenly chosen."""
    if judged.trials is None:
        return []
    distinct: dict[str, StrategyInstance] = {}
    for row in judged.trials.filter(pl.col("state") == "complete").iter_rows(named=True):
        one = judged.inputs.instance.with_params(parameters_of(row))
        distinct.setdefault(_hash(one), one)
    sets = list(distinct.values())
    count = min(len(sets), LARGEST)
    return [sets[index * len(sets) // count] for index in range(count)]


def neighbouring_sets(judged: JudgedStrategy) -> tuple[list[StrategyInstance], list[Mapping[str, Any]]]:
    """Return the result's own set and its valid neighbours, own first, and what varies in each.

    Sets that the family refuses, or that need more bars than there are, are no neighbours.
    """
    own = judged.instance
    params = own.params.model_dump()
    space = own.space
    varied: list[Mapping[str, Any]] = [{name: params[name] for name in space if params[name] is not None}]
    found = [own]
    for one in neighbours(space, params):
        try:
            candidate = own.with_params(one)
        except ConfigError:
            continue
        if candidate.lookback <= len(judged.inputs.panel) // 2:
            found.append(candidate)
            varied.append(one)
    return found, varied


def run_candidates(
    judged: JudgedStrategy,
    instances: Sequence[StrategyInstance],
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Candidates:
    """Run every set over all bars of the result's history, from cash, with its costs and limits."""
    panel = judged.inputs.panel
    returns = np.empty((len(instances), len(panel)))

    def observe(places: Sequence[int], found: Array) -> None:
        returns[list(places)] = found

    own = judged.inputs.instance
    prepared = Sweep(
        own.strategy,
        [one.params.model_dump() for one in instances],
        panel,
        costs=own.costs,
        risk=own.risk,
        metrics=("sharpe",),
        workers=workers,
        observe=observe,
    )
    prepared.run(0, len(prepared), progress=progress)
    warm_up = max(one.lookback for one in instances) - 1
    return Candidates(tuple(instances), np.ascontiguousarray(returns.T), warm_up)


def trials_of(judged: JudgedStrategy, found: Candidates) -> TrialBatch:
    """Return the sets as trials that the ledger counts."""
    panel = judged.inputs.panel
    return TrialBatch.of(
        judged.inputs.instance,
        panel,
        positions=np.arange(len(panel)),
        parameter_hashes=[_hash(one) for one in found.instances],
        sharpes=np.array([sharpe_statistics(column).sharpe for column in found.returns.T]),
        sketches=sketch(np.ascontiguousarray(found.returns.T), panel.bar),
    )


def _hash(instance: StrategyInstance) -> str:
    return parameter_hash(instance.params.model_dump(mode="json"))
