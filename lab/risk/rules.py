"""The rules about markets and the account as a whole, each a pass over permitted weights.

A pass that does not act is a loop of no turns rather than a branch: compiled code then counts no references
to the arrays, which would cost more than the rules.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lab.core.compiled import njit
from lab.risk.breakers import loses
from lab.risk.layers import NEGLIGIBLE, ROUNDING, refuse_entries
from lab.risk.limits import Limits
from lab.risk.reasons import Reason
from lab.risk.state import HALTED, NORMAL, REDUCE_ONLY, VOLATILITY, VOLUME, RiskState

__all__ = [
    "Plain",
    "cap",
    "count",
    "fit_buys",
    "hold_small_changes",
    "limit_trades",
    "mode_of",
    "no_entries",
    "only_reduce",
    "permit_plain",
    "plain_of",
]

Array = NDArray[np.float64]
Codes = NDArray[np.int64]
Flags = NDArray[np.bool_]

_MAX_POSITION: Final = int(Reason.MAX_POSITION)
_MAX_EXPOSURE: Final = int(Reason.MAX_EXPOSURE)
_CASH: Final = int(Reason.CASH)
_BAND: Final = int(Reason.BAND)
_DUST: Final = int(Reason.DUST)
_DAILY_LOSS: Final = int(Reason.DAILY_LOSS)
_HALTED: Final = int(Reason.HALTED)
_UNTRADEABLE: Final = int(Reason.UNTRADEABLE)
_POSITIONS: Final = int(Reason.POSITIONS)
_TRADE_RISK: Final = int(Reason.TRADE_RISK)
_VOLUME: Final = int(Reason.VOLUME)
_NO_ENTRY: Final = int(Reason.NO_ENTRY)


class Plain(NamedTuple):
    """The figures of :class:`~lab.risk.Limits` that act where these are neutral: numbers alone."""

    max_position: float
    max_exposure: float
    rebalance_band: float
    min_order: float
    max_daily_loss: float
    cost_rate: float
    min_cash: float


@njit(cache=True, nogil=True)
def plain_of(limits: Limits) -> Plain:
    """Return the plain figures of `limits`."""
    return Plain(
        limits.max_position,
        limits.max_exposure,
        limits.rebalance_band,
        limits.min_order,
        limits.max_daily_loss,
        limits.cost_rate,
        limits.min_cash,
    )


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def mode_of(mode: int, equity: float, day_start_equity: float, max_daily_loss: float) -> int:
    """Return the mode of an account after the breaker of the day's loss; `mode` is that before."""
    if mode != NORMAL:
        return mode
    return REDUCE_ONLY if loses(equity, day_start_equity, max_daily_loss) else NORMAL


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def permit_plain(
    count: int,
    target: Array,
    weights: Array,
    tradeable: Flags,
    mode: int,
    plain: Plain,
    permitted: Array,
    reasons: Codes | None,
) -> None:
    """Fill `permitted` and `reasons` by the plain figures; a caller who wants no reasons gives None.

    Parameters
    ----------
    count : int
        Markets, which come first in the arrays. One that nothing is held and nothing is wanted of may be left
        out: it changes nothing for the others.
    target, weights : ndarray of float64, shape (N,)
        Wanted and present weights.
    tradeable : ndarray of bool, shape (N,)
        Whether the market has a price to trade at.
    mode : int
        As :func:`mode_of` returned it.
    plain : Plain
        Figures to enforce.
    """
    cap(count, target, weights, tradeable, plain, permitted, reasons)
    for i in range(count if mode != NORMAL else 0):
        only_reduce(weights, i, _HALTED if mode == HALTED else _DAILY_LOSS, permitted, reasons)
    hold_small_changes(count, weights, plain, permitted, reasons)
    fit_buys(count, weights, plain, permitted, reasons)


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def cap(
    count: int,
    target: Array,
    weights: Array,
    tradeable: Flags,
    plain: Plain,
    permitted: Array,
    reasons: Codes | None,
) -> None:
    """Start `permitted` and `reasons` from the targets: the cap of one market, then of all together."""
    kept = 0.0
    wanted = 0.0
    for i in range(count):
        keeps = np.isnan(target[i])
        lacks = (not keeps) & (not tradeable[i])
        over = target[i] > plain.max_position
        most = plain.max_position if over else target[i]
        most = most if most > 0.0 else 0.0
        permitted[i] = np.nan if keeps | lacks else most
        kept += weights[i] if keeps | lacks else 0.0
        wanted += 0.0 if keeps | lacks else most
        if reasons is not None:
            reasons[i] = _UNTRADEABLE if lacks else (_MAX_POSITION if over else 0)
    exceeds = kept + wanted > plain.max_exposure + ROUNDING and wanted > 0.0
    factor = max(plain.max_exposure - kept, 0.0) / wanted if exceeds else 1.0
    for i in range(count if exceeds else 0):
        if permitted[i] > 0.0:
            permitted[i] *= factor
            if reasons is not None:
                reasons[i] |= _MAX_EXPOSURE


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def only_reduce(weights: Array, i: int, reason: int, permitted: Array, reasons: Codes | None) -> None:
    """Keep the position of market `i` where it would grow."""
    # `not <=` keeps a position whose weight is not a number.
    if permitted[i] > 0.0 and not permitted[i] <= weights[i]:
        permitted[i] = np.nan
        if reasons is not None:
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


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def hold_small_changes(
    count: int, weights: Array, plain: Plain, permitted: Array, reasons: Codes | None
) -> None:
    """Keep what would change by less than the band, or too little to be worth an order; exits pass."""
    dust = max(plain.min_order, NEGLIGIBLE)
    for i in range(count):
        change = abs(permitted[i] - weights[i])
        stays = permitted[i] != 0.0
        banded, small = stays & (change < plain.rebalance_band), stays & (change < dust)
        if reasons is not None:
            reasons[i] |= _BAND if banded else (_DUST if small else 0)
        permitted[i] = np.nan if banded | small else permitted[i]


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def fit_buys(count: int, weights: Array, plain: Plain, permitted: Array, reasons: Codes | None) -> None:
    """Scale all buys by one factor, so that room and cash are enough for them and for all costs."""
    invested = 0.0
    sold = 0.0
    bought = 0.0
    for i in range(count):
        change = permitted[i] - weights[i]
        invested += weights[i]
        bought += change if change > 0.0 else 0.0
        sold += -change if change < 0.0 else 0.0
    room = plain.max_exposure - (invested - sold)
    cash = 1.0 - invested + sold * (1.0 - plain.cost_rate) - plain.min_cash
    needed = bought * (1.0 + plain.cost_rate)
    crowded = bought > 0.0 and bought > room + ROUNDING
    factor = max(room, 0.0) / bought if crowded else 1.0
    _scale_buys(count if crowded else 0, factor, _MAX_EXPOSURE, weights, plain, permitted, reasons)
    short = bought > 0.0 and factor > 0.0 and factor * needed > cash + ROUNDING
    rest = max(cash - ROUNDING, 0.0) / needed / factor if short else 1.0
    _scale_buys(count if short else 0, rest, _CASH, weights, plain, permitted, reasons)


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _scale_buys(
    count: int,
    factor: float,
    reason: int,
    weights: Array,
    plain: Plain,
    permitted: Array,
    reasons: Codes | None,
) -> None:
    dust = max(plain.min_order, NEGLIGIBLE)
    for i in range(count):
        change = permitted[i] - weights[i]
        if change > 0.0:
            small = factor * change < dust
            permitted[i] = np.nan if small else min(permitted[i], weights[i] + factor * change)
            if reasons is not None:
                reasons[i] |= reason | (_DUST if small else 0)
