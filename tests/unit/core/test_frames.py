from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.core.errors import FrameError
from lab.core.frames import BAR_COLUMNS, TS, check_bars, check_weights, sort_rows

START = datetime(2024, 1, 1, tzinfo=UTC)
SCHEMA = {"ts": TS, "market": pl.String, "weight": pl.Float64}

rows = st.lists(st.tuples(st.integers(-5, 5), st.sampled_from(["b:B/C", "a:A/C", "Z:é/C"])), max_size=30)


def frame_of(pairs):
    ts = [START + timedelta(hours=hour) for hour, _ in pairs]
    data = {"ts": ts, "market": [m for _, m in pairs], "weight": [float(i) for i in range(len(pairs))]}
    return pl.DataFrame(data, schema=SCHEMA)


@given(rows, st.sampled_from([["ts", "market"], ["market", "ts"]]))
def test_rows_are_sorted_stably(pairs, by):
    frame = frame_of(pairs)
    expected = sorted(
        range(len(pairs)), key=lambda i: (pairs[i], i) if by[0] == "ts" else (pairs[i][::-1], i)
    )
    assert sort_rows(frame, by=by[0])["weight"].to_list() == [float(i) for i in expected]


def test_instants_too_far_apart_for_one_key_are_sorted_too():
    far = [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)]
    markets = [f"x:M{i:03d}/C" for i in range(99, -1, -1)]
    pairs = [(ts, market) for ts in reversed(far) for market in markets]
    frame = pl.DataFrame(
        {"ts": [ts for ts, _ in pairs], "market": [m for _, m in pairs]},
        schema={"ts": TS, "market": pl.String},
    )
    assert sort_rows(frame, by="market").rows() == sorted(pairs, key=lambda pair: pair[::-1])


def test_weights_come_back_sorted_and_cast_with_further_columns_kept():
    frame = frame_of([(1, "b:B/C"), (1, "a:A/C"), (0, "b:B/C")]).with_columns(
        pl.col("weight").cast(pl.Int32), note=pl.lit("x")
    )
    checked = check_weights(frame)
    assert checked["weight"].to_list() == [2.0, 1.0, 0.0]
    assert checked.columns == ["ts", "market", "weight", "note"]


def test_faults_are_named():
    frame = frame_of([(0, "a:A/C"), (1, "a:A/C")])
    with pytest.raises(FrameError, match=r"bars: columns open, high, low, close, volume missing"):
        check_bars(frame)
    with pytest.raises(FrameError, match="ts is Datetime"):
        check_weights(frame.with_columns(pl.col("ts").dt.cast_time_unit("ms")))
    with pytest.raises(FrameError, match="column weight is String"):
        check_weights(frame.with_columns(pl.col("weight").cast(pl.String)))
    with pytest.raises(FrameError, match="null in some rows"):
        check_weights(frame.with_columns(pl.lit(None, pl.String).alias("market")))
    with pytest.raises(FrameError, match=r"2 rows share .* .first a:A/C at 2024-01-01 00:00Z"):
        check_weights(pl.concat([frame, frame.head(1)]))


def test_bars_have_their_columns_first():
    frame = frame_of([(0, "a:A/C")]).with_columns(pl.lit(1).alias(c) for c in BAR_COLUMNS)
    assert check_bars(frame).columns == ["ts", "market", *BAR_COLUMNS, "weight"]
