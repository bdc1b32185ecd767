"""The compiled step with all layers and breakers against its plain twin, over courses of many steps."""

from __future__ import annotations

import json

import numpy as np
import pytest

from lab.risk import (
    Reason,
    RiskPlan,
    initial_state,
    memory_document,
    observe,
    read_memory,
    reason_names,
    see,
    step,
)
from lab.risk.tables import Breaker
from tests.oracle.risk_layers import Account, Seen
from tests.oracle.risk_worlds import World, world

MODES = ("NORMAL", "REDUCE_ONLY", "HALTED")
STEPS = 12


def shown(state, seen: Seen, names: list[str]):
    parts = np.array([seen.parts[name] for name in names]).reshape(len(names), len(seen.target))
    state = see(
        state,
        marks=np.array(seen.marks),
        volatility=np.array(seen.volatility),
        volume=np.array(seen.volume),
        trouble=np.array(seen.trouble),
        parts=parts,
    )
    return observe(state, seen.equity, np.array(seen.weights), np.array(seen.tradeable), seen.day)


def moved(one: World, day: int, equity: float, held: list[float], marks: list[float]):
    """Return the account some time later: prices have moved, positions with them."""
    draw = one.random
    deviation = draw.choice([0.0, 0.02, 0.2])
    factors = np.exp(draw.normal(-deviation / 5, deviation, one.markets))
    values = np.array(held) * equity * factors
    later = equity * (1.0 - sum(held)) + values.sum()
    weights = (values / later).tolist() if later > 0 else held
    day += int(draw.choice([0, 0, 0, 1, 1, 7, 31]))
    return day, float(later), weights, (np.array(marks) * factors).tolist()


def follow(seed: tuple[int, ...], through_json: bool = False) -> dict[str, int]:
    """Run both on one course; return how often each reason was given."""
    one = world(*seed)
    names = list(one.book.instances)
    twin = Account(one.book, one.markets, 1_000.0)
    state = initial_state(one.markets, 1_000.0, one.limits)
    day, equity, weights, marks = 19_000 + seed[-1] % 40, 1_000.0, [0.0] * one.markets, [10.0] * one.markets
    counts: dict[str, int] = {}
    for _ in range(STEPS):
        seen = one.seen(day, equity, weights, marks)
        expected, why = twin.step(seen)
        if through_json:
            state = reread(state, one)
        permitted, state, codes = step(np.array(seen.target), shown(state, seen, names), one.limits)
        wanted = [np.nan if weight is None else weight for weight in expected]
        np.testing.assert_allclose(permitted, wanted, rtol=0, atol=1e-9, err_msg=str(seed))
        assert [set(reason_names(code)) for code in codes] == why, seed
        assert MODES[state.mode] == twin.mode, seed
        for reasons in why:
            for reason in reasons:
                counts[reason] = counts.get(reason, 0) + 1
        held = [w if p is None else p for w, p in zip(weights, expected, strict=True)]
        day, equity, weights, marks = moved(one, day, equity, held, marks)
    return counts


def reread(state, one: World):
    """Return the state after a way through JSON text."""
    plan = RiskPlan(
        one.limits,
        tuple(f"x:M{i}/Q" for i in range(one.markets)),
        tuple(one.book.instances),
        tuple(one.book.families),
        (),
        tuple(
            Breaker(
                f"{number} {rule['scope']}", 0, rule["measure"], rule["at"], rule["action"], rule["reset"]
            )
            for number, rule in enumerate(one.book.breakers)
        ),
    )
    text = json.dumps(memory_document(state, plan))
    again = read_memory(json.loads(text), plan, capital=1.0)
    assert json.dumps(memory_document(again, plan)) == text
    for name in ("day", "day_start_equity", "mode"):
        assert getattr(again, name) == getattr(state, name)
    for name in ("sleeves", "virtual", "breakers"):
        assert getattr(again, name).tobytes() == getattr(state, name).tobytes(), name
    return again


def test_equals_the_plain_twin_over_300_courses_and_every_rule_acts() -> None:
    counts: dict[str, int] = {}
    for seed in range(300):
        for reason, number in follow((5, seed), through_json=seed % 2 == 1).items():
            counts[reason] = counts.get(reason, 0) + number
    print({reason: counts[reason] for reason in sorted(counts)})
    assert set(counts) == {reason.name for reason in Reason}


@pytest.mark.slow
@pytest.mark.parametrize("block", range(10))
def test_equals_the_plain_twin_over_5_000_courses(block: int) -> None:
    for seed in range(500):
        follow((6, block, seed), through_json=seed % 3 == 0)
