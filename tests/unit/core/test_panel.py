from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from lab.core.errors import DataError, FrameError, UnknownMarketError
from lab.core.frames import TS
from lab.core.panel import Panel
from lab.core.timeframe import Timeframe

START = datetime(2024, 1, 1, tzinfo=UTC)


def long_frame(rows, timeframe="1d"):
    """Build a frame from (market, bar after START, close)."""
    step = Timeframe.parse(timeframe).duration
    return pl.DataFrame(
        {
            "ts": [START + bar * step for _, bar, _ in rows],
            "market": [market for market, _, _ in rows],
            "close": [close for _, _, close in rows],
        },
        schema={"ts": TS, "market": pl.String, "close": pl.Float64},
    )


ROWS = [("b:B/C", 0, 1.0), ("a:A/C", 3, 40.0), ("b:B/C", 3, 4.0), ("a:A/C", 1, 20.0), ("b:B/C", 1, None)]


def test_the_grid_is_complete_and_missing_bars_are_nan():
    panel = Panel.from_frame(long_frame(ROWS), timeframe="1d")
    assert panel.markets == ("a:A/C", "b:B/C")
    assert panel.shape == (4, 2)
    expected = [[np.nan, 1.0], [20.0, np.nan], [np.nan, np.nan], [40.0, 4.0]]
    np.testing.assert_array_equal(np.array(panel["close"]), expected)
    assert np.diff(panel.bar).tolist() == [1, 1, 1]
    assert panel.bar[0] == Timeframe.parse("1d").number(START)
    assert panel.ts[0] == np.datetime64("2024-01-01")


def test_row_order_of_the_frame_does_not_matter():
    frame = long_frame(ROWS)
    a, b = (Panel.from_frame(f, timeframe="1d") for f in (frame, frame.reverse()))
    assert np.array(a["close"]).tobytes() == np.array(b["close"]).tobytes()


@pytest.mark.parametrize("name", ["1m", "15m", "1h", "4h", "1d", "1w"])
def test_the_timeframe_is_detected_as_the_smallest_step(name):
    start = Timeframe.parse(name).open_time(1_000)
    bars = [0, 5, 6, 20]
    ts = [start + bar * Timeframe.parse(name).duration for bar in bars]
    frame = pl.DataFrame({"ts": ts, "market": "a:A/C", "close": 1.0}, schema_overrides={"ts": TS})
    assert Panel.from_frame(frame).timeframe.name == name


def test_steps_between_different_markets_do_not_count():
    rows = [("a:A/C", 0, 1.0), ("b:B/C", 1, 1.0), ("a:A/C", 2, 1.0), ("b:B/C", 3, 1.0)]
    with pytest.raises(FrameError, match="2 bars are off the 2h grid"):
        Panel.from_frame(long_frame(rows, "1h"))


def test_one_bar_does_not_tell_a_timeframe():
    with pytest.raises(FrameError, match="pass timeframe="):
        Panel.from_frame(long_frame(ROWS[:1]))


def test_broken_frames_are_refused():
    with pytest.raises(FrameError, match="no rows"):
        Panel.from_frame(long_frame([]), timeframe="1d")
    with pytest.raises(FrameError, match="share their market and ts"):
        Panel.from_frame(long_frame([*ROWS, ROWS[0]]), timeframe="1d")
    with pytest.raises(FrameError, match="off the 1w grid"):
        Panel.from_frame(long_frame(ROWS), timeframe="1w")
    with pytest.raises(FrameError, match="null"):
        Panel.from_frame(long_frame([*ROWS, (None, 0, 1.0)]), timeframe="1d")
    with pytest.raises(FrameError, match="expected columns ts"):
        Panel.from_frame(
            long_frame(ROWS).with_columns(pl.col("ts").dt.replace_time_zone(None)), timeframe="1d"
        )


def test_arrays_are_read_only_and_contiguous_but_the_callers_stay_writeable():
    values = np.zeros((3, 2))
    day = Timeframe.parse("1d")
    bar = np.arange(3, dtype=np.int64)
    panel = Panel(day, bar, day.open_times(bar), ("a:A/C", "b:B/C"), {"close": values})
    with pytest.raises(ValueError, match="read-only"):
        panel["close"][0, 0] = 1.0
    with pytest.raises(TypeError):
        panel.fields["close"] = values
    values[0, 0] = 1.0
    for view in (panel, panel.tail(2), panel.select(["b:B/C"]), panel.rows(1, 2)):
        assert view["close"].flags.c_contiguous
        assert not view["close"].flags.writeable


def test_parts_keep_absolute_bar_numbers_and_the_order_asked_for():
    panel = Panel.from_frame(long_frame(ROWS), timeframe="1d")
    assert panel.tail(2).bar.tolist() == panel.bar[-2:].tolist()
    assert len(panel.tail(99)) == 4
    swapped = panel.select(["b:B/C", "a:A/C"])
    assert swapped.markets == ("b:B/C", "a:A/C")
    np.testing.assert_array_equal(swapped["close"][:, 0], panel["close"][:, 1])
    with pytest.raises(UnknownMarketError, match="no market x:Y/Z"):
        panel.select(["x:Y/Z"])
    with pytest.raises(DataError, match="no field volume; it has close"):
        panel["volume"]


def test_fields_must_fit_and_bars_must_be_consecutive():
    panel = Panel.from_frame(long_frame(ROWS), timeframe="1d")
    with pytest.raises(FrameError, match="shape"):
        panel.with_fields({"x": np.zeros((4, 3))})
    with pytest.raises(FrameError, match="consecutive"):
        Panel(panel.timeframe, panel.bar[[0, 2]], panel.ts[[0, 2]], panel.markets, {})
    with pytest.raises(FrameError, match="timestamps"):
        Panel(panel.timeframe, panel.bar, panel.ts[:2], panel.markets, {})


def test_a_panel_goes_back_into_a_long_frame():
    panel = Panel.from_frame(long_frame(ROWS), timeframe="1d").select(["b:B/C", "a:A/C"])
    frame = panel.to_frame(np.array(panel["close"]), "weight")
    assert frame.columns == ["ts", "market", "weight"]
    assert frame.schema["ts"] == TS
    assert frame.equals(frame.sort("ts", "market"))
    row = frame.filter(pl.col("ts") == START + timedelta(days=3), pl.col("market") == "a:A/C")
    assert row["weight"].to_list() == [40.0]
