"""Exponentially weighted means with a finite memory."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from lab.features.kernels.lanes import blank

__all__ = ["decayed_mean"]


@njit(cache=True, nogil=True, error_model="numpy")
def decayed_mean(x: Any, first_bar: int, memory: int, decay: float, min_weight: float) -> Any:
    """Return the weighted mean of the last `memory` bars, weight ``decay ** age``, over valid values.

    The end of the previous block enters with weights counted from that block's last bar, scaled once to bar
    t; the beginning of the block of t is the usual recursion, started at 0.

    Parameters
    ----------
    x : ndarray of float64, shape (T, N)
        Values; NaN is skipped, its weight goes to the others.
    first_bar : int
        Absolute number of row 0.
    memory : int
        Bars that have a weight.
    decay : float
        Factor per bar of age, in [0, 1).
    min_weight : float
        Result is NaN where valid bars have less than this share of the total weight.
    """
    rows, columns = x.shape
    out = blank(rows, columns, memory - 1)
    weight = np.empty(memory + 1)
    weight[0] = 1.0
    for age in range(memory):
        weight[age + 1] = weight[age] * decay
    least = min_weight * (1.0 - weight[memory]) / (1.0 - decay) * (1.0 - 1e-12)
    tail_sum = np.zeros((memory + 1, columns))
    tail_weight = np.zeros((memory + 1, columns))
    head_sum = np.zeros(columns)
    head_weight = np.zeros(columns)
    for t in range(rows):
        place = (first_bar + t) % memory
        if place == 0:
            head_sum[:] = 0.0
            head_weight[:] = 0.0
            for q in range(min(memory, t)):
                at = memory - 1 - q
                for j in range(columns):
                    value = x[t - 1 - q, j]
                    valid = not math.isnan(value)
                    tail_sum[at, j] = tail_sum[at + 1, j] + (weight[q] * value if valid else 0.0)
                    tail_weight[at, j] = tail_weight[at + 1, j] + (weight[q] if valid else 0.0)
        for j in range(columns):
            value = x[t, j]
            valid = not math.isnan(value)
            head_sum[j] = head_sum[j] * decay + (value if valid else 0.0)
            head_weight[j] = head_weight[j] * decay + (1.0 if valid else 0.0)
        if t >= memory - 1:
            scale = weight[place + 1]
            for j in range(columns):
                total = scale * tail_weight[place + 1, j] + head_weight[j]
                mean = (scale * tail_sum[place + 1, j] + head_sum[j]) / total
                out[t, j] = mean if total >= least else np.nan
    return out
