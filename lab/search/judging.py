"""From finished folds to a result: the stitched path, its luck, the chance of overfitting."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import polars as pl

from lab.backtest import BacktestResult
from lab.search.moments import moments_from_table, moments_table
from lab.search.objectives import FIGURES
from lab.search.result import WalkForwardResult
from lab.search.session import Fold, Search
from lab.validation.overfitting import (
    BlockMoments,
    block_moments,
    overfit_logits,
    sharpe_statistics,
)

__all__ = ["judge"]

# Sets that the probability of overfitting is estimated from.
_OVERFITTING_SETS: Final = 1_000
# Of them at a time, so that their returns need little memory.
_TOGETHER: Final = 128
_BLOCKS: Final = 16


def judge(search: Search, folds: list[Fold]) -> WalkForwardResult:
    """Return the result of a search whose folds are all finished."""
    instance = search.instance
    whole = search.window(int(folds[0].test[0]), int(folds[-1].test[-1]))
    weights = np.concatenate([fold.weights for fold in folds])
    oos = search.run(whole, weights)
    statistics = sharpe_statistics(oos.bars.returns)
    judgement = search.ledger.judge(instance.strategy.family, search.identity)
    moments = _moments(search, folds)
    logits = None if moments is None else overfit_logits(moments_from_table(moments))
    kept = [oos, *(run for fold in folds for run in (fold.trained, fold.tested))]
    return WalkForwardResult(
        folds=pl.DataFrame([_row(search, fold) for fold in folds]),
        trials=pl.concat([fold.trials.frame(fold.number) for fold in folds]),
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
    best = fold.trials.best()
    ts = pl.Series(search.panel.ts[[fold.train[0], fold.train[-1], fold.test[0], fold.test[-1]]])
    times = ts.dt.replace_time_zone("UTC").to_list()
    return {
        "fold": fold.number,
        **dict(zip(("train_start", "train_end", "test_start", "test_end"), times, strict=True)),
        "train_bars": len(fold.train),
        "test_bars": len(fold.test),
        "trials": len(fold.trials.complete),
        **{f"parameter_{name}": value for name, value in fold.trials.proposal(best).items()},
        "train_score": fold.trials.score_of(best),
        "train_sharpe": fold.trials.figures_of(best)[FIGURES.index("sharpe")],
        "test_sharpe": _or_zero(fold.tested.metrics["sharpe"]),
        "test_total_return": fold.tested.metrics["total_return"],
        "test_max_drawdown": fold.tested.metrics["max_drawdown"],
        "engine_difference": _largest([fold.trained, fold.tested]),
    }


def _moments(search: Search, folds: list[Fold]) -> pl.DataFrame | None:
    """Block moments of the distinct sets, each run once over all bars after the warm-up."""
    chosen = _distinct(folds)
    if len(chosen) < 2:
        return None
    window = search.window(search.warm_up, len(search.panel) - 1)
    blocks = min(_BLOCKS, len(window.panel) // 4 * 2)
    found = []
    for start in range(0, len(chosen), _TOGETHER):
        candidates = [
            search.instance.with_params(fold.trials.proposal(number))
            for fold, number in chosen[start : start + _TOGETHER]
        ]
        outcomes = window.evaluate_many(candidates, search.executor)
        found += [block_moments(outcome.returns, blocks=blocks) for outcome in outcomes]
    numbers = [number for _, number in chosen]
    return moments_table(BlockMoments.concatenate(found), [fold.number for fold, _ in chosen], numbers)


def _distinct(folds: list[Fold]) -> list[tuple[Fold, int]]:
    """Return where the distinct sets were first tried; where there are too many, those with the least hashes.

    Hashes have nothing to do with results, so that this is a fair sample, and it needs no memory of the rest.
    """
    hashes = np.concatenate([fold.trials.hashes for fold in folds])
    starts = np.cumsum([0, *(len(fold.trials) for fold in folds)])
    complete = np.concatenate(
        [start + fold.trials.complete for start, fold in zip(starts, folds, strict=False)]
    )
    _, first = np.unique(hashes[complete], return_index=True)
    places = np.sort(complete[first[:_OVERFITTING_SETS]])
    of_fold = np.searchsorted(starts, places, side="right") - 1
    return [(folds[fold], int(place - starts[fold])) for fold, place in zip(of_fold, places, strict=True)]


def _largest(runs: list[BacktestResult]) -> float:
    """Largest engine difference; NaN if one is NaN, infinite if a second engine did not run."""
    missing = float("inf")
    return float(
        np.max([missing if run.engine_difference is None else run.engine_difference for run in runs])
    )


def _or_zero(value: float) -> float:
    return 0.0 if np.isnan(value) else value
