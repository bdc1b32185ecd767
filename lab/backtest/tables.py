"""From the engine's arrays to the frames of a result; the columns are documented on `BacktestResult`."""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lab.backtest import layout
from lab.backtest.layout import Array
from lab.backtest.prices import ExecutionPrices
from lab.backtest.simulate import Trace
from lab.risk import reason_names

__all__ = [
    "cost_table",
    "dropped_table",
    "equity_table",
    "order_table",
    "permitted_table",
    "position_table",
    "return_table",
    "risk_table",
]

_SIDES: Final = {layout.BUY: "buy", layout.SELL: "sell"}
_REASONS: Final = {
    layout.CASH_SHORT: "cash short: cut to what the cash affords",
    layout.NO_PRICE: "no price at this bar",
    layout.NO_CASH: "no cash left",
    layout.TOO_SMALL: "too small: below the lot or the smallest notional",
    layout.VOLUME_SHORT: "volume short: cut to the largest share of it, the remainder is carried",
    layout.NO_VOLUME: "no volume at this bar, the order is carried",
}


def stamps(prices: ExecutionPrices, rows: NDArray[np.int64]) -> pl.Series:
    """Return the opening times of bars, UTC."""
    return pl.Series("ts", prices.ts[rows]).dt.replace_time_zone("UTC")


def market_names(prices: ExecutionPrices, columns: NDArray[np.int64]) -> pl.Series:
    """Return the names of markets by position."""
    return pl.Series("market", prices.markets, dtype=pl.String).gather(pl.Series(columns, dtype=pl.UInt32))


def _every(prices: ExecutionPrices) -> NDArray[np.int64]:
    return np.arange(len(prices), dtype=np.int64)


def equity_table(prices: ExecutionPrices, trace: Trace) -> pl.DataFrame:
    """Equity at every close."""
    return pl.DataFrame({"ts": stamps(prices, _every(prices)), "equity": trace.path[layout.EQUITY]})


def return_table(prices: ExecutionPrices, trace: Trace) -> pl.DataFrame:
    """Per-bar fractions: return, turnover, cost, exposure."""
    return pl.DataFrame(
        {
            "ts": stamps(prices, _every(prices)),
            "return": trace.path[layout.RETURN],
            "turnover": trace.path[layout.TURNOVER],
            "cost": trace.path[layout.COST],
            "exposure": trace.path[layout.EXPOSURE],
        }
    )


def position_table(prices: ExecutionPrices, trace: Trace) -> pl.DataFrame:
    """Rows where something is held at the close."""
    row, column = np.nonzero(trace.positions)
    quantity, price = trace.positions[row, column], prices.last[row, column]
    value = quantity * price
    return pl.DataFrame(
        {
            "ts": stamps(prices, row),
            "market": market_names(prices, column),
            "quantity": quantity,
            "price": price,
            "value": value,
            "weight": value / trace.path[layout.EQUITY][row],
        }
    ).sort("ts", "market")


def order_table(prices: ExecutionPrices, trace: Trace, decided: Array, lag: int) -> pl.DataFrame:
    """List fills, in the order they happened."""
    filled = trace.log[:, 3] <= layout.CASH_SHORT
    log, (quantity, price, reference, fee) = trace.log[filled], trace.figures[filled].T
    row, column, side = log[:, 0], log[:, 1], log[:, 2]
    return pl.DataFrame(
        {
            "ts": stamps(prices, row),
            "market": market_names(prices, column),
            "side": pl.Series([_SIDES[one] for one in side.tolist()], dtype=pl.String),
            "quantity": quantity,
            "price": price,
            "reference_price": reference,
            "notional": quantity * price,
            "fee": fee,
            "slippage": np.abs(price - reference) * quantity,
            "decision_ts": stamps(prices, row - lag),
            "decision_weight": decided[row - lag, column],
            "permitted_weight": trace.permitted[row, column],
        }
    )


def dropped_table(prices: ExecutionPrices, trace: Trace, decided: Array, lag: int) -> pl.DataFrame:
    """Orders that were not filled, or not in full, and why."""
    log = trace.log[trace.log[:, 3] != layout.FILLED]
    row, column = log[:, 0], log[:, 1]
    return pl.DataFrame(
        {
            "ts": stamps(prices, row),
            "market": market_names(prices, column),
            "decision_weight": decided[row - lag, column],
            "reason": pl.Series([_REASONS[one] for one in log[:, 3].tolist()], dtype=pl.String),
        }
    )


def cost_table(orders: pl.DataFrame) -> pl.DataFrame:
    """Fees and slippage of every bar that traded."""
    return (
        orders.group_by("ts", maintain_order=True)
        .agg(
            pl.len().cast(pl.Int64).alias("orders"),
            pl.col("notional").sum(),
            pl.col("fee").sum(),
            pl.col("slippage").sum(),
        )
        .sort("ts")
    )


def permitted_table(prices: ExecutionPrices, trace: Trace, lag: int) -> pl.DataFrame:
    """Weights that were traded to, one row per bar and market from the first decision on."""
    row, column = (part.reshape(-1) for part in np.indices(prices.shape))
    keep = row >= lag
    row, column = row[keep], column[keep]
    return pl.DataFrame(
        {
            "ts": stamps(prices, row),
            "market": market_names(prices, column),
            "weight": trace.permitted[row, column],
        }
    ).sort("ts", "market")


def risk_table(prices: ExecutionPrices, trace: Trace, decided: Array, lag: int) -> pl.DataFrame:
    """Where the risk step acted, and why."""
    row, column = np.nonzero(trace.reasons)
    codes = trace.reasons[row, column]
    names = {int(code): ", ".join(reason_names(int(code))) for code in np.unique(codes)}
    return pl.DataFrame(
        {
            "ts": stamps(prices, row),
            "market": market_names(prices, column),
            "decision_weight": decided[row - lag, column],
            "permitted_weight": trace.permitted[row, column],
            "reasons": pl.Series([names[int(code)] for code in codes], dtype=pl.String),
        }
    ).sort("ts", "market")
