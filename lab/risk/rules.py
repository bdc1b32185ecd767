"""The rules about markets and the account as a whole, each a pass over permitted weights."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from lab.core.compiled import njit
from lab.risk.layers import NEGLIGIBLE, ROUNDING, refuse_entries
from lab.risk.limits import Limits
from lab.risk.reasons import Reason
from lab.risk.state import VOLATILITY, VOLUME, RiskState

__all__ = ["cap", "count", "fit_buys", "hold_small_changes", "limit_trades", "no_entries", "only_reduce"]

Array = NDArray[np.float64]
Codes = NDArray[np.int64]
Flags = NDArray[np.bool_]

_MAX_POSITION: Final = int(Reason.MAX_POSITION)
_MAX_EXPOSURE: Final = int(Reason.MAX_EXPOSURE)
_CASH: Final = int(Reason.CASH)
_BAND: Final = int(Reason.BAND)
_DUST: Final = int(Reason.DUST)
_UNTRADEABLE: Final = int(Reason.UNTRADEABLE)
_POSITIONS: Final = int(Reason.POSITIONS)
_TRADE_RISK: Final = int(Reason.TRADE_RISK)
_VOLUME: Final = int(Reason.VOLUME)
_NO_ENTRY: Final = int(Reason.NO_ENTRY)


@njit(cache=True, nogil=True)
def cap(target: Array, state: RiskState, limits: Limits, permitted: Array, reasons: Codes) -> None:
    """Start `permitted` and `reasons` from the targets: the cap of one market, then of all together."""
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
    if kept + wanted > limits.max_exposure + ROUNDING and wanted > 0.0:
        factor = max(limits.max_exposure - kept, 0.0) / wanted
        for i in range(target.shape[0]):
            if permitted[i] > 0.0:
                permitted[i] *= factor
                reasons[i] |= _MAX_EXPOSURE


@njit(cache=True, nogil=True)
def only_reduce(state: RiskState, i: int, reason: int, permitted: Array, reasons: Codes) -> None:
    """Keep the position of market `i` where it would grow."""
    # `not <=` keeps a position whose weight is not a number.
    if permitted[i] > 0.0 and not permitted[i] <= state.weights[i]:
        permitted[i] = np.nan
        reasons[i] |= reason


@njit(cache=True, nogil=True)
def no_entries(state: RiskState, reason: int, permitted: Array, reasons: Codes) -> None:
    """Keep out of the markets that hold nothing."""
    for i in range(permitted.shape[0]):
        if permitted[i] > 0.0 and not state.weights[i] > NEGLIGIBLE:
            permitted[i] = np.nan
            reasons[i] |= reason | _NO_ENTRY


@njit(cache=True, nogil=True, error_model="numpy")
def limit_trades(state: RiskState, limits: Limits, permitted: Array, reasons: Codes) -> None:
    """Make buys smaller that put too much at risk, or that are too large for their market."""
    if limits.trade_risk == np.inf and limits.volume_share == np.inf:
        return
    for i in range(permitted.shape[0]):
        held = state.weights[i]
        change = permitted[i] - held
        if not change > 0.0:
            continue
        away = state.markets[VOLATILITY, i]
        away = away if away >= 0.0 else 1.0
        if limits.trade_risk < np.inf and not change * away <= limits.trade_risk + ROUNDING:
            change = limits.trade_risk / away
            permitted[i] = min(permitted[i], held + change)
            reasons[i] |= _TRADE_RISK
        volume = state.markets[VOLUME, i]
        known = volume > 0.0 and state.equity > 0.0
        room = limits.volume_share * volume / state.equity if known else 0.0
        if limits.volume_share < np.inf and not change <= room + ROUNDING:
            permitted[i] = min(permitted[i], held + room)
            reasons[i] |= _VOLUME


@njit(cache=True, nogil=True)
def count(state: RiskState, limits: Limits, permitted: Array, reasons: Codes) -> None:
    """Keep out of more markets than may be held."""
    if limits.max_positions == np.inf:
        return
    n = permitted.shape[0]
    kept, refused = np.isnan(permitted), np.zeros(n, dtype=np.bool_)
    refuse_entries(limits.max_positions, kept, state.weights, permitted, refused)
    for i in range(n):
        if refused[i]:
            permitted[i] = np.nan
            reasons[i] |= _POSITIONS


@njit(cache=True, nogil=True)
def hold_small_changes(state: RiskState, limits: Limits, permitted: Array, reasons: Codes) -> None:
    """Keep what would change by less than the band, or too little to be worth an order; exits pass."""
    for i in range(permitted.shape[0]):
        if np.isnan(permitted[i]) or permitted[i] == 0.0:
            continue
        change = abs(permitted[i] - state.weights[i])
        if change < limits.rebalance_band:
            permitted[i] = np.nan
            reasons[i] |= _BAND
        elif change < max(limits.min_order, NEGLIGIBLE):
            permitted[i] = np.nan
            reasons[i] |= _DUST


@njit(cache=True, nogil=True)
def fit_buys(state: RiskState, limits: Limits, permitted: Array, reasons: Codes) -> None:
    """Scale all buys by one factor, so that room and cash are enough for them and for all costs."""
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
    cash = 1.0 - invested + sold * (1.0 - limits.cost_rate) - limits.min_cash
    needed = bought * (1.0 + limits.cost_rate)
    factor = 1.0
    if bought > room + ROUNDING:
        factor = max(room, 0.0) / bought
        _scale_buys(factor, _MAX_EXPOSURE, state, limits, permitted, reasons)
    if factor > 0.0 and factor * needed > cash + ROUNDING:
        rest = max(cash - ROUNDING, 0.0) / needed / factor
        _scale_buys(rest, _CASH, state, limits, permitted, reasons)


@njit(cache=True, nogil=True)
def _scale_buys(
    factor: float,
    reason: int,
    state: RiskState,
    limits: Limits,
    permitted: Array,
    reasons: Codes,
) -> None:
    for i in range(permitted.shape[0]):
        change = permitted[i] - state.weights[i]
        if change > 0.0:
            reasons[i] |= reason
            permitted[i] = min(permitted[i], state.weights[i] + factor * change)
            if factor * change < max(limits.min_order, NEGLIGIBLE):
                permitted[i] = np.nan
                reasons[i] |= _DUST
