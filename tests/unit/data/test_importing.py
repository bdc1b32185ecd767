from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from feature_store.atomic import exclusive
from lab.core.errors import ConfigError, DataError
from lab.core.frames import BAR_COLUMNS
from lab.data.catalog import Catalog
from lab.data.checking import check_catalog, check_files, content_hash
from lab.data.importing import import_files
from lab.data.raw import RawStore, file_digest
from lab.data.synthetic import dirty, synthetic_market

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOW = {"exchange": "binance", "timeframe": "1d", "arrived": NOW}


def table(bars=60, **options):
    """Bars as an exchange's file has them: column symbol, no exchange."""
    frame = synthetic_market(seed=5, markets=2, bars=bars, **options)
    return frame.select(pl.col("market").str.strip_prefix("synthetic:").alias("symbol"), "ts", *BAR_COLUMNS)


def snapshot(root: Path) -> dict[str, bytes]:
    files = (path for path in sorted(root.rglob("*")) if path.is_file() and path.name != ".lock")
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


@pytest.fixture
def files(tmp_path):
    """Write tables under names, with their suffix's format."""
    folder = tmp_path / "in"
    folder.mkdir()

    def write(name, frame):
        path = folder / name
        if path.suffix == ".csv":
            frame.write_csv(path)
        else:
            frame.write_parquet(path)
        return path

    return write


def only(verdicts):
    assert len(verdicts) == 1
    return verdicts[0]


def test_a_parquet_file_becomes_stored_bars_raw_bytes_and_a_record(tmp_path, files):
    path, root = files("a.parquet", table()), tmp_path / "root"
    verdict = only(import_files([path], root=root, **HOW))
    assert (verdict.status, verdict.bars, verdict.error) == ("imported", 120, "")
    assert verdict.markets == ("binance:AAA/USDT", "binance:AAB/USDT")
    assert verdict.detected == {"format": "parquet", "stamps": "times in UTC"}
    stored = Catalog(root).bars(verdict.markets, "1d")
    expected = table().with_columns(market="binance:" + pl.col("symbol")).sort("ts", "market")
    assert stored.select("ts", "market", *BAR_COLUMNS).equals(expected.select("ts", "market", *BAR_COLUMNS))
    record = only(RawStore(root).records())
    assert RawStore(root).payload(record).read_bytes() == path.read_bytes()
    assert RawStore(root).payload(record).stat().st_mode & 0o222 == 0
    assert record.arrival == NOW
    assert record.sha256 == file_digest(path)
    lineage = Catalog(root).store.lineage("binance/1d")
    assert {sha for entry in lineage for sha in entry["inputs"]} == {record.sha256}
    assert not [name for name in snapshot(root) if name.endswith(".tmp")]


def test_csv_and_parquet_of_the_same_bars_store_the_same_bytes(tmp_path, files):
    for name in ("a.csv", "b.parquet"):
        import_files([files(name, table())], root=tmp_path / name, **HOW)
    bars = [Catalog(tmp_path / n).bars(["binance:AAA/USDT"], "1d") for n in ("a.csv", "b.parquet")]
    assert bars[0].equals(bars[1])
    assert content_hash(bars[0]) == content_hash(bars[1])


@pytest.mark.parametrize("unit", ["s", "ms", "us"])
def test_columns_of_other_names_and_units_are_mapped(tmp_path, files, unit):
    frame = table().filter(pl.col("symbol") == "AAA/USDT")
    foreign = frame.select(
        pl.col("ts").dt.epoch(unit).alias("open_time"), *(pl.col(c).alias(c[0].upper()) for c in BAR_COLUMNS)
    )
    mapping = {"ts": "open_time", "symbol": "AAA/USDT", **{c: c[0].upper() for c in BAR_COLUMNS}}
    path = files("klines.csv", foreign)
    verdict = only(import_files([path], root=tmp_path, mapping=mapping, **HOW))
    assert verdict.status == "imported", verdict.error
    assert verdict.detected["stamps"].startswith("integer")
    assert Catalog(tmp_path).bars(["binance:AAA/USDT"], "1d")["close"].to_list() == frame["close"].to_list()


