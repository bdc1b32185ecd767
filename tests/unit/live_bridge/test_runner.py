"""Whole ticks in one process, on an exchange that answers from memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from lab.core.errors import ConfigError, DataError, LockedError
from lab.data.quality import default_settings
from lab.strategies import load, load_portfolio
from live_bridge.bars import Answer, fetch_bars, marked_bars, panel_of
from live_bridge.config import load_config
from live_bridge.inputs import candles_digest, read_candles
from live_bridge.journal import Journal
from live_bridge.recorded import RecordedMarket
from live_bridge.report import table
from live_bridge.runner import run, status
from tests.unit.live_bridge.conftest import DAY, START, tick

MarketAt = Callable[..., RecordedMarket]


def test_the_weights_are_the_lab_functions_on_all_earlier_bars(bridge: Path, market_at: MarketAt) -> None:
    instance = load(bridge.parent / "trend.yaml")
    market = market_at(400)
    candles = {symbol: bars[:400] for (symbol, _), bars in market.bars.items()}
    answers = {
        (symbol, "1d"): Answer(symbol, instance.timeframe, START, START + 400 * DAY, tuple(bars))
        for symbol, bars in candles.items()
    }
    names = {name: name.split(":")[1] for name in instance.markets}
    quality = default_settings()
    marked = marked_bars(answers, names, instance.timeframe, quality)
    panel = panel_of(marked, instance.timeframe, instance.markets, quality)
    expected = instance.decide(panel)
    assert np.nanmax(expected) > 0
    for day in (200, 399, 400):
        document = tick(bridge, market_at(day))
        assert document["bar"] == f"{START + (day - 1) * DAY:%Y-%m-%dT%H:%M:%SZ}"
        for decision in document["decisions"]:
            weight = expected[day - 1, instance.markets.index(decision["market"])]
            assert decision["weight_hex"] == float(weight).hex()
            assert decision["weight"] == weight


def test_bars_are_judged_by_the_quality_files_under_the_root(bridge: Path, market_at: MarketAt) -> None:
    plain = load_config(bridge, root=bridge.parent)
    (bridge.parent / "data").mkdir()
    (bridge.parent / "data" / "quality.yaml").write_text(
        "spike_atr_multiple: 0.3\nvolume_bars: 7\npolicies: {spike: pause}\n"
    )
    strict = load_config(bridge, root=bridge.parent)
    assert strict.digest != plain.digest
    portfolio = load_portfolio(bridge.parent / "small.yaml")
    due = portfolio.instances
    market = market_at(200)
    found = {}
    for name, loaded in (("plain", plain), ("strict", strict)):
        answers = fetch_bars(market, loaded, portfolio, market.now())
        symbols = {name: loaded.settings.symbol(name) for name in due[0].markets}
        marked = marked_bars(answers, symbols, due[0].timeframe, loaded.quality)
        panel = panel_of(marked, due[0].timeframe, due[0].markets, loaded.quality)
        found[name] = (panel["received_close"].shape[0], int(np.isnan(panel["close"]).sum()))
    assert found["plain"][1] == 0
    assert found["strict"][1] > 0
    assert found["plain"][0] - found["strict"][0] == 100 - 22  # fewer bars that marks depend on


def test_orders_fill_at_the_price_with_slippage_and_fee(bridge: Path, market_at: MarketAt) -> None:
    document = tick(bridge, market_at(200))
    assert document["orders"]
    spent = Decimal(0)
    for order in document["orders"]:
        price, quantity = Decimal(str(order["price"])), Decimal(str(order["quantity"]))
        assert order["status"] == "filled"
        assert Decimal(str(order["fill_price"])) == pytest.approx(price * Decimal("1.0005"))
        assert order["fee"] == pytest.approx(float(quantity * price * Decimal("1.0005") * Decimal("0.001")))
        assert quantity % Decimal("0.001") == 0
        spent += quantity * price * Decimal("1.0005") * Decimal("1.001")
    state = document["state"]
    assert state["cash"] == pytest.approx(float(10_000 - spent), rel=1e-12)
    worth = sum(position["value"] for position in state["positions"])
    assert state["equity"] == pytest.approx(state["cash"] + worth)
    assert state["equity"] < 10_000


def test_the_same_bar_again_decides_and_orders_nothing(bridge: Path, market_at: MarketAt) -> None:
    first = tick(bridge, market_at(200))
    path = bridge.parent / "data/live/main.sqlite"
    with sqlite3.connect(path) as raw:
        before = raw.execute("SELECT count(*) FROM events").fetchone()
    for _ in range(3):
        again = tick(bridge, market_at(200))
        assert again["acted"] is False
        assert again["orders"] == []
        assert any(reason.startswith("ALREADY_DECIDED") for reason in again["reasons"])
        assert (again["tick"], again["bar"], again["state"]) == (first["tick"], first["bar"], first["state"])
    with sqlite3.connect(path) as raw:
        assert raw.execute("SELECT count(*) FROM events").fetchone() == before
        assert raw.execute("SELECT count(*) FROM decisions").fetchone() == (1,)
        assert raw.execute("SELECT count(*) FROM orders").fetchone() == (len(first["orders"]),)
    raw.close()


def test_after_a_pause_only_the_latest_bar_is_decided(bridge: Path, market_at: MarketAt) -> None:
    tick(bridge, market_at(200))
    document = tick(bridge, market_at(210))
    assert document["bar"].startswith(f"{START + 209 * DAY:%Y-%m-%d}")
    assert status(bridge, root=bridge.parent)["ticks"] == 2


def test_the_open_bar_is_never_used_and_a_bar_counts_from_the_second_it_closes(
    bridge: Path, market_at: MarketAt
) -> None:
    market = market_at(200)
    early = RecordedMarket(START + 200 * DAY - timedelta(seconds=1), market.listed, market.bars, market.last)
    assert tick(bridge, early)["bar"].startswith(f"{START + 198 * DAY:%Y-%m-%d}")
    sharp = RecordedMarket(START + 200 * DAY, market.listed, market.bars, market.last)
    assert tick(bridge, sharp)["bar"].startswith(f"{START + 199 * DAY:%Y-%m-%d}")
    late = RecordedMarket(START + 200 * DAY + timedelta(seconds=1), market.listed, market.bars, market.last)
    assert tick(bridge, late)["acted"] is False


def test_a_bar_that_is_not_published_yet_is_waited_for(bridge: Path, market_at: MarketAt) -> None:
    market = market_at(200)
    bars = {key: [b for b in series if b.ts < START + 199 * DAY] for key, series in market.bars.items()}
    stale = RecordedMarket(market.time, market.listed, bars, market.last)
    document, code = run(bridge, root=bridge.parent, connect=lambda _: stale)
    assert (document["acted"], document["tick"], code) == (False, None, 0)
    assert "WAITING_FOR_BAR trend" in document["reasons"][0]
    assert tick(bridge, market)["acted"] is True
    older = {
        key: [b for b in series if b.ts < START + 199 * DAY] for key, series in market_at(202).bars.items()
    }
    much = RecordedMarket(START + 202 * DAY, market.listed, older, market.last)
    assert run(bridge, root=bridge.parent, connect=lambda _: much)[1] == 3


def test_too_little_history_is_a_coded_reason_and_nothing_is_decided(
    bridge: Path, market_at: MarketAt
) -> None:
    document, code = run(bridge, root=bridge.parent, connect=lambda _: market_at(10))
    assert code == 3
    assert any(r.startswith("SHORT_HISTORY trend: ") for r in document["reasons"])
    assert not document["decisions"]


def test_a_market_that_is_not_listed_is_a_configuration_error(bridge: Path, market_at: MarketAt) -> None:
    market = market_at(200)
    listed = {"BTC/USDT": market.listed["BTC/USDT"]}
    with pytest.raises(ConfigError, match="does not list ETH/USDT"):
        tick(bridge, RecordedMarket(market.time, listed, market.bars, market.last))


def test_a_held_lock_is_refused_at_once(bridge: Path, market_at: MarketAt) -> None:
    lock = bridge.parent / "data/live/main.sqlite.lock"
    lock.parent.mkdir(parents=True)
    with FileLock(lock), pytest.raises(LockedError) as caught:
        tick(bridge, market_at(200))
    assert caught.value.exit_code == 75
    assert not (bridge.parent / "data/live/main.sqlite").exists()
    assert tick(bridge, market_at(200))["acted"] is True


def test_what_was_decided_from_can_be_read_back_to_the_bit(bridge: Path, market_at: MarketAt) -> None:
    documents = [tick(bridge, market_at(day)) for day in (200, 201)]
    instance = load(bridge.parent / "trend.yaml")
    with Journal(bridge.parent / "data/live/main.sqlite", account="main", portfolio="small") as journal:
        planned = [event for event in journal.events() if event.kind == "PLANNED"]
        decided = [event for event in journal.events() if event.kind == "DECIDED"]
        for document, plan, decision in zip(documents, planned, decided, strict=True):
            assert decision.body["config_hash"] == instance.config_hash
            for entry in document["decisions"]:
                start, end = (type(START).fromisoformat(entry["inputs"][key]) for key in ("start", "end"))
                candles = read_candles(
                    journal.connection,
                    entry["symbol"],
                    instance.timeframe,
                    start=start,
                    end=end,
                    number=plan.body["received"][f"{entry['symbol']} 1d"],
                )
                assert candles_digest(candles) == entry["inputs"]["digest"]
                assert len(candles) == entry["inputs"]["bars"]


def test_status_checks_the_recorded_states_too(bridge: Path, market_at: MarketAt) -> None:
    for day in (200, 201, 202):
        tick(bridge, market_at(day))
    document = status(bridge, root=bridge.parent)
    assert document["ticks"] == 3
    assert "chain intact" in table({**document, "reasons": []})
    with sqlite3.connect(bridge.parent / "data/live/main.sqlite") as raw:
        raw.execute("DROP TRIGGER events_are_final")
        raw.execute("UPDATE events SET body = replace(body, '10000', '99999') WHERE number = 1")
    raw.close()
    with pytest.raises(DataError, match="event 1 of the journal"):
        status(bridge, root=bridge.parent)


def test_a_bar_of_bad_prices_holds_and_is_told(bridge: Path, market_at: MarketAt) -> None:
    market = market_at(200)
    series = list(market.bars["BTC/USDT", "1d"])
    series[199] = series[199]._replace(high=series[199].close - 5.0)
    broken = RecordedMarket(
        market.time, market.listed, {**market.bars, ("BTC/USDT", "1d"): series}, market.last
    )
    document = tick(bridge, broken)
    first = document["decisions"][0]
    assert (first["market"], first["weight"]) == ("binance:BTC/USDT", None)
    assert "BAD ohlc" in first["reasons"]
    assert document["orders"] == []


def test_status_without_a_journal_says_how_to_start_one(bridge: Path) -> None:
    with pytest.raises(DataError, match="no journal yet; 'live-bridge run"):
        status(bridge, root=bridge.parent)
