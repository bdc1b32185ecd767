"""Files of other programs: Binance's public klines and freqtrade's candles, and how they try to mislead."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from lab.core.errors import DataError
from lab.core.frames import BAR_COLUMNS
from lab.data.catalog import Catalog
from lab.data.formats import binance_symbol
from lab.data.importing import import_files
from lab.data.raw import RawStore
from lab.data.reading import listed_files, read_bars

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,"
    "taker_buy_volume,taker_buy_quote_volume,ignore\n"
)
DAY = 86_400
FIRST = {2024: 1_733_011_200, 2025: 1_735_689_600}  # 2024-12-01 and 2025-01-01


def klines(year: int, *, days: int = 3, unit: int | None = None, length: int = DAY) -> str:
    """Binance's lines as it publishes them: milliseconds before 2025, microseconds since."""
    unit = unit or (1_000 if year < 2025 else 1_000_000)
    lines = []
    for day in range(days):
        opened = (FIRST[year] + day * length) * unit
        prices = f"{100 + day}.5,{103 + day},{99 + day},{101 + day},{7 + day}.25"
        lines.append(f"{opened},{prices},{opened + length * unit - 1},700.5,12,3.5,350.1,0")
    return "\n".join(lines) + "\n"


def zipped(files: dict[str, str | bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def put(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def importing(root: Path, *paths: Path, **how):
    options = {"exchange": "binance", "timeframe": "1d", "arrived": NOW, **how}
    return import_files(paths, root=root, **options)


def stored(root: Path, market: str = "binance:BTC/USDT") -> pl.DataFrame:
    return Catalog(root).bars([market], "1d").select("ts", *BAR_COLUMNS)


@pytest.mark.parametrize("header", ["", HEADER])
@pytest.mark.parametrize("fmt", ["auto", "binance"])
@pytest.mark.parametrize("packed", [False, True])
def test_binance_files_of_both_units_join_in_one_history(tmp_path, header, fmt, packed):
    paths = []
    for year, month in ((2024, "2024-12"), (2025, "2025-01")):
        name, text = f"BTCUSDT-1d-{month}.csv", header + klines(year)
        paths.append(
            put(tmp_path, name.replace(".csv", ".zip"), zipped({name: text}))
            if packed
            else put(tmp_path, name, text)
        )
    verdicts = importing(tmp_path / "root", *paths, format=fmt)
    assert [verdict.error for verdict in verdicts] == ["", ""]
    assert [verdict.detected["stamps"] for verdict in verdicts] == [
        "integer milliseconds",
        "integer microseconds",
    ]
    bars = stored(tmp_path / "root")
    assert bars["ts"].dt.strftime("%Y-%m-%d").to_list() == [
        "2024-12-01", "2024-12-02", "2024-12-03", "2025-01-01", "2025-01-02", "2025-01-03",
    ]  # fmt: skip
    assert bars.row(1)[1:] == (101.5, 104.0, 100.0, 102.0, 8.25)


def test_the_raw_copy_of_a_named_file_reads_the_same_without_its_name(tmp_path):
    text = klines(2024)
    frame = pl.DataFrame(
        {"date": [datetime(2024, 1, 1, tzinfo=UTC)], **{key: [5.0] for key in BAR_COLUMNS}}
    ).with_columns(pl.col("date").dt.cast_time_unit("ms"))
    frame.write_ipc(tmp_path / "ETH_USDT-1d.feather")
    paths = [put(tmp_path, "BTCUSDT-1d-2024-12.csv", text), tmp_path / "ETH_USDT-1d.feather"]
    importing(tmp_path / "root", *paths)
    raw = RawStore(tmp_path / "root")
    for record, path in zip(raw.records(), paths, strict=True):
        again = read_bars(
            raw.payload(record), exchange=record.exchange, mapping=record.mapping, fmt=record.format
        )
        assert again.bars.equals(read_bars(path, exchange="binance").bars)
    assert [verdict.status for verdict in importing(tmp_path / "root", *paths)] == ["unchanged"] * 2


def test_a_zip_that_misleads_is_refused_and_the_others_go_on(tmp_path):
    good = klines(2024)
    bomb = klines(2024) + klines(2024, days=1) * 400_000
    bad = {
        "two.zip": (zipped({"a.csv": good, "b.csv": good}), "expected one CSV file"),
        "none.zip": (zipped({}), "neither CSV nor Parquet"),
        "path.zip": (zipped({"../../BTCUSDT-1d-2024-12.csv": good}), "names a path"),
        "absolute.zip": (zipped({"/etc/BTCUSDT.csv": good}), "names a path"),
        "other.zip": (zipped({"readme.txt": "hello"}), "expected one CSV file"),
        "cut.zip": (zipped({"BTCUSDT-1d-2024-12.csv": good * 50})[:200], "truncated or damaged"),
        "bomb.zip": (zipped({"BTCUSDT-1d-2024-12.csv": bomb}), "unpacks to more than"),
        "words.zip": (zipped({"BTCUSDT-1d-2024-12.csv": "hello\n"}), "no klines of Binance"),
    }
    paths = [put(tmp_path, name, content) for name, (content, _) in bad.items()]
    paths.append(put(tmp_path, "BTCUSDT-1d-2024-12.zip", zipped({"BTCUSDT-1d-2024-12.csv": good})))
    verdicts = importing(tmp_path / "root", *paths)
    assert [verdict.ok for verdict in verdicts] == [False] * len(bad) + [True]
    for verdict, (_, reason) in zip(verdicts, bad.values(), strict=False):
        assert reason in verdict.error, verdict
        assert verdict.error.startswith(verdict.file)
    assert len(RawStore(tmp_path / "root").records()) == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (klines(2024) + klines(2025), "bars of several lengths|one unit since 1970"),
        (klines(2024, unit=1), "several lengths|one unit"),
        (klines(2024) + klines(2024, length=3_600), "bars of several lengths: 3600 s, 86400 s"),
        (klines(2024, length=3_600), "bars of 1h found, --timeframe says 1d"),
        (klines(2024)[:-40], "the last line has"),
        (klines(2024).replace("101.5", "oops"), "'oops' is no number"),
        (klines(2024).replace(",0\n", "\n"), "no klines of Binance: expected 12 columns"),
    ],
)
def test_klines_that_are_not_what_they_say_are_refused_with_what_was_found(tmp_path, text, reason):
    path = put(tmp_path, "BTCUSDT-1d-2024-12.csv", text)
    (verdict,) = importing(tmp_path / "root", path, format="binance")
    assert any(part in verdict.error for part in reason.split("|")), verdict.error
    assert not (tmp_path / "root" / "data" / "raw" / "files").exists()


def test_a_symbol_comes_from_the_name_only_where_it_is_certain():
    assert binance_symbol("ETHBTC-1h-2020-01-05.csv") == "ETH/BTC"
    assert binance_symbol("1INCHUSDT-1h-2021-01.zip") == "1INCH/USDT"
    assert binance_symbol("klines.csv") is None
    with pytest.raises(DataError, match="BTCAEUR ends in EUR or AEUR; say which with --map symbol"):
        binance_symbol("BTCAEUR-1d-2024-01.csv")
    with pytest.raises(DataError, match="ends in no known currency"):
        binance_symbol("BTCXYZ-1d-2024-01.csv")


def test_the_published_checksum_is_compared_where_it_lies_beside_the_file(tmp_path):
    name = "BTCUSDT-1d-2024-12.zip"
    path = put(tmp_path, name, zipped({"BTCUSDT-1d-2024-12.csv": klines(2024)}))
    beside = put(tmp_path, f"{name}.CHECKSUM", f"{'0' * 64}  {name}\n")
    (verdict,) = importing(tmp_path / "root", path)
    assert f"not the one that {name}.CHECKSUM tells of" in verdict.error
    beside.write_text(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {name}\n")
    assert importing(tmp_path / "root", path)[0].ok


def test_a_symbol_that_is_given_beats_the_name(tmp_path):
    path = put(tmp_path, "BTCAEUR-1d-2024-12.csv", klines(2024))
    assert importing(tmp_path / "root", path, mapping={"symbol": "BTC/AEUR"})[0].markets == (
        "binance:BTC/AEUR",
    )
    nameless = put(tmp_path, "klines.csv", klines(2024))
    assert "give one symbol for the file" in importing(tmp_path / "root", nameless)[0].error


ROWS = [[(FIRST[2024] + day * DAY) * 1_000, 10, 12, 9, 11, 100 + day] for day in range(4)]


def freqtrade_frame() -> pl.DataFrame:
    columns = dict(zip(["date", *BAR_COLUMNS], zip(*ROWS, strict=True), strict=True))
    frame = pl.DataFrame({name: list(values) for name, values in columns.items()})
    return frame.with_columns(
        pl.col("date").cast(pl.Datetime("ms")).dt.replace_time_zone("UTC"),
        pl.col(BAR_COLUMNS).cast(pl.Float64),
    )


@pytest.mark.parametrize("fmt", ["auto", "freqtrade"])
@pytest.mark.parametrize("kind", ["feather", "json"])
@pytest.mark.parametrize(
    ("name", "market"),
    [("BTC_USDT-1d", "binance:BTC/USDT"), ("BTC_USDT_USDT-1d-futures", "binance:BTC/USDT:USDT")],
)
def test_freqtrade_candles_carry_their_pair_in_the_name(tmp_path, fmt, kind, name, market):
    path = tmp_path / f"{name}.{kind}"
    if kind == "feather":
        freqtrade_frame().write_ipc(path, compression="lz4")
    else:
        path.write_text(json.dumps(ROWS))
    (verdict,) = importing(tmp_path / "root", path, format=fmt)
    assert (verdict.error, verdict.markets, verdict.bars) == ("", (market,), 4)
    assert stored(tmp_path / "root", market)["volume"].to_list() == [100.0, 101.0, 102.0, 103.0]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("BTC_USDT-1h.json", json.dumps(ROWS), "bars of 1h found, --timeframe says 1d"),
        ("BTC_USDT-1d-mark.json", json.dumps(ROWS), "mark candles, which are no trades"),
        ("BTC_USDT-1M.json", json.dumps(ROWS), "a month has no constant length"),
        ("BTC_USDT-1d.json", json.dumps(ROWS)[:-30], "truncated or damaged"),
        ("BTC_USDT-1d.json", "[]", "no list of rows"),
        ("BTC_USDT-1d.json", '[[1,2,3]]', "no list of rows of 6 values"),
        ("BTC_USDT-1d.json", '[[1,2,3,4,5,"x"]]', "holds something that is no number"),
        ("BTC_USDT-1d.json", "[" * 100_000, "truncated or damaged"),
        ("BTC_USDT-1d.feather", b"ARROW1\x00\x00 not really", "truncated or damaged"),
        ("candles.json", json.dumps(ROWS), "give one symbol for the file"),
    ],
)  # fmt: skip
def test_candles_that_cannot_be_believed_are_refused(tmp_path, name, content, reason):
    (verdict,) = importing(tmp_path / "root", put(tmp_path, name, content))
    assert not verdict.ok
    assert reason in verdict.error, verdict.error


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (gzip.compress(b"{}"), "truncated or damaged"),
        (gzip.compress(b"[1]"), "truncated or damaged"),
        (gzip.compress(b'{"schema_version": 2}'), "schema version 2 found, this program reads pages of 1"),
        (gzip.compress(b'{"schema_version": 1}')[:-6], "truncated or damaged"),
        (gzip.compress(b'{"schema_version": 1, "rows": [], "from": 0, "until": 1}'), "no list of rows"),
    ],
    ids=["empty", "no keys", "no object", "other version", "cut", "no rows"],
)
def test_a_page_that_is_none_is_refused(tmp_path, content, reason):
    with pytest.raises(DataError, match=reason):
        read_bars(put(tmp_path, "x.page", content), exchange="binance", fmt="page")


def test_folders_and_patterns_name_their_files(tmp_path):
    for name in ("b.csv", "a.zip", "c.feather", "notes.txt"):
        put(tmp_path, name, "x")
    assert [path.name for path in listed_files([tmp_path])] == ["a.zip", "b.csv", "c.feather"]
    assert [path.name for path in listed_files([tmp_path / "[ab].*", tmp_path / "z.csv"])] == [
        "a.zip", "b.csv", "z.csv",
    ]  # fmt: skip
    with pytest.raises(DataError, match="no files of bars there"):
        listed_files([tmp_path / "*.parquet"])
