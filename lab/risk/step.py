"""The risk step: one compiled function that backtest and bridge call alike.

A step applies, in this order:

1. the breakers, which set the mode of the account and stop instances and families;
2. caps and counts of instances and families, then the caps of assets, exchanges and currencies; cuts go by
   priority;
3. the cap of one market, then the cap of all together, pro rata;
4. REDUCE_ONLY, HALTED and trouble with data or exchange: what would increase a position keeps it;
5. risk and size of each buy, and the number of markets;
6. the band and the dust rule: what would change too little keeps it;
7. room and cash: all buys are scaled by one factor, so that they fit.

Limits that are neutral have 1 (the day's loss alone), 3, 4, 6 and 7.

It can only reduce: a permitted weight is never above its target, and a position is never led above the
larger of its target and its present weight. No trade leads beyond a limit; a position that drifted beyond
one by less than the band stays, for the band's purpose is to let it, and takes room from the others. Exits (a
target of zero) pass every rule but a missing price. Reductions pass every rule but a missing price, the band
and the dust rule.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from lab.core.compiled import njit
from lab.risk.breakers import HALT, NO_ENTRIES, REDUCE, judge, keep_marks, revalue, trouble_of
from lab.risk.layers import ROUNDING, attribute, cut_cells, fill_cells
from lab.risk.limits import Limits
from lab.risk.reasons import Reason
from lab.risk.rules import (
    cap,
    count,
    fit_buys,
    hold_small_changes,
    limit_trades,
    mode_of,
    no_entries,
    only_reduce,
    permit_plain,
    plain_of,
)
from lab.risk.state import HALTED, REDUCE_ONLY, RiskState, copied, layered

__all__ = ["step", "step_into"]

Array = NDArray[np.float64]
Codes = NDArray[np.int64]

_DAILY_LOSS: Final = int(Reason.DAILY_LOSS)
_HALTED: Final = int(Reason.HALTED)


@njit(cache=True, nogil=True)
def step(target: Array, state: RiskState, limits: Limits) -> tuple[Array, RiskState, Codes]:
    """Return what may be traded of `target`, the state to remember, and why it differs.

    Call it at execution time, with marks equal to the execution prices (the open of t+1 in the backtest,
    the current price in the bridge), on a state that :func:`lab.risk.observe` brought up to date.

    Parameters
    ----------
    target : ndarray of float64, shape (N,)
        Wanted weights, fractions of equity; NaN keeps the quantity. Values outside [0, 1] are clipped.
    state : RiskState
        The account at the marks, before any trade.
    limits : Limits
        Figures to enforce.

    Returns
    -------
    permitted : ndarray of float64, shape (N,)
        Weights to trade to; NaN keeps the quantity. Where `target` is NaN it is NaN.
    state : RiskState
        `state` with the mode after the breakers.
    reasons : ndarray of int64, shape (N,)
        Union of :class:`lab.risk.Reason` bits; see :func:`lab.risk.reason_names`.

    Examples
    --------
    >>> from lab.risk import initial_state, reason_names
    >>> limits = Limits(max_position=0.5, cost_rate=0.001)
    >>> permitted, state, reasons = step(np.array([0.9, np.nan, 0.2]), initial_state(3, 100.0), limits)
    >>> permitted
    array([0.5, nan, 0.2])
    >>> reason_names(reasons[0])
    ['MAX_POSITION']
    """
    permitted = np.empty(target.shape[0])
    reasons = np.empty(target.shape[0], dtype=np.int64)
    after = step_into(target, copied(state), limits, permitted, reasons)
    return permitted, after, reasons


@njit(cache=True, nogil=True)
def step_into(target: Array, state: RiskState, limits: Limits, permitted: Array, reasons: Codes) -> RiskState:
    """Run :func:`step` in place: write `permitted`, `reasons` and the state's arrays, return the state."""
    if layered(limits):
        mode = _with_layers(target, state, limits, permitted, reasons)
    else:
        mode = mode_of(state.mode, state.equity, state.day_start_equity, limits.max_daily_loss)
        n, plain = target.shape[0], plain_of(limits)
        permit_plain(n, target, state.weights, state.tradeable, mode, plain, permitted, reasons)
    return RiskState(
        state.equity,
        state.weights,
        state.tradeable,
        state.day,
        state.day_start_equity,
        mode,
        state.markets,
        state.parts,
        state.sleeves,
        state.virtual,
        state.breakers,
    )


