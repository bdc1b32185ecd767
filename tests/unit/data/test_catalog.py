from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from lab.core.errors import ConfigError, DataError, UnknownMarketError
from lab.core.frames import BAR_COLUMNS
from lab.data.catalog import Catalog
from lab.data.quality import default_settings, mark
from lab.data.synthetic import dirty, synthetic_market, synthetic_names

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def catalog(tmp_path):
    catalog = Catalog(tmp_path)
    bars = dirty(synthetic_market(seed=2, markets=3, bars=300, outages=4), seed=2, share=0.01)
    catalog.append(bars, timeframe="1d", known_at=NOW)
    return catalog


def test_what_is_stored_is_listed(catalog):
    listed = catalog.markets()
    assert listed["market"].to_list() == list(synthetic_names(3))
    assert set(listed["timeframe"]) == {"1d"}
    assert catalog.markets("1h").is_empty()
    assert catalog.markets("1h").schema == listed.schema
    one = catalog.bars([synthetic_names(3)[1]], "1d").filter(pl.col("reason") != "filled")
    row = listed.row(1, named=True)
    assert (row["bars"], row["first"], row["last"]) == (one.height, one["ts"].min(), one["ts"].max())


def test_bars_have_the_promised_columns_and_order(catalog):
    names = [synthetic_names(3)[2], synthetic_names(3)[0]]
    bars = catalog.bars(names, "1d")
    assert bars.columns == ["ts", "market", *BAR_COLUMNS, "quality", "reason"]
    assert bars.equals(bars.sort("ts", "market"))
    assert set(bars["market"]) == set(names)


@pytest.mark.parametrize("days", [(0, 5), (3, 60), (100, 101), (150, 299), (299, 400)])
def test_a_span_has_the_marks_of_the_full_history(catalog, days):
    tight = default_settings().model_copy(
        update={"volume_bars": 9, "atr_bars": 6, "low_volume_share": 0.9, "spike_atr_multiple": 1.0}
    )
    names = list(synthetic_names(3))
    first = catalog.markets()["first"].min()
    start, end = (first + timedelta(days=day) for day in days)
    whole = catalog.bars(names, "1d", settings=tight)
    part = catalog.bars(names, "1d", start, end, settings=tight)
    assert part.equals(whole.filter((pl.col("ts") >= start) & (pl.col("ts") < end)))


def test_several_venues_are_one_call(catalog):
    other = synthetic_market(seed=4, markets=1, bars=10).with_columns(market=pl.lit("kraken:BTC/EUR"))
    (manifest,) = catalog.append(other, timeframe="1d", known_at=NOW)
    assert manifest.dataset == "kraken/1d"
    both = catalog.bars(["kraken:BTC/EUR", "synthetic:AAA/USDT"], "1d")
    assert set(both["market"]) == {"kraken:BTC/EUR", "synthetic:AAA/USDT"}


def test_unknown_markets_get_the_nearest_names(catalog):
    with pytest.raises(
        UnknownMarketError, match=r"no 1d bars of synthetic:AAD/USDT stored; nearest: synthetic:AA"
    ):
        catalog.bars(["synthetic:AAA/USDT", "synthetic:AAD/USDT"], "1d")
    with pytest.raises(UnknownMarketError, match="it is stored as 1d"):
        catalog.bars(["synthetic:AAA/USDT"], "1h")
    with pytest.raises(UnknownMarketError, match="no 4h bars are stored at all"):
        catalog.bars(["synthetic:ZZZ/USDT"], "4h")
    with pytest.raises(ConfigError, match="expected exchange:BASE/QUOTE"):
        catalog.bars(["../../etc"], "1d")
    with pytest.raises(DataError, match="no market named"):
        catalog.bars([], "1d")


def test_an_empty_root_is_an_unknown_market_not_a_crash(tmp_path):
    assert Catalog(tmp_path / "new").markets().is_empty()
    with pytest.raises(UnknownMarketError, match="import"):
        Catalog(tmp_path / "new").bars(["binance:BTC/USDT"], "1d")


def test_stored_and_fetched_bars_are_marked_alike(catalog):
    """The bridge marks what it fetched; the lab marks what it stored."""
    names = list(synthetic_names(3))
    stored = catalog.store.scan("synthetic/1d").collect().drop("known_at")
    assert mark(stored, "1d").equals(catalog.bars(names, "1d"))
