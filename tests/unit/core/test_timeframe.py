from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest

from lab.core.errors import ConfigError
from lab.core.timeframe import Timeframe


@pytest.mark.parametrize(
    ("text", "seconds", "per_year"),
    [
        ("1m", 60, 525_600),
        ("15m", 900, 35_040),
        ("4h", 14_400, 2_190),
        ("1d", 86_400, 365),
        ("1w", 604_800, 365 / 7),
    ],
)
def test_length_and_annualisation_follow_from_the_name(text, seconds, per_year):
    timeframe = Timeframe.parse(text)
    assert timeframe.seconds == seconds
    assert timeframe.periods_per_year == pytest.approx(per_year, rel=1e-15)
    assert str(timeframe) == text
    assert Timeframe.parse(timeframe) is timeframe


@pytest.mark.parametrize(
    "text", ["", "1", "h", "0h", "01h", "1H", "1y", "-1d", "1.5h", "1d ", "99999m", None]
)
def test_other_notations_are_refused(text):
    with pytest.raises(ConfigError, match="not understood"):
        Timeframe.parse(text)


def test_a_month_is_refused_with_the_reason():
    with pytest.raises(ConfigError, match="no constant length"):
        Timeframe.parse("1M")


def test_bars_are_numbered_from_the_epoch_and_weeks_from_its_first_monday():
    day, week = Timeframe.parse("1d"), Timeframe.parse("1w")
    assert day.open_time(0) == datetime(1970, 1, 1, tzinfo=UTC)
    assert week.open_time(0) == datetime(1970, 1, 5, tzinfo=UTC)
    assert week.open_time(2_825).weekday() == 0
    assert week.number(datetime(1970, 1, 4, 23, 59, tzinfo=UTC)) == -1
    assert day.number(datetime(1969, 12, 31, 23, tzinfo=UTC)) == -1


def test_numbers_and_open_times_are_inverse_and_the_grid_is_exact():
    hour = Timeframe.parse("1h")
    numbers = np.array([-3, 0, 1, 420_000], dtype=np.int64)
    opened = hour.open_times(numbers)
    assert hour.numbers(opened).tolist() == numbers.tolist()
    assert hour.on_grid(opened).all()
    assert not hour.on_grid(opened + np.timedelta64(1, "us")).any()
    assert hour.numbers(opened + np.timedelta64(3_599_999_999, "us")).tolist() == numbers.tolist()


def test_an_instant_in_another_zone_is_the_same_instant():
    hour = Timeframe.parse("1h")
    there = datetime(2024, 6, 1, 2, 30, tzinfo=timezone(timedelta(hours=2)))
    assert hour.number(there) == hour.number(datetime(2024, 6, 1, 0, 30, tzinfo=UTC))
    with pytest.raises(ConfigError, match="no timezone"):
        hour.number(datetime(2024, 6, 1))  # noqa: DTZ001


def test_a_bar_is_complete_once_it_has_closed():
    hour = Timeframe.parse("1h")
    closed = datetime(2024, 6, 1, 12, tzinfo=UTC)
    assert hour.open_time(hour.last_complete(closed)) == datetime(2024, 6, 1, 11, tzinfo=UTC)
    just_before = closed - timedelta(microseconds=1)
    assert hour.open_time(hour.last_complete(just_before)) == datetime(2024, 6, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "name"), [(60, "1m"), (5_400, "90m"), (86_400, "1d"), (9 * 86_400, "9d"), (14 * 86_400, "2w")]
)
def test_a_distance_between_bars_names_its_timeframe(seconds, name):
    timeframe = Timeframe.from_seconds(seconds)
    assert timeframe == Timeframe.parse(name)
    assert timeframe.seconds == seconds


@pytest.mark.parametrize("seconds", [0, 1, 59, 61, 90.5, -60, float("nan")])
def test_a_distance_that_is_no_timeframe_is_refused(seconds):
    with pytest.raises(ConfigError, match="expected whole minutes"):
        Timeframe.from_seconds(seconds)
