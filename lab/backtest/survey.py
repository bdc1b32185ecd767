"""What a set of weights decides: checked, and row by row whether nothing, one market or many are traded."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from lab.backtest.layout import ROUNDING, Array, Codes
from lab.core.compiled import njit

__all__ = ["FAULT", "MANY", "NONE", "hold", "survey", "survey_alone"]

# What a row decides: nothing, more than one market, or else the one market by its place.
NONE: Final = -1
MANY: Final = -2
# What `survey` returns for weights that cannot be held.
FAULT: Final = -1

_ONE: Final = 1 << 32
# Weights looked at together, as many as a word has bits; and where a power of two has its exponent.
_WORD: Final = 64
_MANTISSA: Final = 52
_BIAS: Final = 1023

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
        What the weights of a row may sum to, rounding included; infinite where they are accounts alone.
    decided : ndarray of int64, shape (T,)
        Filled: the only market with a weight that is not NaN, ``MANY`` or ``NONE``.

    Returns
    -------
    rows, crowded : int
        Rows that decide, or ``FAULT``, and those of many markets among them.
    """
    if not _sound(weights, largest_sum):
        return FAULT, 0
    rows, crowded = 0, 0
    # One market needs no loop over markets, which would cost more than what is in it.
    single = weights.reshape(-1)[: weights.shape[0] if weights.shape[1] == 1 else 0]
    many = weights[single.shape[0] :]
    for t in range(single.shape[0]):
        acts = (single[t] == single[t]) & (t >= warm_up) & (not waits[t])
        decided[t] = 0 if acts else NONE
        rows += acts
    for t in range(many.shape[0]):
        # Number of markets above the lower 32 bits, sum of their places in them.
        found = 0
        for i in range(many.shape[1]):
            found += -int(many[t, i] == many[t, i]) & (_ONE + i)
        some, places = found >> 32, found & (_ONE - 1)
        acts = (some > 0) & (t >= warm_up) & (not waits[t])
        decided[t] = (places if some == 1 else MANY) if acts else NONE
        rows += acts
        crowded += acts & (some > 1)
    return rows, crowded


@njit(cache=True, nogil=True, error_model="numpy")
def survey_alone(weights: Array, warm_up: int, places: Codes) -> int:
    """Check weights of accounts per market and list those that decide anything.

    Parameters
    ----------
    weights : ndarray, shape (T, N)
        NaN keeps the quantity.
    warm_up : int
        Rows before the first decision.
    places : ndarray of int64, shape (T * N,)
        Filled from the front, ascending: where in the weights, counted row by row, one is not NaN.

    Returns
    -------
    int
        How many there are, or ``FAULT``.
    """
    every, first = weights.reshape(-1), warm_up * weights.shape[1]
    whole, count, wrong = every.shape[0] // _WORD * _WORD, 0, 0
    for start in range(0, whole, _WORD):
        there = np.uint64(0)
        for k in range(_WORD):
            there |= np.uint64(every[start + k] == every[start + k]) << np.uint64(k)
        if there == ~np.uint64(0) and start >= first:
            for k in range(_WORD):
                places[count + k] = start + k
                wrong += (every[start + k] < 0.0) | (every[start + k] > 1.0)
            count += _WORD
        else:
            count, faults = _list_word(every, start, there, first, places, count)
            wrong += faults
    for k in range(whole, every.shape[0]):
        places[count] = k
        count += (every[k] == every[k]) & (k >= first)
        wrong += (every[k] < 0.0) | (every[k] > 1.0)
    return FAULT if wrong > 0 else count


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _list_word(
    every: Array, start: int, there: np.uint64, first: int, places: Codes, count: int
) -> tuple[int, int]:
    """List the bits of a word; return how many places there are now, and the weights among them at fault."""
    wrong = 0
    while there != np.uint64(0):
        rest = there & (there - np.uint64(1))
        # The lowest bit is a power of two, and its exponent the place.
        k = start + int(np.float64(there ^ rest).view(np.int64) >> _MANTISSA) - _BIAS
        places[count] = k
        count += k >= first
        wrong += (every[k] < 0.0) | (every[k] > 1.0)
        there = rest
    return count, wrong


@njit(cache=True, nogil=True, error_model="numpy")
def _sound(weights: Array, largest_sum: float) -> bool:
    """Return whether all weights are within 0 and 1 and no row sums to more than `largest_sum`."""
    every = weights.reshape(-1)
    wrong, heavy = 0, 0
    # Weights that small cannot sum to too much, however many a row has.
    light = largest_sum / max(weights.shape[1], 1) * (1.0 - ROUNDING / 10.0)
    for k in range(every.shape[0]):
        wrong += (every[k] < 0.0) | (every[k] > 1.0)
        heavy += every[k] > light
    if wrong > 0 or heavy == 0:
        return wrong == 0
    for t in range(weights.shape[0]):
        total = 0.0
        for i in range(weights.shape[1]):
            weight = weights[t, i]
            total += 0.0 if np.isnan(weight) else weight
        wrong += total > largest_sum
    return wrong == 0


@njit(cache=True, nogil=True, error_model="numpy")
def hold(weights: Array, received: Flags) -> None:
    """Keep the quantity of every market whose bar was not received; `weights` is changed."""
    for t in range(weights.shape[0]):
        for i in range(weights.shape[1]):
            if not received[t, i]:
                weights[t, i] = np.nan
