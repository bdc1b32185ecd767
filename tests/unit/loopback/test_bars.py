"""Reading bars from the store and from plain files into listings."""

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from lab.core.errors import ConfigError, DataError
from lab.core.timeframe import Timeframe
from lab.data.catalog import Catalog
from live_bridge.loopback.bars import listings_from_frames, read_listings
from live_bridge.loopback.settings import FilterFile, filters_of
from tests.oracle.loopback import START_MS, bars

KNOWN = datetime(2024, 6, 1, tzinfo=UTC)


def named(frame, name, column="market"):
    return frame.with_columns(pl.lit(name).alias(column))


def store(root, *parts):
    for name, timeframe, opens in parts:
        Catalog(root).append(
            named(bars(opens, timeframe=timeframe), name), timeframe=timeframe, known_at=KNOWN
        )


@pytest.mark.parametrize("below", ["", "data/bars"])
def test_the_projects_store_is_served_as_received(tmp_path, below):
    store(tmp_path, ("binance:BTC/USDT", "1h", [100.0, None, 102.0]), ("binance:BTC/USDT", "1d", [100.0]))
    listing = read_listings(tmp_path / below)["BTCUSDT"]
    assert (listing.base, listing.quote) == ("BTC", "USDT")
    assert listing.sources == {"1d": "binance:BTC/USDT", "1h": "binance:BTC/USDT"}
    assert listing.finest.timeframe.name == "1h"
    assert (listing.finest.opened - START_MS).tolist() == [0, 7_200_000]
    assert listing.finest.values[:, 0].tolist() == [100.0, 102.0]


def test_two_venues_in_one_symbol_and_timeframe_need_a_choice(tmp_path):
    store(tmp_path, ("kraken:BTC/USD", "1h", [100.0]), ("bitstamp:BTC/USD", "1h", [101.0]))
    with pytest.raises(DataError, match=r"BTCUSD 1h: stored for bitstamp.* kraken.*--exchange"):
        read_listings(tmp_path)
    chosen = read_listings(tmp_path, exchanges=["kraken"])["BTCUSD"]
    assert chosen.sources == {"1h": "kraken:BTC/USD"}
    with pytest.raises(DataError, match="no spot bars of coinbase"):
        read_listings(tmp_path, exchanges=["coinbase"])


def test_two_venues_in_different_timeframes_share_the_symbol(tmp_path):
    store(tmp_path, ("coinbase:BTC/USD", "1h", [100.0]), ("bitstamp:BTC/USD", "1d", [101.0]))
    assert read_listings(tmp_path)["BTCUSD"].sources == {"1d": "bitstamp:BTC/USD", "1h": "coinbase:BTC/USD"}


def test_derivatives_are_left_out_and_equal_names_refused():
    hour, frame = Timeframe.parse("1h"), bars([100.0])
    assert listings_from_frames([("okx:BTC/USDT:USDT", hour, frame)]) == {}
    with pytest.raises(DataError, match="would both be ABCD"):
        listings_from_frames([("x:AB/CD", hour, frame), ("x:ABC/D", hour, frame)])


def test_plain_parquet_files_tell_their_timeframe(tmp_path):
    named(bars([100.0, 101.0, None, 103.0]), "BTC/USD", "symbol").write_parquet(tmp_path / "a.parquet")
    listing = read_listings(tmp_path)["BTCUSD"]
    assert list(listing.series) == ["1h"]
    assert len(listing.finest.opened) == 3


def test_of_bars_received_twice_the_last_counts():
    frame = pl.concat([bars([100.0, 101.0]), bars([100.5])])
    series = listings_from_frames([("x:A/B", Timeframe.parse("1h"), frame)])["AB"].finest
    assert series.values[:, 0].tolist() == [100.5, 101.0]
    assert np.all(np.diff(series.opened) > 0)


def test_what_cannot_be_served_is_named(tmp_path):
    with pytest.raises(ConfigError, match="no such folder"):
        read_listings(tmp_path / "nothing")
    with pytest.raises(DataError, match="no spot bars under"):
        read_listings(tmp_path)
    (tmp_path / "b.parquet").write_bytes(b"PAR1 truncated")
    with pytest.raises(DataError, match=r"b\.parquet: not readable as Parquet"):
        read_listings(tmp_path)
    bars([1.0, 2.0]).write_parquet(tmp_path / "b.parquet")
    with pytest.raises(DataError, match="expected market or symbol"):
        read_listings(tmp_path)
    odd = named(bars([1.0, 2.0]), "A/B").with_columns(
        pl.Series("ts", [datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, 0, 7, tzinfo=UTC)])
    )
    odd.write_parquet(tmp_path / "b.parquet")
    with pytest.raises(DataError, match="bars 420 s apart"):
        read_listings(tmp_path)


@pytest.mark.parametrize(
    ("price", "tick", "step"),
    [(30_000.0, "0.01", "0.00001"), (200.0, "0.0001", "0.0001"), (0.002, "1E-8", "1"), (3e6, "1", "0.00001")],
)
def test_default_rules_keep_seven_digits_and_exact_products(price, tick, step):
    listing = listings_from_frames([("x:A/B", Timeframe.parse("1h"), bars([price]))])["AB"]
    rules = filters_of(listing, FilterFile())
    assert (str(rules.tick_size), str(rules.step_size)) == (tick, step)
    own = FilterFile.model_validate({"default": {"tick_size": 1}, "symbols": {"AB": {"tick_size": 0.5}}})
    assert str(filters_of(listing, own).tick_size) == "0.5"
