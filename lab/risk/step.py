"""The risk step: one compiled function that backtest and bridge call alike.

A step applies, in this order:

1. the breakers, which set the mode;
2. the cap of one market, then the cap of all together, pro rata;
3. REDUCE_ONLY and HALTED: what would increase a position keeps it;
4. the band and the dust rule: what would change too little keeps it;
5. room and cash: all buys are scaled by one factor, so that they fit.

It can only reduce: a permitted weight is never above its target, and a position is never led above the
larger of its target and its present weight. No trade leads beyond a limit; a position that drifted beyond
one by less than the band stays, for the band's purpose is to let it. Exits (a target of zero) pass every
rule but a missing price. Reductions pass every rule but a missing price, the band and the dust rule.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from lab.core.compiled import njit
from lab.risk.limits import Limits
from lab.risk.reasons import Reason
from lab.risk.state import HALTED, NORMAL, REDUCE_ONLY, RiskState

__all__ = ["step", "step_into"]

_MAX_POSITION: Final = int(Reason.MAX_POSITION)
_MAX_EXPOSURE: Final = int(Reason.MAX_EXPOSURE)
_CASH: Final = int(Reason.CASH)
_BAND: Final = int(Reason.BAND)
_DUST: Final = int(Reason.DUST)
_UNTRADEABLE: Final = int(Reason.UNTRADEABLE)
_DAILY_LOSS: Final = int(Reason.DAILY_LOSS)
_HALTED: Final = int(Reason.HALTED)

# Changes of weight below this are rounding, not orders: a fully invested account would trade them daily.
_NEGLIGIBLE: Final = 1e-9
# What sums of weights are uncertain by; fitted buys leave as much free, so that rounding in the engine
# does not make them run short.
_ROUNDING: Final = 1e-12


@njit(cache=True, nogil=True)
def step(
    target: NDArray[np.float64], state: RiskState, limits: Limits
) -> tuple[NDArray[np.float64], RiskState, NDArray[np.int64]]:
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
    after = step_into(target, state, limits, permitted, reasons)
    return permitted, after, reasons


@njit(cache=True, nogil=True)
def step_into(
    target: NDArray[np.float64],
    state: RiskState,
    limits: Limits,
    permitted: NDArray[np.float64],
    reasons: NDArray[np.int64],
) -> RiskState:
    """Run :func:`step` without allocating: write `permitted` and `reasons`, return the state."""
    mode = _mode(state, limits)
    _cap(target, state, limits, permitted, reasons)
    if mode != NORMAL:
        _only_reduce(state, _HALTED if mode == HALTED else _DAILY_LOSS, permitted, reasons)
    _hold_small_changes(state, limits, permitted, reasons)
    _fit_buys(state, limits, permitted, reasons)
    return RiskState(state.equity, state.weights, state.tradeable, state.day, state.day_start_equity, mode)


@njit(cache=True, nogil=True)
def _mode(state: RiskState, limits: Limits) -> int:
    if state.mode != NORMAL:
        return state.mode
    floor = state.day_start_equity * (1.0 - limits.max_daily_loss)
    # Written so that an equity or a floor that is not a number trips the breaker.
    if state.equity > floor and state.equity > 0.0:
        return NORMAL
    return REDUCE_ONLY


@njit(cache=True, nogil=True)
def _cap(
    target: NDArray[np.float64],
    state: RiskState,
    limits: Limits,
    permitted: NDArray[np.float64],
    reasons: NDArray[np.int64],
) -> None:
    kept = 0.0
    wanted = 0.0
    for i in range(target.shape[0]):
        reasons[i] = 0
        permitted[i] = target[i]
        if np.isnan(target[i]):
            kept += state.weights[i]
            continue
        if not state.tradeable[i]:
            permitted[i] = np.nan
            reasons[i] = _UNTRADEABLE
            kept += state.weights[i]
            continue
        if target[i] > limits.max_position:
            permitted[i] = limits.max_position
            reasons[i] = _MAX_POSITION
        permitted[i] = max(permitted[i], 0.0)
        wanted += permitted[i]
    if kept + wanted > limits.max_exposure + _ROUNDING and wanted > 0.0:
        factor = max(limits.max_exposure - kept, 0.0) / wanted
        for i in range(target.shape[0]):
            if permitted[i] > 0.0:
                permitted[i] *= factor
                reasons[i] |= _MAX_EXPOSURE


@njit(cache=True, nogil=True)
def _only_reduce(
    state: RiskState, reason: int, permitted: NDArray[np.float64], reasons: NDArray[np.int64]
) -> None:
    for i in range(permitted.shape[0]):
        # `not <=` keeps a position whose weight is not a number.
        if permitted[i] > 0.0 and not permitted[i] <= state.weights[i]:
            permitted[i] = np.nan
            reasons[i] |= reason


@njit(cache=True, nogil=True)
def _hold_small_changes(
    state: RiskState, limits: Limits, permitted: NDArray[np.float64], reasons: NDArray[np.int64]
) -> None:
    for i in range(permitted.shape[0]):
        if np.isnan(permitted[i]) or permitted[i] == 0.0:
            continue
        change = abs(permitted[i] - state.weights[i])
        if change < limits.rebalance_band:
            permitted[i] = np.nan
            reasons[i] |= _BAND
        elif change < max(limits.min_order, _NEGLIGIBLE):
            permitted[i] = np.nan
            reasons[i] |= _DUST


@njit(cache=True, nogil=True)
def _fit_buys(
    state: RiskState, limits: Limits, permitted: NDArray[np.float64], reasons: NDArray[np.int64]
) -> None:
    invested = 0.0
    sold = 0.0
    bought = 0.0
    for i in range(permitted.shape[0]):
        invested += state.weights[i]
        if permitted[i] > state.weights[i]:
            bought += permitted[i] - state.weights[i]
        elif permitted[i] < state.weights[i]:
            sold += state.weights[i] - permitted[i]
    if bought <= 0.0:
        return
    room = limits.max_exposure - (invested - sold)
    cash = 1.0 - invested + sold * (1.0 - limits.cost_rate)
    needed = bought * (1.0 + limits.cost_rate)
    factor = 1.0
    if bought > room + _ROUNDING:
        factor = max(room, 0.0) / bought
        _scale_buys(factor, _MAX_EXPOSURE, state, limits, permitted, reasons)
    if factor > 0.0 and factor * needed > cash + _ROUNDING:
        rest = max(cash - _ROUNDING, 0.0) / needed / factor
        _scale_buys(rest, _CASH, state, limits, permitted, reasons)


@njit(cache=True, nogil=True)
def _scale_buys(
    factor: float,
    reason: int,
    state: RiskState,
    limits: Limits,
    permitted: NDArray[np.float64],
    reasons: NDArray[np.int64],
) -> None:
    for i in range(permitted.shape[0]):
        change = permitted[i] - state.weights[i]
        if change > 0.0:
            reasons[i] |= reason
            permitted[i] = min(permitted[i], state.weights[i] + factor * change)
            if factor * change < max(limits.min_order, _NEGLIGIBLE):
                permitted[i] = np.nan
                reasons[i] |= _DUST
