"""The fused engine: accounting, risk and per-bar figures of one account in one compiled loop.

Per bar: value at the marks before any trade; risk, if asked for; orders ``weight * value - position * mark``
in a stable ascending order, so that sells come first and then the smallest buys; equity at the closes. A
buy that does not fit spends the cash left, its fee included. The arithmetic and its order are those of the
row loop in ``tests/oracle/backtest.py``, so that the two agree to the bit.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lab.backtest.layout import (
    BUY,
    CASH_SHORT,
    COST,
    EQUITY,
    EXPOSURE,
    FILLED,
    NO_CASH,
    NO_PRICE,
    NOTHING,
    RETURN,
    ROUNDING,
    SELL,
    TURNOVER,
    Array,
    Codes,
    Outputs,
    Tape,
    Terms,
)
from lab.backtest.sorting import SPARE, sort
from lab.core.compiled import njit
from lab.risk import RiskState, look, observe, starting_state, step_into

__all__ = [
    "Desk",
    "close_bar",
    "new_desk",
    "note_unpriced",
    "permit",
    "plan",
    "record",
    "run",
    "subtract",
    "value_of",
]


class Desk(NamedTuple):
    """Working arrays of one run, shape (N,); those of the sort are longer."""

    positions: Array
    permitted: Array
    reasons: Codes
    keys: Array
    quantities: Array
    markets: Codes
    sequence: Codes
    ranks: Codes


@njit(cache=True, nogil=True, error_model="numpy")
def new_desk(n: int) -> Desk:
    """Return the working arrays of an account of `n` markets that holds nothing."""
    codes = np.zeros((4, n + SPARE), dtype=np.int64)
    plain = np.zeros((2, n))
    keys = np.zeros(n + SPARE)
    return Desk(plain[0], np.full(n, np.nan), codes[0, :n], keys, plain[1], codes[1], codes[2], codes[3])


@njit(cache=True, nogil=True, error_model="numpy")
def subtract(a: float, b: float) -> float:
    """Return ``a - b`` of two amounts >= 0; exactly zero where they are the same but for rounding."""
    rest = a - b
    if rest > ROUNDING * a and rest > NOTHING:
        return rest
    return 0.0 if abs(rest) <= max(ROUNDING * max(a, b), NOTHING) else rest


@njit(cache=True, nogil=True, error_model="numpy")
def value_of(cash: float, positions: Array, prices: Array, t: int) -> float:
    """Return cash and positions at row `t` of `prices`."""
    value = cash
    for i in range(positions.shape[0]):
        if positions[i] != 0.0:
            value += positions[i] * prices[t, i]
    return value


@njit(cache=True, nogil=True, error_model="numpy")
def _buy(quantity: float, price: float, cash: float, fee: float) -> tuple[float, float, float]:
    """Return quantity bought, fee paid and cash left; the quantity is cut to what the cash affords."""
    notional = quantity * price
    paid = notional * fee
    rest = subtract(cash, notional + paid)
    if rest >= 0.0:
        return quantity, paid, rest
    affordable = cash / (1.0 + fee)
    return affordable / price, cash - affordable, 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def record(
    out: Outputs, count: int, key: tuple[int, int, int, int], figures: tuple[float, float, float, float]
) -> int:
    """Write a row of the order log where there is room; return the number of rows."""
    if count >= out.log.shape[0]:
        return count
    for column in range(4):
        out.log[count, column] = key[column]
        out.figures[count, column] = figures[column]
    return count + 1


@njit(cache=True, nogil=True, error_model="numpy")
def note_unpriced(t: int, tape: Tape, desk: Desk, out: Outputs, count: int) -> int:
    """Log what a weight asked for in markets that have no price."""
    for i in range(desk.positions.shape[0]):
        weight = desk.permitted[i]
        asked = weight > 0.0 or (weight == 0.0 and desk.positions[i] > 0.0)
        if asked and np.isnan(tape.price[t, i]):
            count = record(out, count, (t, i, 0, NO_PRICE), (0.0, np.nan, np.nan, 0.0))
    return count


@njit(cache=True, nogil=True, error_model="numpy")
def plan(t: int, tape: Tape, desk: Desk, value: float) -> int:
    """Collect keys, quantities and markets of the bar's orders; return how many there are."""
    # Without branches first, so that the divisions run in lanes; NaN in, NaN out.
    for i in range(desk.positions.shape[0]):
        worth = desk.permitted[i] * value
        desk.keys[i] = worth - desk.positions[i] * tape.mark[t, i]
        desk.quantities[i] = worth / tape.mark[t, i] - desk.positions[i]
    orders = 0
    for i in range(desk.positions.shape[0]):
        if abs(desk.quantities[i]) > NOTHING and not np.isnan(tape.price[t, i]):
            desk.keys[orders] = desk.keys[i]
            desk.quantities[orders] = desk.quantities[i]
            desk.markets[orders] = i
            orders += 1
    return orders


