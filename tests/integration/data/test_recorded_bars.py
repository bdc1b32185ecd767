"""The known facts of recorded files, found by the lab and by plain counting."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

import polars as pl
import pytest

from lab.core.frames import BAR_COLUMNS
from lab.data.catalog import Catalog
from lab.data.checking import check_catalog, check_files
from lab.data.importing import import_files
from lab.data.panels import panel_from_bars

NOW = datetime(2026, 1, 1, tzinfo=UTC)
pytestmark = pytest.mark.real_data

FACTS = {
    # file: timeframe, mapping, and what is known: bars, gaps, missing, duplicates, violations, zero volumes
    "binance_spot_1d": ("1d", {}, (39_666, 0, 0, 0, 0, 0)),
    "binance_spot_1h": ("1h", {}, (950_336, 547, 1_777, 0, 0, 145)),
    "binance_spot_15m": ("15m", {}, (574_070, 65, 649, 0, 0, None)),
    "btc_perp_1m": ("1m", {"symbol": "BTC/USD:USD"}, (45_031, 0, 0, 0, 0, 0)),
    "binance_btc_pairs_5m": ("5m", {}, (58_252, 23, 58, 0, 0, None)),
    "okx_perp_1h": ("1h", {}, (89_987, None, None, 0, 0, 1_340)),
    "okx_mark_1h": ("1h", {}, (89_908, None, None, 0, None, 0)),
    "dirty_12_venues_1d": ("1d", {"quote": "USD"}, (29_214, None, 483, 25, 676, 227)),
}
KEYS = ("bars", "gaps", "missing_bars", "duplicates", "ohlc_violations", "zero_volume")


def plain_counts(frame: pl.DataFrame, seconds: int) -> dict[str, int]:
    """Count without the lab: one market after the other."""
    counts = dict.fromkeys(KEYS, 0)
    for _, rows in frame.group_by("symbol"):
        stamps = sorted(rows["ts"].dt.epoch("s").to_list())
        unique = sorted(set(stamps))
        steps = [b - a for a, b in itertools.pairwise(unique)]
        counts["bars"] += len(stamps)
        counts["duplicates"] += len(stamps) - len(unique)
        counts["gaps"] += sum(step > seconds for step in steps)
        counts["missing_bars"] += sum(step // seconds - 1 for step in steps)
        for open_, high, low, close, volume in rows.select(BAR_COLUMNS).iter_rows():
            prices = (open_, high, low, close)
            nonsense = any(p is None or not p > 0 for p in prices)
            counts["ohlc_violations"] += nonsense or high < max(open_, close) or low > min(open_, close)
            counts["zero_volume"] += volume == 0
    return counts


@pytest.mark.parametrize("name", FACTS)
def test_check_reproduces_what_is_known_of_a_file_before_and_after_import(name, real_data, tmp_path):
    timeframe, mapping, facts = FACTS[name]
    path = real_data / f"{name}.parquet"
    exchange = None if mapping.get("quote") else "venue"
    direct = check_files([path], exchange=exchange, mapping=mapping)
    found = {key: sum(record[key] for record in direct) for key in KEYS}
    for key, known in zip(KEYS, facts, strict=True):
        assert known is None or found[key] == known, key
    assert {record["timeframe"] for record in direct} == {timeframe}
    seconds = {"1m": 60, "5m": 300, "15m": 900, "1h": 3_600, "1d": 86_400}[timeframe]
    assert found == plain_counts(pl.read_parquet(path), seconds)
    (verdict,) = import_files(
        [path], root=tmp_path, exchange=exchange, timeframe=timeframe, mapping=mapping, arrived=NOW
    )
    assert verdict.ok, verdict.error
    assert check_catalog(tmp_path) == direct


def test_stored_bars_are_the_files_bars_and_pivot_back(real_data, tmp_path):
    path = real_data / "binance_spot_1d.parquet"
    import_files([path], root=tmp_path, exchange="binance", timeframe="1d", arrived=NOW)
    catalog = Catalog(tmp_path)
    markets = catalog.markets()["market"].to_list()
    assert len(markets) == 33
    stored = catalog.bars(markets, "1d")
    source = pl.read_parquet(path).with_columns(market="binance:" + pl.col("symbol"))
    joined = stored.join(source.with_columns(pl.col("ts").dt.cast_time_unit("us")), on=["ts", "market"])
    assert joined.height == stored.height == source.height
    for column in BAR_COLUMNS:
        assert (joined[column] == joined[f"{column}_right"]).all()
    panel = panel_from_bars(stored, timeframe="1d", markets=markets)
    again = panel.to_frame(panel["close"], "close").filter(pl.col("close").is_not_nan())
    assert again.equals(stored.select("ts", "market", "close"))


def test_files_that_are_no_bars_are_refused_by_name(real_data, tmp_path):
    names = [
        "onchain_1d",
        "trades_xrp_eth",
        "funding_xrp",
        "btcusdt_book25",
        "fed_primary_credit_rate",
        "btc_perp_1m",
    ]
    paths = [real_data / f"{name}.parquet" for name in names]
    verdicts = import_files(paths, root=tmp_path, exchange="venue", timeframe="1d", arrived=NOW)
    assert [verdict.ok for verdict in verdicts] == [False] * len(names)
    for verdict, path in zip(verdicts, paths, strict=True):
        assert verdict.error.startswith(f"{path}: ")
    assert "'BTC-PERP' names a derivative" in verdicts[-1].error
    assert Catalog(tmp_path).markets().is_empty()
