"""Allocation and risk: who keeps, who moves, and why."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from lab.strategies import Portfolio, load_portfolio
from live_bridge.config import BridgeConfig
from live_bridge.decisions import Decision, due_instances
from live_bridge.documents import RiskMemory
from live_bridge.exchange import Rules
from live_bridge.paper import Ledger
from live_bridge.permission import Permission, account_at, held_symbols, permit, traded_symbols
from live_bridge.state import BridgeState, Decided
from live_bridge.wishes import Wishes, wishes_of
from tests.oracle.portfolios import NO_LAYERS

NOW = datetime(2024, 1, 2, 5, 0, 1, tzinfo=UTC)
INSTANCE = """
family: time_series_momentum
strategy_id: {name}
version: 1.0.0
mode: paper
timeframe: {timeframe}
markets: [{markets}]
parameters: {{lookback_window: 20, vol_window: 10}}
risk: {{max_position_pct: {largest}}}
"""
PORTFOLIO = f"""
portfolio_id: pair
reference_currency: USDT
capital: 1000
instances:
  - {{config: daily.yaml, allocation: 0.5}}
  - {{config: hourly.yaml, allocation: 0.5}}
risk: {{max_weight_per_asset: 0.6, max_daily_loss_pct: 0.05, {NO_LAYERS}}}
costs: {{fee_bps: 0, slippage_bps: 0}}
"""
CONFIG = BridgeConfig(portfolio="pair.yaml", market_map={"bitstamp:BTC/USDT": "BTC/USDT"})
PRICES = {"BTC/USDT": Decimal(100), "ETH/USDT": Decimal(10)}
RULES = {symbol: Rules(symbol, symbol[:3], "USDT") for symbol in PRICES}


@pytest.fixture
def portfolio(tmp_path: Path) -> Portfolio:
    btc, eth = "{exchange: bitstamp, symbol: BTC/USDT}", "{exchange: binance, symbol: ETH/USDT}"
    other = "{exchange: binance, symbol: BTC/USDT}"
    daily = INSTANCE.format(name="daily", timeframe="1d", markets=f"{btc}, {eth}", largest=0.8)
    hourly = INSTANCE.format(name="hourly", timeframe="1h", markets=other, largest=1.0)
    for name, text in (("daily", daily), ("hourly", hourly), ("pair", PORTFOLIO)):
        (tmp_path / f"{name}.yaml").write_text(text)
    return load_portfolio(tmp_path / "pair.yaml")


def decision(portfolio: Portfolio, name: str, *weights: float) -> Decision:
    instance = next(i for i in portfolio.instances if i.strategy_id == name)
    closed = NOW.replace(second=0)
    named = dict(zip(instance.markets, weights, strict=True))
    return Decision(instance, closed - timedelta(seconds=instance.timeframe.seconds), closed, named, {})


def state(**amounts: str) -> BridgeState:
    ledger = Ledger({currency: Decimal(text) for currency, text in amounts.items()})
    return BridgeState(currency="USDT", ledger=ledger, marks=PRICES, risk=RiskMemory(19723, 1000.0, 0))


def permitted(portfolio: Portfolio, before: BridgeState, *decisions: Decision) -> Permission:
    account = account_at(before, traded_symbols(portfolio, CONFIG))
    return permit(portfolio, CONFIG, before, wishes(portfolio, before, *decisions), account, RULES, NOW)


def wishes(portfolio: Portfolio, before: BridgeState, *decisions: Decision) -> Wishes:
    decided = {decision.instance.strategy_id: decision.weights for decision in decisions}
    remembered = {name: last.weights for name, last in before.decided.items()}
    return wishes_of(portfolio, decided, {}, remembered, NOW)


def by_symbol(permission: Permission) -> dict[str, float]:
    return {target.symbol: target.permitted for target in permission.targets}


def test_markets_that_trade_as_one_symbol_are_added_up(portfolio: Portfolio) -> None:
    found = permitted(
        portfolio,
        state(USDT="1000"),
        decision(portfolio, "daily", 0.2, 0.4),
        decision(portfolio, "hourly", 0.6),
    )
    assert by_symbol(found) == pytest.approx({"BTC/USDT": 0.4, "ETH/USDT": 0.2})


def test_who_did_not_decide_keeps_its_last_weight_in_shared_markets_and_its_quantity_in_others(
    portfolio: Portfolio,
) -> None:
    before = replace(
        state(USDT="1000"),
        decided={"daily": Decided(NOW, {"bitstamp:BTC/USDT": 0.2, "binance:ETH/USDT": 0.4})},
    )
    found = by_symbol(permitted(portfolio, before, decision(portfolio, "hourly", 1.0)))
    assert found["BTC/USDT"] == pytest.approx(0.6)
    assert math.isnan(found["ETH/USDT"])


def test_limits_of_instance_and_portfolio_cut_and_say_so(portfolio: Portfolio) -> None:
    found = permitted(
        portfolio,
        state(USDT="1000"),
        decision(portfolio, "daily", 0.9, 0.0),
        decision(portfolio, "hourly", 0.9),
    )
    target = found.targets[0]
    # 0.5 x 0.8 + 0.5 x 0.9 = 0.85, and one asset may have 0.6
    assert (target.wanted, target.permitted) == (pytest.approx(0.85), 0.6)
    assert target.reasons == ("INSTANCE_LIMIT", "MAX_POSITION")


def test_a_daily_loss_leaves_only_reductions(portfolio: Portfolio) -> None:
    before = replace(state(USDT="400", BTC="5"), risk=RiskMemory(19724, 1000.0, 0))
    found = permitted(
        portfolio, before, decision(portfolio, "daily", 0.0, 0.4), decision(portfolio, "hourly", 0.4)
    )
    assert found.after.mode == 1
    assert by_symbol(found)["BTC/USDT"] == pytest.approx(0.2)
    eth = found.targets[1]
    assert math.isnan(eth.permitted)
    assert eth.reasons == ("DAILY_LOSS",)


def test_a_market_without_a_price_keeps(portfolio: Portfolio) -> None:
    before = state(USDT="1000")
    account = account_at(before, traded_symbols(portfolio, CONFIG))
    decisions = [decision(portfolio, "daily", 0.2, 0.4), decision(portfolio, "hourly", 0.6)]
    wanted = wishes(portfolio, before, *decisions)
    found = permit(portfolio, CONFIG, before, wanted, account, {"ETH/USDT": RULES["ETH/USDT"]}, NOW)
    assert math.isnan(by_symbol(found)["BTC/USDT"])
    assert found.targets[0].reasons == ("UNTRADEABLE",)


def test_the_account_is_worth_cash_and_positions_at_marks() -> None:
    before = state(USDT="100.5", BTC="2", ETH="0.5")
    assert held_symbols(before) == ("BTC/USDT", "ETH/USDT")
    account = account_at(before, held_symbols(before))
    assert (account.cash, account.equity) == (Decimal("100.5"), Decimal("305.5"))


def test_fees_in_a_third_coin_are_taken_off_the_equity() -> None:
    before = replace(state(USDT="100", BTC="2", BNB="-0.5"), marks={**PRICES, "BNB/USDT": Decimal(20)})
    assert held_symbols(before) == ("BTC/USDT",)
    assert account_at(before, held_symbols(before)).equity == Decimal(290)


def test_an_instance_is_due_when_its_own_bar_has_closed(portfolio: Portfolio) -> None:
    midnight = datetime(2024, 1, 2, tzinfo=UTC)
    decided = {name: Decided(midnight, {}) for name in ("daily", "hourly")}
    before = replace(state(USDT="1000"), decided=decided)

    def due(at: datetime) -> list[str]:
        return [instance.strategy_id for instance in due_instances(portfolio, before, at)]

    assert due(midnight) == []
    assert due(midnight + timedelta(hours=1) - timedelta(milliseconds=1)) == []
    assert due(midnight + timedelta(hours=1)) == ["hourly"]
    assert due(midnight + timedelta(days=1)) == ["daily", "hourly"]
    assert due(midnight - timedelta(days=1)) == []  # a clock that went back decides nothing
