"""Recorded hourly bars make the recorded daily ones, but for a single one; recorded trades make bars."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from lab.data.catalog import Catalog
from lab.data.importing import import_files
from lab.data.resampling import resample, resample_trades

NOW = datetime(2026, 1, 1, tzinfo=UTC)
pytestmark = pytest.mark.real_data


def test_hourly_bars_make_the_daily_bars(real_data, tmp_path):
    for timeframe in ("1h", "1d"):
        path = real_data / f"binance_spot_{timeframe}.parquet"
        import_files([path], root=tmp_path, exchange="binance", timeframe=timeframe, arrived=NOW)
    found = resample(root=tmp_path, source="1h", target="1d", arrived=NOW)
    assert (sum(r.made for r in found), sum(r.equal for r in found)) == (39_083, 39_082)
    (other,) = [record for record in found if record.different]
    assert other.market == "binance:FTT/USDT"
    assert other.first_difference.startswith("2020-01-06 00:00Z open: 2.139 made, 2.138 stored")
    assert sum(record.new for record in found) == 0


def test_trades_make_bars_that_are_stored_once(real_data, tmp_path):
    for again in (False, True):
        (found,) = resample_trades(
            real_data / "trades_xrp_eth.parquet", root=tmp_path, target="1m", exchange="binance", arrived=NOW
        )
        assert (found.market, found.made, found.partial) == ("binance:XRP/ETH", 2_467, 2)
        assert (found.new, found.equal) == ((0, 2_467) if again else (2_467, 0))
    assert Catalog(tmp_path).markets()["bars"].to_list() == [2_467]
