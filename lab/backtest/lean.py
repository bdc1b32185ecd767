"""The account of the fused engine with nothing kept but figures per bar: what many simulations are made of.

Same arithmetic, same order and same bits as ``kernel.run`` without risk; bars without a weight cost one
valuation. ``run_alone`` keeps an account per market, side by side, each with the capital of its own.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from lab.backtest.kernel import subtract
from lab.backtest.layout import NOTHING, Array, Codes
from lab.backtest.sorting import SPARE, sort
from lab.core.compiled import njit

__all__ = ["FAULT", "OTHERS", "hold", "run_alone", "run_shared", "survey"]

# Figures per bar after the returns: turnover, cost, exposure.
OTHERS: Final = 3
# What `survey` returns for weights that cannot be held.
FAULT: Final = -1

Flags = NDArray[np.bool_]


@njit(cache=True, nogil=True, error_model="numpy")
def survey(weights: Array, waits: Flags, warm_up: int, largest_sum: float, active: Flags) -> int:
    """Check weights and find the rows that decide anything.

    Parameters
    ----------
    weights : ndarray, shape (T, N)
        NaN keeps the quantity.
    waits : ndarray of bool, shape (T,)
        Whether the row waits for a bar that is late or lost.
    warm_up : int
        Rows before the first decision.
    largest_sum : float
        What the weights of a row may sum to, rounding included.
    active : ndarray of bool, shape (T,)
        Filled: whether the row has a weight that is not NaN.

    Returns
    -------
    int
        Number of active rows, or ``FAULT``.
    """
    rows, columns = weights.shape
    found = 0
    for t in range(rows):
        wrong, some = 0, 0
        for i in range(columns):
            weight = weights[t, i]
            wrong += (weight < 0.0) | (weight > 1.0)
            some += not np.isnan(weight)
        active[t] = False
        if wrong > 0:
            return FAULT
        if some == 0:
            continue
        total = 0.0
        for i in range(columns):
            if not np.isnan(weights[t, i]):
                total += weights[t, i]
        if total > largest_sum:
            return FAULT
        if t >= warm_up and not waits[t]:
            active[t] = True
            found += 1
    return found


@njit(cache=True, nogil=True, error_model="numpy")
def hold(weights: Array, received: Flags) -> None:
    """Keep the quantity of every market whose bar was not received; `weights` is changed."""
    for t in range(weights.shape[0]):
        for i in range(weights.shape[1]):
            if not received[t, i]:
                weights[t, i] = np.nan


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
def run_shared(
    price: Array,
    mark: Array,
    last: Array,
    weights: Array,
    active: Flags,
    lag: int,
    fee: float,
    slippage: float,
    cash: float,
    returns: Array,
    others: Array,
) -> None:
    """Simulate one account; write `returns` (T,) and, unless it is empty, `others` (OTHERS, T).

    `mark` and `last` hold 0 where nothing is known yet; `weights` and `active` as :func:`survey` left them.
    """
    n = price.shape[1]
    held, quantities, keys = np.zeros(n), np.zeros(n), np.zeros(n)
    # Plain arrays, not a tuple of them: each use of one in a tuple counts references.
    sell_keys, buy_keys = np.zeros(n + SPARE), np.zeros(n + SPARE)
    sells, buys = np.zeros(n + SPARE, dtype=np.int64), np.zeros(n + SPARE, dtype=np.int64)
    ranks, sequence = np.zeros(n + SPARE, dtype=np.int64), np.zeros(n + SPARE, dtype=np.int64)
    full = others.shape[0] > 0
    before = cash
    for t in range(price.shape[0]):
        notional, costs = 0.0, 0.0
        value = 0.0
        if t >= lag and active[t - lag]:
            value = cash
            for i in range(n):
                value += held[i] * mark[t, i]
        if value > NOTHING:
            # Without branches first, so that the divisions run in lanes; NaN in, NaN out.
            for i in range(n):
                worth = weights[t - lag, i] * value
                keys[i] = worth - held[i] * mark[t, i]
                quantities[i] = worth / mark[t, i] - held[i]
            selling, buying = 0, 0
            for i in range(n):
                wanted = (abs(quantities[i]) > NOTHING) & (not np.isnan(price[t, i]))
                below = keys[i] < 0.0
                sell_keys[selling], sells[selling] = keys[i], i
                buy_keys[buying], buys[buying] = keys[i], i
                selling += wanted & below
                buying += wanted & (not below)
            cash, notional, costs = _fill(
                t,
                price,
                sell_keys,
                sells,
                selling,
                ranks,
                sequence,
                quantities,
                held,
                cash,
                notional,
                costs,
                fee,
                slippage,
            )
            cash, notional, costs = _fill(
                t,
                price,
                buy_keys,
                buys,
                buying,
                ranks,
                sequence,
                quantities,
                held,
                cash,
                notional,
                costs,
                fee,
                slippage,
            )
        equity = cash
        for i in range(n):
            equity += held[i] * last[t, i]
        returns[t] = equity / before - 1.0 if before > 0.0 else 0.0
        if full:
            others[0, t] = notional / before if before > 0.0 else 0.0
            others[1, t] = costs / before if before > 0.0 else 0.0
            others[2, t] = (equity - cash) / equity if equity > 0.0 else 0.0
        before = equity


@njit(cache=True, nogil=True, error_model="numpy")
def run_alone(
    price: Array,
    mark: Array,
    last: Array,
    weights: Array,
    active: Flags,
    lag: int,
    fee: float,
    slippage: float,
    capital: float,
    returns: Array,
    others: Array,
) -> None:
    """Simulate an account per market; `returns` (T, N) and, unless it is empty, `others` (OTHERS, T, N)."""
    n = price.shape[1]
    held, cash, before = np.zeros(n), np.full(n, capital), np.full(n, capital)
    notional, costs = np.zeros(n), np.zeros(n)
    full = others.shape[0] > 0
    for t in range(price.shape[0]):
        if full:
            notional[:] = 0.0
            costs[:] = 0.0
        if t >= lag and active[t - lag]:
            for i in range(n):
                weight = weights[t - lag, i]
                if not (np.isnan(weight) or np.isnan(price[t, i])):
                    value = cash[i] + held[i] * mark[t, i]
                    quantity = weight * value / mark[t, i] - held[i]
                    if value > NOTHING and abs(quantity) > NOTHING:
                        cash[i], held[i], notional[i], costs[i] = _order(
                            quantity, price[t, i], cash[i], held[i], fee, slippage
                        )
        for i in range(n):
            equity = cash[i] + held[i] * last[t, i]
            returns[t, i] = equity / before[i] - 1.0 if before[i] > 0.0 else 0.0
            if full:
                others[0, t, i] = notional[i] / before[i] if before[i] > 0.0 else 0.0
                others[1, t, i] = costs[i] / before[i] if before[i] > 0.0 else 0.0
                others[2, t, i] = (equity - cash[i]) / equity if equity > 0.0 else 0.0
            before[i] = equity
