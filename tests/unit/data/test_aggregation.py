from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.core.errors import ConfigError, FrameError
from lab.core.frames import BAR_COLUMNS, TS
from lab.core.timeframe import Timeframe
from lab.data.aggregation import aggregate_bars, bars_from_trades
from lab.data.heatmap import monthly_quality, render
from lab.data.quality import mark
from lab.data.synthetic import synthetic_market

START = datetime(2024, 1, 30, 22, tzinfo=UTC)
HOURS = st.lists(st.integers(0, 80), unique=True, max_size=70)


def hourly(hours, market="a:B/C"):
    rows = [(START + timedelta(hours=h), market, h + 1.0, h + 2.5, h + 0.5, h + 2.0, 0.1 * h) for h in hours]
    schema = {"ts": TS, "market": pl.String, **dict.fromkeys(BAR_COLUMNS, pl.Float64)}
    return pl.DataFrame(rows, schema=schema, orient="row")


def row_loop(bars, size):
    """Group by hand: {(market, open): [rows in order of time]}, whole groups only."""
    groups = {}
    for row in sorted(bars.iter_rows(named=True), key=lambda row: row["ts"]):
        hour = int(row["ts"].timestamp()) // 3_600
        groups.setdefault((row["market"], hour // size * size), []).append(row)
    out = {}
    for (market, hour), rows in groups.items():
        if len(rows) == size:
            volume = 0.0
            for row in rows:
                volume += row["volume"]
            high, low = max(row["high"] for row in rows), min(row["low"] for row in rows)
            out[datetime.fromtimestamp(hour * 3_600, UTC), market] = (
                rows[0]["open"], high, low, rows[-1]["close"], volume,
            )  # fmt: skip
    return out


@given(HOURS, HOURS, st.sampled_from([2, 4, 24]))
@settings(max_examples=60)
def test_bars_are_those_of_a_row_loop_and_never_partial(one, two, size):
    bars = pl.concat([hourly(one), hourly(two, "a:D/C")]).sample(fraction=1.0, shuffle=True, seed=1)
    made = aggregate_bars(bars, "1h", f"{size}h")
    assert {(row[0], row[1]): row[2:] for row in made.iter_rows()} == row_loop(bars, size)
    assert made.equals(made.sort("ts", "market"))


def test_weeks_open_on_monday():
    days = synthetic_market(seed=1, markets=1, bars=40)
    weeks = aggregate_bars(days, "1d", "1w")
    assert set(weeks["ts"].dt.weekday()) == {1}
    assert weeks.height in {4, 5}


@pytest.mark.parametrize(("fine", "coarse"), [("1h", "1h"), ("1d", "1h"), ("7h", "1d"), ("2d", "1w")])
def test_timeframes_that_do_not_divide_are_refused(fine, coarse):
    with pytest.raises(ConfigError, match="not made of whole"):
        aggregate_bars(hourly([]), fine, coarse)


def test_repeated_and_shifted_rows_are_refused():
    with pytest.raises(FrameError, match="share their market and ts"):
        aggregate_bars(hourly([1, 2, 2]), "1h", "2h")
    with pytest.raises(FrameError, match="do not open on the 1h grid"):
        aggregate_bars(hourly([1]).with_columns(pl.col("ts") + timedelta(minutes=1)), "1h", "2h")


def trades(rows):
    data = [(START + timedelta(seconds=s), "a:B/C", price, amount) for s, price, amount in rows]
    schema = {"ts": TS, "market": pl.String, "price": pl.Float64, "amount": pl.Float64}
    return pl.DataFrame(data, schema=schema, orient="row")


TRADES = [
    (5, 1.0, 1.0),
    (61, 2.0, 1.0),
    (62, 5.0, 2.0),
    (62, 3.0, 4.0),
    (119, 4.0, 0.5),
    (190, 9.0, 1.0),
    (301, 7.0, 1.0),
]


def test_trades_make_the_bars_between_the_first_and_the_last():
    made = bars_from_trades(trades(TRADES), "1m")
    assert made.drop("market").rows() == [
        (START + timedelta(seconds=60), 2.0, 5.0, 2.0, 4.0, 7.5),
        (START + timedelta(seconds=180), 9.0, 9.0, 9.0, 9.0, 1.0),
    ]


def test_a_stated_span_of_trades_gives_its_whole_bars():
    span = {"since": START, "until": START + timedelta(seconds=359)}
    assert bars_from_trades(trades(TRADES), "1m", **span)["ts"].dt.minute().to_list() == [0, 1, 3]
    span = {"since": START + timedelta(seconds=1), "until": START + timedelta(seconds=360)}
    assert bars_from_trades(trades(TRADES), "1m", **span)["ts"].dt.minute().to_list() == [1, 3, 5]


@pytest.mark.parametrize("row", [(9, 0.0, 1.0), (9, 1.0, -1.0), (9, math.nan, 1.0)])
def test_trades_without_a_price_are_refused(row):
    with pytest.raises(FrameError, match="1 rows lack a value"):
        bars_from_trades(trades([*TRADES, row]), "1m")


@pytest.mark.parametrize(
    ("text", "name"), [("60m", "1h"), ("1440m", "1d"), ("24h", "1d"), ("90m", "90m"), ("7d", "7d")]
)
def test_one_length_has_one_name(text, name):
    assert Timeframe.parse(text).name == name


def test_the_heat_map_counts_months_and_escapes_names():
    bars = hourly([0, 1, 2, 5, 30]).with_columns(market=pl.lit("a:<B>/C"))
    counts = monthly_quality(mark(bars, "1h"), "1h")
    assert counts.select("month", "expected", "missing").rows() == [("2024-01", 26, 22), ("2024-02", 5, 4)]
    page = render([counts], title="a <title>")
    assert "a:&lt;B&gt;/C" in page
    assert "<B>" not in page
    assert "http" not in page
    assert "2024-01: 3 good, 1 questionable, 0 bad, 22 missing of 26" in page
