"""What the folds of one search share, and what each of them leaves."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lab.backtest import BacktestResult, run_backtest
from lab.core.panel import Panel
from lab.search.checkpoint import Checkpoint
from lab.search.evaluation import CASH, SearchEngine, Window
from lab.search.ledger import TrialCounter
from lab.search.objectives import FIGURES
from lab.search.packed import FoldTrials
from lab.search.table import DistinctSets, TrialTable
from lab.search.trials import DataIdentity
from lab.strategies import Dimension, StrategyInstance

__all__ = ["Chosen", "Fold", "Search"]

Array = NDArray[np.float64]
Positions = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Chosen:
    """The best set of a fold: what varies in it, its figures in training, and how many it is the best of."""

    proposal: Mapping[str, int | float]
    score: float
    sharpe: float
    of: int

    @classmethod
    def among(cls, found: FoldTrials) -> Chosen:
        """Return the best of `found`; errors as :meth:`FoldTrials.best`."""
        best = found.best()
        sharpe = found.figures_of(best)[FIGURES.index("sharpe")]
        return cls(found.proposal(best), found.score_of(best), sharpe, len(found.complete))


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """One finished fold: which bars, who was chosen, and what the winner did on both windows."""

    number: int
    train: Positions
    test: Positions
    chosen: Chosen
    winner: StrategyInstance
    weights: Array
    trained: BacktestResult
    tested: BacktestResult


@dataclass(frozen=True, slots=True, eq=False)
class Search:
    """What all folds share, and where their trials go once they are counted."""

    instance: StrategyInstance
    panel: Panel
    space: Mapping[str, Dimension]
    warm_up: int
    trials: int
    seed: int
    ledger: TrialCounter
    identity: DataIdentity
    content_hash: str
    executor: Executor | None
    engine: SearchEngine = "fused"
    checkpoint: Checkpoint | None = None
    table: TrialTable = field(default_factory=TrialTable)
    sets: DistinctSets = field(default_factory=DistinctSets)

    def window(self, first: int, last: int, counted: Positions | None = None) -> Window:
        """Return the window of bars `first` to `last`, both included."""
        return Window(
            self.panel,
            first,
            last + 1,
            warm_up=self.warm_up,
            instance=self.instance,
            counted=counted,
            engine=self.engine,
        )

    def run(self, window: Window, weights: Array) -> BacktestResult:
        """Run `weights` on the window through both engines, from cash."""
        return run_backtest(
            window.panel,
            weights,
            costs=self.instance.costs,
            risk=self.instance.risk,
            cash=CASH,
            engine="both",
        )
