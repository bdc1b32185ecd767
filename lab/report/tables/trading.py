"""What was held, traded and paid."""

from __future__ import annotations

from typing import Final

import polars as pl

from lab.report.inputs import ReportInput
from lab.report.tables.account import thin

__all__ = [
    "OTHERS",
    "by_market",
    "extreme_trades",
    "fills",
    "held_weights",
    "market_prices",
    "monthly_trading",
    "risk_actions",
]

OTHERS: Final = "others"
_MARKS: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    "ts": pl.Datetime("us", "UTC"),
    "kind": pl.String,
    "price": pl.Float64,
    "return": pl.Float64,
}


def held_weights(report: ReportInput, markets: int = 8, rows: int = 1_500) -> pl.DataFrame | None:
    """Return the share of equity in each market: ``ts`` and one column per market, largest mean first.

    What is held at every close, where positions were recorded; else the decided weights, with "keep" taken
    as the last decision. Markets beyond the first `markets` are summed up as ``others``. Long histories are
    thinned to the mean of equal stretches. None where neither was recorded.
    """
    frame = report.table("positions")
    recorded = frame if frame is not None else report.table("weights")
    if recorded is None:
        return None
    weight = pl.col("weight").fill_nan(None)
    wide = recorded.select("ts", "market", weight).pivot("market", index="ts", values="weight")
    wide = report.tables["equity"].select("ts").join(wide, on="ts", how="left", maintain_order="left")
    columns = [name for name in wide.columns if name != "ts"]
    fill = pl.col(columns) if frame is not None else pl.col(columns).forward_fill()
    wide = wide.with_columns(fill.fill_null(0.0))
    ranked = sorted(columns, key=lambda name: (-float(wide[name].mean() or 0.0), name))  # type: ignore[arg-type]
    kept, rest = ranked[:markets], ranked[markets:]
    if rest:
        # A market of that name keeps it; the sum is then told apart by a longer one.
        name = OTHERS if OTHERS not in kept else f"{OTHERS} ({len(rest)})"
        wide = wide.with_columns(pl.sum_horizontal(rest).alias(name))
        kept = [*kept, name]
    wide = wide.select("ts", *kept)
    if wide.height <= rows:
        return wide
    size = -(-wide.height // rows)
    part = pl.int_range(pl.len()) // size
    return (
        wide.group_by(part.alias("_part"), maintain_order=True)
        .agg(pl.col("ts").first(), pl.col(kept).mean())
        .drop("_part")
    )


def monthly_trading(returns: pl.DataFrame) -> pl.DataFrame:
    """Return turnover and costs by month: ``month`` (first day), ``turnover, cost, cumulative_cost``.

    Sums of the per-bar fractions of equity. Bars without a recorded turnover count as none traded.
    """
    filled = pl.col("turnover", "cost").fill_nan(0.0).fill_null(0.0)
    return (
        returns.with_columns(filled)
        .group_by(month=pl.col("ts").dt.truncate("1mo"))
        .agg(pl.col("turnover").sum(), pl.col("cost").sum())
        .sort("month")
        .with_columns(cumulative_cost=pl.col("cost").cum_sum())
    )


def risk_actions(events: pl.DataFrame) -> pl.DataFrame:
    """Return what the risk step changed, by reason: ``reason, changes, markets, first, last``; most first.

    Examples
    --------
    >>> days = pl.datetime_range(pl.datetime(2024, 1, 1), pl.datetime(2024, 1, 2), eager=True)
    >>> frame = pl.DataFrame({"ts": days, "market": ["a", "a"], "reasons": ["BAND", "BAND, CASH"]})
    >>> risk_actions(frame).select("reason", "changes", "markets").rows()
    [('BAND', 2, 1), ('CASH', 1, 1)]
    """
    return (
        events.with_columns(reason=pl.col("reasons").str.replace_all(r"[,|;\s]+", " ").str.split(" "))
        .explode("reason")
        .filter(pl.col("reason") != "")
        .group_by("reason")
        .agg(
            changes=pl.len().cast(pl.Int64),
            markets=pl.col("market").n_unique().cast(pl.Int64),
            first=pl.col("ts").min(),
            last=pl.col("ts").max(),
        )
        .sort(["changes", "reason"], descending=[True, False])
    )


def by_market(trades: pl.DataFrame) -> pl.DataFrame:
    """Return round trips by market, most profit first.

    ``market, trades`` (closed), ``open, hit_ratio, profit, fees, mean_return, best, worst, mean_bars``;
    ratios and means over closed ones, profit and fees over all.
    """
    closed = pl.col("open").not_()
    return (
        trades.group_by("market")
        .agg(
            trades=closed.sum().cast(pl.Int64),
            open=pl.col("open").sum().cast(pl.Int64),
            hit_ratio=(pl.col("profit") > 0).filter(closed).mean(),
            profit=pl.col("profit").sum(),
            fees=pl.col("fees").sum(),
            mean_return=pl.col("return").filter(closed).mean(),
            best=pl.col("return").filter(closed).max(),
            worst=pl.col("return").filter(closed).min(),
            mean_bars=pl.col("bars").filter(closed).mean(),
        )
        .sort(["profit", "market"], descending=[True, False])
    )


def extreme_trades(trades: pl.DataFrame, each: int = 5) -> pl.DataFrame:
    """Return the trades with the highest and the lowest profit, each once, highest first."""
    ordered = trades.sort(["profit", "entry_ts", "market"], descending=[True, False, False])
    if ordered.height <= 2 * each:
        return ordered
    return pl.concat([ordered.head(each), ordered.tail(each)])


def market_prices(
    bars: pl.DataFrame, market: str, *, within: pl.Series | None = None, rows: int = 1_500
) -> pl.DataFrame:
    """Return one market's closes between the first and last time of `within`, thinned: ``ts, close``."""
    own = bars.filter(pl.col("market") == market)
    if within is not None:
        own = own.filter(pl.col("ts").is_between(within.min(), within.max()))
    own = own.select("ts", pl.col("close").fill_nan(None))
    return thin(own.drop_nulls(), "close", rows)


def fills(report: ReportInput, market: str) -> pl.DataFrame:
    """Return where one market was entered and left: ``ts, kind, price, return``.

    Kind is ``entry`` (a position is opened) or ``exit`` (nothing is left of it), from the round trips: fills
    that only change the size of a position are left out. The price is that of the fill at that time; the
    round trip's average where orders were not recorded. ``return`` is the trade's, at its exit.
    """
    trades = report.table("trades")
    if trades is None or not {"entry_price", "exit_price"} <= set(trades.columns):
        return pl.DataFrame(schema=_MARKS)
    own = trades.filter(pl.col("market") == market)
    nothing = pl.lit(None, dtype=pl.Float64).alias("return")
    entries = own.select(pl.col("entry_ts").alias("ts"), _kind("entry"), price="entry_price").with_columns(
        nothing
    )
    exits = own.filter(pl.col("exit_ts").is_not_null()).select(
        pl.col("exit_ts").alias("ts"), _kind("exit"), pl.col("exit_price").alias("price"), "return"
    )
    marks = pl.concat([entries, exits])
    orders = report.table("orders")
    if orders is None:
        return marks.sort("ts", "kind")
    filled = (
        orders.filter(pl.col("market") == market)
        .with_columns(kind=pl.when(pl.col("side") == "buy").then(pl.lit("entry")).otherwise(pl.lit("exit")))
        .group_by("ts", "kind")
        .agg(filled=pl.col("notional").sum() / pl.col("quantity").sum())
    )
    exact = marks.join(filled, on=["ts", "kind"], how="left")
    return exact.select("ts", "kind", pl.coalesce("filled", "price").alias("price"), "return").sort(
        "ts", "kind"
    )


def _kind(name: str) -> pl.Expr:
    return pl.lit(name).alias("kind")