def test_the_same_file_again_changes_no_byte_even_later(tmp_path, files):
    path, root = files("a.parquet", table()), tmp_path / "root"
    import_files([path], root=root, **HOW)
    before = snapshot(root)
    again = only(import_files([path], root=root, **{**HOW, "arrived": NOW + timedelta(days=9)}))
    assert again.status == "unchanged"
    assert snapshot(root) == before


def test_a_revised_bar_replaces_and_an_old_file_does_not_bring_the_old_one_back(tmp_path, files):
    first = files("first.parquet", table())
    revised = table().with_columns(
        pl.when(pl.col("symbol") == "AAA/USDT").then(7.0).otherwise("volume").alias("volume")
    )
    second = files("second.parquet", revised)
    import_files([first, second], root=tmp_path, **HOW)
    after = snapshot(tmp_path / "data" / "bars")
    assert set(Catalog(tmp_path).bars(["binance:AAA/USDT"], "1d")["volume"]) == {7.0}
    assert only(import_files([first], root=tmp_path, **HOW)).status == "unchanged"
    assert snapshot(tmp_path / "data" / "bars") == after


def test_a_bad_file_is_refused_by_name_and_the_others_go_on(tmp_path, files):
    good = files("good.parquet", table())
    data = good.read_bytes()
    bad = {
        "cut.parquet": data[:-100],
        "head.parquet": data[:4],
        "empty.parquet": b"",
        "zip.csv": b"PK\x03\x04....",
        "binary.csv": bytes(range(256)) * 9,
        "header.csv": b"symbol,ts,open,high,low,close,volume\n",
        "cut.csv": b"symbol,ts,open,high,low,close,volume\nA/B,2024-01-01,1,1,1,1,1\nA/B,2024-01-02,1,1",
        "words.csv": b"symbol,ts,open,high,low,close,volume\nA/B,2024-01-01,1,1,one,1,1\n",
        "<script>.csv": b"a,b\n1,2\n",
    }
    for name, content in bad.items():
        (good.parent / name).write_bytes(content)
    paths = [good.parent / name for name in bad] + [good.parent / "missing.csv", good.parent, good]
    verdicts = import_files(paths, root=tmp_path / "root", **HOW)
    assert [verdict.ok for verdict in verdicts] == [False] * (len(paths) - 1) + [True]
    for path, verdict in zip(paths[:-1], verdicts[:-1], strict=True):
        assert verdict.error.startswith(f"{path}: "), verdict.error
        assert "\n" not in verdict.error
    reasons = {Path(verdict.file).name: verdict.error for verdict in verdicts}
    assert "truncated or damaged" in reasons["cut.parquet"]
    assert "not readable as zip, truncated or damaged" in reasons["zip.csv"]
    assert "the last line has 4 columns, the header 7" in reasons["cut.csv"]
    assert "'one' is no number" in reasons["words.csv"]
    assert "columns ts, open, high, low, close, volume missing; found a, b" in reasons["<script>.csv"]
    assert len(RawStore(tmp_path / "root").records()) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"symbol": pl.lit("bitfinex:BTC")}, "names the exchange bitfinex"),
        ({"symbol": pl.lit("BTC")}, "'BTC' has no quote currency"),
        ({"symbol": pl.lit("../../x/USDT")}, "makes no market name"),
        ({"symbol": pl.lit(None, pl.String)}, "rows have no symbol"),
        ({"ts": pl.col("ts").dt.offset_by("2h")}, "do not open on the 1d grid"),
        ({"ts": pl.col("ts").dt.epoch("ms").cast(pl.Datetime("us", "UTC"))}, "outside 1990 to 2100"),
        ({"ts": pl.col("ts").dt.epoch("s") * pl.Series([1, 1_000] * 60)}, "rows look like s"),
        (
            {"ts": pl.datetime(2030, 1, 1, time_zone="UTC") + (pl.col("ts") - pl.col("ts").min())},
            "had closed at",
        ),
    ],
)
def test_contradictions_are_refused_and_nothing_is_written(tmp_path, files, change, message):
    path = files("a.parquet", table().with_columns(**change))
    verdict = only(import_files([path], root=tmp_path / "root", **HOW))
    assert verdict.status == "refused"
    assert message in verdict.error
    assert snapshot(tmp_path / "root") == {}


