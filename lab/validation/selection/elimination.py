"""Recursive feature elimination with purged splits."""

from __future__ import annotations

from typing import Any

import polars as pl

from lab.validation.selection.importance import forest, rank_score
from lab.validation.selection.samples import Samples, Splitter

__all__ = ["eliminate"]


def eliminate(
    samples: Samples, splitter: Splitter, *, model: Any = None, seed: int = 0
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Leave out the least important feature again and again, and see how unseen returns are still ordered.

    Scikit-learn's RFECV on splits that are purged.

    Parameters
    ----------
    samples : Samples
        Features and labels.
    splitter : Splitter
        Purged: :class:`~lab.validation.splits.PurgedKFold` or a relative.
    model : scikit-learn regressor, optional
        With ``feature_importances_`` or ``coef_``; a random forest by default.
    seed : int
        Of the default model.

    Returns
    -------
    ranking : polars.DataFrame
        ``feature, rank`` (1: kept at the best number of features; then in the order of leaving, last first).
    path : polars.DataFrame
        ``features`` (how many), ``score, deviation``: rank correlation out of sample over the folds.
    """
    from sklearn.feature_selection import RFECV

    splits = list(samples.splits(splitter))
    chosen = forest(len(samples.labels), seed) if model is None else model
    search = RFECV(chosen, step=1, cv=splits, scoring=rank_score, n_jobs=1)
    search.fit(samples.values, samples.labels)
    found = search.cv_results_
    ranking = pl.DataFrame({"feature": samples.names, "rank": [int(rank) for rank in search.ranking_]})
    path = pl.DataFrame(
        {
            "features": [int(number) for number in found["n_features"]],
            "score": found["mean_test_score"],
            "deviation": found["std_test_score"],
        }
    )
    return ranking.sort("rank", "feature"), path.sort("features")
