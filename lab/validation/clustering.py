"""How many independent trials a set of correlated ones amounts to.

References
----------
.. [1] M. López de Prado, "A data science solution to the multiple-testing crisis in financial research",
   Journal of Financial Data Science 1 (2019).
.. [2] D. Bailey, M. López de Prado, "The deflated Sharpe ratio", Journal of Portfolio Management 40 (2014),
   appendix 3.
.. [3] L. Kaufman, P. Rousseeuw, *Finding Groups in Data* (1990), table 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lab.core.errors import ConfigError

__all__ = ["EffectiveTrials", "effective_trials"]

Array = NDArray[np.float64]

# Mean silhouette up to which there is no substantial structure (table 4 of [3]).
_STRUCTURE: Final = 0.25
# Numbers of clusters that are tried one by one; above, each is a tenth larger than the one before.
_EVERY: Final = 32
# Trials closer than this are copies of each other: what is left is the rounding of their correlation.
_COPIES: Final = 1e-6


@dataclass(frozen=True, slots=True)
class EffectiveTrials:
    """What correlated trials amount to.

    Attributes
    ----------
    number : float
        Independent trials, at least 1.
    trials : int
        Trials that were compared.
    clusters : int
        Groups of trials that move together; 0 where no grouping is better than none.
    silhouette : float
        How clear the grouping is: mean silhouette, at most 1; 0 without a grouping.
    mean_correlation : float
        Of all pairs.
    """

    number: float
    trials: int
    clusters: int
    silhouette: float
    mean_correlation: float


def effective_trials(correlations: ArrayLike, *, population: int | None = None) -> EffectiveTrials:
    """Return the number of independent trials that correlated ones amount to.

    Trials are joined by average linkage at the distance ``sqrt((1 - correlation) / 2)``; the number of
    clusters is the one with the largest mean silhouette, and each cluster counts as one trial [1]_. Where no
    grouping has a silhouette above 0.25 there is no structure to count by [3]_, and the mean correlation r
    speaks instead: ``r + (1 - r) n`` [2]_, so that unrelated trials count in full and copies as one.

    Parameters
    ----------
    correlations : array_like, shape (n, n)
        Symmetric, ones on the diagonal; estimates are clipped to [-1, 1].
    population : int, optional
        How many trials the matrix is a sample of, at least n. Clusters are counted in the sample; the mean
        correlation speaks for the population.

    Returns
    -------
    EffectiveTrials
        The same for the same matrix: nothing is drawn.

    Raises
    ------
    ConfigError
        If the matrix is not square, empty or not finite.

    Examples
    --------
    Ten trials that are two ideas, five variants each:

    >>> idea = np.kron(np.eye(2), np.ones((5, 5)))
    >>> found = effective_trials(0.9 * idea + 0.1 * np.eye(10))
    >>> found.number, found.clusters
    (2.0, 2)

    Unrelated ones, and copies of one:

    >>> effective_trials(np.eye(10)).number, effective_trials(np.ones((10, 10))).number
    (10.0, 1.0)
    """
    matrix = np.asarray(correlations, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        raise ConfigError(f"correlations have shape {matrix.shape}; expected one row and column per trial")
    if not np.isfinite(matrix).all():
        raise ConfigError("correlations hold values that are not finite; leave such trials out")
    matrix = np.clip((matrix + matrix.T) / 2, -1.0, 1.0)
    trials = len(matrix)
    if trials == 1:
        return EffectiveTrials(float(population or 1), 1, 0, 0.0, 1.0)
    mean = float((matrix.sum() - np.trace(matrix)) / (trials * (trials - 1)))
    clusters, silhouette = _grouping(np.sqrt((1.0 - matrix) / 2.0))
    if silhouette > _STRUCTURE:
        return EffectiveTrials(float(clusters), trials, clusters, silhouette, mean)
    related = min(max(mean, 0.0), 1.0)
    total = trials if population is None else population
    return EffectiveTrials(related + (1.0 - related) * total, trials, 0, 0.0, mean)


def _grouping(distances: Array) -> tuple[int, float]:
    """Return the number of clusters with the largest mean silhouette, the smallest of equal ones, and it."""
    from scipy.cluster.hierarchy import cut_tree, linkage
    from scipy.spatial.distance import squareform

    distances = np.where(distances < _COPIES, 0.0, distances)
    np.fill_diagonal(distances, 0.0)
    tree = linkage(squareform(distances, checks=False), method="average")
    candidates = _candidates(len(distances))
    labels = cut_tree(tree, n_clusters=candidates)
    scores = [_silhouette(distances, labels[:, column]) for column in range(len(candidates))]
    if not scores:
        return 1, 0.0
    best = int(np.argmax(np.round(scores, 9)))
    return candidates[best], scores[best]


def _candidates(trials: int) -> list[int]:
    numbers = list(range(2, min(trials, _EVERY + 1)))
    while numbers and numbers[-1] * 11 // 10 + 1 < trials:
        numbers.append(numbers[-1] * 11 // 10 + 1)
    return numbers


def _silhouette(distances: Array, labels: NDArray[np.int64]) -> float:
    """Return the mean silhouette; a trial that is a cluster of its own has none, which counts as 0."""
    from sklearn.metrics import silhouette_score

    return float(silhouette_score(distances, labels, metric="precomputed"))
