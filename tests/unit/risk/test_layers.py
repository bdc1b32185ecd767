"""Each layer at its edge, one step under it and one step over it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lab.core.settings import PortfolioRiskSettings, RiskSettings
from lab.core.sleeves import Sleeve
from lab.risk import Limits, RiskState, initial_state, observe, plan_of, reason_names, see, step

# Sums of weights are uncertain by 1e-12; a step is ten of it.
STEP = 1e-11
FREE: dict[str, Any] = {
    "max_weight_per_asset": 1.0,
    "max_exchange_pct": 1.0,
    "max_instance_pct": 1.0,
    "max_trend_family_pct": 1.0,
    "max_mean_reversion_family_pct": 1.0,
    "max_other_family_pct": 1.0,
    "max_trade_risk_pct": None,
    "max_order_volume_pct": None,
    "max_daily_loss_pct": 1.0,
    "breakers": (),
}
MARKETS = ("a:BTC/USD", "a:ETH/USD", "b:BTC/USD", "b:LTC/EUR")
TREND = Sleeve("slow", "time_series_momentum", 0.3)
QUICK = Sleeve("quick", "time_series_momentum", 0.2, 1)
SWING = Sleeve("swing", "mean_reversion", 0.2)


def limits(*sleeves: Sleeve, **settings: Any) -> Limits:
    section = PortfolioRiskSettings.model_validate({**FREE, **settings})
    return Limits.from_settings(section, None, MARKETS, sleeves)


def run(
    target: list[float],
    rules: Limits,
    *,
    held: list[float] | None = None,
    parts: list[list[float]] | None = None,
    shares: list[list[float]] | None = None,
    **seen: Any,
) -> tuple[list[float], list[list[str]], RiskState]:
    count = len(target)
    state = initial_state(count, 1000.0, rules)
    if shares is not None:
        state = state._replace(sleeves=np.array(shares))
    marks = seen.pop("marks", np.full(count, 10.0))
    state = see(state, marks=marks, parts=None if parts is None else np.array(parts), **seen)
    weights = np.zeros(count) if held is None else np.array(held)
    state = observe(state, 1000.0, weights, np.ones(count, dtype=np.bool_), 100)
    permitted, after, reasons = step(np.array(target), state, rules)
    return permitted.tolist(), [reason_names(code) for code in reasons], after


GROUPS = [
    ("max_weight_per_asset", [0.2, 0.0, None, 0.0], 0.3, "ASSET_CAP"),
    ("max_exchange_pct", [0.2, None, 0.0, 0.3], 0.6, "EXCHANGE_CAP"),
    ("max_currency_pct", [0.2, 0.1, None, 0.3], 0.5, "CURRENCY_CAP"),
]


@pytest.mark.parametrize(("key", "others", "cap", "reason"), GROUPS)
@pytest.mark.parametrize("over", [-STEP, 0.0, STEP])
def test_groups_of_markets(key: str, others: list[Any], cap: float, reason: str, over: float) -> None:
    """Base currencies together across exchanges; all markets of one exchange; all quoted in one currency."""
    inside = {"ASSET_CAP": [0, 2], "EXCHANGE_CAP": [0, 1], "CURRENCY_CAP": [0, 1, 2]}[reason]
    rest = cap - sum(others[m] or 0.0 for m in inside) + over
    target = [rest if weight is None else weight for weight in others]
    permitted, names, _ = run(target, limits(**{key: cap}))
    if over <= 0:
        assert permitted == target
        assert names == [[], [], [], []]
    else:
        assert sum(permitted[m] for m in inside) == pytest.approx(cap, abs=1e-12)
        assert [reason in own for own in names] == [m in inside and target[m] > 0 for m in range(4)]


@pytest.mark.parametrize("over", [-STEP, 0.0, STEP])
@pytest.mark.parametrize(
    ("sleeve", "settings", "cap", "reason"),
    [
        # 10 % of the portfolio, unless the allocation says more.
        (TREND._replace(allocation=0.05), {"max_instance_pct": 0.1}, 0.1, "INSTANCE_CAP"),
        (TREND, {"max_instance_pct": 0.1}, 0.3, "INSTANCE_CAP"),
        (TREND, {"max_trend_family_pct": 0.4}, 0.4, "FAMILY_CAP"),
        (SWING, {"max_mean_reversion_family_pct": 0.15}, 0.15, "FAMILY_CAP"),
        (TREND._replace(family="carry"), {"max_other_family_pct": 0.25}, 0.25, "FAMILY_CAP"),
        (TREND._replace(family_cap=0.2), {"max_trend_family_pct": 0.4}, 0.2, "FAMILY_CAP"),
    ],
)
def test_instances_and_families(
    sleeve: Sleeve, settings: dict[str, float], cap: float, reason: str, over: float
) -> None:
    target = [cap / 2, 0.0, cap / 2 + over, 0.0]
    permitted, names, after = run(target, limits(sleeve, **settings), parts=[target])
    if over <= 0:
        assert permitted == target
        assert names == [[], [], [], []]
    else:
        assert sum(permitted) == pytest.approx(cap, abs=1e-12)
        assert names == [[reason], [], [reason], []]
    assert after.sleeves[0].tolist() == [1.0, 0.0, 1.0, 0.0]


def test_the_later_priority_is_cut_first() -> None:
    parts = [[0.2, 0.0, 0.0, 0.0], [0.1, 0.15, 0.0, 0.0]]
    rules = limits(TREND, QUICK, max_trend_family_pct=0.35)
    permitted, names, after = run([0.3, 0.15, 0.0, 0.0], rules, parts=parts)
    # The quick one keeps its 0.25; of the slow one's 0.2 there is room for half.
    assert permitted == pytest.approx([0.2, 0.15, 0.0, 0.0])
    assert names[:2] == [["FAMILY_CAP"], []]
    assert after.sleeves[:, 0] == pytest.approx([0.5, 0.5])


def test_kept_positions_take_their_part_of_a_cap() -> None:
    parts, shares = [[np.nan, 0.25, 0.0, 0.0]], [[1.0, 0.0, 0.0, 0.0]]
    rules = limits(TREND, max_trend_family_pct=0.4)
    target, held = [np.nan, 0.25, 0.0, 0.0], [0.3, 0.0, 0.0, 0.0]
    permitted, names, _ = run(target, rules, held=held, parts=parts, shares=shares)
    assert permitted[1] == pytest.approx(0.1)
    assert names[1] == ["FAMILY_CAP"]


def test_what_the_band_keeps_takes_room_from_the_others() -> None:
    rules = limits(max_exchange_pct=0.5, rebalance_band_pct=0.02)
    permitted, names, _ = run([0.29, 0.21, 0.0, 0.0], rules, held=[0.3, 0.1, 0.0, 0.0])
    assert np.isnan(permitted[0])
    assert permitted[1] == pytest.approx(0.2)
    assert names[:2] == [["BAND"], ["EXCHANGE_CAP"]]


@pytest.mark.parametrize(("most", "entered"), [(3, 3), (2, 2), (1, 1)])
def test_number_of_markets(most: int, entered: int) -> None:
    target = [0.1, 0.3, 0.2, 0.0]
    permitted, names, _ = run(target, limits(max_positions=most))
    assert sum(weight > 0 for weight in permitted) == entered
    largest = sorted(target, reverse=True)[:entered]
    assert [weight for weight in permitted if weight > 0] == [w for w in target if w in largest]
    assert sum(own == ["POSITIONS"] for own in names) == 3 - entered


@pytest.mark.parametrize("key", ["max_positions_per_instance", "max_positions_per_family"])
def test_number_of_markets_of_instance_and_family(key: str) -> None:
    parts = [[0.1, 0.2, 0.0, 0.0], [0.0, 0.0, 0.3, 0.0]]
    permitted, names, _ = run([0.1, 0.2, 0.3, 0.0], limits(TREND, SWING, **{key: 1}), parts=parts)
    assert permitted == [0.0, 0.2, 0.3, 0.0]
    assert names == [["POSITIONS"], [], [], []]


def test_an_exit_makes_place_and_what_is_held_stays() -> None:
    permitted, names, _ = run([0.0, 0.2, 0.3, 0.1], limits(max_positions=2), held=[0.3, 0.1, 0.0, 0.0])
    assert permitted[:3] == [0.0, 0.2, 0.3]
    assert np.isnan(permitted[3])
    assert names == [[], [], [], ["POSITIONS"]]


@pytest.mark.parametrize("over", [-STEP, 0.0, STEP])
def test_risk_of_one_trade(over: float) -> None:
    volatility = np.array([0.05, 0.05, 0.05, 0.05])
    target = [0.1 + over / 0.05, 0.3, 0.0, 0.0]
    rules = limits(max_trade_risk_pct=0.005)
    permitted, names, _ = run(target, rules, held=[0.0, 0.25, 0.0, 0.0], volatility=volatility)
    assert permitted[0] == (target[0] if over <= 0 else pytest.approx(0.1, abs=1e-15))
    assert names[0] == ([] if over <= 0 else ["TRADE_RISK"])
    assert permitted[1] == 0.3


def test_an_unknown_volatility_counts_as_losing_all() -> None:
    permitted, names, _ = run(
        [0.3, 0.3, 0.0, 0.0], limits(max_trade_risk_pct=0.005), held=[0.0, 0.9, 0.0, 0.0]
    )
    assert permitted[:2] == [0.005, 0.3]
    assert names[:2] == [["TRADE_RISK"], []]


@pytest.mark.parametrize("over", [-STEP, 0.0, STEP])
def test_size_against_what_the_market_trades(over: float) -> None:
    volume = np.array([2_000.0, np.nan, 0.0, 0.0])
    rules = limits(max_order_volume_pct=0.05)
    # 5 % of 2,000 are 100, a tenth of the account.
    permitted, names, _ = run([0.3 + over, 0.1, 0.0, 0.1], rules, held=[0.2, 0.0, 0.0, 0.3], volume=volume)
    assert permitted[0] == pytest.approx(0.3 + min(over, 0.0), abs=1e-13)
    assert names[0] == ([] if over <= 0 else ["VOLUME"])
    # Not known counts as nothing traded; sales are free.
    assert permitted[1] == 0.0 or np.isnan(permitted[1])
    assert permitted[3] == 0.1


@pytest.mark.parametrize("over", [-STEP, 0.0, STEP])
def test_cash_that_buys_leave(over: float) -> None:
    permitted, names, _ = run([0.5, 0.4 + over, 0.0, 0.0], limits(min_cash_pct=0.1))
    assert sum(permitted) <= 0.9 + 1e-12
    assert names[0] == ([] if over <= 0 else ["CASH"])


def test_trouble_lets_only_reductions_pass_and_a_ban_is_remembered() -> None:
    rules = limits(max_positions=9)
    trouble = np.array([1.0, 2.0, 3.0, np.nan])
    held = [0.1, 0.1, 0.1, 0.1]
    permitted, names, after = run([0.2, 0.2, 0.2, 0.2], rules, held=held, trouble=trouble)
    assert np.isnan(permitted).all()
    assert names == [["DATA"], ["EXCHANGE_HEALTH"], ["HALTED", "EXCHANGE_HEALTH"], ["DATA"]]
    assert run([0.05, 0.05, 0.05, 0.0], rules, held=held, trouble=trouble)[0] == [0.05, 0.05, 0.05, 0.0]
    later = observe(see(after, marks=np.full(4, 10.0)), 1000.0, np.array(held), np.ones(4, dtype=bool), 200)
    permitted, _, codes = step(np.array([0.2, 0.2, 0.2, 0.2]), later, rules)
    assert np.isnan(permitted).tolist() == [False, False, True, False]
    assert reason_names(codes[2]) == ["HALTED", "EXCHANGE_HEALTH"]


def test_shipped_defaults_are_those_of_a_portfolio_alone() -> None:
    sleeves = [
        Sleeve("a", "ma_breakout", 0.05),
        Sleeve("b", "mean_reversion", 0.5),
        Sleeve("c", "carry", 0.2),
    ]
    plan = plan_of(PortfolioRiskSettings(), markets=MARKETS, sleeves=sleeves)
    caps = dict(zip(plan.groups, plan.limits.group_caps.tolist(), strict=True))
    assert {caps["asset BTC"], caps["exchange a"], caps["exchange b"]} == {0.3, 0.6}
    assert plan.limits.scopes[:, 0].tolist() == [0.1, 0.5, 0.2, 0.4, 0.15, 0.25]
    assert (plan.limits.trade_risk, plan.limits.max_daily_loss) == (0.005, 0.05)
    table = {(b.scope.split()[0], b.measure): (b.at, b.action, b.reset) for b in plan.breakers}
    assert table == {
        ("portfolio", "daily_loss"): (0.03, "no_entries", "day"),
        ("portfolio", "weekly_loss"): (0.07, "reduce_only", "week"),
        ("portfolio", "monthly_loss"): (0.10, "reduce_only", "month"),
        ("family", "drawdown"): (0.20, "reduce_only", "month"),
        ("instance", "drawdown"): (0.15, "reduce_only", "month"),
    }
    assert Limits.from_settings(RiskSettings(), None, MARKETS).neutral


def test_a_state_for_other_limits_is_refused() -> None:
    state = initial_state(4, 1000.0)
    with pytest.raises(ValueError, match="not made for these limits"):
        step(np.zeros(4), state, limits(max_positions=2))
