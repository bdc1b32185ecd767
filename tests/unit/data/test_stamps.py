from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl
import pytest

from lab.core.errors import DataError
from lab.core.frames import TS
from lab.data.stamps import read_stamps

NOON = datetime(2024, 7, 1, 12, tzinfo=UTC)
SECONDS = 1_719_835_200  # date -u -d 2024-07-01T12:00:00Z +%s


@pytest.mark.parametrize(
    ("values", "detected"),
    [
        ([SECONDS], "integer seconds"),
        ([SECONDS * 1_000], "integer milliseconds"),
        ([SECONDS * 1_000_000], "integer microseconds"),
        ([SECONDS * 1_000_000_000], "integer nanoseconds"),
        ([float(SECONDS)], "decimal seconds"),
        ([f"{SECONDS}000"], "integer milliseconds"),
        (["1719835200.000"], "decimal seconds"),
        (["2024-07-01T12:00:00Z"], "ISO text with time zone"),
        (["2024-07-01 12:00:00+00:00"], "ISO text with time zone"),
        (["2024-07-01T14:00:00.000+02:00"], "ISO text with time zone"),
        (["2024-07-01 12:00:00 UTC"], "ISO text with time zone"),
        (["2024-07-01T06:30:00-0530"], "ISO text with time zone"),
        (["2024-07-01 12:00:00"], "ISO text without zone, read as UTC"),
        (["2024-07-01 12:00"], "ISO text without zone, read as UTC"),
        (["2024-07-01T12:00:00.000000"], "ISO text without zone, read as UTC"),
    ],
)
def test_the_unit_or_notation_is_detected_and_said(values, detected):
    stamps, found = read_stamps(pl.Series("ts", values))
    assert stamps.dtype == TS
    assert stamps.to_list() == [NOON]
    assert found == detected


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", None])
def test_typed_times_are_converted_and_naive_ones_are_utc(unit, zone):
    column = pl.Series("ts", [NOON]).dt.cast_time_unit(unit).dt.convert_time_zone("UTC")
    column = column.dt.replace_time_zone(None) if zone is None else column.dt.convert_time_zone(zone)
    stamps, found = read_stamps(column)
    assert stamps.to_list() == [NOON]
    assert ("without zone" in found) == (zone is None)


def test_dates_are_midnights():
    assert read_stamps(pl.Series("ts", [date(2024, 7, 1)]))[0].to_list() == [NOON.replace(hour=0)]
    assert read_stamps(pl.Series("ts", ["2024-07-01"]))[0].to_list() == [NOON.replace(hour=0)]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([SECONDS, SECONDS * 1_000], r"1 rows look like s, 1 rows look like ms"),
        ([SECONDS * 1_000, SECONDS * 1_000_000], r"1 rows look like ms, 1 rows look like us"),
        ([12, 13], r"numbers from 12 to 13; .*no row fits any unit"),
        ([SECONDS, 0], "expected one unit"),
        ([None, SECONDS], "1 rows have no time"),
        (["01/07/2024"], "'01/07/2024' is no time"),
        (["2024-13-01"], "'2024-13-01' is no time"),
        (["2024-07-01T12:00:00Z", "2024-07-01T12:00:00"], "1 of 2 times have a time zone"),
        (["", "2024-07-01"], "is no time"),
        ([True], "expected times, ISO text or numbers"),
        (["2124-07-01"], "outside 1990 to 2100"),
    ],
)
def test_what_cannot_be_told_is_refused_with_the_values(values, message):
    with pytest.raises(DataError, match=message):
        read_stamps(pl.Series("open_time", values))


def test_milliseconds_read_as_microseconds_by_another_program_are_noticed():
    wrong = pl.Series("ts", [SECONDS * 1_000]).cast(pl.Datetime("us", "UTC"))
    with pytest.raises(DataError, match=r"1970-01-20.*wrong unit"):
        read_stamps(wrong)
