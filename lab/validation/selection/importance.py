"""Permutation importance out of sample, against shadows: features that cannot know anything."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lab.core.errors import ConfigError
from lab.validation.selection.information import spearman
from lab.validation.selection.samples import Samples, Splitter

__all__ = ["forest", "importance", "rank_score"]

Array = NDArray[np.float64]

_REPEATS: Final = 5
_TREES: Final = 60
_SMALLEST_LEAF_SHARE: Final = 0.01
_SMALLEST_LEAF: Final = 20


def importance(
    samples: Samples,
    splitter: Splitter,
    *,
    model: Any = None,
    repeats: int = _REPEATS,
    seed: int = 0,
) -> pl.DataFrame:
    """Return how much worse a model orders unseen returns once a feature's values are shuffled.

    Beside every feature the model is given its shadow, the same values in another order, as Boruta [1]_ does:
    a feature that says no more than the best shadow says nothing.

    Parameters
    ----------
    samples : Samples
        Features and labels.
    splitter : Splitter
        Purged: :class:`~lab.validation.splits.PurgedKFold` or a relative.
    model : scikit-learn regressor, optional
        A random forest by default. Copied for every fold, never fitted itself.
    repeats : int
        Shuffles per feature and fold.
    seed : int
        Of shadows, shuffles and the default model.

    Returns
    -------
    polars.DataFrame
        ``feature, importance`` (mean loss of rank correlation over folds), ``deviation`` (over folds),
        ``positive`` (share of folds), ``shadow`` (the best shadow's importance), ``keep`` (importance above
        the best shadow's, in most folds); most important first. Two features that
        say the same share their importance.

    References
    ----------
    .. [1] M. Kursa, W. Rudnicki, "Feature selection with the Boruta package", Journal of Statistical Software
       36 (2010).
    .. [2] M. López de Prado, *Advances in Financial Machine Learning* (2018), chapter 8.
    """
    from sklearn.base import clone
    from sklearn.inspection import permutation_importance

    if repeats < 1:
        raise ConfigError(f"repeats {repeats}: expected at least 1")
    rng = np.random.default_rng(seed)
    shadows = rng.permuted(samples.values, axis=0)
    values = np.hstack([samples.values, shadows])
    count = len(samples.names)
    folds = []
    for train, test in samples.splits(splitter):
        fitted = clone(forest(len(train), seed) if model is None else model)
        fitted.fit(values[train], samples.labels[train])
        found = permutation_importance(
            fitted,
            values[test],
            samples.labels[test],
            scoring=rank_score,
            n_repeats=repeats,
            random_state=int(rng.integers(2**31)),
        )
        folds.append(found.importances_mean)
    losses = np.array(folds)
    own, best = losses[:, :count], losses[:, count:].max(axis=1)
    frame = pl.DataFrame(
        {
            "feature": samples.names,
            "importance": own.mean(axis=0),
            "deviation": own.std(axis=0, ddof=1) if len(own) > 1 else np.full(count, np.nan),
            "positive": (own > 0).mean(axis=0),
            "shadow": np.full(count, losses[:, count:].mean(axis=0).max()),
            "keep": (own.mean(axis=0) > losses[:, count:].mean(axis=0).max())
            & ((own > best[:, None]).mean(axis=0) > 0.5),
        }
    )
    return frame.sort(["importance", "feature"], descending=[True, False])


def forest(samples: int, seed: int) -> Any:
    """Return the default model: a small random forest whose leaves are too large to remember single bars."""
    from sklearn.ensemble import RandomForestRegressor

    leaf = max(_SMALLEST_LEAF, round(_SMALLEST_LEAF_SHARE * samples))
    return RandomForestRegressor(
        n_estimators=_TREES, min_samples_leaf=leaf, max_features=0.5, n_jobs=1, random_state=seed
    )


def rank_score(model: Any, values: Array, labels: Array) -> float:
    """Return the rank correlation of a model's predictions with what came; 0 where either does not vary."""
    found = spearman(np.asarray(model.predict(values), dtype=np.float64), labels)
    return found if np.isfinite(found) else 0.0
