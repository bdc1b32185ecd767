"""Comparison of numbers to the last bit."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["FARTHEST", "differing", "distance"]

Array = NDArray[np.float64]

FARTHEST: Final = int(np.iinfo(np.int64).max)


def differing(left: Array, right: Array) -> NDArray[np.bool_]:
    """Return where two arrays of one shape differ in any bit; NaN equals NaN, 0.0 differs from -0.0.

    Examples
    --------
    >>> differing(np.array([1.0, np.nan, 0.0]), np.array([1.0, np.nan, -0.0]))
    array([False, False,  True])
    """
    if left.tobytes() == right.tobytes():
        return np.zeros(left.shape, dtype=np.bool_)
    unequal = np.ascontiguousarray(left).view(np.int64) != np.ascontiguousarray(right).view(np.int64)
    return np.asarray(unequal & ~(np.isnan(left) & np.isnan(right)))


def distance(left: Array, right: Array) -> int:
    """Return the largest distance in units in the last place; NaN against a number counts as `FARTHEST`.

    Examples
    --------
    >>> distance(np.array([1.0, 2.0]), np.array([1.0, np.nextafter(2.0, 3.0)]))
    1
    """
    at = differing(left, right)
    if not at.any():
        return 0
    if (np.isnan(left) != np.isnan(right)).any():
        return FARTHEST
    return max(abs(a - b) for a, b in zip(_ordered(left[at]), _ordered(right[at]), strict=True))


def _ordered(values: Array) -> list[int]:
    """Return integers that lie in the order of the numbers, neighbours one apart (0.0 and -0.0 too)."""
    bits = [int(value) for value in np.ascontiguousarray(values).view(np.int64)]
    return [value if value >= 0 else -(value + 2**63) - 1 for value in bits]
