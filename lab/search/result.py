"""What a walk-forward search returns: one frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lab.backtest import BacktestResult
from lab.search.table import TrialTable
from lab.search.trials import DataIdentity

__all__ = ["WalkForwardResult"]


@dataclass(frozen=True, slots=True, eq=False)
class WalkForwardResult:
    """Everything one walk-forward search found. Sharpe ratios are annualised.

    Attributes
    ----------
    folds : polars.DataFrame
        One row per fold: ``fold``; ``train_start, train_end, test_start, test_end`` (opening times of first
        and last bars); ``train_bars, test_bars`` counted; ``trials`` that could be evaluated;
        ``parameter_<name>`` of the winner; ``train_score``; ``train_sharpe, test_sharpe, test_total_return,
        test_max_drawdown`` of its own runs from cash; ``engine_difference`` of those runs.
    trial_table : TrialTable
        The trials, out of memory; ``len(...)`` of them. `trials` reads them all.
    trials : polars.DataFrame
        One row per trial: ``fold, number, state`` (``complete``; ``repeated``: same parameters as an earlier
        trial of the fold; ``invalid``: refused by the parameter model), ``parameter_<name>``, ``score`` (what
        is maximised), and sharpe, calmar, total_return, max_drawdown, turnover, time_in_market on the
        training bars.
    oos : BacktestResult
        The stitched out-of-sample path: every test bar's weights come from its fold's winner, simulated in
        one run from cash by both engines.
    oos_weights : polars.DataFrame
        ``ts, market, weight`` of that path, as decided at each close.
    best_params : mapping of str to number
        All parameters of the last fold's winner: what would trade next.
    deflated_sharpe : float
        Probability that the out-of-sample Sharpe ratio is above what the trials on record give by luck.
    expected_max_sharpe : float
        That luck, annualised.
    pbo : float or None
        Probability of backtest overfitting over the distinct parameter sets on all bars; None for fewer than
        two sets.
    pbo_logits : ndarray of float64 or None
        One per split of the bars (:func:`lab.validation.overfitting.overfit_logits`); `pbo` is the share at
        or below 0.
    pbo_moments : polars.DataFrame or None
        What they are made of, a row per set: see :func:`lab.search.moments.moments_table`.
    n_trials : int
        Distinct trials of this family on this data, from the ledger.
    ledger_head : str
        What the ledger's head was when the result was judged; empty without a ledger.
    identity : DataIdentity
    content_hash : str
        Of the bars.
    engine_difference : float
        Largest over every result kept: winners in training, winners in test, stitched path.
    status : str
        ``OK``, or ``FAILED`` where any of those results is.
    seed : int
    progress : pathlib.Path or None
        Where the search stored its progress; :func:`lab.search.discard` removes it once the result is kept.
    """

    folds: pl.DataFrame
    trial_table: TrialTable
    oos: BacktestResult
    oos_weights: pl.DataFrame
    best_params: Mapping[str, Any]
    deflated_sharpe: float
    expected_max_sharpe: float
    pbo: float | None
    pbo_logits: NDArray[np.float64] | None
    pbo_moments: pl.DataFrame | None
    n_trials: int
    ledger_head: str
    identity: DataIdentity
    content_hash: str
    engine_difference: float
    status: str
    seed: int
    progress: Path | None = None

    @property
    def trials(self) -> pl.DataFrame:
        """All trials, read anew every time."""
        return self.trial_table.frame()
