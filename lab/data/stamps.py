"""Reads opening times from whatever a file has for them: detected and checked, never guessed silently."""

from __future__ import annotations

from typing import Final

import polars as pl

from lab.core.errors import DataError
from lab.core.frames import TS

__all__ = ["read_stamps"]

# Markets that this program can know lie between these instants; a number's size then tells its unit.
_EARLIEST: Final = 631_152_000  # 1990-01-01, seconds
_LATEST: Final = 4_102_444_800  # 2100-01-01
_UNITS: Final = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_ISO: Final = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?)?"
_ZONE: Final = r"(Z|[+-]\d{2}:?\d{2})$"


def read_stamps(column: pl.Series) -> tuple[pl.Series, str]:
    """Return stamps as ``Datetime("us", "UTC")`` and, in words, what they were detected as.

    Parameters
    ----------
    column : polars.Series
        Times with or without time zone (without: UTC), dates, numbers since 1970 in s, ms, us or ns, or text:
        such numbers, or ISO 8601 with or without offset.

    Raises
    ------
    DataError
        On nulls, on text that is no time, on numbers of several units, and on times outside 1990 to 2100,
        which is what a wrong unit looks like. The message has the values found.

    Examples
    --------
    >>> stamps, detected = read_stamps(pl.Series("open_time", [1_704_067_200_000]))
    >>> stamps[0].isoformat(), detected
    ('2024-01-01T00:00:00+00:00', 'integer milliseconds')
    """
    if column.null_count():
        raise DataError(f"{column.null_count()} rows have no time in column {column.name}")
    dtype = column.dtype
    if dtype == pl.String:
        stamps, detected = _from_text(column)
    elif dtype.is_numeric():
        stamps, detected = _from_numbers(column)
    elif isinstance(dtype, pl.Datetime):
        zone = dtype.time_zone
        stamps = column.dt.replace_time_zone("UTC") if zone is None else column.dt.convert_time_zone("UTC")
        detected = "times without zone, read as UTC" if zone is None else f"times in {zone}"
    elif dtype == pl.Date:
        stamps, detected = column.cast(pl.Datetime("us")).dt.replace_time_zone("UTC"), "dates"
    else:
        raise DataError(f"column {column.name} is {dtype}; expected times, ISO text or numbers since 1970")
    stamps = stamps.dt.cast_time_unit("us").cast(TS)
    _check_range(stamps, detected)
    return stamps, detected


def _from_numbers(column: pl.Series) -> tuple[pl.Series, str]:
    found = [name for name, unit in _UNITS.items() if _within(column, unit).any()]
    inside = sum(int(_within(column, unit).sum()) for unit in _UNITS.values())
    if inside < len(column) or len(found) != 1:
        counts = {name: int(_within(column, unit).sum()) for name, unit in _UNITS.items()}
        detected = ", ".join(f"{count} rows look like {name}" for name, count in counts.items() if count)
        raise DataError(
            f"column {column.name} holds numbers from {column.min()!r} to {column.max()!r}; expected one "
            f"unit since 1970 (s, ms, us or ns) between 1990 and 2100; {detected or 'no row fits any unit'}"
        )
    unit = found[0]
    words = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}[unit]
    if column.dtype.is_float() or column.dtype.is_decimal():
        numbers = (column.cast(pl.Float64) * (1_000_000 / _UNITS[unit])).round().cast(pl.Int64)
    else:
        whole = column.cast(pl.Int64)
        numbers = whole // 1_000 if unit == "ns" else whole * (1_000_000 // _UNITS[unit])
    kind = "integer" if column.dtype.is_integer() else "decimal"
    return numbers.cast(pl.Datetime("us")).dt.replace_time_zone("UTC"), f"{kind} {words}"


def _within(column: pl.Series, unit: int) -> pl.Series:
    return (column >= _EARLIEST * unit) & (column < _LATEST * unit)


def _from_text(column: pl.Series) -> tuple[pl.Series, str]:
    text = column.str.strip_chars().str.replace(r" ?UTC$", "Z")
    if text.str.contains(r"^\d+(\.\d+)?$").all():
        whole = not text.str.contains(".", literal=True).any()
        return _from_numbers(text.cast(pl.Int64 if whole else pl.Float64))
    strange = text.filter(~text.str.contains(_ISO))
    if len(strange):
        raise DataError(
            f"column {column.name}: {strange[0][:40]!r} is no time ({len(strange)} rows); expected ISO 8601 "
            "such as 2024-01-31T00:00:00Z, or numbers since 1970"
        )
    aware = text.str.contains(_ZONE) & (text.str.len_chars() > 10)
    if aware.any() != aware.all():
        raise DataError(
            f"column {column.name}: {aware.sum()} of {len(text)} times have a time zone; expected all or none"
        )
    plain = text.str.replace(" ", "T", literal=True, n=1)
    if aware.all():
        stamps = plain.str.replace(r"([+-]\d{2})(\d{2})$", "$1:$2").str.to_datetime(
            "%+", time_unit="us", time_zone="UTC", strict=False
        )
        detected = "ISO text with time zone"
    else:
        padded = plain.str.replace(r"^(\d{4}-\d{2}-\d{2})$", "${1}T00:00:00").str.replace(
            r"T(\d{2}:\d{2})$", "T${1}:00"
        )
        stamps = padded.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="us", strict=False)
        stamps = stamps.dt.replace_time_zone("UTC")
        detected = "ISO text without zone, read as UTC"
    if stamps.null_count():
        raise DataError(
            f"column {column.name}: {column.filter(stamps.is_null())[0]!r} is no time "
            f"({stamps.null_count()} rows)"
        )
    return stamps, detected


def _check_range(stamps: pl.Series, detected: str) -> None:
    if not len(stamps):
        return
    seconds = stamps.dt.epoch("s")
    outside = stamps.filter((seconds < _EARLIEST) | (seconds >= _LATEST))
    if len(outside):
        raise DataError(
            f"{len(outside)} times lie outside 1990 to 2100 (first {outside[0]:%Y-%m-%d %H:%M:%S}Z, read as "
            f"{detected}); a wrong unit, such as milliseconds read as microseconds, looks like this"
        )
