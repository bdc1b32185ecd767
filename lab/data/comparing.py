"""Compares two sources of the same bars; what differs too much is questionable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from lab.core.errors import ConfigError
from lab.core.frames import BAR_COLUMNS, PRICE_COLUMNS
from lab.core.market import Market
from lab.data.catalog import Catalog
from lab.data.reading import read_bars

__all__ = ["CLOSE_TOLERANCE", "VOLUME_TOLERANCE", "Comparison", "compare_bars", "sources"]

CLOSE_TOLERANCE: Final = 0.005
VOLUME_TOLERANCE: Final = 0.20


@dataclass(frozen=True, slots=True)
class Comparison:
    """How two sources of bars differ.

    Parameters
    ----------
    shared, only_first, only_second : int
        Bars in both, and in one only; bars of markets that the other source has none of count, too.
    ohlc_differences, volume_differences : int
        Shared bars with any price, and with a volume, that is not the same number.
    questionable : int
        Shared bars beyond a tolerance.
    rows : polars.DataFrame
        The shared bars that differ: ``ts, market, close_gap, volume_gap, quality, reason``, sorted by ts,
        then market. Gaps are relative to the first source, null where only one of the two has a number;
        ``quality`` is GOOD or QUESTIONABLE, ``reason`` names ``close`` and ``volume``.
    """

    shared: int
    only_first: int
    only_second: int
    ohlc_differences: int
    volume_differences: int
    questionable: int
    rows: pl.DataFrame

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        counts = {name: getattr(self, name) for name in self.__slots__ if name != "rows"}
        stamped = self.rows.with_columns(pl.col("ts").dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
        finite = pl.col("close_gap", "volume_gap").replace([float("inf")], None).fill_nan(None)
        return {**counts, "rows": stamped.with_columns(finite).to_dicts()}


def compare_bars(
    first: pl.DataFrame,
    second: pl.DataFrame,
    *,
    close_tolerance: float = CLOSE_TOLERANCE,
    volume_tolerance: float = VOLUME_TOLERANCE,
) -> Comparison:
    """Compare bars that share market and time.

    Parameters
    ----------
    first, second : polars.DataFrame
        Long frames ``ts, market, open … volume``; of rows that share market and ts the last counts. Null, NaN
        and no number are the same.
    close_tolerance, volume_tolerance : float
        Fractions of the first source's number beyond which a bar is questionable.

    Raises
    ------
    ConfigError
        If a tolerance is negative or no number.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> row = {"ts": datetime(2024, 1, 1, tzinfo=UTC), "market": "a:B/C", **dict.fromkeys(BAR_COLUMNS, 2.0)}
    >>> other = {**row, "volume": 3.0}
    >>> found = compare_bars(pl.DataFrame([row]), pl.DataFrame([other]))
    >>> found.shared, found.ohlc_differences, found.volume_differences, found.rows["reason"].to_list()
    (1, 0, 1, ['volume'])
    """
    for name, tolerance in (("close", close_tolerance), ("volume", volume_tolerance)):
        if not tolerance >= 0:
            raise ConfigError(
                f"{name} tolerance {tolerance}: expected a fraction of at least 0, 0.005 is 0.5 %"
            )
    left, right = _one_each(first), _one_each(second)
    shared = left.join(right, on=["ts", "market"], how="inner", suffix="_b").with_columns(
        pl.any_horizontal(_differs(column) for column in PRICE_COLUMNS).alias("prices"),
        _differs("volume").alias("volumes"),
        _gap("close").alias("close_gap"),
        _gap("volume").alias("volume_gap"),
    )
    rows = _judged(shared, close_tolerance, volume_tolerance)
    return Comparison(
        shared=shared.height,
        only_first=left.height - shared.height,
        only_second=right.height - shared.height,
        ohlc_differences=int(shared["prices"].sum()),
        volume_differences=int(shared["volumes"].sum()),
        questionable=rows.filter(pl.col("quality") != "GOOD").height,
        rows=rows,
    )


def _judged(shared: pl.DataFrame, close_tolerance: float, volume_tolerance: float) -> pl.DataFrame:
    """Return the bars that differ, with what is too much about them."""
    beyond = [
        pl.when(_beyond("close", close_tolerance)).then(pl.lit("close")),
        pl.when(_beyond("volume", volume_tolerance)).then(pl.lit("volume")),
    ]
    good = pl.when(pl.col("reason") == "").then(pl.lit("GOOD")).otherwise(pl.lit("QUESTIONABLE"))
    return (
        shared.filter(pl.col("prices") | pl.col("volumes"))
        .with_columns(pl.concat_str(beyond, separator=",", ignore_nulls=True).alias("reason"))
        .with_columns(good.alias("quality"))
        .select("ts", "market", "close_gap", "volume_gap", "quality", "reason")
        .sort("ts", "market")
    )


def sources(
    first: str, second: str, *, root: Path, timeframe: str | None, mapping: Mapping[str, str]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the bars that two names stand for: files, or stored markets.

    Two stored markets are compared as one, whatever their exchanges; bars of a stored market count as they
    were received.

    Raises
    ------
    ConfigError
        If a name is neither, or a stored market comes without a timeframe.
    DataError
        If a file cannot be read.
    """
    frames, stored = [], []
    for name in (first, second):
        if Path(name).is_file():
            frames.append(read_bars(Path(name), exchange=None, mapping=mapping, any_symbol=True).bars)
        else:
            frames.append(_stored(name, root, timeframe))
            stored.append(name)
    if stored:
        # One market beside another, or beside a file of one: their names need not agree.
        several = [frame for frame in frames if frame["market"].n_unique() > 1]
        if several:
            raise ConfigError("a stored market can be compared with one market, not with a file of several")
        frames = [frame.with_columns(pl.lit(first).alias("market")) for frame in frames]
    return frames[0], frames[1]


def _stored(name: str, root: Path, timeframe: str | None) -> pl.DataFrame:
    try:
        market = str(Market.parse(name))
    except ConfigError:
        raise ConfigError(f"{name}: no such file, and no market such as binance:BTC/USDT") from None
    if timeframe is None:
        raise ConfigError(f"{name} is a stored market: say which bars with --timeframe")
    return Catalog(root).bars([market], timeframe).filter(pl.col("reason") != "filled")


def _one_each(bars: pl.DataFrame) -> pl.DataFrame:
    numbers = [pl.col(column).cast(pl.Float64).fill_nan(None) for column in BAR_COLUMNS]
    return bars.select("ts", pl.col("market").cast(pl.String), *numbers).unique(
        ["ts", "market"], keep="last", maintain_order=True
    )


def _differs(column: str) -> pl.Expr:
    return pl.col(column).ne_missing(pl.col(f"{column}_b"))


def _gap(column: str) -> pl.Expr:
    ours, theirs = pl.col(column), pl.col(f"{column}_b")
    return pl.when(ours == theirs).then(0.0).otherwise((theirs - ours).abs() / ours.abs())


def _beyond(column: str, tolerance: float) -> pl.Expr:
    one_sided = pl.col(column).is_null() != pl.col(f"{column}_b").is_null()
    return one_sided | (pl.col(f"{column}_gap") > tolerance).fill_null(False)
