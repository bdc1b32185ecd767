"""The fused engine where the market resists: slippage that grows, volume that ends, sizes that are rounded.

The account of ``kernel.run`` with another fill. What volume cuts off an order is carried: until the next
decision for its market, the quantity it aimed at becomes a target weight again on every bar, and passes the
risk step like any other. The definition is ``tests/oracle/frictions.py``.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from lab.backtest.kernel import (
    Desk,
    close_bar,
    new_desk,
    note_unpriced,
    permit,
    plan,
    record,
    subtract,
    value_of,
)
from lab.backtest.layout import (
    BUY,
    CASH_SHORT,
    FILLED,
    NO_CASH,
    NO_VOLUME,
    NOTHING,
    SELL,
    TOO_SMALL,
    VOLUME_SHORT,
    Array,
    Frictions,
    Outputs,
    Tape,
    Terms,
)
from lab.backtest.prices import ExecutionPrices, frozen
from lab.backtest.sorting import sort
from lab.core.compiled import njit
from lab.costs import Costs, MarketRules
from lab.risk import starting_state

__all__ = ["frictions_of", "run_with_frictions"]

VOLATILITY_BARS: Final = 20
_LEAST_CHANGES: Final = 10
# A sale brings something, whatever the slippage.
_LARGEST_SLIPPAGE: Final = 0.99
_ROUNDING: Final = 1e-9


def frictions_of(prices: ExecutionPrices, costs: Costs) -> Frictions:
    """Return the arrays that `costs` need, from the bars that `prices` were made of."""
    rules = {rule.market: rule for rule in costs.rules}
    usual = rules.get("*", MarketRules())
    own = [rules.get(market, usual) for market in prices.markets]
    return Frictions(
        prices.bar_column("high", needed=costs.clip_to_bar),
        prices.bar_column("low", needed=costs.clip_to_bar),
        prices.bar_column("volume", needed=costs.impact_bps > 0 or costs.max_participation is not None),
        frozen(_volatility(prices.bar_column("close", needed=True))),
        frozen(np.array([rule.lot for rule in own])),
        frozen(np.array([rule.tick for rule in own])),
        frozen(np.array([rule.min_notional for rule in own])),
        float(costs.slippage_volatility),
        costs.impact_bps / 10_000.0,
        math.inf if costs.max_participation is None else float(costs.max_participation),
        costs.clip_to_bar,
    )


@njit(cache=True, nogil=True, error_model="numpy")
def _volatility(close: Array) -> Array:
    """Return the deviation of one-bar log returns over the bars before each; 0 where too few are known."""
    result = np.zeros(close.shape)
    for i in range(close.shape[1]):
        for t in range(close.shape[0]):
            count, total = 0, 0.0
            for s in range(max(t - VOLATILITY_BARS, 1), t):
                change = math.log(close[s, i] / close[s - 1, i])
                if not math.isnan(change):
                    count += 1
                    total += change
            if count < _LEAST_CHANGES:
                continue
            squares = 0.0
            for s in range(max(t - VOLATILITY_BARS, 1), t):
                change = math.log(close[s, i] / close[s - 1, i])
                if not math.isnan(change):
                    squares += (change - total / count) ** 2
            result[t, i] = math.sqrt(squares / (count - 1))
    return result


@njit(cache=True, nogil=True, error_model="numpy")
def _down(amount: float, step: float) -> float:
    return math.floor(amount / step + _ROUNDING) * step if step > 0.0 else amount


@njit(cache=True, nogil=True, error_model="numpy")
def _price(
    t: int, i: int, side: int, traded: float, reference: float, base: float, market: Frictions
) -> float:
    """Return the fill price: slippage, then the tick against the trader, then the bar's range."""
    slippage = base + market.per_volatility * market.volatility[t, i]
    if market.impact > 0.0:
        volume = market.volume[t, i]
        slippage += market.impact * math.sqrt(min(traded / volume, 1.0) if volume > 0.0 else 1.0)
    slippage = min(slippage, _LARGEST_SLIPPAGE)
    price = reference * (1.0 + side * slippage)
    tick = market.tick[i]
    if tick > 0.0:
        steps = math.ceil(price / tick - _ROUNDING) if side == BUY else math.floor(price / tick + _ROUNDING)
        price = steps * tick if steps > 0 else price
    if market.clip and side == BUY and price > market.high[t, i]:
        price = max(market.high[t, i], reference)
    if market.clip and side == SELL and price < market.low[t, i]:
        price = min(market.low[t, i], reference)
    return price


@njit(cache=True, nogil=True, error_model="numpy")
def _size(t: int, i: int, wanted: float, market: Frictions) -> tuple[float, int]:
    """Return what volume and lot leave of an order, and its status."""
    status = FILLED
    if market.share < np.inf:
        room = market.volume[t, i] * market.share
        if not room > 0.0:
            return 0.0, NO_VOLUME
        if wanted > room:
            wanted, status = room, VOLUME_SHORT
    wanted = _down(wanted, market.lot[i])
    return (wanted, status) if wanted > NOTHING else (0.0, TOO_SMALL)


