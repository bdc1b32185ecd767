"""Circuit breakers: what instances and families are worth, which rows trip, and when they reset."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from lab.core.compiled import njit
from lab.risk.health import BANNED_NOW, UNWELL
from lab.risk.limits import Limits
from lab.risk.reasons import Reason
from lab.risk.state import (
    BANNED,
    MARK,
    NOT_BEGUN,
    PAST_MARK,
    PERIOD,
    REFERENCE,
    SINCE,
    TRIPPED,
    TROUBLE,
    RiskState,
)
from lab.risk.tables import ACTIONS, MEASURES, RESETS

__all__ = [
    "HALT",
    "NO_ENTRIES",
    "REDUCE",
    "judge",
    "keep_marks",
    "loses",
    "period",
    "revalue",
    "trouble_of",
]

Codes = NDArray[np.int64]

NO_ENTRIES: Final = ACTIONS.index("no_entries")
REDUCE: Final = ACTIONS.index("reduce_only")
HALT: Final = ACTIONS.index("halt")

_DAY: Final = MEASURES.index("daily_loss")
_WEEK: Final = MEASURES.index("weekly_loss")
_DRAWDOWN: Final = MEASURES.index("drawdown")
_PERSON: Final = RESETS.index("person")
# What a tripped row says, by its measure.
_REASONS: Final = tuple(
    int(reason) for reason in (Reason.DAILY_LOSS, Reason.WEEKLY_LOSS, Reason.MONTHLY_LOSS, Reason.DRAWDOWN)
)
_DATA: Final = int(Reason.DATA)
_HEALTH: Final = int(Reason.EXCHANGE_HEALTH)
_HALTED: Final = int(Reason.HALTED)


@njit(cache=True, nogil=True, error_model="numpy")
def period(day: int, kind: int) -> int:
    """Return the number of the UTC day (kind 0), of the week from Monday (1) or of the month (2) of a day.

    Examples
    --------
    >>> import datetime
    >>> leap = datetime.date(2024, 2, 29).toordinal() - datetime.date(1970, 1, 1).toordinal()
    >>> period(leap, 2) - 12 * 2024, period(leap + 1, 2) - 12 * 2024
    (1, 2)
    """
    if kind == _DAY:
        return day
    if kind == _WEEK:
        return (day + 3) // 7
    # Howard Hinnant's civil_from_days: years that begin in March, eras of 400 of them.
    z = day + 719_468
    era = z // 146_097
    doe = z - era * 146_097
    yoe = (doe - doe // 1460 + doe // 36_524 - doe // 146_096) // 365
    month = (5 * (doe - (365 * yoe + yoe // 4 - yoe // 100)) + 2) // 153
    return 12 * (yoe + era * 400) + month + 2


@njit(cache=True, nogil=True, error_model="numpy")
def revalue(state: RiskState, limits: Limits) -> None:
    """Bring the virtual equity of instances and families to the present marks, in place.

    What a position gained since the last step, ``weight * (1 - past mark / mark)`` of present equity, is
    shared out as the position is; an instance's return is its part over its allocation of the equity then.
    Costs are left out. A position whose mark is no price makes the figures NaN, which trips.
    """
    instances, scopes = limits.sleeves.shape[0], limits.scopes.shape[0]
    gains = np.zeros(scopes)
    for i in range(state.weights.shape[0]):
        past = state.markets[PAST_MARK, i]
        if state.weights[i] == 0.0 or np.isnan(past):
            continue
        mark = state.markets[MARK, i]
        sound = mark > 0.0 and mark < np.inf
        gain = state.weights[i] * state.equity * (1.0 - past / mark) if sound else np.nan
        for k in range(instances):
            if state.sleeves[k, i] > 0.0:
                gains[k] += state.sleeves[k, i] * gain
                gains[instances + limits.sleeves[k, 0]] += state.sleeves[k, i] * gain
    for s in range(scopes):
        capital = limits.scopes[s, 2] * state.virtual[scopes]
        if capital > 0.0 or gains[s] != 0.0:
            state.virtual[s] *= 1.0 + gains[s] / capital
    state.virtual[scopes] = state.equity


@njit(cache=True, nogil=True, error_model="numpy")
def keep_marks(state: RiskState) -> None:
    """Remember the marks of this step, in place."""
    for i in range(state.markets.shape[1]):
        if not np.isnan(state.markets[MARK, i]):
            state.markets[PAST_MARK, i] = state.markets[MARK, i]


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def loses(equity: float, reference: float, at: float) -> bool:
    """Return whether `equity` is down from `reference` by the fraction `at` or more, or has no value.

    Examples
    --------
    >>> loses(96.0, 100.0, 0.05), loses(95.0, 100.0, 0.05), loses(float("nan"), 100.0, 1.0)
    (False, True, True)
    """
    # Written so that an equity or a reference that is not a number loses.
    return not (equity > reference * (1.0 - at) and equity > 0.0 and equity < np.inf)


@njit(cache=True, nogil=True, error_model="numpy")
def _begin(memory: NDArray[np.float64], equity: float, number: float) -> None:
    memory[REFERENCE] = equity
    memory[PERIOD] = number
    memory[TRIPPED] = 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def _tripped(
    memory: NDArray[np.float64], equity: float, measure: int, at: float, reset: int, day: int
) -> bool:
    """Bring one row's memory up to date and tell whether it is tripped."""
    until = 0.0 if reset == _PERSON else float(period(day, reset))
    number = 0.0 if measure == _DRAWDOWN else float(period(day, measure))
    over = memory[TRIPPED] != 0.0 and memory[SINCE] != until
    if memory[PERIOD] == NOT_BEGUN or (over and measure == _DRAWDOWN):
        _begin(memory, equity, number)
    elif over:
        memory[TRIPPED] = 0.0
    if number != memory[PERIOD]:
        memory[REFERENCE] = equity
        memory[PERIOD] = number
    elif measure == _DRAWDOWN and memory[TRIPPED] == 0.0 and equity > memory[REFERENCE]:
        memory[REFERENCE] = equity
    if memory[TRIPPED] == 0.0 and loses(equity, memory[REFERENCE], at):
        memory[TRIPPED] = 1.0
        memory[SINCE] = until
    return memory[TRIPPED] != 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def judge(state: RiskState, limits: Limits, actions: Codes, bits: Codes) -> tuple[int, int]:
    """Bring the table's memory up to date, in place; return the account's strictest action and its reasons.

    `actions` and `bits`, shape (K + F,), are filled with those of instances and families.
    """
    actions[:] = 0
    bits[:] = 0
    action, reasons = 0, 0
    for b in range(limits.breakers.shape[0]):
        scope, measure = int(limits.breakers[b, 0]), int(limits.breakers[b, 1])
        at, reset = limits.breakers[b, 2], int(limits.breakers[b, 4])
        memory = state.breakers[b]
        equity = state.equity if scope < 0 else _worth(scope, memory, reset, state)
        if not _tripped(memory, equity, measure, at, reset, state.day):
            continue
        tripped, why = int(limits.breakers[b, 3]), _REASONS[measure]
        if scope < 0:
            action, reasons = _stricter(action, reasons, tripped, why)
        else:
            actions[scope], bits[scope] = _stricter(actions[scope], bits[scope], tripped, why)
    return action, reasons


