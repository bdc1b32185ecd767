"""Exponentially weighted means with a finite memory."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lab.core.compiled import njit
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
    # Where bars are missing for all markets or for none, all have the weights of the first: summed once.
    alike = _missing_together(x)
    apart = 1 if alike else columns
    tail_sum, tail_weight = np.zeros((memory + 1, columns)), np.zeros((memory + 1, apart))
    head_sum, head_weight = np.zeros(columns), np.zeros(apart)
    for t in range(rows):
        place = (first_bar + t) % memory
        if place == 0:
            head_sum[:], head_weight[:] = 0.0, 0.0
            for age in range(min(memory, t)):
                _grow(x, t - 1 - age, weight[age], tail_sum, tail_weight, memory - 1 - age)
        _decay(x, t, decay, head_sum, head_weight)
        if t >= memory - 1:
            scale, tail = weight[place + 1], place + 1
            if alike:
                total = scale * tail_weight[tail, 0] + head_weight[0]
                total = total if total >= least else np.nan
                for j in range(columns):
                    out[t, j] = (scale * tail_sum[tail, j] + head_sum[j]) / total
                continue
            for j in range(columns):
                total = scale * tail_weight[tail, j] + head_weight[j]
                mean = (scale * tail_sum[tail, j] + head_sum[j]) / total
                out[t, j] = mean if total >= least else np.nan
    return out


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _grow(x: Any, t: int, part: float, tail_sum: Any, tail_weight: Any, slot: int) -> None:
    """Set `slot` to the slot after it and row t, which has the weight `part`."""
    for j in range(tail_sum.shape[1]):
        value = part * x[t, j]
        tail_sum[slot, j] = tail_sum[slot + 1, j] + (0.0 if math.isnan(value) else value)
    for j in range(tail_weight.shape[1]):
        tail_weight[slot, j] = tail_weight[slot + 1, j] + (0.0 if math.isnan(x[t, j]) else part)


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _decay(x: Any, t: int, decay: float, head_sum: Any, head_weight: Any) -> None:
    """Add row t, with a weight of 1, to what is a bar older now."""
    for j in range(len(head_sum)):
        value = x[t, j]
        head_sum[j] = head_sum[j] * decay + (0.0 if math.isnan(value) else value)
    for j in range(len(head_weight)):
        head_weight[j] = head_weight[j] * decay + (0.0 if math.isnan(x[t, j]) else 1.0)


@njit(cache=True, nogil=True, error_model="numpy")
def _missing_together(x: Any) -> bool:
    """Return whether every row is valid in all columns or in none."""
    rows, columns = x.shape
    for t in range(rows):
        missing = 0
        for j in range(columns):
            missing += 1 if math.isnan(x[t, j]) else 0
        if 0 < missing < columns:
            return False
    return True
