"""Features and labels as the table that a model learns from, and its splits by bar."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lab.core.errors import InsufficientHistoryError
from lab.core.feature import Feature
from lab.core.panel import Panel
from lab.features import compute
from lab.validation.selection.labels import forward_returns

__all__ = ["Samples", "Splitter", "samples_of"]

Array = NDArray[np.float64]
Positions = NDArray[np.int64]


class Splitter(Protocol):
    """What :class:`~lab.validation.splits.PurgedKFold` and its relatives are: splits of bars."""

    def split(
        self, samples: int, label_ends: ArrayLike | None = None
    ) -> Iterator[tuple[Positions, Positions]]:
        """Yield (train, test) positions of bars."""


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """One row per bar and market where every feature and the label are known, in order of time.

    Attributes
    ----------
    values : ndarray of float64, shape (S, F)
        Features, known at the close of the sample's bar.
    labels : ndarray of float64, shape (S,)
        Forward returns.
    bars : ndarray of int64, shape (S,)
        Position of the sample's bar among the panel's; ascending.
    length : int
        Bars of the panel.
    span : int
        Bars from a sample's bar to the one at whose opening its label is known.
    names : tuple of str
        Of the features.
    """

    values: Array
    labels: Array
    bars: Positions
    length: int
    span: int
    names: tuple[str, ...]

    def splits(self, splitter: Splitter) -> Iterator[tuple[Positions, Positions]]:
        """Yield (train, test) positions of samples; the splitter divides bars, and knows where labels end.

        All markets of a bar land on the same side, and no training label reaches into a test bar.
        """
        ends = np.arange(self.length) + self.span
        for train, test in splitter.split(self.length, ends):
            yield self._of(train), self._of(test)

    def select(self, names: Sequence[str]) -> Samples:
        """Return the samples with these features only, in this order."""
        columns = [self.names.index(name) for name in names]
        values = np.ascontiguousarray(self.values[:, columns])
        return Samples(values, self.labels, self.bars, self.length, self.span, tuple(names))

    def _of(self, bars: Positions) -> Positions:
        chosen = np.zeros(self.length, dtype=np.bool_)
        chosen[bars] = True
        return np.flatnonzero(chosen[self.bars])


def samples_of(
    panel: Panel, features: Sequence[Feature] | Mapping[str, Feature], *, horizon: int, lag: int = 1
) -> Samples:
    """Compute features and labels of a panel and keep the rows where all are known.

    Parameters
    ----------
    panel : Panel
        Bars.
    features : sequence of Feature, or mapping of str to Feature
        Computed here, so that nothing but bars is trusted. A mapping gives them names of its own.
    horizon, lag : int
        Of :func:`~lab.validation.selection.labels.forward_returns`.

    Raises
    ------
    InsufficientHistoryError
        If no row is complete.
    """
    named = features if isinstance(features, Mapping) else {str(feature): feature for feature in features}
    computed = compute(panel, named.values())
    later = forward_returns(panel, horizon, lag=lag)
    values = np.stack([computed[feature] for feature in named.values()], axis=-1)
    complete = np.isfinite(values).all(axis=-1) & np.isfinite(later)
    if not complete.any():
        longest = max(feature.lookback for feature in named.values())
        raise InsufficientHistoryError(
            f"no bar has all {len(named)} features and a label: {len(panel)} bars, the longest lookback "
            f"is {longest}, the label needs {lag + horizon} more. Bring more history"
        )
    row, _ = np.nonzero(complete)
    return Samples(
        values[complete], later[complete], row.astype(np.int64), len(panel), lag + horizon, tuple(named)
    )
