"""Listings, reused tickers, liquidity and flags, as they were at an instant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lab.core.errors import ConfigError, DataError
from lab.core.frames import TS
from lab.core.panel import Panel
from lab.core.settings import LEAST_KNOWN, LiquiditySettings
from lab.data.catalog import Catalog
from lab.data.flags import blocks, flags, set_flag
from lab.data.listings import assign_markets, events, listings, record_event, segments
from lab.data.universe import quote_volumes, universe
from lab.features import compute, dollar_volume

DAY = timedelta(days=1)
DIED = datetime(2022, 5, 13, tzinfo=UTC)
REBORN = datetime(2022, 5, 31, tzinfo=UTC)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
LUNA = "LUNA/USDT"


def tell(root: Path, kind: str, at: datetime, *, symbol: str = LUNA, known_at: datetime = NOW) -> None:
    record_event(root, "binance", kind, symbol, at=at, known_at=known_at, source="announcement")


def bars(
    market: str, start: datetime, days: int, *, close: float = 10.0, volume: float = 1.0
) -> pl.DataFrame:
    stamps = [start + day * DAY for day in range(days)]
    prices = {column: [close] * days for column in ("open", "high", "low", "close")}
    frame = pl.DataFrame({"ts": stamps, "market": [market] * days, **prices, "volume": [volume] * days})
    return frame.with_columns(pl.col("ts").cast(TS))


def luna(root: Path) -> None:
    tell(root, "listed", datetime(2020, 8, 21, tzinfo=UTC))
    tell(root, "delisted", DIED)
    tell(root, "listed", REBORN)


def at(root: Path, instant: datetime, **how) -> list[str]:
    return universe(root, instant, **how)["market"].to_list()


def test_two_coins_under_one_ticker_are_two_markets(tmp_path):
    luna(tmp_path)
    found = listings(events(tmp_path, "binance"), "binance")
    assert found.select("market", "listed", "delisted").rows() == [
        ("binance:LUNA/USDT", datetime(2020, 8, 21, tzinfo=UTC), DIED),
        ("binance:LUNA.2/USDT", REBORN, None),
    ]
    assert [(part.market, part.start, part.end) for part in segments(tmp_path, "binance", LUNA)] == [
        ("binance:LUNA/USDT", None, REBORN),
        ("binance:LUNA.2/USDT", REBORN, None),
    ]


def test_bars_go_to_the_coin_that_the_ticker_meant_then(tmp_path):
    luna(tmp_path)
    other = bars("binance:BTC/USDT", REBORN, 1)
    mixed = pl.concat(
        [bars("binance:LUNA/USDT", DIED - 2 * DAY, 2), bars("binance:LUNA/USDT", REBORN, 2), other]
    )
    assert assign_markets(mixed, tmp_path)["market"].to_list() == [
        "binance:LUNA/USDT", "binance:LUNA/USDT", "binance:LUNA.2/USDT", "binance:LUNA.2/USDT",
        "binance:BTC/USDT",
    ]  # fmt: skip


def test_the_universe_is_that_of_its_time(tmp_path):
    luna(tmp_path)
    assert at(tmp_path, datetime(2020, 1, 1, tzinfo=UTC)) == []
    assert at(tmp_path, DIED - DAY) == ["binance:LUNA/USDT"]
    assert at(tmp_path, DIED) == []
    assert at(tmp_path, REBORN) == ["binance:LUNA.2/USDT"]
    assert at(tmp_path, DIED - DAY, known_at=DIED) == [], "nothing had been recorded by then"


def test_the_same_coin_that_comes_back_is_the_same_market(tmp_path):
    tell(tmp_path, "listed", datetime(2020, 1, 1, tzinfo=UTC), symbol="ABC/USDT")
    tell(tmp_path, "delisted", datetime(2021, 1, 1, tzinfo=UTC), symbol="ABC/USDT")
    tell(tmp_path, "relisted", datetime(2022, 1, 1, tzinfo=UTC), symbol="ABC/USDT")
    assert at(tmp_path, NOW) == ["binance:ABC/USDT"]


def test_where_no_listings_are_known_the_bars_speak(tmp_path):
    start = datetime(2022, 1, 1, tzinfo=UTC)
    gone, there = bars("binance:OLD/USDT", start, 10), bars("binance:NEW/USDT", start + 5 * DAY, 30)
    Catalog(tmp_path).append(pl.concat([gone, there]), timeframe="1d", known_at=NOW)
    assert at(tmp_path, start + 2 * DAY) == ["binance:OLD/USDT"]
    assert at(tmp_path, start + 7 * DAY) == ["binance:NEW/USDT", "binance:OLD/USDT"]
    assert at(tmp_path, start + 10 * DAY) == ["binance:NEW/USDT"]
    assert at(tmp_path, NOW, exchange="kraken") == []


def test_liquidity_is_the_mean_quote_volume_of_the_days_before(tmp_path):
    start = datetime(2022, 1, 1, tzinfo=UTC)
    thin = bars("binance:THIN/USDT", start, 60, close=10.0, volume=99_000.0)
    grown = pl.concat(
        [
            bars("binance:GROWN/USDT", start, 30, close=10.0, volume=1.0),
            bars("binance:GROWN/USDT", start + 30 * DAY, 30, close=10.0, volume=150_000.0),
        ]
    )
    young = bars("binance:YOUNG/USDT", start + 38 * DAY, 22, close=20.0, volume=50_000.0)
    Catalog(tmp_path).append(pl.concat([thin, grown, young]), timeframe="1d", known_at=NOW)
    then = universe(tmp_path, start + 40 * DAY)
    volumes = dict(then.select("market", "quote_volume").rows())
    assert volumes["binance:THIN/USDT"] == pytest.approx(990_000)
    assert volumes["binance:GROWN/USDT"] == pytest.approx((20 * 10 + 10 * 1_500_000) / 30)
    assert volumes["binance:YOUNG/USDT"] is None, "two days tell nothing of thirty"
    assert not then["liquid"].any()
    later = universe(tmp_path, start + 60 * DAY)
    assert later.filter("liquid")["market"].to_list() == ["binance:GROWN/USDT"], "22 of 30 days are too few"
    week = universe(tmp_path, start + 60 * DAY, window_days=7)
    assert week.filter("liquid")["market"].to_list() == ["binance:GROWN/USDT", "binance:YOUNG/USDT"]
    assert universe(tmp_path, start + 60 * DAY, min_quote_volume=0.0, window_days=7)["liquid"].all()
    with pytest.raises(ConfigError, match="1 to 365"):
        universe(tmp_path, start, window_days=0)


def test_the_universe_and_an_instance_mean_the_same_volume(tmp_path):
    start = datetime(2022, 1, 1, tzinfo=UTC)
    days = bars("binance:A/USDT", start, 60).with_columns(
        (pl.col("volume") * pl.int_range(pl.len()) * 70_001.7).alias("volume")
    )
    holes = days.filter(~pl.int_range(pl.len()).is_in([26, 31, 32, 40, 44, 50, 52]))
    Catalog(tmp_path).append(holes, timeframe="1d", known_at=NOW)
    rule = LiquiditySettings()
    feature = dollar_volume(rule.bars("1d"), min_valid=LEAST_KNOWN)
    panel = compute(Panel.from_frame(holes), [feature])
    for day, known in ((30, True), (54, False), (60, True)):
        (found,) = quote_volumes(tmp_path, ["binance:A/USDT"], start + day * DAY)["quote_volume"]
        mean = panel[feature][day - 1, 0] * rule.per_day("1d")
        assert (found is None, np.isnan(mean)) == (not known, not known), "six of thirty may be missing"
        assert not known or found == pytest.approx(mean, rel=1e-12)


def test_a_bar_that_has_not_closed_does_not_count(tmp_path):
    start = datetime(2022, 1, 1, tzinfo=UTC)
    Catalog(tmp_path).append(bars("binance:A/USDT", start, 3), timeframe="1d", known_at=NOW)
    one = {"window_days": 1}
    assert quote_volumes(tmp_path, ["binance:A/USDT"], start + DAY - timedelta(seconds=1), **one).is_empty()
    assert quote_volumes(tmp_path, ["binance:A/USDT"], start + DAY, **one)["quote_volume"].to_list() == [10.0]


def test_events_are_checked_and_kept_once(tmp_path):
    luna(tmp_path)
    luna(tmp_path)
    assert len(events(tmp_path, "binance")) == 3
    with pytest.raises(ConfigError, match="expected listed, delisted or relisted"):
        tell(tmp_path, "died", DIED)
    with pytest.raises(ConfigError, match="not understood"):
        record_event(tmp_path, "../x", "listed", LUNA, at=DIED, known_at=NOW, source="")
    with pytest.raises(ConfigError, match="UTC"):
        universe(tmp_path, DIED.replace(tzinfo=None))
    (tmp_path / "data" / "universe" / "binance.json").write_text('{"schema_version": 1, "events": [{}]}')
    with pytest.raises(DataError, match=r"binance\.json cannot be read as a history of listings"):
        events(tmp_path, "binance")


def flag(root: Path, enabled: bool, at: datetime, **scope: str):
    return set_flag(root, scope, enabled=enabled, at=at, by="risk owner", reason="test")


def test_a_flag_blocks_whatever_has_all_of_its_scope_from_its_time_on(tmp_path):
    flag(tmp_path, False, NOW, exchange="binance", family="carry")
    who = {"exchange": "binance", "family": "carry", "market": "binance:BTC/USDT"}
    assert [block.scope for block in blocks(tmp_path, NOW, **who)] == [
        {"exchange": "binance", "family": "carry"}
    ]
    assert not blocks(tmp_path, NOW - DAY, **who)
    assert not blocks(tmp_path, NOW, **{**who, "family": "ensemble"})
    assert not blocks(tmp_path, NOW, exchange="binance"), "which family was not said"
    flag(tmp_path, False, NOW + DAY, timeframe="1m")
    flag(tmp_path, True, NOW + 2 * DAY, family="carry", exchange="binance")
    assert not blocks(tmp_path, NOW + 2 * DAY, **who)
    assert len(blocks(tmp_path, NOW + DAY, **who, timeframe="1m")) == 2
    assert len(flags(tmp_path)) == 3


def test_the_universe_says_what_was_switched_off_then(tmp_path):
    start = datetime(2022, 1, 1, tzinfo=UTC)
    both = pl.concat([bars("binance:A/USDT", start, 9), bars("binance:B/USDT", start, 9)])
    Catalog(tmp_path).append(both, timeframe="1d", known_at=NOW)
    flag(tmp_path, False, start + 3 * DAY, market="binance:A/USDT")
    flag(tmp_path, False, start + 5 * DAY, exchange="binance")
    flag(tmp_path, True, start + 6 * DAY, market="binance:A/USDT")
    for day, blocked in (
        (2, ["", ""]),
        (3, ["test", ""]),
        (5, ["test; test", "test"]),
        (6, ["test", "test"]),
    ):
        assert universe(tmp_path, start + day * DAY)["blocked"].to_list() == blocked


def test_flags_keep_their_history_and_say_why(tmp_path):
    flag(tmp_path, False, NOW, instance="x")
    for change, message in (
        ({"scope": {"colour": "red"}}, "expected some of exchange, market"),
        ({"scope": {}}, "expected some of"),
        ({"reason": " "}, "needs who and why"),
        ({"at": NOW - DAY}, "the last change was at 2026-01-01"),
        ({"at": NOW.replace(tzinfo=None)}, "UTC"),
    ):
        with pytest.raises(ConfigError, match=message):
            set_flag(
                tmp_path,
                **{"scope": {"family": "f"}, "enabled": False, "at": NOW, "by": "b", "reason": "r"} | change,
            )
    with pytest.raises(ConfigError, match="flags know no colour"):
        blocks(tmp_path, NOW, colour="red")
    (tmp_path / "data" / "flags" / "flags.json").write_text("{")
    with pytest.raises(DataError, match="cannot be read as flags"):
        blocks(tmp_path, NOW, instance="x")