@njit(cache=True, nogil=True, error_model="numpy")
def _pay(
    i: int, traded: float, price: float, cash: float, fee: float, market: Frictions
) -> tuple[float, float, float]:
    """Return quantity, fee and cash after a buy that may not fit."""
    notional = traded * price
    paid = notional * fee
    rest = subtract(cash, notional + paid)
    if rest >= 0.0:
        return traded, paid, rest
    affordable = cash / (1.0 + fee)
    if market.lot[i] == 0.0:
        return affordable / price, cash - affordable, 0.0
    traded = _down(affordable / price, market.lot[i])
    notional = traded * price
    return traded, notional * fee, subtract(cash, notional + notional * fee)


@njit(cache=True, nogil=True, error_model="numpy")
def _trade(
    t: int,
    i: int,
    quantity: float,
    reference: float,
    held: float,
    cash: float,
    terms: Terms,
    market: Frictions,
) -> tuple[int, float, float, float, float]:
    """Return status, quantity traded, price, fee and cash; nothing changes where nothing is traded."""
    side = BUY if quantity > 0.0 else SELL
    if side == BUY and cash == 0.0:
        return NO_CASH, 0.0, np.nan, 0.0, cash
    traded, status = _size(t, i, quantity if side == BUY else min(held, -quantity), market)
    if traded == 0.0:
        return status, 0.0, np.nan, 0.0, cash
    price = _price(t, i, side, traded, reference, terms.slippage, market)
    if side == BUY:
        bought, paid, rest = _pay(i, traded, price, cash, terms.fee, market)
        status = CASH_SHORT if bought < traded else status
        traded = bought
    else:
        paid = traded * price * terms.fee
        rest = cash + subtract(traded * price, paid)
    if traded <= NOTHING or traded * price < market.least[i]:
        return TOO_SMALL, 0.0, np.nan, 0.0, cash
    return status, traded, price, paid, rest


@njit(cache=True, nogil=True, error_model="numpy")
def _fill(
    t: int,
    orders: int,
    tape: Tape,
    terms: Terms,
    market: Frictions,
    desk: Desk,
    goal: Array,
    cash: float,
    out: Outputs,
    count: int,
) -> tuple[float, float, float, int]:
    notional, costs = 0.0, 0.0
    for k in range(orders):
        i = desk.markets[desk.sequence[k]]
        quantity = desk.quantities[desk.sequence[k]]
        side = BUY if quantity > 0.0 else SELL
        if side == SELL and min(desk.positions[i], -quantity) <= NOTHING:
            goal[i] = np.nan
            continue
        aim = max(desk.positions[i] + quantity, 0.0)
        reference = tape.price[t, i]
        status, traded, price, paid, cash = _trade(
            t, i, quantity, reference, desk.positions[i], cash, terms, market
        )
        goal[i] = aim if status in (VOLUME_SHORT, NO_VOLUME) else np.nan
        if traded == 0.0:
            count = record(out, count, (t, i, side, status), (abs(quantity), np.nan, reference, 0.0))
            continue
        if side == BUY:
            desk.positions[i] += traded
        else:
            desk.positions[i] = subtract(desk.positions[i], traded)
        count = record(out, count, (t, i, side, status), (traded, price, reference, paid))
        notional += traded * price
        costs += paid + traded * abs(price - reference)
    return cash, notional, costs, count


@njit(cache=True, nogil=True, error_model="numpy")
def _carry(t: int, tape: Tape, decided: Array, goal: Array, value: float, target: Array) -> None:
    """Fill `target` with what was decided, and with what is still to be traded where nothing was."""
    for i in range(target.shape[0]):
        target[i] = decided[i]
        if not np.isnan(decided[i]):
            goal[i] = np.nan
        elif not np.isnan(goal[i]) and value > NOTHING:
            target[i] = goal[i] * tape.mark[t, i] / value


@njit(cache=True, nogil=True, error_model="numpy")
def run_with_frictions(
    tape: Tape, weights: Array, terms: Terms, market: Frictions, out: Outputs, targets: Array
) -> int:
    """Simulate one account as ``kernel.run`` does; `targets` (T, N), or empty: what risk was asked."""
    n = tape.price.shape[1]
    desk = new_desk(n)
    goal, target = np.full(n, np.nan), np.full(n, np.nan)
    cash = terms.cash
    state = starting_state(n, cash, terms.limits)
    before = cash
    count = 0
    for t in range(tape.price.shape[0]):
        notional, costs = 0.0, 0.0
        if t >= terms.lag:
            value = value_of(cash, desk.positions, tape.mark, t)
            _carry(t, tape, weights[t - terms.lag], goal, value, target)
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
                cash, notional, costs, count = _fill(
                    t, orders, tape, terms, market, desk, goal, cash, out, count
                )
        before = close_bar(t, tape, desk.positions, cash, before, notional, costs, out.path)
        if out.positions.shape[0] > 0:
            out.positions[t] = desk.positions
            out.permitted[t] = desk.permitted
            out.reasons[t] = desk.reasons
            targets[t] = target
    return count
