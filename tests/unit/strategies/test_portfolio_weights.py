"""Portfolios over time: who counts while somebody keeps, allocation by record, caps, cuts by priority."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lab.core.errors import ConfigError
from lab.core.panel import Panel
from lab.core.timeframe import Timeframe
from lab.strategies import Portfolio, combine, load_portfolio, standing
from lab.strategies.allocation import AllocationRule, adaptive_shares, cut_to_limit
from lab.validation.causality import certify
from tests.oracle import allocation as oracle

NAN = math.nan
A, B = "x:A/Q", "x:B/Q"

TREND = """\
family: time_series_momentum
strategy_id: trend
version: 1.0.0
timeframe: {trend}
markets: [{{exchange: x, symbol: A/Q}}]
parameters: {{lookback_window: 8, vol_window: 5}}
priority: {priority}
"""
REVERSION = """\
family: mean_reversion
strategy_id: reversion
version: 1.0.0
timeframe: {reversion}
markets: [{{exchange: x, symbol: A/Q}}, {{exchange: x, symbol: B/Q}}]
parameters: {{window: 10, entry_z: 0.5, max_holding: 6, fall_window: 6}}
"""
LEADER = """\
family: dual_momentum
strategy_id: leader
version: 1.0.0
timeframe: 1d
markets: [{exchange: x, symbol: B/Q}, {exchange: x, symbol: A/Q}]
parameters: {lookback_window: 6, rebalance_bars: 3}
"""
PORTFOLIO = """\
portfolio_id: mixed
reference_currency: Q
capital: 1000
hold_bars: 5
instances:
  - {config: trend.yaml, allocation: 0.5}
  - {config: reversion.yaml, allocation: 0.3}
  - {config: leader.yaml, allocation: 0.2}
