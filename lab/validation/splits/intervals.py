"""What a test forbids training: samples whose labels reach into it, and those too close to it."""

from __future__ import annotations

from collections.abc import Sequence, Sized
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lab.core.errors import ConfigError, InsufficientHistoryError

__all__ = ["Positions", "count", "ends_of", "fold_edges", "require_whole", "runs", "training"]

Positions = NDArray[np.int64]


def count(samples: int | Sized) -> int:
    """Return the number of samples: itself, or the length of what has one."""
    return int(samples) if isinstance(samples, (int, np.integer)) else len(samples)


def require_whole(splitter: object, **least: int) -> None:
    """Refuse attributes of `splitter` that are no whole numbers, or below the least ones named."""
    for name, minimum in least.items():
        value = getattr(splitter, name)
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < minimum:
            raise ConfigError(
                f"{type(splitter).__name__}: {name} is {value!r}; expected a whole number, at least {minimum}"
            )


def fold_edges(total: int, folds: int) -> Positions:
    """Return where `folds` parts of `total` samples begin, and the end; the first ones are one longer."""
    if total < folds:
        raise InsufficientHistoryError(
            f"{total} samples for {folds} folds; expected at least one each. "
            "Bring more history or fewer folds"
        )
    sizes = np.full(folds, total // folds, dtype=np.int64)
    sizes[: total % folds] += 1
    return np.concatenate([[0], np.cumsum(sizes)])


def ends_of(label_ends: ArrayLike | None, total: int) -> Positions:
    """Return the last position that each sample's label uses; without labels, the sample's own.

    Raises
    ------
    ConfigError
        If there is not one whole number per sample, or a label ends before its sample.
    """
    own = np.arange(total, dtype=np.int64)
    if label_ends is None:
        return own
    given: NDArray[Any] = np.asarray(label_ends)
    if given.shape != (total,) or not np.issubdtype(given.dtype, np.integer):
        raise ConfigError(
            f"label_ends have shape {given.shape} and type {given.dtype}; expected one whole number, the "
            f"position of the last bar that the label uses, for each of {total} samples"
        )
    early = np.flatnonzero(given < own)
    if len(early):
        place = int(early[0])
        raise ConfigError(
            f"label_ends[{place}] is {given[place]}: a label ends at its own sample or later; count "
            "positions from the start of the samples, not from the sample"
        )
    return given.astype(np.int64)


def runs(starts_and_ends: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join parts ``[start, end)`` that follow each other without a gap; ascending.

    Examples
    --------
    >>> runs([(0, 2), (2, 4), (6, 8)])
    [(0, 4), (6, 8)]
    """
    joined: list[tuple[int, int]] = []
    for start, end in starts_and_ends:
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def training(
    tests: Sequence[tuple[int, int]], ends: Positions, *, purged_size: int, embargo_size: int
) -> Positions:
    """Return the samples that may train beside `tests`, ascending.

    A sample spans from its own position to the end of its label. Those go whose span touches a run of test
    samples, its labels included, `purged_size` bars on either side of it, or the `embargo_size` bars after.
    """
    own = np.arange(len(ends), dtype=np.int64)
    allowed = np.ones(len(ends), dtype=np.bool_)
    for start, end in runs(tests):
        first = start - purged_size
        last = int(ends[start:end].max()) + purged_size + embargo_size
        allowed &= (ends < first) | (own > last)
    return np.flatnonzero(allowed).astype(np.int64)
