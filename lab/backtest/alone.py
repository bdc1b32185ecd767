"""An account per market, each with the capital of its own: ``lean.run_shared`` for many accounts at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lab.backtest.layout import Array, Codes, Rates, Tape
from lab.backtest.lean import aim, deciding_rows
from lab.backtest.survey import MANY
from lab.core.compiled import njit

__all__ = ["note_all", "run_alone"]


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def note_all(
    t: int,
    value: Array,
    before: Array,
    cash: Array,
    notional: Array,
    costs: Array,
    returns: Array,
    others: Array,
) -> None:
    """Write the figures of accounts side by side at the close of bar `t`; `before` becomes `value`."""
    for i in range(value.shape[0]):
        change = value[i] / before[i] - 1.0
        returns[t, i] = change if before[i] > 0.0 else 0.0
    if others.shape[1] > 0:
        for i in range(value.shape[0]):
            known = before[i] > 0.0
            others[0, t, i] = notional[i] / before[i] if known else 0.0
            others[1, t, i] = costs[i] / before[i] if known else 0.0
            invested = (value[i] - cash[i]) / value[i]
            others[2, t, i] = invested if value[i] > 0.0 else 0.0
    before[:] = value


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _markets(weights: Array, row: int, only: int, which: NDArray[np.uintp]) -> int:
    """List the markets that a row decides, without a branch on each; return how many there are."""
    if only != MANY:
        which[0] = only
        return 1
    count = 0
    for i in range(weights.shape[1]):
        which[count] = i
        count += weights[row, i] == weights[row, i]
    return count


@njit(cache=True, nogil=True, error_model="numpy")
def run_alone(
    tape: Tape, weights: Array, decided: Codes, rates: Rates, returns: Array, others: Array, growth: Array
) -> None:
    """Simulate an account per market; `returns` (T, N), `others` (OTHERS, T, N), `growth` (N,)."""
    price, mark, last = tape.price, tape.mark, tape.last
    lag, fee, slippage, capital = rates
    bars, n = price.shape
    held, cash, value = np.zeros(n), np.full(n, capital), np.full(n, capital)
    before, notional, costs = np.full(n, capital), np.zeros(n), np.zeros(n)
    which, keep, done = np.zeros(n + 1, dtype=np.uintp), returns.shape[0] > 0, 0
    when, count = deciding_rows(decided, bars - lag)
    for k in range(count):
        row = when[k]
        t = row + lag
        if keep:
            _close_alone(done, t, cash, held, last, value, before, notional, costs, returns, others)
        done = t
        for j in range(_markets(weights, row, decided[row], which)):
            i = which[j]
            worth = cash[i] + held[i] * mark[t, i]
            cash[i], held[i], notional[i], costs[i] = aim(
                weights[row, i], worth, price[t, i], mark[t, i], cash[i], held[i], fee, slippage
            )
    _close_alone(done, returns.shape[0], cash, held, last, value, before, notional, costs, returns, others)
    for i in range(n):
        growth[i] = (cash[i] + held[i] * last[bars - 1, i]) / capital if bars > 0 else 1.0


@njit(cache=True, nogil=True, error_model="numpy")
def _close_alone(
    start: int,
    stop: int,
    cash: Array,
    held: Array,
    last: Array,
    value: Array,
    before: Array,
    notional: Array,
    costs: Array,
    returns: Array,
    others: Array,
) -> None:
    """Write the figures of bars ``start … stop - 1``, of which only the first may have traded."""
    for t in range(start, stop):
        for i in range(held.shape[0]):
            value[i] = cash[i] + held[i] * last[t, i]
        note_all(t, value, before, cash, notional, costs, returns, others)
        if t == start:
            notional[:] = 0.0
            costs[:] = 0.0