"""
ADAPTIVE = "allocation: {method: adaptive, window_bars: 20, rebalance_bars: 6, strength: 0.8}\n"


def portfolio_in(
    folder: Path, extra: str = "", *, trend: str = "1d", reversion: str = "1d", priority: int = 100
) -> Portfolio:
    (folder / "trend.yaml").write_text(TREND.format(trend=trend, priority=priority))
    (folder / "reversion.yaml").write_text(REVERSION.format(reversion=reversion))
    (folder / "leader.yaml").write_text(LEADER)
    (folder / "mixed.yaml").write_text(PORTFOLIO + extra)
    return load_portfolio(folder / "mixed.yaml")


def panel(bars: int, timeframe: str = "1d", *, seed: int = 0, first_day: int = 18_000) -> Panel:
    frame = Timeframe.parse(timeframe)
    random = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(random.normal(0, 0.03, (bars, 2)), axis=0))
    close[40:42, 1] = NAN
    close[50, 0] = NAN
    opens = close * np.exp(random.normal(0, 0.005, (bars, 2)))
    bar = np.arange(bars) + first_day * (86_400 // frame.seconds)
    return Panel(frame, bar, frame.open_times(bar), (A, B), {"close": close, "open": opens})


def panels_of(portfolio: Portfolio, *parts: Panel) -> list[Panel]:
    by_frame = {part.timeframe: part for part in parts}
    return [by_frame[one.timeframe].select(one.markets) for one in portfolio.instances]


def test_one_that_keeps_counts_with_what_it_holds() -> None:
    now = [np.array([[NAN], [0.5], [NAN]]), np.array([[0.2, 1.0], [NAN, NAN], [NAN, 0.0]])]
    held = [np.array([[0.8], [0.5], [0.5]]), np.array([[0.2, 1.0], [0.2, 1.0], [NAN, 0.0]])]
    markets, weights = combine(now, [(A,), (A, B)], [0.5, 0.5], held)
    assert markets == (A, B)
    np.testing.assert_allclose(weights, [[0.5, 0.5], [0.35, NAN], [NAN, 0.0]])
    # What lapsed counts as nothing.
    assert combine([np.array([0.5]), np.array([NAN])], [(A,), (A,)], [0.5, 0.5], [np.array([NAN])] * 2)[
        1
    ].tolist() == [0.25]


def test_a_hold_lapses() -> None:
    weights = np.array([[NAN, 0.5], [0.3, NAN], [NAN, NAN], [NAN, NAN], [0.0, NAN]])
    expected = [[NAN, 0.5], [0.3, 0.5], [0.3, 0.5], [0.3, NAN], [0.0, NAN]]
    np.testing.assert_array_equal(standing(weights, 3), expected)


def test_a_hold_of_one_instance_does_not_block_the_others(tmp_path: Path) -> None:
    portfolio = portfolio_in(tmp_path)
    bars = panel(120)
    result = portfolio.decide(panels_of(portfolio, bars))
    trend, reversion, leader = (one.decide(bars.select(one.markets)) for one in portfolio.instances)
    # B misses bar 40: those that trade B keep all they have; the trend of A decides and the sum moves.
    assert np.isnan(reversion[40]).all()
    assert np.isnan(leader[40]).all()
    assert not np.isnan(trend[40, 0])
    last = standing(reversion, 5)[40, 0], standing(leader, 5)[40, 1]
    assert result.weights[40, 0] == pytest.approx(0.5 * trend[40, 0] + 0.3 * last[0] + 0.2 * last[1])
    assert np.isnan(result.weights[40, 1])
    # A misses bar 50: all who trade A keep.
    assert np.isnan(result.weights[50, 0])


@pytest.mark.parametrize("extra", ["", ADAPTIVE, "family_caps: {mean_reversion: 0.1}\n" + ADAPTIVE])
def test_portfolio_is_certified(tmp_path: Path, extra: str) -> None:
    portfolio = portfolio_in(tmp_path, extra)
    needed = max(portfolio.bars_needed(one) for one in portfolio.instances)

    def weights(part: Panel, _: Any) -> np.ndarray:
        return portfolio.decide(panels_of(portfolio, part)).weights

    certificate = certify(weights, panel(needed + 50), None, lookback=needed)
    assert certificate.findings == ()
    assert certificate.bars_checked == 51
    measured = certificate.lookback_measured
    assert measured is not None
    assert measured <= needed


@pytest.mark.parametrize("extra", ["", ADAPTIVE])
def test_mixed_timeframes_need_the_declared_bars_and_no_more(tmp_path: Path, extra: str) -> None:
    portfolio = portfolio_in(tmp_path, extra, trend="4h", reversion="8h")
    day, eight, four = panel(90, "1d"), panel(270, "8h", seed=1), panel(540, "4h", seed=2)
    full = portfolio.decide(panels_of(portfolio, day, eight, four))
    assert (str(full.timeframe), len(full.weights)) == ("4h", 540)
    for end in (*range(400, 421), 537, 538, 539, 540):
        cut = [
            part.rows(max(last - portfolio.bars_needed(one), 0), last)
            for one, part in zip(portfolio.instances, panels_of(portfolio, day, eight, four), strict=True)
            if (last := end * four.timeframe.seconds // one.timeframe.seconds)
        ]
        tail = portfolio.decide(cut)
        assert tail.weights[-1].tobytes() == full.weights[end - 1].tobytes(), end
        assert tail.shares[-1].tobytes() == full.shares[end - 1].tobytes(), end


def test_a_coarser_decision_stands_until_the_next(tmp_path: Path) -> None:
    portfolio = portfolio_in(tmp_path, trend="4h", reversion="1d")
    day, four = panel(60, "1d"), panel(360, "4h", seed=2)
    full = portfolio.decide(panels_of(portfolio, day, four))
    trend = portfolio.instances[0].decide(four.select((A,)))[:, 0]
    daily = [one.decide(day.select(one.markets)) for one in portfolio.instances[1:]]
    row = 6 * 30 + 2  # 12:00 of day 30; what was decided at the close of day 29 stands
    expected = 0.5 * trend[row] + 0.3 * daily[0][29, 0] + 0.2 * daily[1][29, 1]
    assert full.weights[row, 0] == pytest.approx(expected, rel=1e-15)
    assert np.isnan(full.weights[row, 1])
    closing = 6 * 30 + 5
    assert full.weights[closing, 1] == pytest.approx(0.3 * daily[0][30, 1] + 0.2 * daily[1][30, 0])


def test_reallocations_are_logged_with_reasons(tmp_path: Path) -> None:
    portfolio = portfolio_in(tmp_path, ADAPTIVE + "family_caps: {time_series_momentum: 0.45}\n")
    assert portfolio.shares == pytest.approx((0.45, 0.3, 0.2))
    result = portfolio.decide(panels_of(portfolio, panel(120)))
    log = result.reallocations
    assert log["family"].unique(maintain_order=True).to_list() == list(dict.fromkeys(portfolio.families))
    assert log["reason"].str.contains("too little history").any()
    known = log.filter(log["reason"].str.contains("performance"))
    assert known.height > 10
    for ts, after in known.group_by("ts", maintain_order=True).agg("after").iter_rows():
        assert sum(after) <= 1.0 + 1e-9, ts
        row = int(np.flatnonzero(result.ts == np.datetime64(ts.replace(tzinfo=None), "us"))[0])
        assert result.shares[row].tolist() == pytest.approx(after)
        assert (18_000 + row) % 6 == 0
    trend = known.filter(known["family"] == "time_series_momentum")
    assert trend["after"].max() == pytest.approx(0.45)
    assert trend.filter(trend["reason"].str.contains("family cap"))["after"].to_numpy() == pytest.approx(0.45)
    assert known["after"].n_unique() > 5


@pytest.mark.parametrize("seed", range(6))
def test_scores_equal_their_twin(seed: int) -> None:
    random = np.random.default_rng(seed)
    returns = random.normal(0.001, 0.02, (90, 3)) * (random.random((90, 3)) > 0.2)
    returns[random.random(90) < 0.1, seed % 3] = NAN
    rule = AllocationRule(method="adaptive", window_bars=13 + seed, rebalance_bars=4, strength=0.6)
    base = np.array([0.5, 0.3, 0.1])
    scores = adaptive_shares(returns, base, rule, first_bar=100 + seed, periods_per_year=365.0)
    expected = oracle.adaptive_shares(
        returns.tolist(),
        base.tolist(),
        window=13 + seed,
        every=4,
        first_bar=100 + seed,
        periods_per_year=365.0,
        strength=0.6,
        counts=(0.5, 0.25, 0.25),
    )
    np.testing.assert_allclose(scores.shares, expected, rtol=1e-10)
    np.testing.assert_allclose(scores.shares.sum(axis=1), 0.9)
    assert scores.known.any()


def test_who_gains_steadily_gets_more_and_a_copy_less() -> None:
    # Square waves of other periods are uncorrelated; all swing alike around their means.
    waves = [np.where(np.arange(64) // half % 2 == 0, 0.01, -0.01) for half in (1, 1, 2, 4)]
    returns = np.stack(waves, axis=1) + np.array([0.003, 0.003, 0.003, -0.003])
    rule = AllocationRule(method="adaptive", window_bars=64, rebalance_bars=1)
    scores = adaptive_shares(returns, np.full(4, 0.25), rule, first_bar=0, periods_per_year=365.0)
    one, copy, other, loser = scores.shares[-1]
    assert one == copy
    assert other > one > loser
    np.testing.assert_allclose(scores.diversification[-1], [-1 / 3, -1 / 3, 0, 0], atol=1e-12)
    assert scores.stability[-1].tolist() == [1.0, 1.0, 1.0, -1.0]
    assert scores.performance[-1].tolist() == [1.0, 1.0, 1.0, -1.0]


def test_cuts_go_by_priority_then_pro_rata() -> None:
    values, order = np.array([0.2, 0.4, 0.1, 0.3]), np.array([2, 1, 2, 3])
    assert cut_to_limit(values, order, 1.0).tolist() == values.tolist()
    np.testing.assert_allclose(cut_to_limit(values, order, 0.6), [0.4 / 3, 0.4, 0.2 / 3, 0.0])
    np.testing.assert_allclose(cut_to_limit(values, order, 0.3), [0.0, 0.3, 0.0, 0.0])
    np.testing.assert_allclose(cut_to_limit(values, np.full(4, 7), 0.5), values / 2)


def test_the_later_priority_is_cut_first(tmp_path: Path) -> None:
    risk = "risk: {max_exposure_pct: 0.6, max_weight_per_asset: 0.55}\n"
    wanted = [np.array([1.0]), np.array([0.0, 1.0]), np.array([0.0, 0.0])]
    equal = portfolio_in(tmp_path, risk)
    # Of one priority: left to the risk step, which cuts pro rata.
    np.testing.assert_allclose(equal.combine(wanted), [0.5, 0.3])
    first = portfolio_in(tmp_path, risk, priority=1)
    np.testing.assert_allclose(first.combine(wanted), [0.5, 0.1])
    both = [np.array([1.0]), np.array([1.0, 0.0]), np.array([0.0, 0.0])]
    np.testing.assert_allclose(first.combine(both), [0.55, 0.0])
    last = portfolio_in(tmp_path, risk, priority=101)
    np.testing.assert_allclose(last.combine(wanted), [0.3, 0.3])
    held = [np.array([NAN]), wanted[1], wanted[2]]
    np.testing.assert_allclose(last.combine(held, wanted), [0.3, 0.3])


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("family_caps: {trend: 0.5}\n", "family 'trend' unknown"),
        ("family_caps: {dual_momentum: 5}\n", "fraction between 0 and 1"),
        ("allocation: {method: best}\n", "allocation.method: found 'best'"),
        ("allocation: {performance: 0.9}\n", "sum to 1.4"),
        ("hold_bars: 0\n", "hold_bars"),
    ],
)
def test_faults_in_the_file(tmp_path: Path, extra: str, message: str) -> None:
    text = PORTFOLIO.replace("hold_bars: 5\n", "") if extra.startswith("hold") else PORTFOLIO
    portfolio_in(tmp_path)
    (tmp_path / "mixed.yaml").write_text(text + extra)
    with pytest.raises(ConfigError, match=message):
        load_portfolio(tmp_path / "mixed.yaml")


def test_timeframes_must_nest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="do not consist of whole bars of 3h"):
        portfolio_in(tmp_path, trend="3h", reversion="4h")


def test_panels_must_be_those_of_the_instances(tmp_path: Path) -> None:
    portfolio = portfolio_in(tmp_path)
    bars = panel(60)
    with pytest.raises(ConfigError, match="2 panels found, one for each of its 3"):
        portfolio.decide([bars, bars])
    with pytest.raises(ConfigError, match=r"panel of leader has 60 bars of 1d of x:A/Q, x:B/Q; expected"):
        portfolio.decide([bars.select((A,)), bars, bars])
