"""The lean account with the plain limits of ``lab.risk`` acting: nothing kept but figures per bar.

Same bits as ``kernel.run`` with limits that are neutral, by the same compiled rules. What a bar without a
decision leaves behind is the day's mode alone, and that is read within its day: such bars are valued only
where the next one is of the same day. Closes are valued in stretches, from one trade to the next.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lab.backtest.layout import NOTHING, Array, Codes, Rates, Tape
from lab.backtest.lean import note, rebalance, relate, value_bars
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
    price, mark, last, _ = tape
    lag, fee, slippage, cash = rates
    bars, n = price.shape
    held, target, present = np.zeros(n), np.empty(n), np.empty(n)
    tradeable, wanted = np.empty(n, dtype=np.bool_), np.empty((1, n))
    permitted = wanted[0]
    floats, codes = np.zeros((4, n + SPARE)), np.zeros((4, n + SPARE), dtype=np.int64)
    equity = np.empty(returns.shape[0])
    others[:2] = 0.0
    done, t, memory = 0, lag, (-1, cash, NORMAL)
    while t < bars:
        t, value, memory = _next_trade(
            t, tape, weights, decided, lag, plain, memory, cash, held, target, present, tradeable, permitted
        )
        if t == bars:
            break
        value_bars(done, min(t, equity.shape[0]), cash, held, last, equity, others)
        done = t
        cash, notional, costs = rebalance(
            t, price, mark, wanted, 0, value, held, cash, fee, slippage, floats, codes
        )
        note(t, notional, costs, others)
        t += 1
    value_bars(done, equity.shape[0], cash, held, last, equity, others)
    value = cash
    for i in range(n if bars > 0 else 0):
        value += held[i] * last[bars - 1, i]
    growth[0] = value / rates.cash
    relate(equity, rates.cash, returns, others)


# A function of its own, so that what follows a trade is not in the way of the bars before it.
@njit(cache=True, nogil=True, error_model="numpy")
def _next_trade(
    t: int,
    tape: Tape,
    weights: Array,
    decided: Codes,
    lag: int,
    plain: Plain,
    memory: tuple[int, float, int],
    cash: float,
    held: Array,
    target: Array,
    present: Array,
    tradeable: Flags,
    permitted: Array,
) -> tuple[int, float, tuple[int, float, int]]:
    """Go on from bar `t` to one where something may be traded, and fill `permitted` there.

    `memory`: day of the last step, equity at its start, mode. Returns the bar (T: there is none), the
    account's value at its marks and the memory then.
    """
    price, mark, _, day = tape
    bars, n = price.shape
    today, start, mode = memory
    value = cash
    while t < bars:
        decides = decided[t - lag] != NONE
        if decides or (t + 1 < bars and day[t + 1] == day[t]):
            value = cash
            for i in range(n):
                value += held[i] * mark[t, i]
            if day[t] != today:
                today, start, mode = day[t], value, NORMAL
            mode = mode_of(mode, value, start, plain.max_daily_loss)
            if decides and value > NOTHING:
                for i in range(n):
                    target[i] = weights[t - lag, i]
                    present[i] = held[i] * mark[t, i] / value
                    tradeable[i] = not np.isnan(price[t, i])
                permit_plain(target, present, tradeable, mode, plain, permitted, None)
                moves = 0
                for i in range(n):
                    # To have nothing and to want nothing is no order.
                    moves += (not np.isnan(permitted[i])) & ((permitted[i] != 0.0) | (held[i] != 0.0))
                if moves > 0:
                    break
        t += 1
    return t, value, (today, start, mode)
