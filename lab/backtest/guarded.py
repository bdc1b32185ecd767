"""The lean account with the plain limits of ``lab.risk`` acting: nothing kept but figures per bar.

Same bits as ``kernel.run`` with limits that are neutral, by the same compiled rules. What a bar without a
decision leaves behind is the day's mode alone, and that is read within its day: such bars are valued only
where the next one is of the same day. Closes are valued in stretches, from one trade to the next.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lab.backtest.layout import NOTHING, Array, Codes, Rates, Tape
from lab.backtest.lean import fill, finish, note, value_bars
from lab.backtest.sorting import SPARE
from lab.backtest.survey import NONE
from lab.core.compiled import njit
from lab.risk import NORMAL, Plain, mode_of, permit_plain

__all__ = ["run_guarded"]

Flags = NDArray[np.bool_]


@njit(cache=True, nogil=True, error_model="numpy")
def run_guarded(
    tape: Tape,
    weights: Array,
    decided: Codes,
    rates: Rates,
    plain: Plain,
    returns: Array,
    others: Array,
    growth: Array,
) -> None:
    """Simulate one account with the limits `plain`; the other arguments are those of ``lean.run_shared``."""
    price, mark, last, day = tape
    (bars, n), (lag, fee, slippage, cash) = price.shape, rates
    others[:2] = 0.0
    held, worths, target, present = np.zeros(n), np.empty(n), np.empty(n), np.empty(n)
    permitted, tradeable, quantities = np.empty(n), np.empty(n, dtype=np.bool_), np.empty(n)
    keys, codes = np.empty(n + SPARE), np.empty((5, n + SPARE), dtype=np.int64)
    flags, active, markets, ranks, sequence = codes[0], codes[1], codes[2], codes[3], codes[4]
    equity, done = np.empty(returns.shape[0]), 0
    today, start, mode = -1, cash, NORMAL
    for t in range(lag, bars):
        decides = decided[t - lag] != NONE
        if not decides and (t + 1 == bars or day[t + 1] != day[t]):
            continue
        count = _active(t - lag, weights, held, flags, active)
        value = _value(t, count, cash, held, mark, active, worths)
        if day[t] != today:
            today, start, mode = day[t], value, NORMAL
        mode = mode_of(mode, value, start, plain.max_daily_loss)
        if not decides or not value > NOTHING:
            continue
        for k in range(count):
            present[k] = worths[k] / value
            target[k], tradeable[k] = weights[t - lag, active[k]], not np.isnan(price[t, active[k]])
        permit_plain(count, target, present, tradeable, mode, plain, permitted, None)
        orders = _orders(t, count, permitted, value, worths, held, mark, active, keys, quantities, markets)
        if orders == 0:
            continue
        value_bars(done, min(t, equity.shape[0]), cash, held, last, equity, others)
        done = t
        cash, notional, costs = fill(
            t, price, keys, markets, orders, ranks, sequence, quantities, held, cash, 0.0, 0.0, fee, slippage
        )
        note(t, notional, costs, others)
    finish(done, cash, held, last, rates.cash, equity, returns, others, growth)


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _active(row: int, weights: Array, held: Array, flags: Codes, active: Codes) -> int:
    """List the markets of which something is held or wanted; return how many."""
    for i in range(held.shape[0]):
        flags[i] = (weights[row, i] > 0.0) | (held[i] != 0.0)
    count = 0
    for i in range(held.shape[0]):
        active[count] = i
        count += flags[i]
    return count


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _value(t: int, count: int, cash: float, held: Array, mark: Array, active: Codes, worths: Array) -> float:
    """Write what the active markets are worth at their marks; return the account's value."""
    value = cash
    for k in range(count):
        worths[k] = held[active[k]] * mark[t, active[k]]
        value += worths[k]
    return value


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _orders(
    t: int,
    count: int,
    permitted: Array,
    value: float,
    worths: Array,
    held: Array,
    mark: Array,
    active: Codes,
    keys: Array,
    quantities: Array,
    markets: Codes,
) -> int:
    """Write keys and markets of the orders and the quantity of each market; return how many orders there are.

    Where there is no price to trade at, no weight is permitted; NaN is no order.
    """
    orders = 0
    for k in range(count):
        i = active[k]
        worth = permitted[k] * value
        quantities[i] = worth / mark[t, i] - held[i]
        keys[orders], markets[orders] = worth - worths[k], i
        orders += abs(quantities[i]) > NOTHING
    return orders
