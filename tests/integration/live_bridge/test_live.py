"""Live ticks against the loopback exchange: orders, fees, limits, and what the journal keeps."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.core.errors import ConfigError
from live_bridge.runner import run
from tests.oracle.bridge_faults import faults_of
from tests.oracle.bridge_harness import control, exchange_state, write_configs
from tests.oracle.live_account import codes, events, live, on_day

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("live_bridge")]


def test_a_tick_sells_first_buys_and_books_what_the_exchange_booked(config: Path, url: str) -> None:
    document = live(config)
    orders = document["orders"]
    assert [order["side"] for order in orders] == ["sell", "buy", "buy"]
    assert {order["status"] for order in orders} == {"filled"}
    assert faults_of(url, config.parent, None) == []
    # What the account held at the start is the portfolio's: adopt: true.
    assert document["state"]["equity"] == pytest.approx(9_000 + 0.5 * 7_492.28, rel=2e-3)
    again = live(config)
    assert (again["acted"], again["orders"]) == (False, [])
    assert max(exchange_state(url)["order_posts"].values()) == 1


@pytest.mark.parametrize("fee_asset", ["received", "quote", "LTC"])
def test_fees_in_base_quote_or_another_coin_are_booked_to_the_last_digit(
    config: Path, url: str, fee_asset: str
) -> None:
    control(url, "venue", fee_asset=fee_asset)
    control(url, "balances", set={"LTC": "5"})
    for day in (0, 5, 12, 28):
        on_day(url, day)
        live(config)
        assert faults_of(url, config.parent, None) == []
    assert len(events(config, "TRADED")) > 5


def test_partial_fills_of_a_thin_book_are_booked_and_told(config: Path, url: str) -> None:
    control(url, "venue", levels=2, level_quantity="0.05")
    document = live(config)
    assert {order["status"] for order in document["orders"]} == {"partial"}
    assert "EXPIRED_WITH_FILLS" in codes(document)
    assert faults_of(url, config.parent, None) == []


def test_limit_orders_rest_are_replaced_and_end_at_market(config: Path, url: str) -> None:
    write_configs(
        config.parent,
        url,
        orders="type: limit, limit_offset_bps: 50, limit_timeout_s: 0.2, replacements: 1",
    )
    document = live(config)
    assert {order["status"] for order in document["orders"]} == {"filled"}
    assert {order["attempts"] for order in document["orders"]} <= {3, 4, 5}
    placed = exchange_state(url)["orders"]
    assert [order["type"] for order in placed[:3]] == ["LIMIT", "LIMIT", "MARKET"]
    assert placed[0]["status"] == "CANCELED"
    assert max(exchange_state(url)["order_posts"].values()) == 1
    assert faults_of(url, config.parent, None) == []


def test_changes_of_mode_and_of_limits_are_recorded(config: Path, url: str) -> None:
    live(config)
    portfolio = config.parent / "trio.yaml"
    portfolio.write_text(
        portfolio.read_text().replace("max_weight_per_asset: 1.0", "max_weight_per_asset: 0.5")
    )
    document = live(config)
    assert any("max_weight_per_asset: 1.0 -> 0.5" in reason for reason in document["reasons"])
    config.write_text(config.read_text().replace("mode: live", "mode: paper"))
    document, code = run(config, root=config.parent)
    assert code == 0
    assert "MODE_CHANGED" in codes(document)
    assert document["state"]["equity"] == 10_000
    assert len(events(config, "MODE_CHANGED")) == 1


def test_a_held_market_is_not_mapped_to_another_symbol(config: Path, url: str) -> None:
    live(config)
    config.write_text(
        config.read_text().replace('"bitstamp:LTC/USD": LTC/USD', '"bitstamp:LTC/USD": BTC/USD')
    )
    with pytest.raises(ConfigError, match=r"traded as LTC/USD, which is held .* would now trade as BTC"):
        live(config)


def test_instances_at_stage_paper_are_simulated_beside_the_live_ones(config: Path, url: str) -> None:
    trend = config.parent / "trend.yaml"
    trend.write_text(trend.read_text().replace("mode: live", "mode: paper"))
    document = live(config)
    assert {entry["instance"] for entry in document["decisions"]} == {"leader"}
    beside = document["paper"]
    assert {entry["instance"] for entry in beside["decisions"]} == {"trend"}
    assert {order["status"] for order in beside["orders"]} == {"filled"}
    assert beside["state"]["equity"] == pytest.approx(10_000, rel=2e-3)
    assert len(exchange_state(url)["orders"]) == len(document["orders"])
    assert faults_of(url, config.parent, None) == []
    assert live(config)["paper"]["acted"] is False


def test_a_held_market_that_stops_trading_is_told_and_the_others_go_on(config: Path, url: str) -> None:
    live(config)
    control(url, "market", halt=["LTCUSD"])
    try:
        on_day(url, 12)
        document = live(config)
    finally:
        control(url, "market", resume=["LTCUSD"])
    assert [i["symbol"] for i in document["incidents"] if i["code"] == "MARKET_NOT_TRADING"] == ["LTC/USD"]
    assert {order["symbol"] for order in document["orders"]} == {"BTC/USD", "ETH/USD"}
    assert faults_of(url, config.parent, None) == []


def test_live_goes_to_paper_and_back_with_the_account_there_is(config: Path, url: str) -> None:
    live(config)
    text = config.read_text()
    config.write_text(text.replace("mode: live", "mode: paper"))
    run(config, root=config.parent)
    config.write_text(text)
    document = live(config)
    assert "MODE_CHANGED" in codes(document)
    assert faults_of(url, config.parent, None) == []
