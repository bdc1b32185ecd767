"""What the choice among many sets does to a result: overfitting, superiority, other paths through history."""

from __future__ import annotations

import statistics
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lab.core.errors import MnemoError
from lab.pipeline.benchmark import buy_and_hold
from lab.pipeline.validation.candidates import Candidates
from lab.pipeline.validation.judged import Judged
from lab.pipeline.validation.strategy import JudgedStrategy
from lab.search.moments import moments_from_table
from lab.validation.bootstrap import SuperiorityTest, reality_check, spa
from lab.validation.overfitting import overfit_logits, probability_of_backtest_overfitting
from lab.validation.paths import path_sharpes
from lab.validation.splits import CombinatorialPurgedCV

__all__ = ["judge_selection"]

Array = NDArray[np.float64]

_FOLDS: Final = 10
_BLOCKS: Final = 16
# Bars that tests of means resample: of longer histories, equal runs of bars are added up first.
_LARGEST: Final = 2_500


def judge_selection(
    judged: Judged, found: Candidates, *, origin: str, seed: int, resamples: int
) -> dict[str, Any]:
    """Return what is known of the choice among `found`, as JSON values; null where sets or bars are too few.

    Keys: ``sets, sets_of, pbo, pbo_of, spa, reality_check`` (each with ``cash`` and ``buy_and_hold``), and
    ``paths``: annualised Sharpe ratios of choosing on the rest of history.
    """
    returns = found.compared
    benchmark = buy_and_hold(judged.history, judged.costs).bars.returns[found.warm_up :]
    tested = _shortened(returns)
    against = {"cash": None, "buy_and_hold": _shortened(benchmark[:, None])[:, 0]}
    pbo, of = _overfitting(judged, returns, origin)
    return {
        "sets": found.returns.shape[1],
        "sets_of": origin,
        "pbo": pbo,
        "pbo_of": of,
        "spa": {
            name: _superiority(spa(tested, each, seed=seed, resamples=resamples), found)
            for name, each in against.items()
            if _differ(tested, each)
        },
        "reality_check": {
            name: reality_check(tested, each, seed=seed, resamples=resamples).p_value
            for name, each in against.items()
            if _differ(tested, each)
        },
        "paths": _paths(returns, judged.panel.timeframe.periods_per_year),
    }


def _overfitting(judged: Judged, returns: Array, origin: str) -> tuple[float | None, str]:
    """Return the probability of overfitting, and of which sets: of a search, from what it kept of them."""
    if isinstance(judged, JudgedStrategy) and judged.moments is not None:
        logits = overfit_logits(moments_from_table(judged.moments))
        return float(np.mean(logits <= 0.0)), f"{judged.moments.height:,} sets of the search"
    if judged.recorded.get("pbo") is not None:
        return float(judged.recorded["pbo"]), "all sets of the search, as recorded"
    blocks = min(_BLOCKS, len(returns) // 4 * 2)
    if returns.shape[1] < 2 or blocks < 2:
        return None, origin
    return probability_of_backtest_overfitting(returns, blocks=blocks), origin


def _superiority(test: SuperiorityTest, found: Candidates) -> dict[str, Any]:
    return {
        "p_value": test.p_value,
        "p_lower": test.p_lower,
        "p_upper": test.p_upper,
        "models": test.models,
        "block_length": test.block_length,
        "best": found.instances[test.best].params.model_dump(mode="json") if found.instances else {},
    }


def _shortened(returns: Array) -> Array:
    """Add up runs of bars, so that at most so many are left; the oldest that fill none are left out.

    Means, which are what is tested, stay what they are; correlation within a run is summed with it.
    """
    run = -(-len(returns) // _LARGEST)
    count = len(returns) // run if run else 0
    if run <= 1:
        return returns
    return returns[len(returns) - count * run :].reshape(count, run, -1).sum(axis=1)


def _differ(returns: Array, benchmark: Array | None) -> bool:
    excess = returns if benchmark is None else returns - benchmark[:, None]
    return len(returns) > 3 and bool((excess.std(axis=0) > 1e-12).any())


def _paths(returns: Array, periods_per_year: float) -> dict[str, Any] | None:
    """Choose on eight tenths of history, judge on the other two, in every combination."""
    if returns.shape[1] < 2:
        return None
    splitter = CombinatorialPurgedCV(_FOLDS, 2, purged_size=1, embargo_size=max(1, len(returns) // 100))
    try:
        found = (path_sharpes(returns, splitter) * periods_per_year**0.5).tolist()
    except MnemoError:  # too few bars for ten folds
        return None
    return {
        "splits": splitter.n_splits,
        "paths": splitter.n_test_paths,
        "worst": min(found),
        "median": statistics.median(found),
        "best": max(found),
    }
