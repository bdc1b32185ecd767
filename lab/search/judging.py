"""From finished folds to a result: the stitched path, its luck, the chance of overfitting."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import polars as pl

from lab.backtest import BacktestResult
from lab.search.moments import moments_from_table, moments_table
from lab.search.result import WalkForwardResult
from lab.search.session import Fold, Search
from lab.validation.overfitting import (
    BlockMoments,
    block_moments,
    overfit_logits,
    sharpe_statistics,
)

__all__ = ["judge"]

# Sets run at a time for the probability of overfitting, so that their returns need little memory.
_TOGETHER: Final = 32
_BLOCKS: Final = 16


def judge(search: Search, folds: list[Fold]) -> WalkForwardResult:
    """Return the result of a search whose folds are all finished."""
    instance = search.instance
    whole = search.window(int(folds[0].test[0]), int(folds[-1].test[-1]))
    weights = np.concatenate([fold.weights for fold in folds])
    oos = search.run(whole, weights)
    statistics = sharpe_statistics(oos.bars.returns)
    judgement = search.ledger.judge(instance.strategy.family, search.identity)
    moments = _moments(search)
    logits = None if moments is None else overfit_logits(moments_from_table(moments))
    kept = [oos, *(run for fold in folds for run in (fold.trained, fold.tested))]
    return WalkForwardResult(
        folds=pl.DataFrame([_row(search, fold) for fold in folds]),
        trial_table=search.table,
        oos=oos,
        oos_weights=whole.panel.to_frame(weights, "weight"),
        best_params=folds[-1].winner.params.model_dump(),
        deflated_sharpe=judgement.deflated(statistics),
        expected_max_sharpe=judgement.expected_max(statistics.n_observations)
        * instance.timeframe.periods_per_year**0.5,
        pbo=None if logits is None else float(np.mean(logits <= 0.0)),
        pbo_logits=logits,
        pbo_moments=moments,
        n_trials=judgement.n_trials,
        ledger_head=judgement.head,
        identity=search.identity,
        content_hash=search.content_hash,
        engine_difference=_largest(kept),
        status="OK" if all(run.status == "OK" for run in kept) else "FAILED",
        seed=search.seed,
        progress=None if search.checkpoint is None else search.checkpoint.folder,
    )


def _row(search: Search, fold: Fold) -> dict[str, Any]:
    ts = pl.Series(search.panel.ts[[fold.train[0], fold.train[-1], fold.test[0], fold.test[-1]]])
    times = ts.dt.replace_time_zone("UTC").to_list()
    return {
        "fold": fold.number,
        **dict(zip(("train_start", "train_end", "test_start", "test_end"), times, strict=True)),
        "train_bars": len(fold.train),
        "test_bars": len(fold.test),
        "trials": fold.chosen.of,
        **{f"parameter_{name}": value for name, value in fold.chosen.proposal.items()},
        "train_score": fold.chosen.score,
        "train_sharpe": fold.chosen.sharpe,
        "test_sharpe": _or_zero(fold.tested.metrics["sharpe"]),
        "test_total_return": fold.tested.metrics["total_return"],
        "test_max_drawdown": fold.tested.metrics["max_drawdown"],
        "engine_difference": _largest([fold.trained, fold.tested]),
    }


def _moments(search: Search) -> pl.DataFrame | None:
    """Block moments of the distinct sets, each run once over all bars after the warm-up."""
    sets = search.sets
    if len(sets) < 2:
        return None
    window = search.window(search.warm_up, len(search.panel) - 1)
    blocks = min(_BLOCKS, len(window.panel) // 4 * 2)
    found = []
    for start in range(0, len(sets), _TOGETHER):
        chosen = sets.proposals[start : start + _TOGETHER]
        candidates = [search.instance.with_params(proposal) for proposal in chosen]
        outcomes = window.evaluate_many(candidates, search.executor)
        found += [block_moments(outcome.returns, blocks=blocks) for outcome in outcomes]
    return moments_table(BlockMoments.concatenate(found), sets.folds, sets.numbers)


def _largest(runs: list[BacktestResult]) -> float:
    """Largest engine difference; NaN if one is NaN, infinite if a second engine did not run."""
    missing = float("inf")
    return float(
        np.max([missing if run.engine_difference is None else run.engine_difference for run in runs])
    )


def _or_zero(value: float) -> float:
    return 0.0 if np.isnan(value) else value
