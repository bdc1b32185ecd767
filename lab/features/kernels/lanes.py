"""One step for all markets of a row: the loops that kernels over windows are made of.

A window has two parts: the end of the previous block, and the block so far. ``parts[k, slot]`` holds sum k of
a part for all markets: slots 0 … window - 1 the end of the previous block from that place on, slot `window`
an empty part, slot ``window + 1`` the block so far. Sum 0 is always the count of valid values. Values of a
part are measured from its centre, a valid value inside the window: nothing large is ever subtracted but
values from each other.

Each loop writes one array and loads what it needs before it chooses, so that it runs in vector lanes; rows
are given by number, because a view of a row costs more than the loop over it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lab.core.compiled import njit

__all__ = [
    "add_away",
    "add_product",
    "add_valid",
    "blank",
    "count_of_parts",
    "keep_first",
    "product_of_parts",
    "rim",
    "shifts",
    "spread_of_parts",
    "sum_of_parts",
]


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def blank(rows: int, columns: int, first: int) -> Any:
    """Return an array whose first rows are NaN, and whose others will all be written."""
    out = np.empty((rows, columns))
    out[: min(first, rows)] = np.nan
    return out


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def rim(x: Any, stop: int, bars: int, centers: Any, c: int) -> None:
    """Set ``centers[c]`` to the last valid values of the `bars` rows before row `stop`, NaN without one."""
    columns = x.shape[1]
    for j in range(columns):
        centers[c, j] = np.nan
    for t in range(stop - 1, stop - 1 - bars, -1):
        missing = 0
        for j in range(columns):
            value, kept = x[t, j], centers[c, j]
            kept = value if math.isnan(kept) else kept
            centers[c, j] = kept
            missing += 1 if math.isnan(kept) else 0
        if missing == 0:
            break


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def keep_first(x: Any, t: int, parts: Any, head: int, centers: Any, c: int) -> None:
    """Take row t as ``centers[c]`` of the markets that had no valid value in the block before."""
    for j in range(x.shape[1]):
        value, kept, count = x[t, j], centers[c, j], parts[0, head, j]
        centers[c, j] = value if count == 0.0 else kept


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def add_valid(x: Any, t: int, parts: Any, source: int, target: int) -> None:
    """Count the valid values of row t."""
    for j in range(x.shape[1]):
        parts[0, target, j] = parts[0, source, j] + (0.0 if math.isnan(x[t, j]) else 1.0)


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def add_away(
    x: Any, t: int, centers: Any, c: int, weight: float, parts: Any, k: int, source: int, target: int
) -> None:
    """Add the distances of row t from their centres, times `weight`, to sum k."""
    for j in range(x.shape[1]):
        away = (x[t, j] - centers[c, j]) * weight
        parts[k, target, j] = parts[k, source, j] + (0.0 if math.isnan(away) else away)


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def add_product(
    x: Any, y: Any, t: int, centers: Any, c: int, d: int, parts: Any, k: int, source: int, target: int
) -> None:
    """Add the products of the distances of x from centre c and of y from centre d to sum k."""
    for j in range(x.shape[1]):
        product = (x[t, j] - centers[c, j]) * (y[t, j] - centers[d, j])
        parts[k, target, j] = parts[k, source, j] + (0.0 if math.isnan(product) else product)


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def count_of_parts(parts: Any, tail: int, head: int, work: Any, to: int) -> None:
    """Set ``work[to]`` to the valid values of both parts."""
    for j in range(parts.shape[2]):
        work[to, j] = parts[0, tail, j] + parts[0, head, j]


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def shifts(parts: Any, tail: int, centers: Any, c: int, d: int, work: Any, to: int) -> None:
    """Set ``work[to]`` to the way from centre c of the tail to centre d of the head; 0 without a tail."""
    for j in range(parts.shape[2]):
        way, before = centers[d, j] - centers[c, j], parts[0, tail, j]
        way = 0.0 if math.isnan(way) else way
        work[to, j] = way if before > 0.0 else 0.0


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def sum_of_parts(parts: Any, k: int, ones: int, tail: int, head: int, work: Any, shift: int, to: int) -> None:
    """Set ``work[to]`` to sum k from the centre of the tail; sum `ones` is that of its weights."""
    for j in range(parts.shape[2]):
        work[to, j] = parts[k, tail, j] + (parts[k, head, j] + parts[ones, head, j] * work[shift, j])


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def spread_of_parts(
    parts: Any, k: int, single: int, tail: int, head: int, work: Any, shift: int, total: int, to: int
) -> None:
    """Set ``work[to]``, the count, to the sum of squares from the mean; ``work[total]`` is the sum."""
    for j in range(parts.shape[2]):
        way, total_, count = work[shift, j], work[total, j], work[to, j]
        moved = way * (2.0 * parts[single, head, j] + parts[0, head, j] * way)
        work[to, j] = (parts[k, tail, j] + (parts[k, head, j] + moved)) - total_ * total_ / count


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def product_of_parts(parts: Any, k: int, tail: int, head: int, work: Any, to: int) -> None:
    """Set ``work[to]`` to sum k of products; sums 1 and 2 are single, shifts lie in ``work[0]`` and [1]."""
    for j in range(parts.shape[2]):
        way_x, way_y = work[0, j], work[1, j]
        moved = way_x * parts[2, head, j] + way_y * parts[1, head, j]
        work[to, j] = moved + parts[0, head, j] * way_x * way_y
    for j in range(parts.shape[2]):
        work[to, j] = parts[k, tail, j] + (parts[k, head, j] + work[to, j])
