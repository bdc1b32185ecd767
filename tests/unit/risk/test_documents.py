"""Limits by market, and what memory reads where it finds less, or more, than it expects."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lab.core.settings import BreakerRule, PortfolioRiskSettings, RiskSettings
from lab.core.sleeves import Sleeve
from lab.risk import Limits, memory_document, plan_of, read_memory, resumed_document, see, step
from lab.risk.budget import Budget
from lab.risk.state import NORMAL, initial_state

MARKETS = ("x:A/Q", "y:A/Q", "y:B/Q")
SLEEVES = (Sleeve("one", "trend", 1.0),)


def rule(measure: str, at: float, reset: str = "person") -> BreakerRule:
    return BreakerRule(scope="portfolio", measure=measure, at_pct=at, action="reduce_only", reset=reset)


def test_limits_of_one_market_have_its_groups_and_the_caps_of_all() -> None:
    settings = PortfolioRiskSettings(max_weight_per_asset=0.5, max_exchange_pct=0.3, max_currency_pct=0.9)
    limits = Limits.from_settings(settings, markets=MARKETS)
    assert limits.groups.shape == (3, 3)
    for place in range(3):
        its = limits.of_markets(slice(place, place + 1))
        np.testing.assert_array_equal(its.groups[:, 0], limits.groups[:, place])
        assert its.group_caps is limits.group_caps
        assert not its.groups.flags.writeable
        assert its.groups.flags.c_contiguous
        assert its.max_position == limits.max_position
    # x has one market, y two: the exchange's cap holds for an account of either.
    wanted = np.array([0.8])
    for place in range(3):
        its = limits.of_markets(slice(place, place + 1))._replace(breakers=Limits().breakers)
        state = see(initial_state(1, 100.0, its), marks=np.array([1.0]), volatility=np.array([0.0]))
        permitted, _, _ = step(wanted, state, its._replace(trade_risk=math.inf, volume_share=math.inf))
        assert permitted[0] == pytest.approx(0.3)


def test_limits_without_groups_are_the_same_for_every_market() -> None:
    limits = Limits(max_position=0.3)
    assert limits.of_markets(slice(1, 2)) is limits


def test_an_empty_document_is_an_account_that_starts() -> None:
    plan = plan_of(RiskSettings(breakers=(rule("drawdown", 0.1),)), markets=MARKETS)
    state = read_memory({}, plan, capital=750.0)
    fresh = memory_document(initial_state(3, 750.0, plan.limits), plan)
    assert memory_document(state, plan) == fresh
    assert (fresh["day"], fresh["mode"], float.fromhex(fresh["equity"])) == (-1, NORMAL, 750.0)
    assert fresh["marks"] == {}


def test_layers_that_a_file_gains_or_loses_start_afresh_and_are_forgotten() -> None:
    bare = plan_of(RiskSettings(), markets=MARKETS)
    layered = plan_of(RiskSettings(breakers=(rule("drawdown", 0.1),)), markets=MARKETS)
    plain = {"day": 7, "day_start_equity": (812.5).hex(), "mode": 1}
    grown = read_memory(plain, layered, capital=900.0)
    assert (grown.day, grown.day_start_equity, grown.mode) == (7, 812.5, 1)
    fresh = initial_state(3, 900.0, layered.limits)
    assert memory_document(grown, layered) == {**memory_document(fresh, layered), **plain}
    # Layers that are gone leave the day alone.
    assert memory_document(read_memory(memory_document(grown, layered), bare, capital=1.0), bare) == plain


def test_a_breaker_that_is_new_starts_afresh_beside_one_that_is_remembered() -> None:
    one = plan_of(RiskSettings(breakers=(rule("drawdown", 0.1),)), markets=MARKETS)
    state = initial_state(3, 1000.0, one.limits)
    state.breakers[:] = [[0.25, 3.0, 1000.0, 1.0]]
    more = plan_of(
        RiskSettings(breakers=(rule("weekly_loss", 0.2, "week"), rule("drawdown", 0.1))), markets=MARKETS
    )
    found = read_memory(memory_document(state, one), more, capital=600.0)
    fresh = initial_state(3, 600.0, more.limits)
    assert [known.measure for known in more.breakers] == ["weekly_loss", "drawdown"]
    np.testing.assert_array_equal(found.breakers[0], fresh.breakers[0])
    np.testing.assert_array_equal(found.breakers[1], state.breakers[0])


def test_resuming_memory_without_layers_changes_the_mode_alone() -> None:
    document = {"day": 3, "day_start_equity": (8.0).hex(), "mode": 2}
    assert resumed_document(document) == {**document, "mode": NORMAL}


def test_a_state_without_layers_sees_nothing() -> None:
    state = initial_state(2, 100.0)
    assert see(state, marks=np.array([1.0, 2.0]), trouble=np.array([1.0, 1.0])) is state


def test_the_use_of_a_limit_of_nothing_is_nothing_or_unknown() -> None:
    assert Budget("exposure", "family trend", 0.0, 0.0).fraction == 0.0
    assert math.isnan(Budget("exposure", "family trend", 0.1, 0.0).fraction)
    assert Budget("exposure", "family trend", 0.1, 0.4).fraction == 0.25
