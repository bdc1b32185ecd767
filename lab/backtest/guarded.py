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
    codes = np.empty((3, n + SPARE), dtype=np.int64)
    markets, ranks, sequence = codes[0], codes[1], codes[2]
    equity = np.empty(returns.shape[0])
    others[:2] = 0.0
    done, today, start, mode = 0, -1, cash, NORMAL
    for t in range(lag, bars):
        decides = decided[t - lag] != NONE
        if not decides and (t + 1 == bars or day[t + 1] != day[t]):
            continue
        value = cash
        for i in range(n):
            value += held[i] * mark[t, i]
        if day[t] != today:
            today, start, mode = day[t], value, NORMAL
        mode = mode_of(mode, value, start, plain.max_daily_loss)
        if not decides or not value > NOTHING:
            continue
        for i in range(n):
            target[i] = weights[t - lag, i]
            present[i] = held[i] * mark[t, i] / value
            tradeable[i] = not np.isnan(price[t, i])
        permit_plain(target, present, tradeable, mode, plain, permitted, None)
        moves = 0
        for i in range(n):
            markets[moves] = i
            # To have nothing and to want nothing is no order.
            moves += (not np.isnan(permitted[i])) & ((permitted[i] != 0.0) | (held[i] != 0.0))
        if moves == 0:
            continue
        value_bars(done, min(t, equity.shape[0]), cash, held, last, equity, others)
        done = t
        orders = 0
        for k in range(moves):
            # Without a price to trade at, no weight is permitted.
            i = markets[k]
            worth = permitted[i] * value
            quantities[i] = worth / mark[t, i] - held[i]
            keys[orders], markets[orders] = worth - held[i] * mark[t, i], i
            orders += abs(quantities[i]) > NOTHING
        cash, notional, costs = fill(
            t, price, keys, markets, orders, ranks, sequence, quantities, held, cash, 0.0, 0.0, fee, slippage
        )
        note(t, notional, costs, others)
    value_bars(done, equity.shape[0], cash, held, last, equity, others)
    value = cash
    for i in range(n if bars > 0 else 0):
        value += held[i] * last[bars - 1, i]
    growth[0] = value / rates.cash
    relate(equity, rates.cash, returns, others)
