"""The accounting in plain floats, one bar and one market at a time: the definition the engines obey.

Nothing here is shared with the package. Weights decided at the close of bar t trade `lag` bars later.
Per bar:

1. mark: the price the bar trades at where it is known, else the last known price (open or close).
2. value: cash and positions at their marks, before any trade.
3. risk, if there is one, turns the decided weights into permitted ones.
4. orders: ``weight * value - position * mark`` each, in ascending order (ties: the market's place), so
   sells come first and then the smallest buys. No weight or no price: no order.
5. fills: sell at ``price * (1 - slippage)``, buy at ``price * (1 + slippage)``, fee on that notional.
   A buy that does not fit spends the cash left, its fee included.
6. equity: cash and positions at the last known closes.

Two amounts within one part in 1e9 (or 1e-12 absolute) of each other are the same amount.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.oracle.risk import step as risk_step

Row = Sequence[float]
# (bar, decided weights, value, current weights, which markets have a price, marks) -> permitted weights
Risk = Callable[[int, list[float], float, list[float], list[bool], list[float]], list[float]]


@dataclass
class Path:
    """What happened: equity and cash at every close, fills and refusals in the order they came."""

    equity: list[float] = field(default_factory=list)
    cash: list[float] = field(default_factory=list)
    positions: list[list[float]] = field(default_factory=list)
    permitted: list[list[float]] = field(default_factory=list)
    # (bar, market, +1 buy or -1 sell, quantity, fill price, fee)
    fills: list[tuple[int, int, int, float, float, float]] = field(default_factory=list)
    # (bar, market, reason)
    refused: list[tuple[int, int, str]] = field(default_factory=list)


def same(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)


def minus(a: float, b: float) -> float:
    return 0.0 if same(a, b) else a - b


def simulate(
    opens: Sequence[Row],
    closes: Sequence[Row],
    weights: Sequence[Row],
    *,
    fee: float,
    slippage: float,
    cash: float,
    lag: int = 1,
    price: str = "open",
    risk: Risk | None = None,
) -> Path:
    markets = len(opens[0])
    path = Path()
    positions = [0.0] * markets
    last = [math.nan] * markets
    for bar in range(len(opens)):
        _learn(last, opens[bar])
        if price == "close":
            _learn(last, closes[bar])
        marks = list(last)
        prices = opens[bar] if price == "open" else closes[bar]
        permitted = [math.nan] * markets
        if bar >= lag:
            value = _value(cash, positions, marks)
            permitted = [float(weight) for weight in weights[bar - lag]]
            if risk is not None:
                held = [
                    p * m / value if p and value > 0 else 0.0 for p, m in zip(positions, marks, strict=True)
                ]
                permitted = risk(bar, permitted, value, held, [not math.isnan(p) for p in prices], marks)
            cash = _trade(path, bar, permitted, prices, marks, positions, cash, value, fee, slippage)
        _learn(last, closes[bar])
        path.permitted.append(permitted)
        path.positions.append(list(positions))
        path.cash.append(cash)
        path.equity.append(_value(cash, positions, last))
    return path


def _learn(last: list[float], row: Row) -> None:
    for market, price in enumerate(row):
        if not math.isnan(price):
            last[market] = float(price)


def _value(cash: float, positions: Row, marks: Row) -> float:
    total = cash
    for position, mark in zip(positions, marks, strict=True):
        if position != 0.0:
            total = total + position * mark
    return total


def _trade(path, bar, weights, prices, marks, positions, cash, value, fee, slippage):
    wanted = []
    for market, weight in enumerate(weights):
        if math.isnan(weight):
            continue
        if math.isnan(prices[market]):
            if weight > 0 or positions[market] > 0:
                path.refused.append((bar, market, "no_price"))
            continue
        wanted.append((weight * value - positions[market] * marks[market], market))
    for _, market in sorted(wanted):
        if value <= 1e-12:
            break
        quantity = weights[market] * value / marks[market] - positions[market]
        if quantity > 0:
            cash = _buy(path, bar, market, quantity, prices[market] * (1 + slippage), positions, cash, fee)
        else:
            cash = _sell(path, bar, market, -quantity, prices[market] * (1 - slippage), positions, cash, fee)
    return cash


def _buy(path, bar, market, quantity, price, positions, cash, fee):
    if same(quantity, 0.0):
        return cash
    if cash == 0.0:
        path.refused.append((bar, market, "no_cash"))
        return cash
    notional = quantity * price
    paid = notional * fee
    spent = notional + paid
    if not same(spent, cash) and spent > cash:
        affordable = cash / (1 + fee)
        quantity, paid, spent = affordable / price, cash - affordable, cash
        path.refused.append((bar, market, "cash_short"))
    held = positions[market] + quantity
    positions[market] = 0.0 if same(held, 0.0) else held
    path.fills.append((bar, market, 1, quantity, price, paid))
    return minus(cash, spent)


def _sell(path, bar, market, quantity, price, positions, cash, fee):
    quantity = min(positions[market], quantity)
    if same(quantity, 0.0):
        return cash
    notional = quantity * price
    paid = notional * fee
    positions[market] = minus(positions[market], quantity)
    path.fills.append((bar, market, -1, quantity, price, paid))
    return cash + minus(notional, paid)


def daily_risk(limits: dict[str, float], days: Sequence[int], capital: float) -> Risk:
    """Return the row-loop risk step with the memory it needs from bar to bar."""
    memory = {"day": -1, "start": capital, "mode": "NORMAL"}

    def permit(bar, target, value, held, tradeable, _marks):
        if days[bar] != memory["day"]:
            memory.update(day=days[bar], start=value, mode="NORMAL")
        permitted, memory["mode"], _ = risk_step(
            target,
            equity=value,
            weights=held,
            tradeable=tradeable,
            day_start_equity=memory["start"],
            mode=memory["mode"],
            limits=limits,
        )
        return [math.nan if weight is None else weight for weight in permitted]

    return permit
