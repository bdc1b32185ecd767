"""Round trips: from flat to flat per market, at average cost."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lab.backtest import kernel, layout
from lab.backtest.layout import Array
from lab.backtest.prices import ExecutionPrices
from lab.backtest.simulate import Trace
from lab.backtest.tables import market_names, stamps
from lab.core.compiled import njit

__all__ = ["trade_metrics", "trade_table"]


def trade_table(prices: ExecutionPrices, trace: Trace) -> pl.DataFrame:
    """Return one row per round trip, closed ones and those still open at the last bar.

    A trade begins with the buy that opens a position and ends with the sell that leaves nothing of it. What
    is still held is valued at the last known price, without a fee.
    """
    filled = trace.log[:, 3] <= layout.CASH_SHORT
    log, figures = np.ascontiguousarray(trace.log[filled]), np.ascontiguousarray(trace.figures[filled])
    where, amounts, count = _round_trips(log, figures, prices.shape[1])
    where, amounts = where[:count], amounts[:count]
    entry, leave, column = where[:, 0], where[:, 1], where[:, 2]
    is_open = leave < 0
    bought, paid, sold, received, fees = amounts.T
    remaining = np.where(is_open, bought - sold, 0.0)
    mark = prices.last[-1][column] if len(prices) else np.empty(0)
    proceeds = received + np.where(is_open, remaining * mark, 0.0)
    profit = proceeds - paid - fees
    last = np.where(is_open, len(prices) - 1, leave)
    exit_price = np.divide(proceeds, sold + remaining, out=np.full(count, np.nan), where=bought > 0)
    return pl.DataFrame(
        {
            "market": market_names(prices, column),
            "entry_ts": stamps(prices, entry),
            "exit_ts": stamps(prices, last).zip_with(
                pl.Series(~is_open), pl.Series([None], dtype=pl.Datetime("us", "UTC"))
            ),
            "bars": last - entry,
            "orders": where[:, 3],
            "quantity": bought,
            "entry_price": paid / bought,
            "exit_price": exit_price,
            "fees": fees,
            "profit": profit,
            "return": profit / (paid + fees),
            "open": is_open,
        }
    ).sort("entry_ts", "market")


@njit(cache=True, nogil=True, error_model="numpy")
def _round_trips(
    log: NDArray[np.int64], figures: Array, n_markets: int
) -> tuple[NDArray[np.int64], Array, int]:
    """Return entry bar, exit bar (-1: open), market, orders; bought, paid, sold, received, fees; count."""
    where = np.empty((log.shape[0], 4), dtype=np.int64)
    amounts = np.zeros((log.shape[0], 5))
    current = np.full(n_markets, -1)
    held = np.zeros(n_markets)
    count = 0
    for row in range(log.shape[0]):
        i = log[row, 1]
        quantity, price, fee = figures[row, 0], figures[row, 1], figures[row, 3]
        if current[i] < 0:
            current[i] = count
            where[count, 0], where[count, 1], where[count, 2], where[count, 3] = log[row, 0], -1, i, 0
            count += 1
        trip = current[i]
        where[trip, 3] += 1
        amounts[trip, 4] += fee
        if log[row, 2] == layout.BUY:
            amounts[trip, 0] += quantity
            amounts[trip, 1] += quantity * price
            held[i] += quantity
        else:
            amounts[trip, 2] += quantity
            amounts[trip, 3] += quantity * price
            held[i] = kernel.subtract(held[i], quantity)
            if held[i] == 0.0:
                where[trip, 1] = log[row, 0]
                current[i] = -1
    return where, amounts, count


def trade_metrics(trades: pl.DataFrame) -> Mapping[str, float]:
    """Return figures of the closed trades of a result; NaN where there is nothing to divide by.

    ``trades``: closed round trips; ``trade_hit_ratio``: those with a profit over all; ``trade_payoff``: mean
    profit of winners over abs(mean profit of losers); ``trade_profit_factor``: sum of profits over
    abs(sum of losses). Profits are net of fees and slippage.
    """
    profit = trades.filter(~pl.col("open"))["profit"].to_numpy()
    gains, losses = profit[profit > 0], profit[profit < 0]
    both = len(gains) > 0 and len(losses) > 0
    return {
        "trades": float(len(profit)),
        "trade_hit_ratio": len(gains) / len(profit) if len(profit) else math.nan,
        "trade_payoff": float(gains.mean() / -losses.mean()) if both else math.nan,
        "trade_profit_factor": float(gains.sum() / -losses.sum()) if len(losses) else math.nan,
    }
