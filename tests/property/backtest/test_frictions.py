"""Costs beyond fixed rates: fused engine, row loop and vectorbt keep the same accounts."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from lab.backtest import METRICS, ExecutionPrices, run_backtest, simulate_many, vectorbt_engine
from lab.backtest.layout import CASH_SHORT, EQUITY, NO_VOLUME, TOO_SMALL, VOLUME_SHORT
from lab.backtest.simulate import Trace, simulate_trace
from lab.core.errors import ConfigError, DataError
from lab.core.panel import Panel
from lab.costs import Costs, MarketRules, fee_bps
from lab.risk import Limits
from tests.oracle.backtest import daily_risk
from tests.oracle.engines import difference
from tests.oracle.frictions import simulate
from tests.oracle.portfolios import Case, panel_of, random_case

TOLERANCE = 1e-9
LIMITS = Limits(max_position=0.6, max_exposure=0.9, rebalance_band=0.01, max_daily_loss=0.2, cost_rate=0.002)


def panel_with_volume(case: Case, random: np.random.Generator) -> Panel:
    panel = case.panel
    capital = case.cash / np.nanmax(case.opens, initial=1e-6, axis=0, where=~np.isnan(case.opens))
    volume = capital * 10.0 ** random.uniform(-2, 2, panel.shape)
    volume[random.random(panel.shape) < 0.1] = 0.0
    volume[np.isnan(case.closes)] = np.nan
    top = np.fmax(case.opens, case.closes) * (1 + random.uniform(0, 0.01, panel.shape))
    bottom = np.fmin(case.opens, case.closes) * (1 - random.uniform(0, 0.01, panel.shape))
    return panel.with_fields({"volume": volume, "high": top, "low": bottom})


def random_costs(case: Case, random: np.random.Generator) -> Costs:
    unit = case.cash / 1_000.0
    price = float(np.nanmean(case.opens)) if not np.isnan(case.opens).all() else 1.0
    rule = MarketRules(
        "*",
        lot=float(random.choice([0.0, unit / price, 50 * unit / price])),
        tick=float(random.choice([0.0, price / 1_000.0])),
        min_notional=float(random.choice([0.0, unit, 20 * unit])),
    )
    return Costs(
        case.fee_bps,
        case.slippage_bps,
        slippage_volatility=float(random.choice([0.0, 0.1])),
        impact_bps=float(random.choice([0.0, 100.0])),
        max_participation=random.choice([None, 0.05, 1.0]),
        clip_to_bar=bool(random.random() < 0.5),
        rules=(rule,) if random.random() < 0.6 else (),
    )


def accounts(seeds: range, bars: int, limits: Limits | None) -> list[tuple[Case, Panel, Costs, Trace]]:
    made = []
    for seed in seeds:
        random = np.random.default_rng([77, seed])
        case = random_case(seed, bars, int(random.integers(1, 7)))
        panel, costs = panel_with_volume(case, random), random_costs(case, random)
        prices = ExecutionPrices.from_panel(panel)
        made.append(
            (
                case,
                panel,
                costs,
                simulate_trace(prices, case.weights, costs=costs, limits=limits, cash=case.cash, lag=1),
            )
        )
    return made


def oracle(case: Case, panel: Panel, costs: Costs, limits: Limits | None):
    rule = costs.rules[0] if costs.rules else MarketRules()
    days = ExecutionPrices.from_panel(panel).day.tolist()
    return simulate(
        {name: panel[name].tolist() for name in ("open", "high", "low", "close", "volume")},
        case.weights.tolist(),
        fee=costs.fee,
        slippage=costs.slippage,
        cash=case.cash,
        per_volatility=costs.slippage_volatility,
        impact=costs.impact_bps / 10_000,
        share=costs.max_participation,
        clip=costs.clip_to_bar,
        lot=rule.lot,
        tick=rule.tick,
        least=rule.min_notional,
        risk=None if limits is None else daily_risk(limits._asdict(), days, case.cash),
    )


def check(seeds: range, bars: int, limits: Limits | None) -> np.ndarray:
    made = accounts(seeds, bars, limits)
    wide = ExecutionPrices.from_panel(
        panel_of(np.hstack([case.opens for case, *_ in made]), np.hstack([case.closes for case, *_ in made]))
    )
    traces = [trace for *_, trace in made]
    records = vectorbt_engine.portfolio_of_fills(
        wide, traces, costs=[costs for _, _, costs, _ in made], cash=[case.cash for case, *_ in made]
    ).orders.values
    first, failed, worst = 0, [], 0.0
    for seed, (case, panel, costs, trace) in zip(seeds, made, strict=True):
        path = oracle(case, panel, costs, limits)
        fills = trace.log[trace.log[:, 3] <= CASH_SHORT][:, :3].tolist()
        # Orders of almost the same size may swap places within a bar.
        same = sorted(list(fill[:3]) for fill in path.fills) == sorted(fills)
        same &= np.allclose(trace.permitted, path.permitted, rtol=1e-9, atol=1e-9, equal_nan=True)
        width = panel.shape[1]
        own = records[(records["col"] >= first) & (records["col"] < first + width)].copy()
        own["col"] -= first
        first += width
        own = own[np.argsort(own["id"], kind="stable")]
        theirs = vectorbt_engine.rebuild(own, ExecutionPrices.from_panel(panel), case.cash, math.nan)
        apart = max(difference(account.path[EQUITY], path.equity, case.cash) for account in (trace, theirs))
        worst = max(worst, apart)
        failed += [] if same and apart <= TOLERANCE else [seed]
    print(
        f"\nall cost models, risk {'on' if limits else 'off'}: the three within {worst:.1e}: "
        f"{len(made)} accounts, {len(failed)} failed {failed}, seeds {seeds.start} to {seeds.stop - 1}"
    )
    assert not failed
    return np.concatenate([trace.log[:, 3] for trace in traces])


@pytest.mark.parametrize("limits", [None, LIMITS])
def test_three_engines_agree_where_the_market_resists(limits: Limits | None) -> None:
    statuses = check(range(120), 40, limits)
    for status in (VOLUME_SHORT, TOO_SMALL, NO_VOLUME):
        assert (statuses == status).sum() > 100, status
    if limits is None:
        assert (statuses == CASH_SHORT).sum() > 50


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("block", range(10))
def test_2_000_accounts_where_the_market_resists(block: int) -> None:
    check(range(1_000 + 200 * block, 1_200 + 200 * block), 60, LIMITS if block % 2 else None)


def test_an_order_larger_than_the_volume_is_carried_to_later_bars() -> None:
    prices = np.full((5, 1), 10.0)
    panel = panel_of(prices, prices).with_fields({"volume": np.full((5, 1), 20.0)})
    weights = np.array([[0.5], [np.nan], [np.nan], [np.nan], [np.nan]])
    result = run_backtest(
        panel, weights, costs=Costs(0.0, 0.0, max_participation=0.75), cash=800.0, engine="both"
    )
    assert result.orders["quantity"].to_list() == [15.0, 15.0, 10.0]
    assert (result.status, result.engine_feed) == ("OK", "realised")
    assert result.dropped["reason"].str.contains("volume short").all()
    # A new decision ends the carrying.
    weights[1] = 0.0
    stopped = run_backtest(panel, weights, costs=Costs(0.0, 0.0, max_participation=0.75), cash=800.0)
    assert stopped.orders.select("side", "quantity").rows() == [("buy", 15.0), ("sell", 15.0)]


def test_fills_pay_volatility_and_participation_within_the_bar() -> None:
    prices = np.full((3, 1), 100.0)
    panel = panel_of(prices, prices).with_fields({"volume": np.full((3, 1), 100.0), "high": prices * 1.02})
    weights = np.array([[0.25], [np.nan], [np.nan]])

    def bought(costs: Costs) -> float:
        return run_backtest(panel, weights, costs=costs, cash=10_000.0).orders["price"][0]

    # 25 of 100 units: half of the impact of the whole volume.
    assert bought(Costs(0.0, 0.0, impact_bps=1_000.0)) == pytest.approx(105.0)
    assert bought(Costs(0.0, 0.0, impact_bps=1_000.0, clip_to_bar=True)) == 102.0
    assert bought(Costs(0.0, 130.0, rules=(MarketRules(tick=0.25),))) == 101.5
    rules = (MarketRules("synthetic:M00000/USDT", lot=10.0), MarketRules("*", lot=1.0))
    result = run_backtest(panel, weights, costs=Costs(0.0, 0.0, rules=rules), cash=10_000.0)
    assert result.orders["quantity"].to_list() == [20.0]


def test_which_feed_made_the_difference_is_recorded() -> None:
    case = random_case(12, 60, 4)
    panel = panel_with_volume(case, np.random.default_rng(1))
    for costs, risk, feed in (
        (Costs(), None, "targets"),
        (Costs(), LIMITS, "permitted"),
        (Costs(impact_bps=30.0, max_participation=0.1), LIMITS, "realised"),
    ):
        result = run_backtest(panel, case.weights, costs=costs, risk=risk, cash=case.cash, engine="both")
        assert (result.engine_feed, result.status) == (feed, "OK")
        table = simulate_many(panel, [case.weights], costs=costs, risk=risk, cash=case.cash)
        np.testing.assert_array_equal(table.row(0), [result.metrics[name] for name in METRICS])
        again = run_backtest(panel, case.weights, costs=costs, risk=risk, cash=case.cash, engine="vectorbt")
        assert again.metrics["sharpe"] == pytest.approx(result.metrics["sharpe"], rel=1e-7)


def test_what_costs_need_must_be_there() -> None:
    prices = np.full((3, 1), 100.0)
    panel = panel_of(prices, prices)
    bare = replace(panel, fields={"open": prices, "close": prices})
    with pytest.raises(DataError, match="need the column 'volume'"):
        run_backtest(bare, np.zeros((3, 1)), costs=Costs(impact_bps=1.0))
    for wrong in ({"impact_bps": -1.0}, {"max_participation": 0.0}, {"slippage_volatility": math.nan}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            Costs(**wrong)
    with pytest.raises(ConfigError, match="lot of"):
        MarketRules(lot=-1.0)
    with pytest.raises(ConfigError, match="no fee schedule for 'mtgox'"):
        fee_bps("mtgox")
    with pytest.raises(ConfigError, match="tiers 0 to"):
        fee_bps("binance", tier=99)
    with pytest.raises(ConfigError, match="no discount"):
        fee_bps("kraken", token_discount=True)
