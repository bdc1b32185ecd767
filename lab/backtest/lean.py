"""The account of the fused engine with nothing kept but figures per bar: what many simulations are made of.

Same arithmetic, same order and same bits as ``kernel.run`` without risk; bars without a weight cost one
valuation, bars with a single one need no sorting. ``alone.run_alone`` does the same for one per market,
``lanes.run_lanes`` for several sets of weights at once.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from lab.backtest.kernel import subtract
from lab.backtest.layout import NOTHING, Array, Codes, Rates, Tape
from lab.backtest.sorting import SPARE, sort
from lab.backtest.survey import MANY, NONE
from lab.core.compiled import njit

__all__ = [
    "OTHERS",
    "aim",
    "fill",
    "finish",
    "note",
    "rebalance",
    "run_shared",
    "value_bars",
]

# Figures per bar after the returns: turnover, cost, exposure.
OTHERS: Final = 3


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def order(
    quantity: float, reference: float, cash: float, held: float, fee: float, slippage: float
) -> tuple[float, float, float, float]:
    """Return cash, position, notional and costs after one order."""
    if quantity > 0.0:
        if cash == 0.0:
            return cash, held, 0.0, 0.0
        price = reference * (1.0 + slippage)
        traded = quantity
        notional = quantity * price
        paid = notional * fee
        rest = subtract(cash, notional + paid)
        if rest < 0.0:
            affordable = cash / (1.0 + fee)
            traded, paid, rest = affordable / price, cash - affordable, 0.0
        cash = rest
        held += traded
        held = 0.0 if held <= NOTHING else held
    else:
        traded = min(held, -quantity)
        if traded <= NOTHING:
            return cash, held, 0.0, 0.0
        price = reference * (1.0 - slippage)
        paid = traded * price * fee
        held = subtract(held, traded)
        cash += subtract(traded * price, paid)
    return cash, held, traded * price, paid + traded * reference * slippage


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def fill(
    t: int,
    price: Array,
    keys: Array,
    markets: Codes,
    count: int,
    ranks: Codes,
    sequence: Codes,
    quantities: Array,
    held: Array,
    cash: float,
    notional: float,
    costs: float,
    fee: float,
    slippage: float,
) -> tuple[float, float, float]:
    """Fill the orders of one side in their sequence; return cash, notional and costs."""
    sort(keys, count, ranks, sequence)
    for k in range(count):
        i = markets[sequence[k]]
        cash, held[i], traded, paid = order(quantities[i], price[t, i], cash, held[i], fee, slippage)
        notional += traded
        costs += paid
    return cash, notional, costs


@njit(cache=True, nogil=True, error_model="numpy")
def rebalance(
    t: int,
    price: Array,
    mark: Array,
    wanted: Array,
    row: int,
    value: float,
    held: Array,
    cash: float,
    fee: float,
    slippage: float,
    floats: Array,
    codes: Codes,
) -> tuple[float, float, float]:
    """Trade one bar towards row `row` of `wanted`; change `held`, return cash, notional and costs.

    `floats` (4, N + SPARE) and `codes` (4, N + SPARE) are working memory.
    """
    keys, quantities, sell_keys, buy_keys = floats[0], floats[1], floats[2], floats[3]
    sells, buys, ranks, sequence = codes[0], codes[1], codes[2], codes[3]
    n = held.shape[0]
    # Without branches first, so that the divisions run in lanes; NaN in, NaN out.
    for i in range(n):
        worth = wanted[row, i] * value
        keys[i] = worth - held[i] * mark[t, i]
        quantities[i] = worth / mark[t, i] - held[i]
    selling, buying = 0, 0
    for i in range(n):
        asked = (abs(quantities[i]) > NOTHING) & (not np.isnan(price[t, i]))
        below = keys[i] < 0.0
        sell_keys[selling], sells[selling] = keys[i], i
        buy_keys[buying], buys[buying] = keys[i], i
        selling += asked & below
        buying += asked & (not below)
    notional, costs = 0.0, 0.0
    cash, notional, costs = fill(
        t, price, sell_keys, sells, selling, ranks, sequence, quantities, held,
        cash, notional, costs, fee, slippage,
    )  # fmt: skip
    return fill(
        t, price, buy_keys, buys, buying, ranks, sequence, quantities, held,
        cash, notional, costs, fee, slippage,
    )  # fmt: skip


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def aim(
    weight: float,
    worth: float,
    price: float,
    mark: float,
    cash: float,
    held: float,
    fee: float,
    slippage: float,
) -> tuple[float, float, float, float]:
    """Trade one market to `weight` of `worth`; return cash, position, notional and costs."""
    if np.isnan(price) or not worth > NOTHING:
        return cash, held, 0.0, 0.0
    # The same as below, known before a division is done.
    if weight == 0.0:
        return order(-held, price, cash, held, fee, slippage)
    quantity = weight * worth / mark - held
    if abs(quantity) > NOTHING:
        return order(quantity, price, cash, held, fee, slippage)
    return cash, held, 0.0, 0.0


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def deciding_rows(decided: Codes, rows: int) -> tuple[Codes, int]:
    """List the first `rows` rows that decide anything, without a branch on each; return their number too."""
    when, count = np.empty(max(rows, 0) + 1, dtype=np.int64), 0
    for row in range(rows):
        when[count] = row
        count += decided[row] != NONE
    return when, count


@njit(cache=True, nogil=True, error_model="numpy")
def run_shared(
    tape: Tape, weights: Array, decided: Codes, rates: Rates, returns: Array, others: Array, growth: Array
) -> None:
    """Simulate one account; write `growth` (1,) and, unless they are empty, `returns`, `others`.

    `returns` (T, 1), `others` (OTHERS, T, 1), `growth` the last equity over the capital. The tape holds 0
    where nothing is known yet; `weights` and `decided` as ``survey`` left them. Without returns, bars that
    decide nothing are passed over.
    """
    price, mark, last = tape.price, tape.mark, tape.last
    lag, fee, slippage, cash = rates
    bars, n = price.shape
    held = np.zeros(n)
    floats, codes = np.zeros((4, n + SPARE)), np.zeros((4, n + SPARE), dtype=np.int64)
    equity = np.empty(returns.shape[0])
    others[:2] = 0.0
    keep, done = returns.shape[0] > 0, 0
    when, count = deciding_rows(decided, bars - lag)
    for k in range(count):
        row = when[k]
        t, only = row + lag, decided[row]
        if keep:
            value_bars(done, t, cash, held, last, equity, others)
        done = t
        value = cash
        for i in range(n):
            value += held[i] * mark[t, i]
        if value > NOTHING and only == MANY:
            cash, notional, costs = rebalance(
                t, price, mark, weights, row, value, held, cash, fee, slippage, floats, codes
            )
            note(t, notional, costs, others)
        elif only != MANY:
            cash, held[only], notional, costs = aim(
                weights[row, only], value, price[t, only], mark[t, only], cash, held[only], fee, slippage
            )
            note(t, notional, costs, others)
    finish(done, cash, held, last, rates.cash, equity, returns, others, growth)


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def finish(
    done: int,
    cash: float,
    held: Array,
    last: Array,
    capital: float,
    equity: Array,
    returns: Array,
    others: Array,
    growth: Array,
) -> None:
    """Value the bars from the last trade on, and turn amounts into the figures that are kept."""
    value_bars(done, equity.shape[0], cash, held, last, equity, others)
    value = cash
    for i in range(held.shape[0] if last.shape[0] > 0 else 0):
        value += held[i] * last[last.shape[0] - 1, i]
    growth[0] = value / capital
    relate(equity, capital, returns, others)


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def note(t: int, notional: float, costs: float, others: Array) -> None:
    """Write what bar `t` traded and paid, where that is asked for."""
    if others.shape[1] > 0:
        others[0, t, 0], others[1, t, 0] = notional, costs


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def value_bars(
    start: int, stop: int, cash: float, held: Array, last: Array, equity: Array, others: Array
) -> None:
    """Write the equity of bars ``start … stop - 1``, between which nothing is traded."""
    # Loops of no turns rather than branches: compiled code then counts no references to the arrays.
    single, quantity = held.shape[0] == 1, held[0] if held.shape[0] > 0 else 0.0
    for t in range(start, stop if single else start):
        equity[t] = cash + quantity * last[t, 0]
    for t in range(stop if single else start, stop):
        value = cash
        for i in range(held.shape[0]):
            value += held[i] * last[t, i]
        equity[t] = value
    for t in range(start, stop if others.shape[1] > 0 else start):
        others[2, t, 0] = cash


@njit(cache=True, nogil=True, error_model="numpy")
def relate(equity: Array, capital: float, returns: Array, others: Array) -> None:
    """Turn equity and amounts of every bar into fractions."""
    if equity.shape[0] > 0:
        returns[0, 0] = equity[0] / capital - 1.0
    earlier, later, changes = equity[:-1], equity[1:], returns.reshape(-1)[1:]
    for t in range(earlier.shape[0]):
        change = later[t] / earlier[t] - 1.0
        changes[t] = change if earlier[t] > 0.0 else 0.0
    for t in range(others.shape[1]):
        before = equity[t - 1] if t > 0 else capital
        turnover, cost = others[0, t, 0] / before, others[1, t, 0] / before
        others[0, t, 0] = turnover if before > 0.0 else 0.0
        others[1, t, 0] = cost if before > 0.0 else 0.0
        exposure = (equity[t] - others[2, t, 0]) / equity[t]
        others[2, t, 0] = exposure if equity[t] > 0.0 else 0.0