@njit(cache=True, nogil=True, error_model="numpy")
def _worth(scope: int, memory: NDArray[np.float64], reset: int, state: RiskState) -> float:
    """Return what an instance or family is worth; one that lost its value begins anew as its period ends."""
    ended = reset != _PERSON and memory[SINCE] != float(period(state.day, reset))
    sound = state.virtual[scope] > 0.0 and state.virtual[scope] < np.inf
    if memory[TRIPPED] != 0.0 and ended and not sound:
        state.virtual[scope] = 1.0
    return float(state.virtual[scope])


@njit(cache=True, nogil=True, error_model="numpy")
def _stricter(action: int, reasons: int, other: int, why: int) -> tuple[int, int]:
    """Return the stricter of two actions with its reasons; equal ones share theirs."""
    if other > action:
        return other, why
    return action, (reasons | why if other == action else reasons)


@njit(cache=True, nogil=True, error_model="numpy")
def trouble_of(state: RiskState, i: int) -> int:
    """Return why market `i` may only be reduced, 0 where it may not; a ban is remembered, in place."""
    trouble = state.markets[TROUBLE, i]
    if trouble >= BANNED_NOW:
        state.markets[BANNED, i] = 1.0
    if state.markets[BANNED, i] != 0.0:
        return _HEALTH | _HALTED
    if trouble == 0.0:
        return 0
    return _HEALTH if trouble == UNWELL else _DATA
