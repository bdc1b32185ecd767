"""Funding rates and on-chain figures: what was known at a bar's close, and nothing later."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.core.errors import ConfigError, DataError
from lab.core.frames import TS
from lab.data.joining import join_known, read_series
from lab.data.raw import RawStore
from lab.data.series import KINDS, import_series

T0 = datetime(2021, 11, 18, tzinfo=UTC)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
PERP = "binance:XRP/USDT:USDT"


def funding_file(
    folder: Path, *, name: str = "funding.csv", late=(17, 7, 11), rates=(1e-4, 2e-4, 3e-4)
) -> Path:
    stamps = [T0 + 8 * HOUR * number + timedelta(milliseconds=ms) for number, ms in enumerate(late)]
    frame = pl.DataFrame(
        {"symbol": ["XRP/USDT:USDT"] * len(rates), "ts": stamps, "funding_rate": list(rates)}
    )
    frame.write_parquet(folder / name)
    return folder / name


def funding(root: Path, *paths: Path, **how):
    options = {"kind": KINDS["funding"], "arrived": NOW, "exchange": "binance", **how}
    return import_series(paths, root=root, **options)


def hours(count: int, start: datetime = T0 - 2 * HOUR, market: str = "binance:XRP/USDT") -> pl.DataFrame:
    stamps = [start + number * HOUR for number in range(count)]
    return pl.DataFrame({"ts": stamps, "market": [market] * count}).with_columns(pl.col("ts").cast(TS))


def test_late_stamps_go_to_the_grid_and_are_known_when_they_came(tmp_path):
    (verdict,) = funding(tmp_path, funding_file(tmp_path))
    assert (verdict.status, verdict.rows, verdict.snapped, verdict.subjects) == ("imported", 3, 3, (PERP,))
    stored = read_series(tmp_path, "funding")
    assert stored["ts"].to_list() == [T0, T0 + 8 * HOUR, T0 + 16 * HOUR]
    assert stored["known_at"][1] == T0 + 8 * HOUR + timedelta(milliseconds=7)


def test_a_bar_sees_what_was_known_at_its_close_and_nothing_stamped_after_it(tmp_path):
    funding(tmp_path, funding_file(tmp_path))
    joined = join_known(
        hours(20), read_series(tmp_path, "funding"), "1h", subjects={"binance:XRP/USDT": PERP}
    )
    # Bars open at 22:00, 23:00, 00:00 …; the rate stamped 00:00:00.017 is not known at the close at 00:00.
    assert joined["funding_rate"].to_list() == [None] * 2 + [1e-4] * 8 + [2e-4] * 8 + [3e-4] * 2
    assert joined.columns == ["ts", "market", "funding_rate", "series_ts", "known_at"]
    fresh = join_known(
        hours(20),
        read_series(tmp_path, "funding"),
        "1h",
        subjects={"binance:XRP/USDT": PERP},
        max_age=2 * HOUR,
    )
    assert fresh["funding_rate"].to_list()[2:6] == [1e-4, 1e-4, None, None]
    nobody = join_known(hours(2), read_series(tmp_path, "funding"), "1h", subjects={})
    assert nobody["funding_rate"].null_count() == 2


def test_on_chain_figures_of_a_day_are_known_after_it_is_over_and_published(tmp_path):
    days = [datetime(2019, 1, day, tzinfo=UTC) for day in (1, 2, 3)]
    pl.DataFrame(
        {"asset": ["BTC"] * 3, "ts": days, "CapMrktCurUSD": [1.0, None, 3.0], "TxCnt": [7, 8, 9]}
    ).write_parquet(tmp_path / "chain.parquet")
    (verdict,) = import_series(
        [tmp_path / "chain.parquet"], root=tmp_path, kind=KINDS["onchain"], arrived=NOW
    )
    assert (verdict.columns, verdict.snapped) == (("CapMrktCurUSD", "TxCnt"), 0)
    bars = pl.DataFrame(
        {"ts": [datetime(2019, 1, day, tzinfo=UTC) for day in range(1, 6)], "market": ["b:BTC/USD"] * 5}
    )
    joined = join_known(bars, read_series(tmp_path, "onchain"), "1d", subjects={"b:BTC/USD": "BTC"})
    assert joined["TxCnt"].to_list() == [None, 7.0, 8.0, 9.0, 9.0]
    assert joined["CapMrktCurUSD"].to_list() == [None, 1.0, None, 3.0, 3.0], "a null is what was published"


def test_the_same_file_changes_nothing_and_a_revision_is_known_when_it_came(tmp_path):
    path = funding_file(tmp_path)
    funding(tmp_path, path)
    before = {p: p.read_bytes() for p in (tmp_path / "data").rglob("*") if p.is_file()}
    assert funding(tmp_path, path, arrived=NOW + HOUR)[0].status == "unchanged"
    assert {p: p.read_bytes() for p in (tmp_path / "data").rglob("*") if p.is_file()} == before
    revised = funding_file(tmp_path, name="revised.parquet", rates=(1e-4, 9e-4, 3e-4))
    (verdict,) = funding(tmp_path, revised, arrived=NOW + HOUR)
    assert verdict.revised == 1
    stored = read_series(tmp_path, "funding")
    assert stored["funding_rate"].to_list() == [1e-4, 2e-4, 9e-4, 3e-4]
    assert stored["known_at"][2] == NOW + HOUR
    # What was known then does not go away because something else is known now.
    before_it_came = read_series(tmp_path, "funding", known=NOW)
    assert before_it_came["funding_rate"].to_list() == [1e-4, 2e-4, 3e-4]
    joined = join_known(hours(20), stored, "1h", subjects={"binance:XRP/USDT": PERP})
    assert (
        joined["funding_rate"].to_list()
        == (join_known(hours(20), before_it_came, "1h", subjects={"binance:XRP/USDT": PERP}))[
            "funding_rate"
        ].to_list()
    )
    assert len(RawStore(tmp_path, part="series").records()) == 2


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"ts": [T0 + timedelta(minutes=3)]}, "1 stamps are off the 1h grid by more than 0:01:00"),
        ({"symbol": ["../x"]}, "has no quote currency|makes no market name"),
        ({"funding_rate": ["high"]}, "no column of numbers"),
        ({"symbol": [None]}, "have no symbol"),
    ],
)
def test_files_that_cannot_be_believed_are_refused_and_the_others_go_on(tmp_path, columns, reason):
    good = {"symbol": ["XRP/USDT:USDT"], "ts": [T0], "funding_rate": [1e-4]}
    pl.DataFrame(good | columns, strict=False).write_parquet(tmp_path / "bad.parquet")
    bad, fine = funding(tmp_path, tmp_path / "bad.parquet", funding_file(tmp_path))
    assert not bad.ok
    assert any(part in bad.error for part in reason.split("|")), bad.error
    assert fine.ok
    assert read_series(tmp_path, "funding").height == 3


def test_two_values_for_one_time_are_refused(tmp_path):
    frame = pl.DataFrame(
        {"symbol": ["XRP/USDT:USDT"] * 2, "ts": [T0, T0 + timedelta(milliseconds=5)], "rate": [1.0, 2.0]}
    )
    frame.write_parquet(tmp_path / "twice.parquet")
    assert "has several values at 2021-11-18 00:00Z" in funding(tmp_path, tmp_path / "twice.parquet")[0].error
    with pytest.raises(DataError, match="nothing is stored"):
        read_series(tmp_path, "funding")
    with pytest.raises(ConfigError, match="unknown column; allowed"):
        funding(tmp_path, tmp_path / "twice.parquet", mapping={"price": "rate"})


row = st.tuples(st.sampled_from("AB"), st.integers(0, 9), st.integers(0, 40), st.integers(-5, 5))


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(row, max_size=25, unique_by=lambda each: each[:2]),
    bars=st.lists(st.integers(0, 12), max_size=6),
)
def test_joins_equal_a_search_through_all_that_was_known(rows, bars):
    schema = {"subject": pl.String, "ts": TS, "x": pl.Float64, "known_at": TS}
    series = pl.DataFrame(
        [
            (name, T0 + ts * HOUR, float(x), T0 + ts * HOUR + timedelta(minutes=15 * lag))
            for name, ts, lag, x in rows
        ],
        schema=schema, orient="row",
    )  # fmt: skip
    frame = pl.DataFrame(
        [(T0 + number * HOUR, f"v:{name}/Q") for number in bars for name in "AB"],
        schema={"ts": TS, "market": pl.String}, orient="row",
    )  # fmt: skip
    joined = join_known(frame, series, "1h", subjects={"v:A/Q": "A", "v:B/Q": "B"})
    assert joined.height == frame.height
    for bar in joined.iter_rows(named=True):
        close = bar["ts"] + HOUR
        known = [
            r
            for r in series.iter_rows(named=True)
            if r["subject"] == bar["market"][2] and r["known_at"] <= close
        ]
        latest = max(known, key=lambda r: r["ts"], default=None)
        assert bar["x"] == (latest["x"] if latest else None)
