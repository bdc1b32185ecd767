from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta

import pytest

from lab.core.errors import ConfigError, DataError
from lab.data.artifacts import INDEX_FILE, index_artifacts
from lab.data.catalog import Catalog
from lab.data.housekeeping import Pin, plan, sweep_out
from lab.data.importing import import_files
from lab.data.quality_file import settings_in_force
from lab.data.rebuilding import rebuild_bars
from lab.data.synthetic import synthetic_market

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def root(tmp_path):
    bars = synthetic_market(seed=8, markets=2, bars=100)
    bars.write_parquet(tmp_path / "bars.parquet")
    import_files(
        [tmp_path / "bars.parquet"], root=tmp_path / "root", exchange=None, timeframe="1d", arrived=NOW
    )
    (tmp_path / "root" / "data" / "live").mkdir()
    (tmp_path / "root" / "data" / "live" / "main.sqlite").write_bytes(b"journal")
    (tmp_path / "root" / "reports").mkdir()
    (tmp_path / "root" / "reports" / "old.html").write_bytes(b"report")
    return tmp_path / "root"


def stored_months(root):
    return [part.month for part in Catalog(root).store.manifest("synthetic/1d").partitions]


def empty(path):
    return 0.2


def test_old_months_go_pinned_ones_and_everything_else_stay(root):
    (root / "data" / "retention.yaml").write_text("days: {24h: 40}\n")
    months = stored_months(root)
    last = Catalog(root).markets()["last"].max()
    now = last + timedelta(days=41)
    pin = Pin("synthetic:AAA/USDT", "1d", last - timedelta(days=70), last - timedelta(days=65), "run 7")
    found = plan(root, now=now, pins=[pin], used=empty)
    assert [removal.path for removal in found] == [f"data/bars/synthetic/1d/{month}" for month in months[:-1]]
    assert len(found) > 1
    pinned = {removal.path for removal in found if removal.pinned_by == "run 7"}
    assert 0 < len(pinned) < len(found)
    assert stored_months(root) == months
    gone = sweep_out(root, found)
    assert {removal.path for removal in found} - {removal.path for removal in gone} == pinned
    assert stored_months(root) == [
        m for m in months if f"data/bars/synthetic/1d/{m}" in pinned or m == months[-1]
    ]
    assert (root / "data" / "live" / "main.sqlite").read_bytes() == b"journal"
    assert plan(root, now=now, pins=[pin], used=empty) == [r for r in found if r.pinned_by]
    (again,) = rebuild_bars(root)
    assert (again.restored, again.differing) == ((), ())


def test_nothing_goes_before_its_time(root):
    last = Catalog(root).markets()["last"].max()
    assert plan(root, now=last + timedelta(days=30), used=empty) == []


def test_a_full_disk_purges_only_what_can_be_made_again(root):
    last = Catalog(root).markets()["last"].max()
    found = plan(root, now=last, used=lambda path: 0.93)
    assert [(removal.path, removal.reason) for removal in found] == [("reports/old.html", "disk 93% full")]
    sweep_out(root, found)
    assert not (root / "reports" / "old.html").exists()
    assert (root / "data" / "live" / "main.sqlite").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("days: {1M: 3}", "1M"),
        ("days: {1d: 0}", "at least 1"),
        ("day: 3", r"retention\.yaml:1: day: unknown key"),
    ],
)
def test_a_wrong_retention_file_is_named(root, text, message):
    (root / "data" / "retention.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        plan(root, now=NOW, used=empty)


def test_quality_files_override_single_keys_and_list_outages(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "quality.yaml").write_text("policies: {spike: pause}\nlow_volume_share: 0.2\n")
    (tmp_path / "data" / "outages.yaml").write_text(
        "outages:\n  - {exchange: binance, start: 2018-02-08T00:30:00Z, end: 2018-02-09T10:00:00Z}\n"
    )
    shipped, found = settings_in_force(tmp_path / "other"), settings_in_force(tmp_path)
    assert (found.policies.spike, found.low_volume_share) == ("pause", 0.2)
    assert (found.policies.filled, found.atr_bars) == (shipped.policies.filled, shipped.atr_bars)
    assert [outage.exchange for outage in found.outages] == ["binance"]
    assert Catalog(tmp_path).settings == found
    (tmp_path / "data" / "quality.yaml").write_text("\npolicies:\n  spike: maybe\n")
    with pytest.raises(ConfigError, match=r"quality\.yaml:3: policies\.spike: found 'maybe'"):
        settings_in_force(tmp_path)


def test_the_index_follows_the_files(root):
    first = index_artifacts(root, now=NOW)
    by_path = {row["path"]: row for row in first}
    part = Catalog(root).store.manifest("synthetic/1d").partitions[0]
    assert by_path[f"data/bars/synthetic/1d/{part.file}"]["sha256"] == part.sha256
    assert by_path[f"data/bars/synthetic/1d/{part.file}"]["tags"] == ["bars", "synthetic", "1d"]
    assert by_path["data/live/main.sqlite"]["sha256"] == ""
    (root / "reports" / "old.html").write_bytes(b"another report")
    (root / "data" / "live" / "main.sqlite").unlink()
    again = {row["path"]: row for row in index_artifacts(root, now=NOW + timedelta(days=1))}
    assert again["reports/old.html"]["bytes"] == 14
    assert again["reports/old.html"]["sha256"] != by_path["reports/old.html"]["sha256"]
    assert again["reports/old.html"]["first_seen"] == by_path["reports/old.html"]["first_seen"]
    assert again.keys() == by_path.keys() - {"data/live/main.sqlite"}


def test_an_index_of_another_version_is_refused_with_the_command(root):
    index_artifacts(root, now=NOW)
    with sqlite3.connect(root / INDEX_FILE) as database:
        database.execute("PRAGMA user_version = 9")
    with pytest.raises(DataError, match=r"version 9 found.*mnemo data index"):
        index_artifacts(root, now=NOW)
