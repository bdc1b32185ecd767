"""The sequence of a bar's orders: a stable ascending sort of a few numbers."""

from __future__ import annotations

import numpy as np

from lab.backtest.layout import Array, Codes
from lab.core.compiled import njit

__all__ = ["SPARE", "sort"]

# Places that the arrays of `sort` have beyond their longest content.
SPARE = 8


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def sort(keys: Array, count: int, ranks: Codes, sequence: Codes) -> None:
    """Write the stable ascending order of ``keys[:count]`` into `sequence`; no NaN among them.

    `keys` and `ranks` need ``SPARE`` places more than `count`; those of `keys` are overwritten.
    """
    _rank(keys, count, ranks)
    total = 0
    for i in range(count):
        total += ranks[i]
    # The number of smaller keys is the order unless two keys are equal. One loop for both cases: compiled
    # code then counts no references to the arrays.
    ranked = total == count * (count - 1) // 2
    for i in range(count):
        place = ranks[i] if ranked else i
        while not ranked and place > 0 and keys[sequence[place - 1]] > keys[i]:
            sequence[place] = sequence[place - 1]
            place -= 1
        sequence[place] = i


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _rank(keys: Array, count: int, ranks: Codes) -> None:
    # Eight keys at a time stay in registers and are compared without a branch: random orders make every
    # branch of a sort a coin toss.
    for i in range(count, count + SPARE):
        keys[i] = np.inf
    for b in range(0, count, 8):
        k0, k1, k2, k3 = keys[b], keys[b + 1], keys[b + 2], keys[b + 3]
        k4, k5, k6, k7 = keys[b + 4], keys[b + 5], keys[b + 6], keys[b + 7]
        r0, r1, r2, r3, r4, r5, r6, r7 = 0, 0, 0, 0, 0, 0, 0, 0
        for j in range(count):
            key = keys[j]
            r0 += key < k0
            r1 += key < k1
            r2 += key < k2
            r3 += key < k3
            r4 += key < k4
            r5 += key < k5
            r6 += key < k6
            r7 += key < k7
        ranks[b], ranks[b + 1], ranks[b + 2], ranks[b + 3] = r0, r1, r2, r3
        ranks[b + 4], ranks[b + 5], ranks[b + 6], ranks[b + 7] = r4, r5, r6, r7
