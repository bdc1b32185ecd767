"""The account of the fused engine with nothing kept but figures per bar: what many simulations are made of.

Same arithmetic, same order and same bits as ``kernel.run`` without risk; bars without a weight cost one
valuation, bars with a single one need no sorting. ``run_alone`` keeps an account per market, each with the
capital of its own. ``lanes.run_lanes`` does the same for several sets of weights at once.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from lab.backtest.kernel import subtract
from lab.backtest.layout import NOTHING, Array, Codes, Rates, Tape
from lab.backtest.sorting import SPARE, sort
from lab.backtest.survey import MANY, NONE
from lab.core.compiled import njit

__all__ = ["OTHERS", "note_all", "rebalance", "run_alone", "run_shared"]

# Figures per bar after the returns: turnover, cost, exposure.
OTHERS: Final = 3


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _order(
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
def _fill(
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
        cash, held[i], traded, paid = _order(quantities[i], price[t, i], cash, held[i], fee, slippage)
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
    cash, notional, costs = _fill(
        t, price, sell_keys, sells, selling, ranks, sequence, quantities, held,
        cash, notional, costs, fee, slippage,
    )  # fmt: skip
    return _fill(
        t, price, buy_keys, buys, buying, ranks, sequence, quantities, held,
        cash, notional, costs, fee, slippage,
    )  # fmt: skip


@njit(cache=True, nogil=True, error_model="numpy")
def run_shared(
    tape: Tape, weights: Array, decided: Codes, rates: Rates, returns: Array, others: Array, growth: Array
) -> None:
    """Simulate one account; write `growth` (1,) and, unless they are empty, `returns`, `others`.

    `returns` (T, 1), `others` (OTHERS, T, 1), `growth` the product of one plus every return. The tape holds 0
    where nothing is known yet; `weights` and `decided` as ``survey`` left them.
    """
    price, mark, last = tape.price, tape.mark, tape.last
    lag, fee, slippage, cash = rates
    n = price.shape[1]
    held = np.zeros(n)
    floats, codes = np.zeros((4, n + SPARE)), np.zeros((4, n + SPARE), dtype=np.int64)
    before = cash
    growth[0] = 1.0
    for t in range(price.shape[0]):
        notional, costs = 0.0, 0.0
        only = decided[t - lag] if t >= lag else NONE
        if only != NONE:
            value = cash
            for i in range(n):
                value += held[i] * mark[t, i]
            if value > NOTHING and only == MANY:
                cash, notional, costs = rebalance(
                    t, price, mark, weights, t - lag, value, held, cash, fee, slippage, floats, codes
                )
            elif value > NOTHING:
                quantity = weights[t - lag, only] * value / mark[t, only] - held[only]
                if abs(quantity) > NOTHING and not np.isnan(price[t, only]):
                    cash, held[only], notional, costs = _order(
                        quantity, price[t, only], cash, held[only], fee, slippage
                    )
        equity = cash
        for i in range(n):
            equity += held[i] * last[t, i]
        _note(t, 0, equity, before, cash, notional, costs, returns, others, growth)
        before = equity


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _note(
    t: int,
    i: int,
    equity: float,
    before: float,
    cash: float,
    notional: float,
    costs: float,
    returns: Array,
    others: Array,
    growth: Array,
) -> None:
    """Write the figures of account `i` at the close of bar `t`."""
    change = equity / before - 1.0 if before > 0.0 else 0.0
    growth[i] *= 1.0 + change
    if returns.shape[0] > 0:
        returns[t, i] = change
    if others.shape[1] > 0:
        others[0, t, i] = notional / before if before > 0.0 else 0.0
        others[1, t, i] = costs / before if before > 0.0 else 0.0
        others[2, t, i] = (equity - cash) / equity if equity > 0.0 else 0.0


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
    growth: Array,
) -> None:
    """Write the figures of accounts side by side at the close of bar `t`; `before` becomes `value`."""
    keep, full = returns.shape[0] > 0, others.shape[1] > 0
    for i in range(value.shape[0]):
        change = value[i] / before[i] - 1.0 if before[i] > 0.0 else 0.0
        growth[i] *= 1.0 + change
        if keep:
            returns[t, i] = change
    if full:
        for i in range(value.shape[0]):
            known = before[i] > 0.0
            others[0, t, i] = notional[i] / before[i] if known else 0.0
            others[1, t, i] = costs[i] / before[i] if known else 0.0
            invested = (value[i] - cash[i]) / value[i]
            others[2, t, i] = invested if value[i] > 0.0 else 0.0
    before[:] = value


@njit(cache=True, nogil=True, error_model="numpy")
def run_alone(
    tape: Tape, weights: Array, decided: Codes, rates: Rates, returns: Array, others: Array, growth: Array
) -> None:
    """Simulate an account per market; `returns` (T, N), `others` (OTHERS, T, N), `growth` (N,)."""
    price, mark, last = tape.price, tape.mark, tape.last
    lag, fee, slippage, capital = rates
    n = price.shape[1]
    held, cash, before = np.zeros(n), np.full(n, capital), np.full(n, capital)
    value, notional, costs = np.zeros(n), np.zeros(n), np.zeros(n)
    growth[:] = 1.0
    for t in range(price.shape[0]):
        only = decided[t - lag] if t >= lag else NONE
        if only != NONE:
            for i in range(0 if only == MANY else only, n if only == MANY else only + 1):
                worth = cash[i] + held[i] * mark[t, i]
                quantity = weights[t - lag, i] * worth / mark[t, i] - held[i]
                if worth > NOTHING and abs(quantity) > NOTHING and not np.isnan(price[t, i]):
                    cash[i], held[i], notional[i], costs[i] = _order(
                        quantity, price[t, i], cash[i], held[i], fee, slippage
                    )
        for i in range(n):
            value[i] = cash[i] + held[i] * last[t, i]
        note_all(t, value, before, cash, notional, costs, returns, others, growth)
        if only != NONE:
            notional[:] = 0.0
            costs[:] = 0.0
