"""Random targets on random accounts: no limit is exceeded, computed here on its own; reductions always pass.

5,000 targets in every run, 50,000 in the long one.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from lab.risk import initial_state, step
from tests.oracle.risk_layers import Seen
from tests.oracle.risk_worlds import World, world
from tests.property.risk.test_layers import moved, shown

TINY = 1e-9


def courses(seed: tuple[int, ...], steps: int):
    """Yield world, what was seen, permitted weights and the shares of positions after the step."""
    one = world(*seed)
    names = list(one.book.instances)
    state = initial_state(one.markets, 1_000.0, one.limits)
    day, equity, weights, marks = 19_000, 1_000.0, [0.0] * one.markets, [10.0] * one.markets
    for _ in range(steps):
        seen = one.seen(day, equity, weights, marks)
        permitted, state, _ = step(np.array(seen.target), shown(state, seen, names), one.limits)
        after = [w if math.isnan(p) else p for w, p in zip(weights, permitted.tolist(), strict=True)]
        yield one, seen, permitted.tolist(), after, state
        day, equity, weights, marks = moved(one, day, equity, after, marks)


def check_reductions(one: World, seen: Seen, permitted: list[float]) -> None:
    band = max(one.book.figures["rebalance_band"], one.book.figures["min_order"], TINY)
    for market, target in enumerate(seen.target):
        if math.isnan(target) or not seen.tradeable[market]:
            assert math.isnan(permitted[market])
        elif target == 0.0:
            assert permitted[market] == 0.0
        elif target <= seen.weights[market] - band:
            assert permitted[market] <= target
        else:
            assert math.isnan(permitted[market]) or permitted[market] <= target


def check_account(one: World, seen: Seen, permitted: list[float], after: list[float], state) -> None:
    book, figures = one.book, one.book.figures
    bought = [m for m in range(one.markets) if after[m] > seen.weights[m]]
    cost = sum(abs(a - w) for a, w in zip(after, seen.weights, strict=True)) * figures["cost_rate"]
    if bought:
        assert sum(after) <= figures["max_exposure"] + TINY
        assert 1.0 - sum(after) - cost >= figures["min_cash"] - TINY
        assert state.mode == 0
    for market in bought:
        buy = after[market] - seen.weights[market]
        away = seen.volatility[market]
        assert after[market] <= figures["max_position"] + TINY
        assert seen.trouble[market] == 0.0
        if book.trade_risk is not None:
            assert buy * (1.0 if math.isnan(away) else away) <= book.trade_risk + TINY
        if book.volume_share is not None:
            assert buy * seen.equity <= book.volume_share * seen.volume[market] + TINY * seen.equity
    entered = [m for m in bought if seen.weights[m] <= TINY]
    if book.max_positions is not None and entered:
        assert sum(weight > TINY for weight in after) <= book.max_positions
    for _, inside, cap in book.groups:
        if any(market in inside for market in bought):
            assert sum(after[market] for market in inside) <= cap + TINY


def check_instances(one: World, seen: Seen, permitted: list[float], after: list[float], state) -> None:
    names = list(one.book.instances)
    kept = [m for m in range(one.markets) if math.isnan(permitted[m])]
    scopes = [([k], one.book.instances[name]) for k, name in enumerate(names)]
    for family, table in one.book.families.items():
        scopes.append(([k for k, n in enumerate(names) if one.book.instances[n]["family"] == family], table))
    for members, table in scopes:
        own = [sum(state.sleeves[k, m] for k in members) * after[m] for m in range(one.markets)]
        assert sum(own) <= max(table["cap"], sum(own[m] for m in kept)) + TINY
    for market in range(one.markets):
        assert sum(state.sleeves[:, market]) <= 1.0 + TINY


def run(block: int, worlds: int) -> int:
    checked, bought = 0, 0
    for seed in range(worlds):
        for one, seen, permitted, after, state in courses((7, block, seed), 10):
            check_reductions(one, seen, permitted)
            check_account(one, seen, permitted, after, state)
            check_instances(one, seen, permitted, after, state)
            checked += 1
            bought += any(a > w for a, w in zip(after, seen.weights, strict=True))
    assert bought > checked / 5
    return checked


def test_5_000_random_targets_never_exceed_a_limit() -> None:
    assert run(0, 500) == 5_000


@pytest.mark.slow
@pytest.mark.parametrize("block", range(1, 11))
def test_50_000_random_targets_never_exceed_a_limit(block: int) -> None:
    assert run(block, 500) == 5_000
