"""The market's resistance in plain floats: slippage that grows, volume that ends, sizes that are rounded.

Per order, after the plan of ``tests/oracle/backtest.py``:

1. volume: at most `share` of the bar's volume; none known, none traded. The rest is carried.
2. lot: rounded down.
3. price: fixed slippage + `per_volatility` x volatility before the bar + `impact` x sqrt(share of the bar's
   volume); then the tick against the trader; then the bar's range.
4. cash: a buy that does not fit spends what is there (rounded down to the lot).
5. smallest notional: less is not traded.

What volume cut off aims at the same quantity on later bars, as a target weight, until the next decision.
"""

from __future__ import annotations

import math

from tests.oracle.backtest import Path, Risk, _learn, _value, minus, same


def volatility(closes, bars=20, least=10):
    """Sample deviation of the one-bar log returns before each bar; 0 where fewer than `least` are known."""
    table = []
    for bar in range(len(closes)):
        row = []
        for market in range(len(closes[0])):
            changes = []
            for earlier in range(max(bar - bars, 1), bar):
                ratio = closes[earlier][market] / closes[earlier - 1][market]
                if not math.isnan(ratio):
                    changes.append(math.log(ratio))
            if len(changes) < least:
                row.append(0.0)
                continue
            mean = sum(changes) / len(changes)
            row.append(math.sqrt(sum((c - mean) ** 2 for c in changes) / (len(changes) - 1)))
        table.append(row)
    return table


def simulate(  # noqa: C901 - the definition, from top to bottom
    bars: dict,
    weights,
    *,
    fee,
    slippage,
    cash,
    per_volatility=0.0,
    impact=0.0,
    share=None,
    clip=False,
    lot=0.0,
    tick=0.0,
    least=0.0,
    lag=1,
    risk: Risk | None = None,
) -> Path:
    opens, closes = bars["open"], bars["close"]
    spread = volatility(closes)
    markets = range(len(opens[0]))
    path, positions = Path(), [0.0 for _ in markets]
    last, goals = [math.nan for _ in markets], [None for _ in markets]
    for bar, prices in enumerate(opens):
        _learn(last, prices)
        marks = list(last)
        permitted = [math.nan for _ in markets]
        if bar >= lag:
            value = _value(cash, positions, marks)
            permitted = [float(weight) for weight in weights[bar - lag]]
            for i in markets:
                if not math.isnan(permitted[i]):
                    goals[i] = None
                elif goals[i] is not None and value > 1e-12:
                    permitted[i] = goals[i] * marks[i] / value
            if risk is not None:
                held = [
                    p * m / value if p and value > 0 else 0.0 for p, m in zip(positions, marks, strict=True)
                ]
                permitted = risk(bar, permitted, value, held, [not math.isnan(p) for p in prices], marks)
            wanted = []
            for i in markets:
                if value <= 1e-12 or math.isnan(permitted[i]):
                    continue
                if math.isnan(prices[i]):
                    if permitted[i] > 0 or positions[i] > 0:
                        path.refused.append((bar, i, "no_price"))
                    continue
                quantity = permitted[i] * value / marks[i] - positions[i]
                if not same(quantity, 0.0):
                    wanted.append((permitted[i] * value - positions[i] * marks[i], i, quantity))
            for _, i, quantity in sorted(wanted):
                buying = quantity > 0
                if not buying and same(min(positions[i], -quantity), 0.0):
                    goals[i] = None
                    continue
                if buying and cash == 0.0:
                    goals[i] = None
                    path.refused.append((bar, i, "no_cash"))
                    continue
                aim = max(positions[i] + quantity, 0.0)
                goals[i] = None
                size = quantity if buying else min(positions[i], -quantity)
                volume = bars["volume"][bar][i]
                if share is not None:
                    room = volume * share
                    if math.isnan(room) or room <= 0:
                        goals[i] = aim
                        path.refused.append((bar, i, "no_volume"))
                        continue
                    if size > room:
                        size, goals[i] = room, aim
                size = rounded_down(size, lot)
                if size <= 1e-12:
                    goals[i] = None
                    path.refused.append((bar, i, "too_small"))
                    continue
                slip = slippage + per_volatility * spread[bar][i]
                if impact:
                    taken = min(size / volume, 1.0) if volume > 0 else 1.0
                    slip += impact * math.sqrt(taken)
                slip = min(slip, 0.99)
                price = prices[i] * (1.0 + slip) if buying else prices[i] * (1.0 - slip)
                if tick:
                    steps = math.ceil(price / tick - 1e-9) if buying else math.floor(price / tick + 1e-9)
                    price = steps * tick if steps > 0 else price
                if clip and buying and price > bars["high"][bar][i]:
                    price = max(bars["high"][bar][i], prices[i])
                if clip and not buying and price < bars["low"][bar][i]:
                    price = min(bars["low"][bar][i], prices[i])
                notional = size * price
                paid = notional * fee
                cut = False
                if buying and not same(notional + paid, cash) and notional + paid > cash:
                    cut = True
                    affordable = cash / (1 + fee)
                    size = rounded_down(affordable / price, lot)
                    paid = cash - affordable if not lot else size * price * fee
                if size <= 1e-12 or size * price < least:
                    goals[i] = None
                    path.refused.append((bar, i, "too_small"))
                    continue
                if cut:
                    goals[i] = None
                if buying:
                    cash = 0.0 if cut and not lot else minus(cash, size * price + paid)
                    positions[i] += size
                else:
                    cash += minus(size * price, paid)
                    positions[i] = minus(positions[i], size)
                path.fills.append((bar, i, 1 if buying else -1, size, price, paid))
        _learn(last, closes[bar])
        path.permitted.append(permitted)
        path.positions.append(list(positions))
        path.cash.append(cash)
        path.equity.append(_value(cash, positions, last))
    return path


def rounded_down(amount: float, step: float) -> float:
    return math.floor(amount / step + 1e-9) * step if step else amount
