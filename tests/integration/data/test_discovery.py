"""What an exchange lists, asked over HTTP and kept: versions, listings, delistings, checks."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from lab.core.errors import ConfigError, DataError, UnknownMarketError, VenueError
from lab.data.discovery import check_listed, discover, known_discovery, require_fresh, visits
from lab.data.download import download
from lab.data.download_client import Feed, Patience, connect
from lab.data.listings import record_event
from lab.data.synthetic import synthetic_market
from lab.data.universe import universe
from tests.oracle.killing import snapshot
from tests.oracle.loopback_server import control, loopback

pytestmark = pytest.mark.integration

DAY = timedelta(days=1)
START = datetime(2024, 1, 20, tzinfo=UTC)
FILTERS = """
default: {tick_size: 0.01, step_size: 0.001, min_quantity: 0.002, min_notional: 5}
symbols: {AABUSDT: {tick_size: 0.1}}
"""


def feed(url: str) -> Feed:
    made = connect("binance", base_url=url, patience=Patience(attempts=2, wait_initial=0.01))
    made.client.enableRateLimit = False
    return made


def serving(folder: Path, names: str, at: datetime):
    """Serve some of the markets AAA, AAB, AAC, as an exchange that lists them does."""
    folder.mkdir()
    bars = synthetic_market(seed=5, markets=3, bars=30, start=START)
    bars.filter(pl.col("market").str.slice(-6, 1).is_in(list(names))).write_parquet(folder / "bars.parquet")
    (folder / "filters.yaml").write_text(FILTERS if "B" in names else FILTERS.split("symbols", maxsplit=1)[0])
    return loopback(folder, "--at", at.isoformat(), "--filters", str(folder / "filters.yaml"))


def test_discoveries_are_kept_with_version_and_time(tmp_path):
    root = tmp_path / "root"
    with serving(tmp_path / "one", "AB", START + 5 * DAY) as url:
        first = discover(feed(url), root=root)
        kept = snapshot(root)
        control(url, "clock", advance_ms=3_600_000)
        assert discover(feed(url), root=root).visit.version == 1
        control(url, "market", halt=["AAAUSDT"])
        halted = discover(feed(url), root=root)
    assert first.markets["AAA/USDT"] == {
        "symbol": "AAA/USDT", "native": "AAAUSDT", "base": "AAA", "quote": "USDT", "settle": None,
        "kind": "spot", "active": True, "status": "TRADING", "step": "0.001", "tick": "0.01",
        "min_quantity": "0.002", "max_quantity": first.markets["AAA/USDT"]["max_quantity"],
        "max_market_quantity": first.markets["AAA/USDT"]["max_market_quantity"], "min_notional": "5.0",
        "order_types": ["LIMIT", "LIMIT_MAKER", "MARKET"],
    }  # fmt: skip
    assert first.markets["AAB/USDT"]["tick"] == "0.1"
    assert "1d" in first.timeframes
    assert (halted.visit.version, halted.visit.number) == (2, 3)
    assert (halted.markets["AAA/USDT"]["active"], halted.markets["AAA/USDT"]["status"]) == (False, "BREAK")
    assert {name: snapshot(root)[name] for name in kept} == kept, "what was written stays as it was"
    assert known_discovery(root, "binance", START) is None
    assert known_discovery(root, "binance", START + 5 * DAY) == first
    assert known_discovery(root, "binance") == halted


def test_symbols_that_come_and_go_make_the_universe_of_each_time(tmp_path):
    root = tmp_path / "root"
    for day, names in ((5, "AB"), (10, "A"), (15, "AC"), (20, "ABC")):
        with serving(tmp_path / names, names, START + day * DAY) as url:
            discover(feed(url), root=root)
            if names == "ABC":
                verdicts = download(feed(url), ["AAB/USDT"], "1d", root=root, since=START)
    assert [(visit.listed, visit.delisted) for visit in visits(root, "binance")] == [
        (("AAA/USDT", "AAB/USDT"), ()), ((), ("AAB/USDT",)), (("AAC/USDT",), ()), (("AAB/USDT",), ()),
    ]  # fmt: skip

    def at(day: int) -> list[str]:
        return [name.removeprefix("binance:") for name in universe(root, START + day * DAY)["market"]]

    assert at(2) == ["AAB/USDT"], "its bars begin before anybody looked"
    assert at(5) == ["AAA/USDT", "AAB/USDT"]
    assert at(12) == ["AAA/USDT"]
    assert at(16) == ["AAA/USDT", "AAC/USDT"]
    assert at(21) == ["AAA/USDT", "AAB.2/USDT", "AAC/USDT"], (
        "a ticker that was gone and is back is another coin"
    )
    # Bars from before go to the coin that is gone, bars since to the other.
    assert [(verdict.market, verdict.error) for verdict in verdicts] == [
        ("binance:AAB/USDT", ""), ("binance:AAB.2/USDT", ""),
    ]  # fmt: skip
    assert verdicts[0].last == START + 19 * DAY
    assert verdicts[1].bars == 0
    when = visits(root, "binance")[-1].time
    record_event(root, "binance", "relisted", "AAB/USDT", at=when, known_at=when, source="announcement")
    assert at(21) == ["AAA/USDT", "AAB/USDT", "AAC/USDT"]


def test_configurations_are_checked_against_what_is_listed(tmp_path):
    check_listed(tmp_path, "binance", symbols=["ANY/THING"], timeframes=["7m"])  # nothing to check against
    with pytest.raises(DataError, match="none found, expected a discovery of the last 1 day"):
        require_fresh(tmp_path, "binance", START)
    with serving(tmp_path / "one", "AB", START + 5 * DAY) as url:
        discover(feed(url), root=tmp_path)
        before = snapshot(tmp_path / "data")
        control(url, "fault", path="/api/v3/exchangeInfo", kind="cut")
        with pytest.raises(VenueError, match="binance"):
            discover(feed(url), root=tmp_path)
        assert snapshot(tmp_path / "data") == before
    check_listed(tmp_path, "binance", symbols=["AAA/USDT"], timeframes=["1d", "1h"])
    with pytest.raises(
        UnknownMarketError, match=r"AAX/USDT is not listed by binance at 2024-01-25 00:00Z; nearest"
    ):
        check_listed(tmp_path, "binance", symbols=["AAX/USDT"])
    with pytest.raises(ConfigError, match="timeframe 7m is not listed by binance"):
        check_listed(tmp_path, "binance", timeframes=["7m"])
    assert require_fresh(tmp_path, "binance", START + 6 * DAY).visit.number == 1
    with pytest.raises(DataError, match="one of 2024-01-25 00:00Z found"):
        require_fresh(tmp_path, "binance", START + 6 * DAY + timedelta(seconds=1))
    (path,) = (tmp_path / "data" / "discovery" / "binance" / "visits").iterdir()
    path.write_text(json.dumps({"schema_version": 9}))
    with pytest.raises(DataError, match="schema version 9 found, this program reads 1"):
        visits(tmp_path, "binance")
    with pytest.raises(ConfigError, match="not understood"):
        known_discovery(tmp_path, "../binance")
