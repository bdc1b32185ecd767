"""What a set of weights decides: checked, and row by row whether nothing, one market or many are traded."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from lab.backtest.layout import Array, Codes
from lab.core.compiled import njit

__all__ = ["FAULT", "MANY", "NONE", "hold", "survey"]

# What a row decides: nothing, more than one market, or else the one market by its place.
NONE: Final = -1
MANY: Final = -2
# What `survey` returns for weights that cannot be held.
FAULT: Final = -1

Flags = NDArray[np.bool_]


@njit(cache=True, nogil=True, error_model="numpy")
def survey(weights: Array, waits: Flags, warm_up: int, largest_sum: float, decided: Codes) -> tuple[int, int]:
    """Check weights and find the rows that decide anything.

    Parameters
    ----------
    weights : ndarray, shape (T, N)
        NaN keeps the quantity.
    waits : ndarray of bool, shape (T,)
        Whether the row waits for a bar that is late or lost.
    warm_up : int
        Rows before the first decision.
    largest_sum : float
        What the weights of a row may sum to, rounding included.
    decided : ndarray of int64, shape (T,)
        Filled: the only market with a weight that is not NaN, ``MANY`` or ``NONE``.

    Returns
    -------
    rows, crowded : int
        Rows that decide, or ``FAULT``, and those of many markets among them.
    """
    rows, crowded = 0, 0
    for t in range(weights.shape[0]):
        some, only = 0, NONE
        total = 0.0
        for i in range(weights.shape[1]):
            weight = weights[t, i]
            if not np.isnan(weight):
                if not (weight >= 0.0 and weight <= 1.0):
                    return FAULT, 0
                total += weight
                some += 1
                only = i
        decided[t] = NONE
        if some == 0:
            continue
        if total > largest_sum:
            return FAULT, 0
        if t >= warm_up and not waits[t]:
            decided[t] = only if some == 1 else MANY
            rows += 1
            crowded += some > 1
    return rows, crowded


@njit(cache=True, nogil=True, error_model="numpy")
def hold(weights: Array, received: Flags) -> None:
    """Keep the quantity of every market whose bar was not received; `weights` is changed."""
    for t in range(weights.shape[0]):
        for i in range(weights.shape[1]):
            if not received[t, i]:
                weights[t, i] = np.nan
