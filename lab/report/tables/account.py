"""The account's own series: returns, wealth, drawdowns, and the benchmark beside them."""

from __future__ import annotations

from typing import Final

import polars as pl

from lab.report.inputs import ReportInput

__all__ = ["account", "drawdown_periods", "thin", "underwater"]

_NO_TABLE: Final = pl.DataFrame(
    schema={
        "rank": pl.Int64,
        "depth": pl.Float64,
        "peak": pl.Datetime("us", "UTC"),
        "trough": pl.Datetime("us", "UTC"),
        "recovered": pl.Datetime("us", "UTC"),
        "fall_bars": pl.Int64,
        "bars": pl.Int64,
    }
)


def account(report: ReportInput) -> pl.DataFrame:
    """Return one row per bar: ``ts, return, wealth, benchmark_return, benchmark``.

    ``wealth`` and ``benchmark`` are growth of 1.0 from before the first bar. Returns are those recorded, else
    changes of equity from the recorded cash (from the first bar's equity where that is unknown, too). The
    benchmark is null where the run recorded none, and on bars that it does not have.
    """
    own = _returns(report.tables["equity"], report.table("returns"), report.number("cash"))
    benchmark = report.table("benchmark")
    if benchmark is None:
        empty = pl.lit(None, dtype=pl.Float64)
        return own.with_columns(benchmark_return=empty, benchmark=empty)
    theirs = _returns(benchmark, None, report.number("cash"))
    theirs = theirs.select("ts", benchmark_return="return", benchmark="wealth")
    return own.join(theirs, on="ts", how="left", maintain_order="left")


def underwater(wealth: pl.Series) -> pl.Series:
    """Return the drawdown from the highest wealth so far, the starting 1.0 included; at most 0.

    Examples
    --------
    >>> underwater(pl.Series([0.5, 2.0, 1.5])).to_list()
    [-0.5, 0.0, -0.25]
    """
    peak = wealth.cum_max().clip(lower_bound=1.0)
    return (wealth / peak - 1.0).alias("drawdown")


def drawdown_periods(account: pl.DataFrame, worst: int = 5) -> pl.DataFrame:
    """Return the deepest drawdowns, deepest first.

    Parameters
    ----------
    account : polars.DataFrame
        ``ts, wealth``.
    worst : int
        Rows at most.

    Returns
    -------
    polars.DataFrame
        ``rank`` from 1; ``depth`` (fraction, negative); ``peak``, ``trough``, ``recovered`` (null while it
        lasts); ``fall_bars`` from peak to trough; ``bars`` below the peak. A loss from the start has the
        first bar as its peak.

    Examples
    --------
    >>> days = pl.datetime_range(pl.datetime(2024, 1, 1), pl.datetime(2024, 1, 5), eager=True)
    >>> frame = pl.DataFrame({"ts": days, "wealth": [1.0, 0.75, 2.0, 1.0, 1.5]})
    >>> drawdown_periods(frame).select("depth", "fall_bars", "bars").rows()
    [(-0.5, 1, 2), (-0.25, 1, 1)]
    """
    depth = underwater(account["wealth"])
    below = depth < 0
    if not below.any():
        return _NO_TABLE
    starts = below & ~below.shift(1, fill_value=False)
    rows = (
        pl.DataFrame({"ts": account["ts"], "depth": depth, "spell": starts.cum_sum()})
        .with_columns(before=pl.col("ts").shift(1).fill_null(pl.col("ts").first()))
        .with_columns(after=pl.col("ts").shift(-1))
        .filter(pl.col("depth") < 0)
        .group_by("spell")
        .agg(
            depth=pl.col("depth").min(),
            peak=pl.col("before").first(),
            trough=pl.col("ts").get(pl.col("depth").arg_min()),
            recovered=pl.col("after").last(),
            fall_bars=pl.col("depth").arg_min().cast(pl.Int64) + 1,
            bars=pl.len().cast(pl.Int64),
        )
        .sort("depth", "peak")
        .head(worst)
    )
    return rows.with_row_index("rank", offset=1).with_columns(pl.col("rank").cast(pl.Int64)).drop("spell")


def thin(frame: pl.DataFrame, column: str, rows: int = 2_000) -> pl.DataFrame:
    """Keep at most about `rows` rows for drawing: of every stretch the lowest and the highest value.

    First and last rows stay, so that neither an extreme nor an end is lost.

    Examples
    --------
    >>> thin(pl.DataFrame({"y": [0.0, 5.0, 1.0, 2.0, -3.0, 1.0]}), "y", rows=4)["y"].to_list()
    [0.0, 5.0, 2.0, -3.0, 1.0]
    """
    if frame.height <= rows:
        return frame
    size = -(-frame.height // max(rows // 2, 1))
    numbered = frame.with_row_index("_row").with_columns(_part=pl.col("_row") // size)
    ends = numbered.group_by("_part").agg(
        low=pl.col("_row").get(pl.col(column).arg_min().fill_null(0)),
        high=pl.col("_row").get(pl.col(column).arg_max().fill_null(0)),
    )
    kept = {0, frame.height - 1, *ends["low"].to_list(), *ends["high"].to_list()}
    return frame[sorted(kept)]


def _returns(equity: pl.DataFrame, returns: pl.DataFrame | None, cash: float | None) -> pl.DataFrame:
    if returns is not None:
        change = returns.select("ts", "return")
    else:
        start = equity["equity"][0] if cash is None else cash
        before = pl.col("equity").shift(1).fill_null(start)
        change = equity.select("ts", (pl.col("equity") / before - 1.0).alias("return"))
    return change.with_columns(wealth=(1.0 + pl.col("return")).cum_prod())
