"""With all layers and breakers on: fused engine, vectorbt and the row loop permit and earn the same."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from lab.backtest import ExecutionPrices
from lab.backtest.simulate import Trace, simulate_trace, terms_of
from lab.backtest.vectorbt_engine import permitted_again
from lab.backtest.watching import watch_of
from tests.oracle.backtest import Path, simulate
from tests.oracle.engines import costs_of, difference, equity_of, vectorbt_accounts
from tests.oracle.portfolios import Array, Case, panel_of, random_case
from tests.oracle.risk_layers import layered_risk
from tests.oracle.risk_worlds import World, world

TOLERANCE = 1e-9
BARS = 40


@dataclass
class Account:
    case: Case
    world: World
    prices: ExecutionPrices
    parts: Array

    @property
    def fused(self) -> Trace:
        return simulate_trace(
            self.prices,
            self.case.weights,
            costs=costs_of(self.case),
            limits=self.world.limits,
            cash=self.case.cash,
            lag=1,
            parts=self.parts,
        )

    @property
    def oracle(self) -> Path:
        watch = watch_of(self.prices, self.world.limits, self.parts)
        risk = layered_risk(
            self.world.book,
            self.case.cash,
            self.prices.day.tolist(),
            watch.markets.tolist(),
            self.parts.tolist(),
            1,
        )
        return simulate(
            self.case.opens.tolist(),
            self.case.closes.tolist(),
            self.case.weights.tolist(),
            fee=self.case.fee_bps / 10_000,
            slippage=self.case.slippage_bps / 10_000,
            cash=self.case.cash,
            risk=risk,
        )


def account(seed: int) -> Account:
    random = np.random.default_rng([11, seed])
    markets = int(random.integers(1, 8))
    case = random_case(50_000 + seed, BARS, markets)
    own = world(12, seed, markets=markets)
    panel = panel_of(case.opens, case.closes, str(random.choice(["1h", "6h", "1d"])))
    traded = random.choice([case.cash * 1e3, case.cash / 10])
    price = np.where(np.isnan(case.closes), np.nan, case.closes)
    bad = panel["close"].copy()
    bad[random.random(bad.shape) < 0.03] = np.nan
    fields = {"received_" + name: panel[name] for name in ("open", "high", "low", "close")}
    panel = panel.with_fields(
        {**fields, "close": bad, "volume": traded / price, "received_volume": traded / price}
    )
    shares = random.dirichlet(np.full(len(own.book.instances) + 1, 0.5), (BARS, markets))
    parts = np.moveaxis(shares, 2, 1)[:, : len(own.book.instances)] * case.weights[:, None, :]
    return Account(case, own, ExecutionPrices.from_panel(panel), parts)


def compare(seeds: range) -> int:
    accounts = [account(seed) for seed in seeds]
    fused = [one.fused for one in accounts]
    theirs = vectorbt_accounts([one.case for one in accounts], [trace.permitted for trace in fused])
    acted = 0
    for seed, one, ours, other in zip(seeds, accounts, fused, theirs, strict=True):
        oracle = one.oracle
        np.testing.assert_allclose(
            ours.permitted, oracle.permitted, rtol=0, atol=TOLERANCE, err_msg=str(seed)
        )
        assert difference(equity_of(ours), oracle.equity, one.case.cash) <= TOLERANCE
        assert difference(equity_of(other), oracle.equity, one.case.cash) <= TOLERANCE
        watch = watch_of(one.prices, one.world.limits, one.parts)
        terms = terms_of(costs_of(one.case), one.world.limits, one.case.cash, 1, watch)
        again = permitted_again(other, one.prices, one.case.weights, terms)
        np.testing.assert_allclose(again, ours.permitted, rtol=0, atol=TOLERANCE, err_msg=str(seed))
        acted += int((ours.reasons >= 256).sum())
    return acted


def test_50_accounts_with_layers_and_breakers() -> None:
    assert compare(range(50)) > 1_500


@pytest.mark.slow
@pytest.mark.parametrize("block", range(1, 11))
def test_2_000_accounts_with_layers_and_breakers(block: int) -> None:
    assert compare(range(1_000 * block, 1_000 * block + 200)) > 5_000