def test_strict_refuses_bad_bars_and_otherwise_they_are_kept_marked(tmp_path, files):
    broken = table().with_columns(
        close=pl.when(pl.int_range(pl.len()) == 7).then(0.0).otherwise("close"),
    )
    path = files("a.parquet", broken)
    strict = only(import_files([path], root=tmp_path / "root", strict=True, **HOW))
    assert "1 BAD bars (first binance:AA" in strict.error
    assert "price" in strict.error
    assert snapshot(tmp_path / "root") == {}
    assert only(import_files([path], root=tmp_path / "root", **HOW)).ohlc_violations == 1
    assert sum(record["bad"] for record in check_catalog(tmp_path / "root")) == 1


def test_bars_that_had_not_closed_on_arrival_are_left_out_for_good(tmp_path, files):
    path = files("a.parquet", table())
    last = table()["ts"].max()
    early = {**HOW, "arrived": last + timedelta(hours=23)}
    verdict = only(import_files([path], root=tmp_path, **early))
    assert (verdict.incomplete, verdict.bars, verdict.last) == (2, 118, last - timedelta(days=1))
    assert only(import_files([path], root=tmp_path, **HOW)).last == last - timedelta(days=1)


def test_wrong_options_are_usage_errors_and_no_file_is_looked_at(tmp_path):
    for change, message in (
        ({"timeframe": "1M"}, "constant length"),
        ({"exchange": "../x"}, "not understood"),
        ({"mapping": {"price": "close"}}, "unknown column; allowed: ts, market"),
        ({"format": "xlsx"}, "allowed: auto, binance, csv, freqtrade, page, parquet"),
        ({"arrived": NOW.replace(tzinfo=None)}, "no time zone"),
    ):
        with pytest.raises(ConfigError, match=message):
            import_files(["nowhere.csv"], root=tmp_path, **{**HOW, **change})
    wrong = only(import_files([__file__], root=tmp_path, format="parquet", **HOW))
    assert "--format parquet given, but the file is csv" in wrong.error


def test_counts_as_received_survive_the_removal_of_duplicates(tmp_path, files):
    received = dirty(table(bars=400).rename({"symbol": "market"}), seed=3, share=0.02)
    path = files("dirty.parquet", received)
    import_files([path], root=tmp_path, **HOW)
    stored, direct = check_catalog(tmp_path), check_files([path], exchange="binance")
    assert stored == direct
    repeated = received.height - received.select("market", "ts").n_unique()
    assert sum(record["duplicates"] for record in stored) == repeated > 0
    assert sum(record["bars"] for record in stored) == received.height
    for record in stored:
        judged = record["good"] + record["questionable"] + record["bad"]
        assert judged == record["bars"] - record["duplicates"]


def test_a_record_of_another_version_is_refused_with_what_to_do(tmp_path, files):
    path = files("a.parquet", table())
    import_files([path], root=tmp_path, **HOW)
    record = only(list((tmp_path / "data" / "raw" / "imports").iterdir()))
    record.write_text(json.dumps({**json.loads(record.read_text()), "schema_version": 9}))
    with pytest.raises(DataError, match="schema version 9 found, this program reads version 1"):
        RawStore(tmp_path).records()


def test_damaged_stored_bars_are_named_with_the_way_back(tmp_path, files):
    path = files("a.parquet", table())
    import_files([path], root=tmp_path, **HOW)
    store = Catalog(tmp_path).store
    (victim,) = store.files("binance/1d", end=datetime(2020, 2, 1, tzinfo=UTC))
    victim.write_bytes(victim.read_bytes()[:-5])
    with pytest.raises(DataError, match=victim.name.replace(".", r"\.")) as caught:
        Catalog(tmp_path).bars(["binance:AAA/USDT"], "1d")
    assert "mnemo data rebuild" in str(caught.value)


def test_two_imports_do_not_interleave(tmp_path, files):
    path = files("a.parquet", table())
    import_files([path], root=tmp_path, **HOW)
    with exclusive(tmp_path / "data" / "bars" / "binance" / "1d"):
        assert Catalog(tmp_path).bars(["binance:AAA/USDT"], "1d").height == 60
