"""The statistics of one result: its Sharpe ratio, the doubt about it, the lengths that would settle it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.pipeline.validation.counting import Counted
from lab.pipeline.validation.judged import Judged
from lab.search import Judgement
from lab.validation.bootstrap import stationary_bootstrap
from lab.validation.overfitting import (
    SharpeStatistics,
    min_backtest_length,
    min_track_record_length,
    probabilistic_sharpe_ratio,
    sharpe_statistics,
)

__all__ = ["annual_sharpe", "figures_of"]

Array = NDArray[np.float64]


def figures_of(
    judged: Judged,
    returns: Array,
    counted: Counted,
    *,
    seed: int,
    resamples: int,
) -> dict[str, Any]:
    """Return the figures of the one series, annualised, and what the number of trials leaves of them."""
    found, year = sharpe_statistics(returns), judged.panel.timeframe.periods_per_year
    root = math.sqrt(year)
    shape = {"skewness": found.skewness, "kurtosis": found.kurtosis}
    drawn = stationary_bootstrap(returns, seed=seed, resamples=resamples)
    judgement, annual = counted.judgement, found.sharpe * root
    return {
        "sharpe": annual,
        "sharpe_interval": {
            "low": drawn.low * root,
            "high": drawn.high * root,
            "confidence": drawn.confidence,
            "block_length": drawn.block_length,
            "resamples": drawn.resamples,
        },
        **shape,
        **_lengths(found, annual, judgement, year),
        "probabilistic_sharpe": probabilistic_sharpe_ratio(
            found.sharpe, n_observations=found.n_observations, **shape
        ),
        "deflated_sharpe": judgement.deflated(found),
        "n_trials_ledger": judgement.n_trials,
        "expected_max_sharpe": judgement.expected_max(found.n_observations) * root,
        "deflated_sharpe_effective": counted.deflated_effective(found),
        "deflated_sharpe_all_families": counted.every.deflated(found),
        "n_trials_all_families": counted.every.n_trials,
        "deflated_sharpe_recorded": judged.recorded.get("deflated_sharpe"),
        "n_trials_recorded": judged.recorded.get("n_trials"),
    }


def annual_sharpe(judged: Judged, returns: Array) -> float:
    """Return the annualised Sharpe ratio of the account's returns; 0 where it never moves."""
    return sharpe_statistics(returns).sharpe * math.sqrt(judged.panel.timeframe.periods_per_year)


def _lengths(found: SharpeStatistics, annual: float, judgement: Judgement, year: float) -> dict[str, float]:
    """Return the length of the sample and the lengths that would be needed, in years."""
    needed = min_track_record_length(found.sharpe, skewness=found.skewness, kurtosis=found.kurtosis)
    trials = max(judgement.n_trials, 1)
    return {
        "years": found.n_observations / year,
        "min_track_record_years": needed / year,
        "min_backtest_years": min_backtest_length(trials, target_sharpe=annual) if annual > 0 else math.inf,
    }