@njit(cache=True, nogil=True, error_model="numpy")
def _fill(
    t: int, orders: int, tape: Tape, terms: Terms, desk: Desk, cash: float, out: Outputs, count: int
) -> tuple[float, float, float, int]:
    """Fill the orders in their sequence; return cash, traded notional, costs and the log's length."""
    notional = 0.0
    costs = 0.0
    for k in range(orders):
        i = desk.markets[desk.sequence[k]]
        quantity = desk.quantities[desk.sequence[k]]
        reference = tape.price[t, i]
        if quantity > 0.0:
            if cash == 0.0:
                count = record(out, count, (t, i, BUY, NO_CASH), (quantity, np.nan, reference, 0.0))
                continue
            price = reference * (1.0 + terms.slippage)
            traded, paid, cash = _buy(quantity, price, cash, terms.fee)
            held = desk.positions[i] + traded
            desk.positions[i] = 0.0 if held <= NOTHING else held
            side, status = BUY, CASH_SHORT if traded < quantity else FILLED
        else:
            traded = min(desk.positions[i], -quantity)
            if traded <= NOTHING:
                continue
            price = reference * (1.0 - terms.slippage)
            paid = traded * price * terms.fee
            desk.positions[i] = subtract(desk.positions[i], traded)
            cash += subtract(traded * price, paid)
            side, status = SELL, FILLED
        count = record(out, count, (t, i, side, status), (traded, price, reference, paid))
        notional += traded * price
        costs += paid + traded * reference * terms.slippage
    return cash, notional, costs, count


@njit(cache=True, nogil=True, error_model="numpy")
def permit(
    t: int,
    tape: Tape,
    target: Array,
    positions: Array,
    value: float,
    state: RiskState,
    terms: Terms,
    permitted: Array,
    reasons: Codes,
) -> RiskState:
    """Run the risk step on the account as it stands at the marks; fill `permitted` and `reasons`."""
    for i in range(positions.shape[0]):
        held = positions[i] != 0.0 and value > NOTHING
        state.weights[i] = positions[i] * tape.mark[t, i] / value if held else 0.0
        state.tradeable[i] = not np.isnan(tape.price[t, i])
    look(t, t - terms.lag, tape.mark, terms.watch, state)
    observed = observe(state, value, state.weights, state.tradeable, tape.day[t])
    return step_into(target, observed, terms.limits, permitted, reasons)


@njit(cache=True, nogil=True, error_model="numpy")
def close_bar(
    t: int,
    tape: Tape,
    positions: Array,
    cash: float,
    before: float,
    notional: float,
    costs: float,
    path: Array,
) -> float:
    """Write the bar's column of `path` and return equity at the close."""
    equity = value_of(cash, positions, tape.last, t)
    path[EQUITY, t] = equity
    path[RETURN, t] = equity / before - 1.0 if before > 0.0 else 0.0
    path[TURNOVER, t] = notional / before if before > 0.0 else 0.0
    path[COST, t] = costs / before if before > 0.0 else 0.0
    path[EXPOSURE, t] = (equity - cash) / equity if equity > 0.0 else 0.0
    return equity


@njit(cache=True, nogil=True, error_model="numpy")
def run(tape: Tape, weights: Array, terms: Terms, out: Outputs) -> int:
    """Simulate one account and return how many rows of the order log were written.

    `weights` (T, N) are the decided ones: row t trades at bar t + lag, NaN keeps the quantity.
    """
    n = tape.price.shape[1]
    desk = new_desk(n)
    cash = terms.cash
    state = starting_state(n, cash, terms.limits)
    before = cash
    count = 0
    for t in range(tape.price.shape[0]):
        notional, costs = 0.0, 0.0
        if t >= terms.lag:
            value = value_of(cash, desk.positions, tape.mark, t)
            target = weights[t - terms.lag]
            if terms.limited:
                state = permit(
                    t, tape, target, desk.positions, value, state, terms, desk.permitted, desk.reasons
                )
            else:
                desk.permitted[:] = target
            if value > NOTHING:
                if out.log.shape[0] > 0:
                    count = note_unpriced(t, tape, desk, out, count)
                orders = plan(t, tape, desk, value)
                sort(desk.keys, orders, desk.ranks, desk.sequence)
                cash, notional, costs, count = _fill(t, orders, tape, terms, desk, cash, out, count)
        before = close_bar(t, tape, desk.positions, cash, before, notional, costs, out.path)
        if out.positions.shape[0] > 0:
            out.positions[t] = desk.positions
            out.permitted[t] = desk.permitted
            out.reasons[t] = desk.reasons
    return count
