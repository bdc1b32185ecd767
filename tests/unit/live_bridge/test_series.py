"""A portfolio that reads a stored series: known values only, waited for, aged, recorded, replayed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lab.data.series import KINDS, import_series
from lab.strategies import load
from live_bridge.config import load_config
from live_bridge.journal import Journal
from live_bridge.monitoring.health import Check, check_health
from live_bridge.recorded import RecordedMarket
from live_bridge.replay import replay
from live_bridge.runner import run
from tests.unit.live_bridge.conftest import DAY, START

MarketAt = Callable[..., RecordedMarket]

CARRY = """
family: carry
strategy_id: trend
version: 1.0.0
mode: paper
timeframe: 1d
markets: [{exchange: binance, symbol: BTC/USDT}, {exchange: binance, symbol: ETH/USDT}]
series: [{name: funding, columns: {funding_rate: rate}, max_age_days: 2}]
parameters: {funding_window: 3, trend_window: 5, vol_window: 10}
"""
LAST = 40


def funding(days: Iterator[int] | range, *, rate: float = 1e-4, late_ms: int = 12) -> pl.DataFrame:
    """A rate every eight hours, some milliseconds late, of both perpetuals."""
    stamps = [
        START + day * DAY + timedelta(hours=hour, milliseconds=late_ms) for day in days for hour in (0, 8, 16)
    ]
    rows = [
        (stamp, f"{coin}/USDT:USDT", rate * (1 + 0.1 * (number % 7)) * factor)
        for number, stamp in enumerate(stamps)
        for coin, factor in (("BTC", 1.0), ("ETH", 1.7))
    ]
    return pl.DataFrame(rows, schema=["ts", "symbol", "rate"], orient="row")


def stored(root: Path, frame: pl.DataFrame, name: str = "a") -> None:
    path = root / f"{name}.parquet"
    frame.write_parquet(path)
    (verdict,) = import_series(
        [path], root=root, kind=KINDS["funding"], arrived=START + 400 * DAY, exchange="binance"
    )
    assert verdict.ok, verdict.error


@pytest.fixture
def carry(bridge: Path) -> Path:
    (bridge.parent / "trend.yaml").write_text(CARRY)
    return bridge


def tick(bridge: Path, market: RecordedMarket) -> tuple[dict[str, Any], int]:
    document, code = run(bridge, root=bridge.parent, connect=lambda _: market)
    return document, code


def codes(document: dict[str, Any]) -> list[str]:
    return [incident["code"] for incident in document["incidents"]]


def at(market: RecordedMarket, later: timedelta) -> RecordedMarket:
    return RecordedMarket(market.time + later, market.listed, market.bars, market.last)


def decided(bridge: Path) -> list[dict[str, Any]]:
    loaded = load_config(bridge, root=bridge.parent)
    with Journal(loaded.state, account="main", portfolio="small") as journal:
        return [event.body for event in journal.events() if event.kind == "DECIDED"]


def test_a_series_nobody_stored_stops_its_instance_and_says_so(carry: Path, market_at: MarketAt) -> None:
    document, code = tick(carry, market_at(LAST))
    assert code == 3
    assert document["orders"] == []
    assert codes(document) == ["SERIES_MISSING"]
    assert decided(carry) == []


def test_the_wrong_column_or_subject_is_named(carry: Path, market_at: MarketAt) -> None:
    stored(carry.parent, funding(range(LAST + 1)).rename({"rate": "funding_rate"}))
    document, _ = tick(carry, market_at(LAST))
    assert "no column 'rate'; it has funding_rate" in document["incidents"][0]["detail"]
    (carry.parent / "trend.yaml").write_text(
        CARRY.replace("funding_rate: rate", "funding_rate: funding_rate")
        .replace("BTC/USDT", "XRP/USDT")
        .replace(", {exchange: binance, symbol: ETH/USDT}", "")
    )
    assert load(carry.parent / "trend.yaml").markets == ("binance:XRP/USDT",)


def test_what_is_known_decides_and_what_comes_later_changes_nothing(carry: Path, market_at: MarketAt) -> None:
    frame = funding(range(LAST + 1))
    stored(carry.parent, frame)
    (document, code), before = tick(carry, market_at(LAST)), decided(carry)
    assert code == 0
    assert document["orders"]
    (carry.parent / "data/live/main.sqlite").unlink()
    later = frame.filter(pl.col("ts") >= START + LAST * DAY).with_columns(pl.col("ts") + DAY, rate=0.01)
    stored(carry.parent, later, "later")
    tick(carry, market_at(LAST))
    assert decided(carry)[0]["weights"] == before[0]["weights"]
    assert (
        before[0]["series"]["funding"]["newest"]["binance:BTC/USDT:USDT"]
        == (START + LAST * DAY - DAY / 3).isoformat()
    )


def test_a_late_value_is_waited_for_and_then_done_without(carry: Path, market_at: MarketAt) -> None:
    # The rate at 16:00 before the close is not there; 30,000 s after it was due is 00:20.
    stored(carry.parent, funding(range(LAST)).filter(pl.col("ts") < START + LAST * DAY - DAY / 3))
    carry.write_text(carry.read_text() + "series_wait_s: 30000\n")
    document, code = tick(carry, market_at(LAST))
    assert (code, document["orders"], codes(document)) == (0, [], [])
    assert document["reasons"][0].startswith(
        "WAITING_FOR_SERIES trend: series funding: the value of binance:BTC"
    )
    document, code = tick(carry, at(market_at(LAST), timedelta(minutes=21)))
    assert (code, codes(document)) == (0, ["SERIES_LATE"])
    assert document["orders"]


def test_what_has_been_late_for_long_holds_nothing_up(carry: Path, market_at: MarketAt) -> None:
    stored(carry.parent, funding(range(LAST)).filter(pl.col("ts") < START + LAST * DAY - DAY / 3))
    document, code = tick(carry, market_at(LAST))
    assert (code, codes(document)) == (0, ["SERIES_LATE"])
    assert document["orders"]


def test_values_too_old_keep_what_is_held(carry: Path, market_at: MarketAt) -> None:
    stored(carry.parent, funding(range(LAST)))
    bought, _ = tick(carry, market_at(LAST))
    assert bought["state"]["positions"]
    for day in (LAST + 3, LAST + 4):
        document, code = tick(carry, market_at(day))
        assert (code, document["orders"], codes(document)) == (0, [], ["SERIES_STALE"])
        assert [entry["weight"] for entry in document["decisions"]] == [None, None]
        assert [p["quantity"] for p in document["state"]["positions"]] == [
            p["quantity"] for p in bought["state"]["positions"]
        ]


def test_a_revision_changes_what_is_known_from_then_on_alone(carry: Path, market_at: MarketAt) -> None:
    stored(carry.parent, funding(range(LAST)))
    tick(carry, market_at(LAST))
    weights = decided(carry)[0]["weights"]
    (carry.parent / "data/live/main.sqlite").unlink()
    # All rates ten times as high: published after this tick, and after the one a year later.
    stored(carry.parent, funding(range(LAST), rate=1e-3), "revised")
    again, _ = tick(carry, market_at(LAST))
    assert decided(carry)[0]["weights"] == weights
    assert all(weight is not None for weight in weights.values())
    assert replay(carry, again["tick"], root=carry.parent)[1] == 0


def test_a_journal_from_before_series_were_read_goes_on(carry: Path, market_at: MarketAt) -> None:
    stored(carry.parent, funding(range(LAST + 1)))
    tick(carry, market_at(LAST))
    with sqlite3.connect(carry.parent / "data/live/main.sqlite") as connection:
        connection.executescript("DROP TABLE series; PRAGMA user_version = 2;")
    document, code = tick(carry, market_at(LAST + 1))
    assert code == 0
    assert replay(carry, document["tick"], root=carry.parent)[1] == 0


def test_health_looks_at_the_age_of_a_series(carry: Path, market_at: MarketAt) -> None:
    loaded = load_config(carry, root=carry.parent)

    def looked(day: int) -> dict[str, Check]:
        market = market_at(day)
        checks = check_health(loaded, connect=lambda: market, local_now=market.now)
        return {check.name: check for check in checks}

    name = "series funding of trend"
    assert not looked(LAST)[name].ok
    stored(carry.parent, funding(range(LAST)))
    assert looked(LAST)[name].ok
    assert looked(LAST)[name].found == "newest of 2023-02-09 16:00Z"
    assert not looked(LAST + 3)[name].ok


def test_every_tick_is_derived_again_from_the_journal_alone(carry: Path, market_at: MarketAt) -> None:
    stored(carry.parent, funding(range(LAST + 3)))
    ticks = [tick(carry, market_at(day))[0]["tick"] for day in (LAST, LAST + 1, LAST + 2, LAST + 8)]
    # Revised in the store, then gone from it: the record does not follow.
    stored(carry.parent, funding(range(LAST + 3), rate=5e-4), "revised")
    (carry.parent / "data" / "series").rename(carry.parent / "data" / "elsewhere")
    found = [replay(carry, name, root=carry.parent) for name in ticks]
    assert [code for _, code in found] == [0] * 4
    assert all(document["compared"] == ["DECIDED trend", "PLANNED"] for document, _ in found)
