"""What storage promises: rebuilt from what was received, asked as of a time, new bars in a small tail."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from feature_store.restoring import damaged_files
from lab.core.errors import ConfigError, DataError
from lab.core.frames import BAR_COLUMNS
from lab.data.catalog import Catalog
from lab.data.importing import import_files
from lab.data.rebuilding import rebuild_bars
from lab.data.sql import query
from lab.data.synthetic import synthetic_market

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
LATER = datetime(2026, 2, 1, tzinfo=UTC)
DATASET = "synthetic/1d"


def snapshot(root):
    files = (path for path in sorted(root.rglob("*")) if path.is_file() and path.name != ".lock")
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


@pytest.fixture
def root(tmp_path):
    """Two imports under tmp_path/root: the second revises ten bars of the first and adds two."""
    bars = synthetic_market(seed=8, markets=2, bars=75).sort("market", "ts")
    one = bars.filter(pl.col("ts") < pl.col("ts").max())
    two = bars.tail(11).with_columns(volume=pl.col("volume") * 2)
    for name, rows, arrived in (("one", one, FIRST), ("two", two, LATER)):
        rows.write_parquet(tmp_path / f"{name}.parquet")
        (verdict,) = import_files(
            [tmp_path / f"{name}.parquet"],
            root=tmp_path / "root",
            exchange=None,
            timeframe="1d",
            arrived=arrived,
        )
        assert verdict.ok, verdict.error
    return tmp_path / "root"


def months(catalog):
    return [(part.month, part.sha256, part.earlier) for part in catalog.store.manifest(DATASET).partitions]


def test_bars_are_asked_for_as_they_were_known(root):
    catalog = Catalog(root)
    names = catalog.markets()["market"].to_list()
    now = catalog.bars(names, "1d")
    then = catalog.bars(names, "1d", as_of=LATER - timedelta(seconds=1))
    assert catalog.bars(names, "1d", as_of=LATER).equals(now)
    assert catalog.bars(names, "1d", as_of=FIRST - timedelta(seconds=1)).is_empty()
    assert now.height == then.height + 1
    both = now.join(then, on=["ts", "market"])
    assert (both["volume"] != both["volume_right"]).sum() == 10
    assert (both["close"] == both["close_right"]).all()
    listed = catalog.markets(as_of=FIRST)
    assert listed["bars"].sum() == then.height
    with pytest.raises(ConfigError, match="no time zone"):
        catalog.bars(names, "1d", as_of=datetime(2026, 1, 1))  # noqa: DTZ001


def test_sql_has_three_views_now_and_as_of(root):
    total = query("SELECT count(*) AS n, sum(volume) AS v FROM bars", root=root).row(0)
    before = query("SELECT count(*) AS n, sum(volume) AS v FROM bars", root=root, as_of=FIRST).row(0)
    assert total[0] == before[0] + 1
    assert total[1] > before[1]
    marks = query("SELECT quality, count(*) AS n FROM quality GROUP BY 1", root=root)
    catalog = Catalog(root)
    stored = catalog.bars(catalog.markets()["market"].to_list(), "1d")
    assert dict(marks.iter_rows()) == dict(stored.group_by("quality").len().iter_rows())
    listed = query("SELECT market, exchange, bars, first, last FROM markets ORDER BY market", root=root)
    assert listed.drop("exchange").equals(catalog.markets().drop("timeframe"))
    assert set(listed["exchange"]) == {"synthetic"}


@pytest.mark.parametrize("damage", ["truncate", "flip", "delete", "manifest", "earlier"])
def test_damage_is_named_set_aside_and_rebuilt_byte_for_byte(root, damage):
    catalog = Catalog(root)
    expected, manifest = snapshot(root / "data" / "bars"), catalog.store.manifest(DATASET)
    folder = catalog.store.folder(DATASET)
    part = next(part for part in manifest.partitions if part.earlier is not None)
    path = folder / {"manifest": "manifest.json", "earlier": part.earlier.file}.get(damage, part.file)
    data = path.read_bytes()
    if damage == "delete":
        path.unlink()
    else:
        path.write_bytes(data[:-7] if damage == "truncate" else data[:50] + b"x" + data[51:])
    with pytest.raises(DataError, match="mnemo data rebuild") as caught:
        Catalog(root).bars(["synthetic:AAA/USDT"], "1d", as_of=LATER)
    assert path.name in str(caught.value)
    (found,) = rebuild_bars(root, dry_run=True)
    assert found.damaged == (path.name,)
    assert found.restored == ()
    (found,) = rebuild_bars(root)
    assert found.restored == (
        tuple(p.month for p in manifest.partitions) if damage == "manifest" else (part.month,)
    )
    again = snapshot(root / "data" / "bars")
    aside = {name for name in again if "/quarantine/" in name}
    assert {name: again[name] for name in again.keys() - aside} == expected
    assert bool(aside) == (damage != "delete")
    assert damaged_files(catalog.store, DATASET) == []
    (found,) = rebuild_bars(root)
    assert (found.identical, found.restored, found.differing) == (found.months, (), ())


def test_a_lost_folder_of_bars_comes_back(root):
    expected = snapshot(root / "data" / "bars")
    for path in (root / "data" / "bars" / "synthetic" / "1d").glob("*"):
        path.unlink()
    rebuild_bars(root)
    assert snapshot(root / "data" / "bars") == expected


def test_bars_of_no_payload_are_kept_and_shown(root):
    extra = synthetic_market(seed=9, markets=1, bars=5).with_columns(market=pl.lit("synthetic:ZZZ/USDT"))
    Catalog(root).append(extra, timeframe="1d", known_at=LATER)
    (found,) = rebuild_bars(root)
    assert found.differing
    assert "synthetic:ZZZ/USDT" in Catalog(root).markets()["market"].to_list()


def test_a_payload_that_changed_is_refused(root):
    (victim, *_) = sorted((root / "data" / "raw" / "files").glob("*"))
    victim.chmod(0o644)
    victim.write_bytes(victim.read_bytes() + b"x")
    before = snapshot(root / "data" / "bars")
    with pytest.raises(DataError, match=f"{victim.name}.*has changed since it was received"):
        rebuild_bars(root)
    assert snapshot(root / "data" / "bars") == before


def test_new_bars_wait_in_a_tail_and_read_the_same(tmp_path):
    bars = synthetic_market(seed=4, markets=3, bars=60)
    times = bars["ts"].unique().sort()
    live, plain = Catalog(tmp_path / "live"), Catalog(tmp_path / "plain")
    for catalog in (live, plain):
        catalog.append(bars.filter(pl.col("ts") < times[40]), timeframe="1d", known_at=FIRST)
    for number, ts in enumerate(times[40:]):
        known = FIRST + timedelta(minutes=number)
        for catalog, small in ((live, True), (plain, False)):
            rows = bars.filter(pl.col("ts") == ts)
            catalog.append(rows, timeframe="1d", known_at=known, live=small)
            catalog.append(rows, timeframe="1d", known_at=known + timedelta(seconds=1), live=small)
    names = plain.markets()["market"].to_list()
    assert live.bars(names, "1d").equals(plain.bars(names, "1d"))
    assert live.store.tail(DATASET).height == 60
    as_of = FIRST + timedelta(minutes=7)
    assert live.bars(names, "1d", as_of=as_of).equals(plain.bars(names, "1d", as_of=as_of))
    assert query("SELECT count(*) FROM bars", root=tmp_path / "live").item() == 180
    assert live.compact() == [{"dataset": DATASET, "rows": 60}]
    assert months(live) == months(plain)
    assert live.compact() == []
    assert live.bars(names, "1d").select("ts", "market", *BAR_COLUMNS).height >= 180