@njit(cache=True, nogil=True)
def _with_layers(target: Array, state: RiskState, limits: Limits, permitted: Array, reasons: Codes) -> int:
    """Run a step with layers, the state's memory in place; return the mode."""
    n, instances, scopes = target.shape[0], limits.sleeves.shape[0], limits.scopes.shape[0]
    _check(n, state, limits)
    revalue(state, limits)
    keep_marks(state)
    actions, bits = np.zeros(scopes, dtype=np.int64), np.zeros(scopes, dtype=np.int64)
    action, why = judge(state, limits, actions, bits)
    mode = mode_of(state.mode, state.equity, state.day_start_equity, limits.max_daily_loss)
    stop = _HALTED if mode == HALTED or action == HALT else 0
    if action >= REDUCE:
        stop |= why
    elif mode == REDUCE_ONLY:
        stop |= _DAILY_LOSS
    if action >= REDUCE:
        mode = max(mode, HALTED if action == HALT else REDUCE_ONLY)
    entry = why if action == NO_ENTRIES else 0
    kept = np.zeros(n, dtype=np.bool_)
    for i in range(n):
        kept[i] = np.isnan(target[i]) or not state.tradeable[i]
    cells, held = np.zeros((instances + 1, n)), np.zeros((instances + 1, n))
    asked, noted = target.copy(), np.zeros(n, dtype=np.int64)
    # What the band keeps above its target takes room from the others: begin again without it.
    again = True
    while again:
        fill_cells(target, kept, state, cells, held)
        _permit(target, asked, kept, state, limits, actions, bits, cells, held, permitted, reasons)
        _stop(stop, entry, state, limits, permitted, reasons)
        again = False
        for i in range(n):
            if np.isnan(asked[i]):
                reasons[i] |= noted[i]
            elif not kept[i] and np.isnan(permitted[i]) and asked[i] < state.weights[i]:
                kept[i], asked[i], noted[i], again = True, np.nan, reasons[i], True
    attribute(kept, cells, state.sleeves)
    fit_buys(n, state.weights, plain_of(limits), permitted, reasons)
    return mode


@njit(cache=True, nogil=True)
def _permit(
    target: Array,
    asked: Array,
    kept: NDArray[np.bool_],
    state: RiskState,
    limits: Limits,
    actions: Codes,
    bits: Codes,
    cells: Array,
    held: Array,
    permitted: Array,
    reasons: Codes,
) -> None:
    """Cut the cells, then the targets that they make up, and start `permitted` and `reasons` from these."""
    n = target.shape[0]
    cuts, before = np.zeros(n, dtype=np.int64), np.zeros(n)
    for i in range(n):
        for k in range(cells.shape[0]):
            before[i] += cells[k, i]
    cut_cells(kept, state, limits, actions, bits, cells, held, cuts)
    for i in range(n):
        if not kept[i]:
            left = 0.0
            for k in range(cells.shape[0]):
                left += cells[k, i]
            asked[i] = target[i] if cuts[i] == 0 else target[i] * min(left / before[i], 1.0)
            # Cut to what is held is what is held.
            if cuts[i] != 0 and abs(asked[i] - state.weights[i]) <= ROUNDING:
                asked[i] = state.weights[i]
    cap(n, asked, state.weights, state.tradeable, plain_of(limits), permitted, reasons)
    for i in range(n):
        reasons[i] |= cuts[i]


@njit(cache=True, nogil=True)
def _stop(stop: int, entry: int, state: RiskState, limits: Limits, permitted: Array, reasons: Codes) -> None:
    """Apply the rules of markets that depend on what is held: breakers, trouble, size, number, band."""
    for i in range(permitted.shape[0]):
        if stop:
            only_reduce(state.weights, i, stop, permitted, reasons)
        trouble = trouble_of(state, i)
        if trouble:
            only_reduce(state.weights, i, trouble, permitted, reasons)
    if entry:
        no_entries(state, entry, permitted, reasons)
    limit_trades(state, limits, permitted, reasons)
    count(state, limits, permitted, reasons)
    hold_small_changes(permitted.shape[0], state.weights, plain_of(limits), permitted, reasons)


@njit(cache=True, nogil=True)
def _check(n: int, state: RiskState, limits: Limits) -> None:
    """Refuse a state that was not made for these limits: compiled code would read beside its arrays."""
    instances, scopes = limits.sleeves.shape[0], limits.scopes.shape[0]
    fits = state.markets.shape[1] == n and state.breakers.shape[0] == limits.breakers.shape[0]
    fits = fits and state.parts.shape == (instances, n) and state.sleeves.shape == (instances, n)
    fits = fits and state.virtual.shape[0] == scopes + 1
    fits = fits and (limits.groups.shape[0] == 0 or limits.groups.shape[1] == n)
    if not fits or state.weights.shape[0] != n:
        raise ValueError(
            "the risk state was not made for these limits: use initial_state(n, capital, limits)"
        )
