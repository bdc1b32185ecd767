"""The lean account with the plain limits of ``lab.risk`` acting: nothing kept but figures per bar.

Same bits as ``kernel.run`` with limits that are neutral, by the same compiled rules. What a bar without a
decision leaves behind is the day's mode alone, and that is read within its day: such bars are valued only
where the next one is of the same day. Closes are valued in stretches, from one trade to the next.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lab.backtest.layout import NOTHING, Array, Codes, Rates, Tape
from lab.backtest.lean import fill, note, relate, value_bars
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
    lag, fee, slippage, cash = rates
    bars, n = price.shape
    held, target, present, permitted = np.zeros(n), np.empty(n), np.empty(n), np.empty(n)
    tradeable, keys, quantities = np.empty(n, dtype=np.bool_), np.empty(n + SPARE), np.empty(n)
    codes, equity = np.empty((3, n + SPARE), dtype=np.int64), np.empty(returns.shape[0])
    markets, ranks, sequence = codes[0], codes[1], codes[2]
    others[:2] = 0.0
    done, today, start, mode = 0, -1, cash, NORMAL
    for t in range(lag, bars):
        decides = decided[t - lag] != NONE
        if not decides and (t + 1 == bars or day[t + 1] != day[t]):
            continue
        value = _value(t, cash, held, mark)
        if day[t] != today:
            today, start, mode = day[t], value, NORMAL
        mode = mode_of(mode, value, start, plain.max_daily_loss)
        if not decides or not value > NOTHING:
            continue
        _look(t, t - lag, weights, value, held, price, mark, target, present, tradeable)
        permit_plain(target, present, tradeable, mode, plain, permitted, None)
        moves = _moves(permitted, held, markets)
        if moves == 0:
            continue
        value_bars(done, min(t, equity.shape[0]), cash, held, last, equity, others)
        done = t
        orders = _orders(t, moves, permitted, value, held, mark, keys, quantities, markets)
        cash, notional, costs = fill(
            t, price, keys, markets, orders, ranks, sequence, quantities, held, cash, 0.0, 0.0, fee, slippage
        )
        note(t, notional, costs, others)
    value_bars(done, equity.shape[0], cash, held, last, equity, others)
    growth[0] = (_value(bars - 1, cash, held, last) if bars > 0 else cash) / rates.cash
    relate(equity, rates.cash, returns, others)


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _value(t: int, cash: float, held: Array, prices: Array) -> float:
    value = cash
    for i in range(held.shape[0]):
        value += held[i] * prices[t, i]
    return value


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _look(
    t: int,
    row: int,
    weights: Array,
    value: float,
    held: Array,
    price: Array,
    mark: Array,
    target: Array,
    present: Array,
    tradeable: Flags,
) -> None:
    """Write what is wanted, what is held as weights, and which markets have a price."""
    # A loop for each, so that it runs in lanes: with too many arrays, overlaps are not looked for.
    for i in range(held.shape[0]):
        target[i] = weights[row, i]
    for i in range(held.shape[0]):
        present[i] = held[i] * mark[t, i] / value
    for i in range(held.shape[0]):
        tradeable[i] = not np.isnan(price[t, i])


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _moves(permitted: Array, held: Array, markets: Codes) -> int:
    """List the markets that may trade; return how many. To want nothing where nothing is held is no order."""
    moves = 0
    for i in range(held.shape[0]):
        markets[moves] = i
        moves += (not np.isnan(permitted[i])) & ((permitted[i] != 0.0) | (held[i] != 0.0))
    return moves


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _orders(
    t: int,
    moves: int,
    permitted: Array,
    value: float,
    held: Array,
    mark: Array,
    keys: Array,
    quantities: Array,
    markets: Codes,
) -> int:
    """Write keys and markets of the orders and the quantity of each market; return how many orders there are.

    Where there is no price to trade at, no weight is permitted.
    """
    orders = 0
    for k in range(moves):
        i = markets[k]
        worth = permitted[i] * value
        quantities[i] = worth / mark[t, i] - held[i]
        keys[orders], markets[orders] = worth - held[i] * mark[t, i], i
        orders += abs(quantities[i]) > NOTHING
    return orders
