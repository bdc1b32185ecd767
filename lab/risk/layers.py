"""Caps of instances, families, assets, exchanges and currencies, and counts of markets, on what is wanted.

A target is taken apart into cells: what each instance wants of each market, and one more row for what is
nobody's. Cells are only ever made smaller; their sums are the reduced targets.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from lab.core.compiled import njit
from lab.risk.breakers import NO_ENTRIES
from lab.risk.limits import Limits
from lab.risk.reasons import Reason
from lab.risk.state import RiskState

__all__ = ["NEGLIGIBLE", "ROUNDING", "attribute", "cut_cells", "fill_cells", "refuse_entries"]

Array = NDArray[np.float64]
Codes = NDArray[np.int64]
Flags = NDArray[np.bool_]

# Changes of weight below this are rounding, not orders: a fully invested account would trade them daily.
NEGLIGIBLE: Final = 1e-9
# What sums of weights are uncertain by; fitted buys leave as much free, so that rounding in the engine
# does not make them run short.
ROUNDING: Final = 1e-12

_NOBODY: Final = 2**31
_CAPS: Final = (int(Reason.ASSET_CAP), int(Reason.EXCHANGE_CAP), int(Reason.CURRENCY_CAP))
_INSTANCE_CAP: Final = int(Reason.INSTANCE_CAP)
_FAMILY_CAP: Final = int(Reason.FAMILY_CAP)
_POSITIONS: Final = int(Reason.POSITIONS)
_NO_ENTRY: Final = int(Reason.NO_ENTRY)


@njit(cache=True, nogil=True, error_model="numpy")
def fill_cells(target: Array, kept: Flags, state: RiskState, cells: Array, held: Array) -> None:
    """Write what each instance wants, 0 where the position is kept, and what it holds; last row: nobody."""
    last = cells.shape[0] - 1
    for i in range(target.shape[0]):
        wanted, own = 0.0, 0.0
        for k in range(last):
            held[k, i] = state.sleeves[k, i] * state.weights[i]
            part = state.parts[k, i]
            part = state.sleeves[k, i] * target[i] if np.isnan(part) else max(part, 0.0)
            cells[k, i] = 0.0 if kept[i] else part
            wanted += cells[k, i]
            own += held[k, i]
        held[last, i] = state.weights[i] - own
        cells[last, i] = 0.0
        if kept[i]:
            continue
        if wanted > target[i]:
            for k in range(last):
                cells[k, i] *= max(target[i], 0.0) / wanted
        elif target[i] - wanted > ROUNDING:
            cells[last, i] = target[i] - wanted


@njit(cache=True, nogil=True, error_model="numpy")
def cut_cells(
    kept: Flags,
    state: RiskState,
    limits: Limits,
    actions: Codes,
    bits: Codes,
    cells: Array,
    held: Array,
    reasons: Codes,
) -> None:
    """Make cells smaller until every instance, family and group is within its limits; note why by market."""
    instances, markets = limits.sleeves.shape[0], kept.shape[0]
    rows, columns = np.zeros(instances + 1, dtype=np.bool_), np.ones(markets, dtype=np.bool_)
    for s in range(limits.scopes.shape[0]):
        for k in range(instances):
            rows[k] = k == s if s < instances else limits.sleeves[k, 0] == s - instances
        _stop(rows, actions[s], bits[s], kept, cells, held, reasons)
        _count(rows, limits.scopes[s, 1], kept, cells, held, reasons)
    for s in range(limits.scopes.shape[0]):
        for k in range(instances):
            rows[k] = k == s if s < instances else limits.sleeves[k, 0] == s - instances
        why = _INSTANCE_CAP if s < instances else _FAMILY_CAP
        _cut(rows, columns, limits.scopes[s, 0], why, kept, limits, cells, held, reasons)
    rows[:] = True
    for layer in range(limits.groups.shape[0]):
        for group in range(limits.group_caps.shape[0]):
            # Nothing is cut to a whole: the cap of all together does that.
            if limits.group_caps[group] >= 1.0:
                continue
            some = 0
            for i in range(markets):
                columns[i] = limits.groups[layer, i] == group
                some += columns[i]
            if some > 0:
                cap = limits.group_caps[group]
                _cut(rows, columns, cap, _CAPS[layer], kept, limits, cells, held, reasons)


@njit(cache=True, nogil=True, error_model="numpy")
def _stop(
    rows: Flags, action: int, bits: int, kept: Flags, cells: Array, held: Array, reasons: Codes
) -> None:
    """Let the instances in `rows` not grow, or not enter, where their breaker says so."""
    if action == 0:
        return
    for i in range(kept.shape[0]):
        if kept[i]:
            continue
        for k in range(rows.shape[0]):
            least = held[k, i]
            if rows[k] and cells[k, i] > 0.0 and not cells[k, i] <= least:
                if action > NO_ENTRIES:
                    cells[k, i] = least if least > 0.0 else 0.0
                    reasons[i] |= bits
                elif not least > NEGLIGIBLE:
                    cells[k, i] = 0.0
                    reasons[i] |= bits | _NO_ENTRY


@njit(cache=True, nogil=True, error_model="numpy")
def _count(rows: Flags, largest: float, kept: Flags, cells: Array, held: Array, reasons: Codes) -> None:
    """Let the instances in `rows` together hold no more markets than `largest`."""
    if largest == np.inf:
        return
    markets = kept.shape[0]
    now, wanted = np.zeros(markets), np.zeros(markets)
    refused = np.zeros(markets, dtype=np.bool_)
    for i in range(markets):
        for k in range(rows.shape[0]):
            if rows[k]:
                now[i] += held[k, i]
                wanted[i] += cells[k, i]
    refuse_entries(largest, kept, now, wanted, refused)
    for i in range(markets):
        if refused[i]:
            reasons[i] |= _POSITIONS
            for k in range(rows.shape[0]):
                if rows[k]:
                    cells[k, i] = 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def refuse_entries(largest: float, kept: Flags, now: Array, wanted: Array, refused: Flags) -> None:
    """Flag the entries that are too many; the largest go first, of equal ones the earlier market."""
    free = largest
    entries = 0
    for i in range(kept.shape[0]):
        refused[i] = False
        holds = now[i] > NEGLIGIBLE
        if holds and (kept[i] or wanted[i] > NEGLIGIBLE):
            free -= 1.0
        elif not kept[i] and wanted[i] > NEGLIGIBLE:
            refused[i] = True
            entries += 1
    while free >= 1.0 and entries > 0:
        best = -1
        for i in range(kept.shape[0]):
            if refused[i] and (best < 0 or wanted[i] > wanted[best] + ROUNDING):
                best = i
        refused[best] = False
        free -= 1.0
        entries -= 1


@njit(cache=True, nogil=True, error_model="numpy")
def _cut(
    rows: Flags,
    columns: Flags,
    cap: float,
    why: int,
    kept: Flags,
    limits: Limits,
    cells: Array,
    held: Array,
    reasons: Codes,
) -> None:
    """Cut cells of `rows` x `columns` to what kept positions leave of `cap`: by priority, then pro rata."""
    room, wanted = _room(rows, columns, cap, kept, cells, held)
    # Written so that a sum that is not a number is cut.
    if wanted <= room + ROUNDING:
        return
    room = room if room > ROUNDING else 0.0
    ranks = np.full(rows.shape[0], _NOBODY)
    ranks[:-1] = limits.sleeves[:, 1]
    for rank in np.unique(ranks[rows]):
        equal = np.flatnonzero(rows & (ranks == rank))
        asked = 0.0
        for k in equal:
            asked += _sum_of(cells[k], columns)
        if not asked <= room:
            for k in equal:
                _scale(room / asked, columns, why, cells[k], reasons)
        room = max(room - asked, 0.0)


@njit(cache=True, nogil=True, error_model="numpy")
def _room(
    rows: Flags, columns: Flags, cap: float, kept: Flags, cells: Array, held: Array
) -> tuple[float, float]:
    """Return what kept positions leave of `cap`, and what the cells ask for."""
    room, wanted = cap, 0.0
    for k in range(rows.shape[0]):
        if rows[k]:
            for i in range(columns.shape[0]):
                if columns[i] and kept[i]:
                    room -= held[k, i]
                elif columns[i]:
                    wanted += cells[k, i]
    return room, wanted


@njit(cache=True, nogil=True, error_model="numpy")
def _sum_of(values: Array, columns: Flags) -> float:
    total = 0.0
    for i in range(columns.shape[0]):
        if columns[i]:
            total += values[i]
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def _scale(factor: float, columns: Flags, why: int, values: Array, reasons: Codes) -> None:
    for i in range(columns.shape[0]):
        if columns[i] and values[i] > 0.0:
            values[i] *= factor
            reasons[i] |= why


@njit(cache=True, nogil=True, error_model="numpy")
def attribute(kept: Flags, cells: Array, sleeves: Array) -> None:
    """Share out the positions that were decided about as the cells are, in place."""
    last = cells.shape[0] - 1
    for i in range(kept.shape[0]):
        total = 0.0
        for k in range(last + 1):
            total += cells[k, i]
        if not kept[i] and total > 0.0:
            for k in range(last):
                sleeves[k, i] = cells[k, i] / total
