"""An account per market, each with the capital of its own: ``lean.run_shared`` for many accounts at once."""

from __future__ import annotations

import numpy as np

from lab.backtest.layout import Array, Codes, Rates, Tape
from lab.backtest.lean import aim
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


@njit(cache=True, nogil=True, error_model="numpy")
def run_alone(
    tape: Tape, weights: Array, places: Codes, rates: Rates, returns: Array, others: Array, growth: Array
) -> None:
    """Simulate an account per market; `returns` (T, N), `others` (OTHERS, T, N), `growth` (N,).

    `places` are those of the weights that decide, as ``survey_alone`` lists them; the rest as of
    ``lean.run_shared``.
    """
    last, lag, capital = tape.last, rates.lag, rates.cash
    bars, n = last.shape
    held, cash = np.zeros(n), np.full(n, capital)
    wanted, price, mark = weights.reshape(-1), tape.price.reshape(-1), tape.mark.reshape(-1)
    if returns.shape[0] > 0:
        _trade_and_value(last, wanted, price, mark, places, rates, cash, held, returns, others)
    for k in range(places.shape[0] if returns.shape[0] == 0 else 0):
        if places[k] >= (bars - lag) * n:
            break
        _trade(places[k], wanted, price, mark, cash, held, rates)
    for i in range(n):
        growth[i] = (cash[i] + held[i] * last[bars - 1, i]) / capital if bars > 0 else 1.0


@njit(cache=True, nogil=True, error_model="numpy")
def _trade_and_value(
    last: Array,
    wanted: Array,
    price: Array,
    mark: Array,
    places: Codes,
    rates: Rates,
    cash: Array,
    held: Array,
    returns: Array,
    others: Array,
) -> None:
    """Trade at all places, and write the figures of every bar."""
    n = len(held)
    value, before = np.full(n, rates.cash), np.full(n, rates.cash)
    notional, costs, done = np.zeros(n), np.zeros(n), 0
    for k in range(places.shape[0]):
        t = places[k] // n + rates.lag
        if t >= last.shape[0]:
            break
        if t != done:
            _close_alone(done, t, cash, held, last, value, before, notional, costs, returns, others)
            done = t
        i = places[k] % n
        notional[i], costs[i] = _trade(places[k], wanted, price, mark, cash, held, rates)
    _close_alone(done, last.shape[0], cash, held, last, value, before, notional, costs, returns, others)


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _trade(
    place: int, wanted: Array, price: Array, mark: Array, cash: Array, held: Array, rates: Rates
) -> tuple[float, float]:
    """Bring one market to the weight at `place` of the rows side by side; return notional and costs."""
    # Without a sign, division and access are cheap.
    at, n = np.uint64(place), np.uint64(held.shape[0])
    i, then = at % n, at + np.uint64(rates.lag) * n
    worth = cash[i] + held[i] * mark[then]
    cash[i], held[i], notional, costs = aim(
        wanted[at], worth, price[then], mark[then], cash[i], held[i], rates.fee, rates.slippage
    )
    return notional, costs


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
