"""Circuit breakers: at their edge, within one bar, until reset, through JSON, on figures that are none."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import numpy as np
import pytest

from lab.core.errors import ConfigError
from lab.core.settings import BreakerRule, PortfolioRiskSettings, RiskSettings, parse_document
from lab.core.sleeves import Sleeve
from lab.risk import (
    HALTED,
    NORMAL,
    REDUCE_ONLY,
    RiskPlan,
    RiskState,
    halt,
    initial_state,
    memory_document,
    observe,
    plan_of,
    read_memory,
    reason_names,
    resume,
    resumed_document,
    see,
    step,
)
from lab.risk.breakers import period
from tests.unit.risk.test_layers import FREE

DAY = (date(2024, 1, 31) - date(1970, 1, 1)).days  # a Wednesday, the last of its month
UP = np.nextafter
SLEEVES = (Sleeve("one", "time_series_momentum", 0.5), Sleeve("two", "carry", 0.5))


def plan(*rules: tuple[str, str, float, str, str], **settings: Any) -> RiskPlan:
    keys = ("scope", "measure", "at_pct", "action", "reset")
    table = tuple(BreakerRule.model_validate(dict(zip(keys, rule, strict=True))) for rule in rules)
    section = PortfolioRiskSettings.model_validate({**FREE, "breakers": table, **settings})
    return plan_of(section, markets=("x:A/Q", "x:B/Q"), sleeves=SLEEVES)


def shown(
    state: RiskState, equity: float, day: int, held: tuple[float, float], marks: tuple[float, float]
) -> RiskState:
    # A is the first instance's, B the second's.
    state = see(state, marks=np.array(marks), parts=np.array([[np.nan, 0.0], [0.0, np.nan]]))
    return observe(state, equity, np.array(held), np.ones(2, dtype=np.bool_), day)


def go(
    one: RiskPlan,
    state: RiskState,
    equity: float,
    day: int,
    held: tuple[float, float] = (0.2, 0.0),
    marks: tuple[float, float] = (10.0, 10.0),
    target: tuple[float, float] = (0.3, 0.3),
) -> tuple[list[float], RiskState, list[list[str]]]:
    """Run one step; more of A, and B entered, unless something stops it."""
    seen = shown(state, equity, day, held, marks)
    parts = np.array([[target[0], 0.0], [0.0, target[1]]])
    permitted, after, codes = step(np.array(target), seen._replace(parts=parts), one.limits)
    return permitted.tolist(), after, [reason_names(code) for code in codes]


def start(one: RiskPlan, equity: float = 1000.0, day: int = DAY) -> RiskState:
    state = initial_state(2, equity, one.limits)
    return go(one, state, equity, day, (0.0, 0.0), target=(0.2, 0.0))[1]


LOSSES = [
    ("daily_loss", "DAILY_LOSS"),
    ("weekly_loss", "WEEKLY_LOSS"),
    ("monthly_loss", "MONTHLY_LOSS"),
    ("drawdown", "DRAWDOWN"),
]
NEXT = [("daily_loss", DAY + 1), ("weekly_loss", DAY + 5), ("monthly_loss", DAY + 1)]


@pytest.mark.parametrize(("measure", "reason"), LOSSES)
@pytest.mark.parametrize("equity", [UP(750.0, 1e9), 750.0, UP(750.0, 0.0)])
def test_trips_when_the_loss_is_reached(measure: str, reason: str, equity: float) -> None:
    one = plan(("portfolio", measure, 0.25, "reduce_only", "person"))
    permitted, after, names = go(one, start(one), equity, DAY)
    if equity > 750.0:
        assert (permitted, after.mode) == ([0.3, 0.3], NORMAL)
    else:
        assert np.isnan(permitted).all()
        assert names == [[reason], [reason]]
        assert after.mode == REDUCE_ONLY
        assert go(one, after, equity, DAY, target=(0.1, 0.0))[0] == [0.1, 0.0]


def test_no_entries_lets_positions_grow() -> None:
    one = plan(("portfolio", "daily_loss", 0.03, "no_entries", "day"))
    permitted, after, names = go(one, start(one), 970.0, DAY)
    assert permitted[0] == 0.3
    assert np.isnan(permitted[1])
    assert names == [[], ["DAILY_LOSS", "NO_ENTRY"]]
    assert after.mode == NORMAL


@pytest.mark.parametrize(
    ("reset", "last", "first"),
    [
        ("day", DAY, DAY + 1),
        ("week", DAY + 4, DAY + 5),
        ("month", DAY + 29, DAY + 30),
    ],
)
def test_it_holds_until_its_reset(reset: str, last: int, first: int) -> None:
    """31 January 2024 is a Wednesday; the week ends with Sunday, 4 February, the next month on the 29th."""
    begin = DAY if reset != "month" else DAY + 1
    one = plan(("portfolio", "drawdown", 0.1, "reduce_only", reset))
    _, state, _ = go(one, start(one, day=begin), 900.0, begin)
    assert state.mode == REDUCE_ONLY
    _, state, _ = go(one, state, 2_000.0, last)
    assert state.mode == REDUCE_ONLY
    permitted, state, _ = go(one, state, 950.0, first)
    assert (permitted, state.mode) == ([0.3, 0.3], NORMAL)
    # The peak starts anew: 950, not 2,000.
    assert go(one, state, UP(855.0, 1e9), first)[1].mode == NORMAL
    assert go(one, state, 855.0, first)[1].mode == REDUCE_ONLY


@pytest.mark.parametrize(("measure", "next_period"), NEXT)
def test_losses_are_measured_from_the_start_of_their_period(measure: str, next_period: int) -> None:
    one = plan(("portfolio", measure, 0.1, "reduce_only", "person"))
    state = go(one, start(one), 910.0, DAY)[1]
    assert go(one, state, 900.0, DAY)[1].mode == REDUCE_ONLY
    state = go(one, state, 900.0, next_period)[1]
    assert state.mode == NORMAL
    assert go(one, state, 810.0, next_period)[1].mode == REDUCE_ONLY


@pytest.mark.parametrize(("scope", "stopped"), [("instance", 0), ("family", 0)])
@pytest.mark.parametrize("mark", [UP(7.0, 10.0), 7.0 - 1e-12])
def test_an_instance_is_judged_by_its_own_positions(scope: str, stopped: int, mark: float) -> None:
    # It holds all of its half of the account in A: 30 % less of the mark are 30 % less of its equity.
    one = plan((scope, "drawdown", 0.3, "reduce_only", "month"))
    _, state, _ = go(one, initial_state(2, 1000.0, one.limits), 1000.0, DAY, (0.0, 0.0), target=(0.5, 0.0))
    value = 500.0 * mark / 10.0
    equity = 500.0 + value
    held = (value / equity, 0.0)
    target = (0.45, 0.3)
    permitted, after, names = go(one, state, equity, DAY, held, (mark, 10.0), target)
    assert after.mode == NORMAL
    assert permitted[1] == 0.3
    if mark > 7.0:
        assert permitted[0] == 0.45
    else:
        assert np.isnan(permitted[stopped])
        assert names[stopped] == ["DUST", "DRAWDOWN"]
        assert after.virtual[0] == pytest.approx(0.7)
        # It may hold less, and still not more, on the next bar of the same month.
        assert go(one, after, equity, DAY, held, (mark, 10.0), (0.1, 0.3))[0] == [0.1, 0.3]
        assert np.isnan(go(one, after, equity, DAY, held, (mark, 10.0), target)[0][0])


BROKEN = [np.nan, np.inf, -np.inf, 0.0, -1.0]


@pytest.mark.parametrize("equity", BROKEN)
def test_an_account_without_a_value_counts_as_tripped(equity: float) -> None:
    one = plan(("portfolio", "monthly_loss", 0.5, "halt", "person"))
    permitted, after, _ = go(one, start(one), equity, DAY, target=(0.3, 0.0))
    assert after.mode == HALTED
    assert np.isnan(permitted[0])
    assert permitted[1] == 0.0


@pytest.mark.parametrize("mark", [np.nan, np.inf, 0.0, -1.0])
def test_an_instance_whose_position_has_no_value_counts_as_tripped(mark: float) -> None:
    one = plan(("instance", "drawdown", 0.5, "reduce_only", "day"))
    state = go(one, start(one), 1000.0, DAY)[1]
    permitted, after, names = go(one, state, 1000.0, DAY, marks=(mark, 10.0))
    assert np.isnan(permitted[0]) or permitted[0] <= 0.2
    assert "DRAWDOWN" in names[0]
    assert permitted[1] == 0.3
    # After its reset it starts anew from one.
    _, later, names = go(one, after, 1000.0, DAY + 1, marks=(10.0, 10.0))
    if not np.isfinite(mark):
        assert later.virtual[0] == 1.0
        assert names == [[], []]


def test_halted_is_left_by_a_person_alone() -> None:
    one = plan(("portfolio", "daily_loss", 0.05, "halt", "person"))
    _, state, names = go(one, start(one), 950.0, DAY)
    assert state.mode == HALTED
    assert names == [["DAILY_LOSS", "HALTED"]] * 2
    for day in (DAY, DAY + 1, DAY + 400):
        _, state, _ = go(one, state, 2_000.0, day)
        assert state.mode == HALTED
    permitted, state, _ = go(one, resume(state), 1_500.0, DAY + 400)
    assert (permitted, state.mode) == ([0.3, 0.3], NORMAL)
    assert go(one, state, 1_425.0, DAY + 400)[1].mode == HALTED
    assert go(one, halt(state), 1_500.0, DAY + 400)[1].mode == HALTED


def test_a_rule_that_halts_must_wait_for_a_person() -> None:
    text = "breakers: [{scope: portfolio, measure: daily_loss, at_pct: 0.1, action: halt, reset: day}]"
    with pytest.raises(ConfigError, match="write reset: person, not day"):
        parse_document(text, PortfolioRiskSettings, source="core.yaml")


def test_memory_goes_through_json_to_the_bit_and_breakers_with_it() -> None:
    one = plan(
        ("portfolio", "weekly_loss", 0.07, "reduce_only", "week"),
        ("instance", "drawdown", 0.02, "reduce_only", "person"),
    )
    state = start(one)
    for number, equity in enumerate((1000.1, 990.3, 929.9)):
        _, state, _ = go(one, state, equity, DAY, (0.1 + number / 7, 0.1), (10.0 - number / 3, 10.1))
    written = json.dumps(memory_document(state, one))
    again = read_memory(json.loads(written), one, capital=5.0)
    assert json.dumps(memory_document(again, one)) == written
    for field in ("sleeves", "virtual", "breakers"):
        assert getattr(again, field).tobytes() == getattr(state, field).tobytes()
    assert (again.day, again.day_start_equity, again.mode) == (DAY, state.day_start_equity, REDUCE_ONLY)
    for from_memory in (state, again):
        permitted, after, names = go(one, from_memory, 940.0, DAY + 1, (0.2, 0.1))
        assert np.isnan(permitted).all()
        assert after.mode == REDUCE_ONLY
        assert {"WEEKLY_LOSS", "DRAWDOWN"} <= {name for own in names for name in own}


def test_resuming_on_paper_is_resuming() -> None:
    one = plan(
        ("portfolio", "drawdown", 0.05, "halt", "person"),
        ("instance", "drawdown", 0.02, "reduce_only", "month"),
    )
    _, state, _ = go(one, start(one), 900.0, DAY, marks=(np.nan, 10.0))
    state = see(state, marks=np.array([10.0, 10.0]), trouble=np.array([3.0, 0.0]))
    _, state, _ = step(np.array([0.3, 0.3]), state, one.limits)
    document = memory_document(state, one)
    assert document["banned"] == ["x:A/Q"]
    assert memory_document(resume(state), one) == resumed_document(document)
    assert resumed_document(document)["banned"] == []


def test_instances_and_markets_that_come_later_start_afresh() -> None:
    rule = ("instance", "drawdown", 0.02, "reduce_only", "month")
    one = plan(rule)
    document = memory_document(go(one, start(one), 900.0, DAY, marks=(5.0, 10.0))[1], one)
    section = PortfolioRiskSettings.model_validate({**FREE, "breakers": one and ()})
    wider = plan_of(section, markets=("x:C/Q", "x:A/Q"), sleeves=(*SLEEVES[1:], Sleeve("new", "carry", 0.1)))
    state = read_memory(document, wider, capital=900.0)
    assert state.sleeves.shape == (2, 2)
    assert state.virtual[:2].tolist() == [float.fromhex(document["virtual"]["instance two"]), 1.0]
    assert np.isnan(state.markets[4]).tolist() == [True, False]


def test_a_drawdown_in_an_instances_file_is_its_own() -> None:
    section = PortfolioRiskSettings.model_validate({**FREE})
    found = plan_of(section, markets=("x:A/Q",), sleeves=(SLEEVES[0]._replace(max_drawdown=0.08), SLEEVES[1]))
    assert [(rule.scope, rule.at) for rule in found.breakers] == [("instance one", 0.08)]
    shipped = plan_of(
        PortfolioRiskSettings(), markets=("x:A/Q",), sleeves=(SLEEVES[0]._replace(max_drawdown=0.08),)
    )
    assert [rule.at for rule in shipped.breakers if rule.scope == "instance one"] == [0.08]
    alone = plan_of(RiskSettings(max_drawdown_pct=0.2), markets=("x:A/Q",))
    assert [(rule.scope, rule.at, rule.action) for rule in alone.breakers] == [
        ("portfolio", 0.2, "reduce_only")
    ]


def test_periods_are_those_of_the_calendar() -> None:
    for number in range(10_000, 30_000, 7):
        when = date.fromordinal(number + date(1970, 1, 1).toordinal())
        assert period(number, 2) == 12 * when.year + when.month - 1
        assert (period(number, 1) == period(number + 1, 1)) == (when.weekday() != 6)
