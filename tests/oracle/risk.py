"""The risk step in plain Python, one rule and one market at a time; nothing here is shared with the package.

Markets are dictionaries, weights plain floats, None keeps. The numbers 1e-9 (no order is smaller, exits
aside) and 1e-12 (what sums of weights are uncertain by) are part of the rules.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def step(
    target: Sequence[float],
    *,
    equity: float,
    weights: Sequence[float],
    tradeable: Sequence[bool],
    day_start_equity: float,
    mode: str,
    limits: dict[str, float],
) -> tuple[list[float | None], str, list[set[str]]]:
    """Return permitted weights, the mode, and the names of the reasons; the plain figures alone."""
    why: list[set[str]] = [set() for _ in target]
    if mode == "NORMAL" and equity <= day_start_equity * (1 - limits["max_daily_loss"]):
        mode = "REDUCE_ONLY"
    if mode == "NORMAL" and equity <= 0:
        mode = "REDUCE_ONLY"
    wanted = capped(target, weights, tradeable, limits, why)
    for market, weight in enumerate(wanted):
        if weight is None or weight <= 0:
            continue
        if mode != "NORMAL" and weight > weights[market]:
            why[market].add("HALTED" if mode == "HALTED" else "DAILY_LOSS")
            wanted[market] = None
        elif small(market, weight, weights, limits, why):
            wanted[market] = None
    return affordable(wanted, weights, limits, why), mode, why


def capped(
    target: Sequence[float],
    weights: Sequence[float],
    tradeable: Sequence[bool],
    limits: dict[str, float],
    why: list[set[str]],
) -> list[float | None]:
    """Return the targets within the cap of one market and of all together; None keeps."""
    wanted: list[float | None] = []
    for market, weight in enumerate(target):
        if math.isnan(weight):
            wanted.append(None)
        elif not tradeable[market]:
            why[market].add("UNTRADEABLE")
            wanted.append(None)
        elif weight > limits["max_position"]:
            why[market].add("MAX_POSITION")
            wanted.append(limits["max_position"])
        else:
            wanted.append(weight)
    return _exposure(wanted, weights, limits["max_exposure"], why)


def _exposure(
    wanted: list[float | None], weights: Sequence[float], largest: float, why: list[set[str]]
) -> list[float | None]:
    untouched = sum(weights[market] for market, weight in enumerate(wanted) if weight is None)
    asked = sum(weight for weight in wanted if weight is not None)
    if untouched + asked <= largest + 1e-12 or asked == 0:
        return wanted
    for market, weight in enumerate(wanted):
        if weight:
            why[market].add("MAX_EXPOSURE")
    room = max(largest - untouched, 0.0)
    return [None if weight is None else weight * (room / asked) for weight in wanted]


def small(
    market: int, weight: float, weights: Sequence[float], limits: dict[str, float], why: list[set[str]]
) -> bool:
    """Tell whether a change is within the band, or too small to be an order."""
    change = abs(weight - weights[market])
    if change < limits["rebalance_band"]:
        why[market].add("BAND")
        return True
    if change < limits["min_order"] or change < 1e-9:
        why[market].add("DUST")
        return True
    return False


def affordable(
    wanted: list[float | None], weights: Sequence[float], limits: dict[str, float], why: list[set[str]]
) -> list[float | None]:
    """Scale buys to the room and the cash that there are."""
    buys = {m: w - weights[m] for m, w in enumerate(wanted) if w is not None and w > weights[m]}
    sells = {m: weights[m] - w for m, w in enumerate(wanted) if w is not None and w < weights[m]}
    if not buys:
        return wanted
    left = sum(weights) - sum(sells.values())
    cost = limits["cost_rate"]
    money = 1 - sum(weights) + sum(sells.values()) * (1 - cost) - limits["min_cash"]
    if sum(buys.values()) > limits["max_exposure"] - left + 1e-12:
        share = max(limits["max_exposure"] - left, 0.0) / sum(buys.values())
        buys = _cut(buys, share, "MAX_EXPOSURE", limits, why)
    paid = sum(buys.values()) * (1 + cost)
    if paid > 0 and paid > money + 1e-12:
        buys = _cut(buys, max(money - 1e-12, 0.0) / paid, "CASH", limits, why)
    result = list(wanted)
    for market, weight in enumerate(wanted):
        if weight is not None and weight > weights[market]:
            result[market] = weights[market] + buys[market] if market in buys else None
    return result


def _cut(
    buys: dict[int, float], share: float, reason: str, limits: dict[str, float], why: list[set[str]]
) -> dict[int, float]:
    kept = {}
    for market, change in buys.items():
        why[market].add(reason)
        if change * share < max(limits["min_order"], 1e-9):
            why[market].add("DUST")
        else:
            kept[market] = change * share
    return kept
