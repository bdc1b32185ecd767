"""What the folds of one search share, and what each of them leaves."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lab.backtest import BacktestResult, run_backtest
from lab.core.panel import Panel
from lab.search.checkpoint import Checkpoint
from lab.search.evaluation import CASH, SearchEngine, Window
from lab.search.ledger import TrialCounter
from lab.search.packed import FoldTrials
from lab.search.trials import DataIdentity
from lab.strategies import Dimension, StrategyInstance

__all__ = ["Fold", "Search"]

Array = NDArray[np.float64]
Positions = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """One finished fold: which bars, what was tried, who won, and what the winner did on both windows."""

    number: int
    train: Positions
    test: Positions
    trials: FoldTrials
    winner: StrategyInstance
    weights: Array
    trained: BacktestResult
    tested: BacktestResult


@dataclass(frozen=True, slots=True, eq=False)
class Search:
    """What all folds share."""

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
