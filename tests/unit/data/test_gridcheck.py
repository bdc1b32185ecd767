from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest

from lab.core.errors import DataError
from lab.core.frames import TS
from lab.core.timeframe import Timeframe
from lab.data.gridcheck import check_timeframe, detect_timeframe

HOUR = Timeframe.parse("1h")
START = datetime(2024, 1, 1, tzinfo=UTC)


def bars(minutes, market="x:A/B"):
    ts = [START + timedelta(minutes=m) for m in minutes]
    return pl.DataFrame({"ts": ts, "market": [market] * len(ts)}, schema={"ts": TS, "market": pl.String})


def hours(numbers):
    return [60 * n for n in numbers]


def test_gaps_repeats_and_a_few_stray_stamps_are_no_contradiction():
    numbers = [*range(50), *range(60, 90), 95, 130, 130]
    check_timeframe(bars([*hours(numbers), 61, 122]), HOUR)
    assert detect_timeframe(bars(hours(numbers))) == HOUR


def test_a_single_bar_contradicts_nothing():
    check_timeframe(bars([0]), HOUR)
    with pytest.raises(DataError, match="give --timeframe"):
        detect_timeframe(bars([0]))


@pytest.mark.parametrize("timeframe", ["1m", "15m", "4h", "1d"])
def test_the_commonest_step_is_the_timeframe(timeframe):
    minutes = Timeframe.parse(timeframe).seconds // 60
    assert detect_timeframe(bars([minutes * n for n in (0, 1, 2, 3, 9, 10, 30)])).name == timeframe


@pytest.mark.parametrize(
    ("minutes", "stated", "message"),
    [
        ([15 * n for n in range(40)], "1h", "30 of 40 bars do not open on the 1h grid"),
        ([60 * n + 30 for n in range(40)], "1h", r"40 of 40 .*first 2024-01-01 00:30:00Z"),
        ([60 * 24 * n + 120 for n in range(40)], "1d", "do not open on the 1d grid"),
        ([60 * 24 * n for n in range(40)], "1h", "1h stated, but bars are 1d apart"),
        ([60 * n for n in range(40)], "15m", "15m stated, but bars are 1h apart"),
        (
            [60 * n for n in range(200)] + [60 * (200 + 24 * n) for n in range(25)],
            "1h",
            "mixed timeframes: 24 bars",
        ),
        ([60 * n for n in range(990)] + [60 * 990 + 15 * n for n in range(30)], "1h", "mixed timeframes"),
    ],
)
def test_another_timeframe_is_refused_with_what_was_found(minutes, stated, message):
    with pytest.raises(DataError, match=message):
        check_timeframe(bars(minutes), Timeframe.parse(stated))


def test_one_market_of_several_is_enough():
    good, other = bars(hours(range(400))), bars(hours(range(0, 96, 4)), market="x:C/D")
    with pytest.raises(DataError, match="x:C/D: 1h stated, but bars are 4h apart"):
        check_timeframe(pl.concat([good, other]), HOUR)


def test_sparse_bars_on_the_grid_pass():
    """A thin market with two bars of three missing at random is thin, not of another timeframe."""
    numbers = np.flatnonzero(np.random.default_rng(7).random(3_000) < 1 / 3).tolist()
    check_timeframe(bars(hours(numbers)), HOUR)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Europe/London"])
def test_local_time_with_daylight_saving_is_recognised(zone):
    instants = [START + timedelta(hours=n) for n in range(24 * 365)]
    local = [instant.astimezone(ZoneInfo(zone)).replace(tzinfo=UTC) for instant in instants]
    frame = pl.DataFrame({"ts": local, "market": "x:A/B"}, schema={"ts": TS, "market": pl.String})
    with pytest.raises(DataError, match=r"skip the hour before 2024-03-.*local time with daylight saving"):
        check_timeframe(frame, HOUR, without_zone=True)
    check_timeframe(frame, HOUR)  # with a zone in the file, a gap and a repeat are just that


def test_utc_without_zone_passes():
    check_timeframe(bars(hours(range(24 * 365))), HOUR, without_zone=True)
